import path from "node:path";
import type { Config } from "./schema.ts";

export type NodeConfig = Config["nodes"][number];

/** Paths of one cluster's files, in its state directory. */
export interface Layout {
  readonly stateDir: string;
  /** The configuration that was applied last. By this file a state directory is recognised. */
  readonly appliedFile: string;
  /** Who is primary, the cluster's history, and what was chosen when it was created. */
  readonly stateFile: string;
  readonly lockFile: string;
  readonly agentLog: string;
  /** Log of runs of backups and drills, of base backups and of copies elsewhere. */
  readonly backupLog: string;
  /** Holds the agent's control socket: this directory is the agent's alone. */
  readonly agentDir: string;
  readonly agentSocket: string;
  /** Where agents up to 0.1 have their control socket. */
  readonly formerAgentSocket: string;
  /** Unix sockets that the servers' user may reach: of PostgreSQL, PgBouncer, HAProxy and the agent's health checks. */
  readonly runDir: string;
  readonly secretsDir: string;
  readonly tlsDir: string;
  readonly haproxyDir: string;
  readonly pgbouncerDir: string;
  readonly nodesDir: string;
  /** pgBackRest's configuration, and databases of another moment in the making. */
  readonly archiveDir: string;
  /** Records of copies elsewhere, restic's cache, and the description that is copied along with the backups. */
  readonly offsiteDir: string;
  /** Data of nodes that were removed or replaced, kept until a user deletes it. */
  readonly asideDir: string;
  /** Files that come from the console to be restored, and are removed afterwards. */
  readonly uploadsDir: string;
}

export function layoutOf(stateDir: string): Layout {
  const at = (...parts: string[]): string => path.join(stateDir, ...parts);
  return {
    stateDir,
    appliedFile: at("cluster.json"),
    stateFile: at("state.json"),
    lockFile: at("agent.lock"),
    agentLog: at("agent.log"),
    backupLog: at("pg_backup.log"),
    agentDir: at("agent"),
    agentSocket: at("agent", "agent.sock"),
    formerAgentSocket: at("run", "agent.sock"),
    runDir: at("run"),
    secretsDir: at("secrets"),
    tlsDir: at("tls"),
    haproxyDir: at("haproxy"),
    pgbouncerDir: at("pgbouncer"),
    nodesDir: at("nodes"),
    archiveDir: at("archive"),
    offsiteDir: at("offsite"),
    asideDir: at("aside"),
    uploadsDir: at("uploads"),
  };
}

/** The certificate of the authority by which servers are verified. */
export function authorityPath(layout: Layout): string {
  return path.join(layout.tlsDir, "ca.crt");
}

/** Paths of one node's files. */
export interface NodeLayout {
  readonly dir: string;
  readonly dataDir: string;
  /**
   * Start of the names of data directories in the making. They are never started, and renamed to `dataDir` when whole.
   * Each attempt has a name of its own, so that a copy whose odoo-pg was killed cannot write into the next one's.
   */
  readonly newDataPrefix: string;
  /** Start of the names of the directories that hold the tablespaces of a data directory that was copied. */
  readonly tablespacesPrefix: string;
  readonly configFile: string;
  readonly hbaFile: string;
  readonly identFile: string;
  readonly synchronousFile: string;
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly logDir: string;
  /** Its Unix socket and the lock file beside it. */
  readonly socketDir: string;
  /** The server's output before its own log is open. */
  readonly startLog: string;
}

export function nodeLayoutOf(layout: Layout, node: Pick<NodeConfig, "name" | "data_dir">): NodeLayout {
  const dir = path.join(layout.nodesDir, node.name);
  const dataDir = node.data_dir ?? path.join(dir, "data");
  return {
    dir,
    dataDir,
    newDataPrefix: `${dataDir}.new.`,
    tablespacesPrefix: `${dataDir}.tablespaces.`,
    configFile: path.join(dir, "postgresql.conf"),
    hbaFile: path.join(dir, "pg_hba.conf"),
    identFile: path.join(dir, "pg_ident.conf"),
    synchronousFile: path.join(dir, "synchronous.conf"),
    certificateFile: path.join(dir, "server.crt"),
    keyFile: path.join(dir, "server.key"),
    logDir: path.join(dir, "log"),
    socketDir: layout.runDir,
    startLog: path.join(dir, "start.log"),
  };
}

/** The name by which records and reports call a primary that odoo-pg does not run. */
export const UPSTREAM = "upstream";

/** The physical slot of a node on somebody else's primary: other clusters may have nodes of the same name there. */
export function foreignSlotName(cluster: string, node: string): string {
  return `odoo_pg_${cluster.replaceAll("-", "_")}_${node}`.slice(0, 63);
}

/** The physical slot of a replica on its primary. */
export function slotName(node: string): string {
  return node;
}

const COPY_SLOT = "odoo_pg_copy_";

/**
 * The slot that the base backup of a reseed uses: the replica's own slot keeps the WAL for its old data until the copy
 * is complete.
 */
export function copySlotName(node: string): string {
  return `${COPY_SLOT}${node}`;
}

export function isCopySlot(slot: string): boolean {
  return slot.startsWith(COPY_SLOT);
}
