import { followsUpstream, readApplied, readState } from "../../../store/state.ts";
import { backupPlaceOf } from "../../../backup/place.ts";
import { readBackupStatus } from "../../../store/backup-status.ts";
import {
  authorityPath,
  layoutOf,
  nodeLayoutOf,
  type Layout,
  type NodeConfig,
} from "../../../config/layout.ts";
import { isAnyPooled } from "../../../config/pooling.ts";
import type { Config } from "../../../config/schema.ts";
import { endOf } from "../../../observe/certificate-ends.ts";
import { Superuser } from "../../../postgres/sql/access/superuser.ts";
import { monotonic, now, within } from "../../../system/clock.ts";
import { diskSpace, kindOf } from "../../../system/files/files.ts";
import type { Session, Settings, SuperuserSession } from "../../../system/sql/sql.ts";
import { unseen, type Evidence, type HostsSeen, type Observed, type NodeSeen } from "../evidence.ts";
import type { OdooConf } from "../odoo-conf.ts";
import { gatherCatalog } from "./catalog.ts";
import { knownForecasts } from "./days-left.ts";
import { attempt } from "./attempt.ts";
import { ASKED_SETTINGS, gatherServer } from "./server.ts";

/** Milliseconds for a connection, for a statement, for a server, and until no further database is begun with. */
const CONNECT_TIMEOUT = 1500;
const STATEMENT_TIMEOUT = 3000;
const SERVER_TIMEOUT = 10_000;
const DATABASES_TIMEOUT = 30_000;
const DISK_TIMEOUT = 1000;

/** What a server is asked for is as others get it. */
const AS_SERVER: Settings = Object.fromEntries(ASKED_SETTINGS.map((name) => [name, undefined]));

export interface GatherInput {
  readonly config: Config;
  readonly odooConf: Observed<OdooConf>;
  /** Where the cluster has several hosts, of which this is one with a database. */
  readonly hosts?: HostsSeen;
}

/**
 * Gathers all evidence for doctor. Nothing is changed. The applied configuration counts, not what the
 * configuration file says by now. A dead or hung part costs no more than its timeout.
 * @throws OdooPgError state_dir_unusable when the state cannot be read.
 */
export async function gatherEvidence(input: GatherInput): Promise<Evidence> {
  const layout = layoutOf(input.config.state_dir);
  const [applied, record] = await Promise.all([readApplied(layout), readState(layout)]);
  const config = applied?.config ?? input.config;
  const follows = followsUpstream(record);
  const launchedAt = record?.history[0]?.at;
  const open = (node: NodeConfig): Opener => opener(layout, node, record !== undefined);
  const { hosts } = input;
  const nodes = await Promise.all(
    config.nodes.map(async (node) => await gatherNode(layout, node, open(node))),
  );
  const asked = askedNode(nodes, follows);
  const node = config.nodes.find(({ name }) => name === asked?.name);
  const elsewhere = hosts && toldElsewhere(hosts);
  return {
    now: now(),
    config: hosts ? ofHosts(config, hosts) : config,
    follows,
    hosts,
    // A host's server is known by the host's name, whatever its node was called before there were several.
    nodes: hosts ? nodes.map((one) => ({ ...one, name: hosts.own })) : nodes,
    authorityEnds: await attempt(() => endOf(authorityPath(layout))),
    catalog:
      elsewhere ??
      (node && asked
        ? await gatherWholeCatalog(hosts?.own ?? node.name, asked.replica, config, open(node))
        : unseen(follows ? "no replica answers" : "the primary does not answer")),
    odooConf: input.odooConf,
    backups: elsewhere ?? (await gatherBackups(follows, layout, launchedAt)),
    backupDisk: await attempt(() => backupDisk(config)),
    forecasts: hosts
      ? unseen("with several hosts nothing is recorded that would show it")
      : await attempt(() => knownForecasts(layout.stateDir)),
  };
}

/**
 * What concerns all hosts is reported on the primary's alone: the record of backups is there, and so are all databases.
 * Undefined on that one.
 */
function toldElsewhere({ own, primary, silence }: HostsSeen): Observed<never> | undefined {
  if (own === primary) return undefined;
  if (silence !== undefined) return unseen(silence);
  return unseen(
    primary === undefined
      ? "there is no primary now"
      : `that is shown on the primary's host: run odoo-pg doctor on ${primary}`,
  );
}

/** The configuration with a node for each host that has a database: their slots are no strangers'. This host is first. */
function ofHosts(config: Config, { own, others }: HostsSeen): Config {
  const [node] = config.nodes;
  if (!node) return config;
  const names = [own, ...others.filter(({ hasDatabase }) => hasDatabase).map(({ name }) => name)];
  return { ...config, nodes: names.map((name) => ({ ...node, name })) };
}

type Opener = (database: string, settings?: Settings) => Promise<SuperuserSession>;

function opener(layout: Layout, node: NodeConfig, wasStarted: boolean): Opener {
  const superuser = Superuser.of(layout, node);
  return async (database, settings) => {
    if (!wasStarted) throw new Error("it was never started");
    return await superuser.in(database).session({
      applicationName: "odoo-pg doctor",
      connectTimeout: CONNECT_TIMEOUT,
      statementTimeout: STATEMENT_TIMEOUT + 500,
      settings: { jit: "off", statement_timeout: String(STATEMENT_TIMEOUT), ...settings },
    });
  };
}

async function gatherNode(layout: Layout, node: NodeConfig, open: Opener): Promise<NodeSeen> {
  const files = nodeLayoutOf(layout, node);
  const server = async (): Promise<NodeSeen["server"]> =>
    await attempt(() => within(SERVER_TIMEOUT, node.name, use(open, "postgres", gatherServer, AS_SERVER)));
  return {
    name: node.name,
    dataDir: files.dataDir,
    server: await server(),
    // A network file system that hangs must not hang doctor.
    disk: await attempt(() => within(DISK_TIMEOUT, node.name, diskSpace(files.dataDir))),
    certificateEnds: await attempt(() => endOf(files.certificateFile)),
  };
}

async function use<T>(
  open: Opener,
  database: string,
  act: (session: Session) => Promise<T>,
  settings: Settings = {},
): Promise<T> {
  const session = await open(database, settings);
  try {
    return await act(session);
  } finally {
    // The process ends soon: it does not wait for a clean end, which a hung server would not give.
    void session.close();
  }
}

/** Whom to ask for what all nodes share: the primary, or a replica where the primary is not ours. */
function askedNode(
  nodes: readonly NodeSeen[],
  follows: boolean,
): { name: string; replica: boolean } | undefined {
  for (const { name, server } of nodes)
    if (server.seen && server.value.in_recovery === follows) return { name, replica: follows };
  return undefined;
}

async function gatherWholeCatalog(
  node: string,
  replica: boolean,
  config: Config,
  open: Opener,
): Promise<Evidence["catalog"]> {
  const start = monotonic();
  return await attempt(async () => {
    return await use(open, "postgres", (session) =>
      gatherCatalog({
        node,
        replica,
        template: config.odoo.template,
        pools: isAnyPooled(config),
        session,
        use: async (database, act) => await use(open, database, act),
        late: () => monotonic() - start > DATABASES_TIMEOUT,
      }),
    );
  });
}

async function gatherBackups(
  follows: boolean,
  layout: Layout,
  launchedAt: string | undefined,
): Promise<Evidence["backups"]> {
  return await attempt(async () => {
    const { record, damage } = await readBackupStatus(layout.stateDir);
    if (damage !== undefined) throw new Error(damage);
    if (follows && !record) throw new Error("they are up to whoever runs the primary");
    return { record, launchedAt };
  });
}

/** Undefined while there is no backup: their directory is made with the first. */
async function backupDisk(config: Config) {
  const { dir } = backupPlaceOf(config);
  return (await kindOf(dir)) === undefined ? undefined : await within(DISK_TIMEOUT, dir, diskSpace(dir));
}
