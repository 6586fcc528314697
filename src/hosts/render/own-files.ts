import { forwardingAddress } from "../../config/values/addresses.ts";
import type { Config } from "../../config/schema.ts";
import { nodeLayoutOf, type Layout, type NodeConfig, type NodeLayout } from "../../config/layout.ts";
import { ensureAuthority, ensureNodeCertificate } from "../../postgres/certificates.ts";
import { programOf, type Installation } from "../../postgres/installation.ts";
import { renderHba, renderIdent, type NodeRenderInput } from "../../postgres/render.ts";
import { BARRED_ROLE } from "../../postgres/sql/access/passing.ts";
import { readPassword } from "../../store/secrets.ts";
import { readState, writeApplied, writeState } from "../../store/state.ts";
import { now } from "../../system/clock.ts";
import path from "node:path";
import {
  diskSpace,
  ensureDirectory,
  kindOf,
  leadLink,
  passableFor,
  readableBy,
  writeFileIfChanged,
  type Owner,
} from "../../system/files/files.ts";
import { makeFolder } from "../../system/files/held/by-path.ts";
import type { Machine } from "../../system/machine.ts";
import { hostFiles } from "../documents/files.ts";
import { keepDocument, type ClusterDocument, type HostRecord } from "../documents/record.ts";
import { configOf } from "../documents/host-config.ts";
import { renderPatroni } from "./patroni.ts";
import { renderRewind, rewoundFolder } from "./rewind.ts";
import { hostRules, renderHostSettings } from "./server.ts";

export interface OwnFilesInput {
  readonly layout: Layout;
  readonly owner: Owner | undefined;
  readonly machine: Machine;
  readonly record: HostRecord;
  readonly document: ClusterDocument;
  /** The configuration of this host's own file; undefined where it has none. */
  readonly fileConfig: Config | undefined;
  /** PostgreSQL of this host; undefined on a host without a database. */
  readonly installation: Installation | undefined;
  /** Hosts whose replication is refused for now. */
  readonly refused: readonly string[];
  /** The command by which its server archives while it is the primary; undefined: nothing is archived. */
  readonly archiveCommand: string | undefined;
}

/** Whether files changed that the server, or Patroni, has to read again. */
export interface Changed {
  readonly server: boolean;
  readonly patroni: boolean;
}

/** The configuration that this host applies, and its node. */
export function ownConfig({ layout, document, record, fileConfig }: OwnFilesInput): {
  config: Config;
  node: NodeConfig;
  files: NodeLayout;
} {
  const config = configOf(document, record, { stateDir: layout.stateDir, fileConfig });
  const [node] = config.nodes;
  if (!node) throw new Error("A configuration has at least one node.");
  return { config, node, files: nodeLayoutOf(layout, node) };
}

/** The file with odoo-pg's settings for the server that Patroni runs. */
export function settingsFileOf(files: NodeLayout): string {
  return path.join(files.dir, "odoo-pg.conf");
}

/** The input of this host's server's settings. @param changed a configuration to use instead of the cluster's */
export async function renderInput(
  input: OwnFilesInput,
  installation: Installation,
  changed?: Config,
): Promise<NodeRenderInput> {
  const { layout, machine, document } = input;
  const { config, node, files } = ownConfig(
    changed ? { ...input, document: { ...document, config: changed } } : input,
  );
  const { totalBytes: diskBytes } = await diskSpace(layout.nodesDir);
  return {
    config,
    layout,
    node,
    files,
    facts: {
      hasLoopbackNetwork: machine.hasLoopbackNetwork,
      platform: machine.platform,
      major: installation.major,
      diskBytes,
    },
    kept: document.settings,
    upstream: undefined,
    floor: {},
    archiveCommand: input.archiveCommand,
  };
}

/** Writes the files that this host's programs read, where they differ. Restarts nothing. */
export async function writeOwnFiles(input: OwnFilesInput): Promise<Changed> {
  const { layout, owner, machine, record, document, installation } = input;
  const ha = hostFiles(layout);
  await ensureDirectory(ha.dir, passableFor(owner));
  await keepDocument(layout, document);
  const { config, node, files } = ownConfig(input);
  await writeApplied(layout, { format: 1, config, major: document.major, config_file: null });
  const state = await readState(layout);
  if (!state)
    await writeState(layout, {
      format: 1,
      cluster: document.cluster,
      system_identifier: document.system_identifier,
      primary: record.node,
      history: [],
      removed: [],
      settings: document.settings,
      consistency: config.endpoints.read.consistency,
    });
  if (!installation) return { server: false, patroni: false };
  const readable = readableBy(owner);
  await ensureDirectory(files.dir, passableFor(owner));
  await ensureDirectory(files.logDir, { mode: 0o700, owner });
  await ensureDirectory(ha.postgresDir, { mode: 0o700, owner });
  await ensureAuthority(config, layout);
  const certificate = await ensureNodeCertificate(
    config,
    layout,
    node,
    files,
    owner,
    machine.hostname,
    now(),
  );
  const settings = renderHostSettings(await renderInput(input, installation));
  const rules = renderHba({
    networks: config.networks,
    source: forwardingAddress(config.nodes, machine.hasLoopbackNetwork),
  });
  // First, so that a line for a network that contains the hosts does not come before their own.
  const hosts = hostRules(document, `postgres,+${BARRED_ROLE}`, input.refused);
  const users = renderIdent(["root", machine.userName, ...(owner?.name === undefined ? [] : [owner.name])]);
  const written = [
    await writeFileIfChanged(settingsFileOf(files), settings, readable),
    await writeFileIfChanged(files.hbaFile, `${hosts.join("\n")}\n${rules}`, readable),
    await writeFileIfChanged(files.identFile, users, readable),
  ];
  // A Patroni that took over a running server forgets the paths of these files (4.0.7), and searches beside its own.
  await leadLink(path.join(ha.postgresDir, "pg_hba.conf"), files.hbaFile);
  await leadLink(path.join(ha.postgresDir, "pg_ident.conf"), files.identFile);
  const kept = rewoundFolder(files.dataDir);
  // Where the data's disk is not mounted, no directory is made in its place.
  if ((await kindOf(path.dirname(kept))) === "directory") await makeFolder(kept, 0o700, owner);
  await writeFileIfChanged(
    ha.rewind,
    renderRewind({ dataDir: files.dataDir, kept, program: programOf(installation, "pg_rewind") }),
    { mode: 0o755 },
  );
  const patroni = await writeFileIfChanged(
    ha.patroniConfig,
    renderPatroni({
      cluster: document.cluster,
      host: record,
      port: document.port,
      layout,
      files: ha,
      node: files,
      binDir: installation.binDir,
      rewind: ha.rewind,
      store: record.store,
      password: (await readPassword(layout, "replicator")) ?? "",
      settingsFile: settingsFileOf(files),
    }),
    readable,
  );
  return { server: certificate || written.includes(true), patroni };
}
