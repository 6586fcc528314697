import { prepareStateDirectory } from "../../src/store/possession.ts";
import { ensurePasswords } from "../../src/store/secrets.ts";
import {
  type Layout,
  layoutOf,
  type NodeConfig,
  type NodeLayout,
  nodeLayoutOf,
  slotName,
} from "../../src/config/layout.ts";
import { resolveConfig } from "../../src/config/resolve.ts";
import type { Config } from "../../src/config/schema.ts";
import { ensureRoles, type RolePasswords } from "../../src/odoo/roles.ts";
import { ensureAuthority, ensureNodeCertificate } from "../../src/postgres/certificates.ts";
import { initialiseDataDirectory, SUPERUSER } from "../../src/postgres/initialise.ts";
import { findInstallation, type Installation } from "../../src/postgres/installation.ts";
import {
  renderHba,
  renderIdent,
  renderPostgresqlConf,
  renderSynchronous,
} from "../../src/postgres/render.ts";
import { type Postmaster, startServer, stopServer } from "../../src/postgres/server.ts";
import { Superuser } from "../../src/postgres/sql/access/superuser.ts";
import { now } from "../../src/system/clock.ts";
import {
  ensureDirectory,
  type Owner,
  passableFor,
  readableBy,
  writeFileAtomic,
} from "../../src/system/files/files.ts";
import { currentUser, findUser } from "../../src/system/machine.ts";
import { connect, type Credentials, type Session } from "../../src/system/sql/sql.ts";
import { freePorts } from "../support/ports.ts";
import { atEnd } from "../support/scope.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

/** Servers cannot run as root: where tests do, they run as user postgres. */
export async function serverOwner(): Promise<Owner | undefined> {
  if (process.geteuid?.() !== 0) return undefined;
  const user = await findUser("postgres");
  if (user === undefined) throw new Error("The tests run as root, and there is no user postgres.");
  return { uid: user.uid, gid: user.gid };
}

export async function installation(): Promise<Installation> {
  return await findInstallation({}, { searchPath: process.env["PATH"] ?? "", install: () => "" });
}

/** One node of a throwaway cluster, by the modules alone: no agent, no endpoints. */
export interface ThrowawayNode {
  readonly config: Config;
  readonly layout: Layout;
  readonly node: NodeConfig;
  readonly files: NodeLayout;
  readonly owner: Owner | undefined;
  readonly installation: Installation;
  readonly passwords: RolePasswords;
  /** The superuser's way in, by the Unix socket: for what a test does itself. */
  readonly superuser: Credentials & { readonly password: string };
  /** The same as the program has it. */
  readonly access: Superuser;
  readonly initialise: () => Promise<void>;
  readonly start: (timeout?: number) => Promise<Postmaster>;
  readonly stop: () => Promise<void>;
  /** A session of the superuser, closed at the end of the present test or test file. */
  readonly session: (database?: string) => Promise<Session>;
  readonly writeHba: (text: string) => Promise<void>;
}

/**
 * The nodes of a cluster, configured, with certificates and passwords; nothing is initialised or started.
 * The first is the primary. What runs at the end of the scope is stopped.
 */
export async function throwawayNodes(
  count: number,
  parameters: Readonly<Record<string, string>> = {},
): Promise<readonly ThrowawayNode[]> {
  const owner = await serverOwner();
  const found = await installation();
  const ports = await freePorts(count);
  const { config } = resolveConfig({
    file: {
      path: "test.yaml",
      text: JSON.stringify({
        cluster: "test",
        state_dir: `${temporaryFolder()}/s`,
        nodes: ports.map((port, index) => ({ name: `pg${index + 1}`, port })),
        postgres: { parameters: { shared_buffers: "16MB", fsync: "off", ...parameters } },
      }),
    },
    env: {},
    defaults: { isRoot: false, home: "/nowhere", platform: "linux" },
  });
  const layout = layoutOf(config.state_dir);
  await prepareStateDirectory(layout, owner);
  const passwords = await ensurePasswords(layout, {}, owner);
  await ensureAuthority(config, layout);
  const [primary] = config.nodes;
  const nodes: ThrowawayNode[] = [];
  for (const node of config.nodes) {
    const files = nodeLayoutOf(layout, node);
    await ensureDirectory(files.dir, passableFor(owner));
    await ensureNodeCertificate(config, layout, node, files, owner, "localhost", now());
    const text = renderPostgresqlConf({
      config,
      layout,
      node,
      files,
      facts: { diskBytes: 2 ** 33, hasLoopbackNetwork: true, platform: "linux", major: undefined },
      kept: { max_connections: "100", wal_level: "replica", wal_log_hints: "on" },
      upstream:
        primary === undefined || node === primary ? undefined : { host: primary.host, port: primary.port },
      floor: {},
    });
    await writeFileAtomic(files.configFile, text, readableBy(owner));
    const writeHba = async (rules: string): Promise<void> =>
      await writeFileAtomic(files.hbaFile, rules, readableBy(owner));
    await writeHba(renderHba({ networks: [], source: "127.79.80.71" }));
    await writeFileAtomic(
      files.identFile,
      renderIdent([currentUser().name ?? "", "postgres"]),
      readableBy(owner),
    );
    await writeFileAtomic(files.synchronousFile, renderSynchronous(false, []), readableBy(owner));
    const superuser = {
      host: layout.runDir,
      port: node.port,
      user: SUPERUSER,
      password: passwords.postgres,
      database: "postgres",
    };
    const stop = async (): Promise<void> => await stopServer(files.dataDir, node.name, "immediate", 20_000);
    atEnd(stop);
    nodes.push({
      config,
      layout,
      node,
      files,
      owner,
      installation: found,
      passwords,
      superuser,
      access: Superuser.of(layout, node),
      initialise: async () =>
        await initialiseDataDirectory({
          installation: found,
          owner,
          files,
          password: passwords.postgres,
        }),
      start: async (timeout = 30_000) =>
        await startServer({ installation: found, files, owner, node: node.name, timeout }),
      stop,
      session: async (database = "postgres") => {
        const session = await connect({ ...superuser, database });
        atEnd(session.close);
        return session;
      },
      writeHba,
    });
  }
  return nodes;
}

/** A primary alone, initialised and started. */
export async function runningNode(parameters: Readonly<Record<string, string>> = {}): Promise<ThrowawayNode> {
  const [node] = await throwawayNodes(1, parameters);
  if (node === undefined) throw new Error("no node");
  await node.initialise();
  await node.start();
  return node;
}

/** The same with the roles of a cluster, and a session of the superuser. */
export async function nodeWithRoles(): Promise<{ readonly node: ThrowawayNode; readonly session: Session }> {
  const node = await runningNode();
  const session = await node.session();
  await ensureRoles(session, "odoo", node.passwords);
  return { node, session };
}

/** What seeding a replica from a primary needs. */
export function seedOptions(replica: ThrowawayNode, primary: ThrowawayNode) {
  const { config, layout, node, files, owner } = replica;
  return {
    config,
    layout,
    node,
    files,
    owner,
    installation: replica.installation,
    upstream: { host: primary.node.host, port: primary.node.port },
    slot: slotName(node.name),
  };
}
