import { forwardingAddress } from "../config/addresses.ts";
import type { Config } from "../config/schema.ts";
import type { Layout, NodeConfig, NodeLayout } from "../config/layout.ts";
import { foreignSlotName, slotName } from "../config/layout.ts";
import { BARRED_ROLE, PASSING_ROLE } from "./sql/passing.ts";
import { conninfo, quoteHba, quoteIdentifier, quotePassfileField, quoteSetting } from "./sql/quoting.ts";

/** What the machine gives; read once by the caller so that rendering stays pure. */
export interface MachineFacts {
  readonly memoryBytes: number;
  /** Size of the disk that holds the node's data. */
  readonly diskBytes: number;
  /** Whether all of 127.0.0.0/8 is this machine; true where it does not matter. */
  readonly hasLoopbackNetwork: boolean;
}

export interface NodeRenderInput {
  readonly config: Config;
  readonly layout: Layout;
  readonly node: NodeConfig;
  readonly files: NodeLayout;
  readonly facts: MachineFacts;
  /** The node that this one would follow: the primary, or undefined on the primary itself. */
  readonly upstream: { host: string; port: number } | undefined;
  /** Whose primary it is: odoo-pg's own (default), or somebody else's. */
  readonly follows?: "own" | "foreign" | undefined;
  /**
   * Lower limits for the settings that a replica may not have below its primary's running values
   * (hot_standby, "Administrator's Overview"). Empty on the primary.
   */
  readonly floor: Readonly<Record<string, number>>;
}

/** Settings that a replica must have at least as high as its primary (PostgreSQL manual, Hot Standby). */
export const STANDBY_SENSITIVE = [
  "max_connections",
  "max_locks_per_transaction",
  "max_prepared_transactions",
  "max_wal_senders",
  "max_worker_processes",
] as const;

/** Of those, what PostgreSQL itself chooses where no file says anything (13 to 18). */
const STANDBY_DEFAULTS: Readonly<Record<string, string>> = {
  max_prepared_transactions: "0",
  max_worker_processes: "8",
};

/** Connections of each node unless postgres.parameters says otherwise. */
export const DEFAULT_MAX_CONNECTIONS = 300;

const MB = 1024 * 1024;
const GB = 1024 * MB;

function megabytes(bytes: number): string {
  return `${Math.floor(bytes / MB)}MB`;
}

function clamp(low: number, value: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}

/** One setting and why it is there. */
interface Setting {
  readonly value: string;
  readonly why: string;
}

/** What replication and Odoo need, before the user's own parameters are laid over it. Reasons: facts of Odoo and PostgreSQL. */
function defaultParameters(input: NodeRenderInput): Record<string, Setting> {
  const { memoryBytes, diskBytes } = input.facts;
  return {
    max_connections: {
      value: String(DEFAULT_MAX_CONNECTIONS),
      why: "db_maxconn counts per Odoo process and endpoint; the primary also takes the replica's reads",
    },
    shared_buffers: {
      value: megabytes(clamp(128 * MB, memoryBytes / 8, 2 * GB)),
      why: "an eighth of memory, at most 2 GB: nodes may share this host",
    },
    effective_cache_size: {
      value: megabytes(Math.max(256 * MB, memoryBytes / 2)),
      why: "half of memory is page cache",
    },
    work_mem: { value: "16MB", why: "more is risky with many connections" },
    maintenance_work_mem: { value: "256MB", why: "index builds at restore and vacuum" },
    jit: { value: "off", why: "short ORM queries lose more to compiling than they win" },
    random_page_cost: { value: "1.1", why: "SSD" },
    max_locks_per_transaction: { value: "256", why: "module updates lock hundreds of tables" },
    idle_in_transaction_session_timeout: {
      value: "1h",
      why: "above Odoo's limit_time_real_cron: a cron cursor holds its row lock during a job",
    },
    wal_level: { value: "replica", why: "streaming replication" },
    wal_log_hints: { value: "on", why: "pg_rewind" },
    wal_compression: { value: "on", why: "full page images are most of Odoo's WAL" },
    max_wal_size: { value: "2GB", why: "fewer checkpoints during imports and restores" },
    checkpoint_completion_target: { value: "0.9", why: "spread the writing" },
    max_wal_senders: { value: "16", why: "replicas, base backups and new nodes without a restart" },
    max_replication_slots: { value: "16", why: "one for each replica, new ones without a restart" },
    max_slot_wal_keep_size: {
      value: megabytes(diskBytes / 4),
      why: "a dead replica may not fill the disk: a quarter of it",
    },
    hot_standby: {
      value: input.config.upstream?.hot_standby === false ? "off" : "on",
      why: "replicas answer reads",
    },
    hot_standby_feedback: { value: "on", why: "vacuum on the primary may not cancel reads on a replica" },
    max_standby_streaming_delay: { value: "30s", why: "a read may hold replay this long, not longer" },
    wal_receiver_status_interval: {
      value: "1s",
      why: "bounds how long a waiting commit misses a changed list of synchronous replicas",
    },
    wal_receiver_timeout: { value: "10s", why: "a replica notices a dead primary" },
    wal_sender_timeout: { value: "10s", why: "a primary notices a dead replica" },
    wal_retrieve_retry_interval: { value: "500ms", why: "a replica comes back soon after its primary" },
    password_encryption: { value: "scram-sha-256", why: "PostgreSQL 13 defaults to md5" },
    ssl_min_protocol_version: { value: "TLSv1.2", why: "nothing older is safe" },
    log_line_prefix: { value: "%m [%p] %q%u@%d/%a ", why: "who did it" },
    log_checkpoints: { value: "on", why: "slow disks show here" },
    log_lock_waits: { value: "on", why: "who waits for whom" },
    log_temp_files: { value: "64MB", why: "queries that want more work_mem" },
    log_autovacuum_min_duration: { value: "10s", why: "long vacuums" },
    log_timezone: { value: "UTC", why: "one clock for all logs" },
    timezone: { value: "UTC", why: "Odoo stores UTC" },
    lc_messages: { value: "C", why: "messages that can be searched for" },
  };
}

/** What belongs to odoo-pg alone; the configuration has keys of its own for it. */
function managedParameters(input: NodeRenderInput): Record<string, Setting> {
  const { config, layout, node, files, upstream } = input;
  const managed: Record<string, Setting> = {
    data_directory: { value: files.dataDir, why: "nodes[].data_dir" },
    hba_file: { value: files.hbaFile, why: "made by odoo-pg" },
    ident_file: { value: files.identFile, why: "made by odoo-pg" },
    cluster_name: { value: `${config.cluster}/${node.name}`, why: "shown by ps" },
    port: { value: String(node.port), why: "nodes[].port" },
    listen_addresses: { value: config.listen.join(","), why: "listen" },
    unix_socket_directories: { value: layout.runDir, why: "the agent's own way in" },
    unix_socket_permissions: { value: "0700", why: "the agent's own way in" },
    ssl: { value: "on", why: "other hosts must use it" },
    ssl_cert_file: { value: files.certificateFile, why: "tls" },
    ssl_key_file: { value: files.keyFile, why: "tls" },
    logging_collector: { value: "on", why: "PostgreSQL rotates its own log" },
    log_destination: { value: "stderr", why: "text" },
    log_directory: { value: files.logDir, why: "odoo-pg logs reads it" },
    log_filename: { value: "postgresql-%a.log", why: "seven days" },
    log_file_mode: { value: "0600", why: "logs may hold data" },
    log_rotation_age: { value: "1d", why: "seven days" },
    log_rotation_size: { value: "0", why: "seven days" },
    log_truncate_on_rotation: { value: "on", why: "seven days" },
  };
  if (upstream) {
    managed["primary_conninfo"] = { value: upstreamConninfo(input, upstream), why: "follow the primary" };
    managed["primary_slot_name"] = {
      value: input.follows === "foreign" ? foreignSlotName(config.cluster, node.name) : slotName(node.name),
      why: "the primary keeps what this replica still needs",
    };
  }
  return managed;
}

/**
 * How a copy of the primary is fetched: a primary of this cluster runs on this host, and its Unix socket spares both
 * sides the ciphering of every byte.
 */
export function copyConninfo(
  input: Pick<NodeRenderInput, "config" | "layout" | "node" | "follows">,
  upstream: { host: string; port: number },
): string {
  if (input.follows === "foreign") return foreignConninfo(input, upstream);
  return socketConninfo(input, upstream);
}

function socketConninfo(
  { layout, node }: Pick<NodeRenderInput, "layout" | "node">,
  upstream: { port: number },
): string {
  return conninfo({
    host: layout.runDir,
    port: upstream.port,
    user: "replicator",
    passfile: passfilePath(layout),
    application_name: node.name,
    connect_timeout: 5,
  });
}

/** How somebody else's primary is reached. Its certificate is not known here. */
function foreignConninfo(
  { config, layout, node }: Pick<NodeRenderInput, "config" | "layout" | "node">,
  upstream: { host: string; port: number },
): string {
  return conninfo({
    host: upstream.host,
    port: upstream.port,
    user: config.upstream?.user ?? "replicator",
    passfile: passfilePath(layout),
    application_name: node.name,
    connect_timeout: 5,
    sslmode: "prefer",
  });
}

/** How a replica reaches its primary: as replicator, with the primary's certificate verified. */
function upstreamConninfo(
  input: Pick<NodeRenderInput, "config" | "layout" | "node" | "follows" | "facts">,
  upstream: { host: string; port: number },
): string {
  const given = input.config.tls;
  if (input.follows === "foreign" && input.config.upstream) return foreignConninfo(input, upstream);
  // Where TCP of this host may be anybody who came by an endpoint, it is closed to replication.
  if (forwardingAddress(input.config.nodes, input.facts.hasLoopbackNetwork) === undefined)
    return socketConninfo(input, upstream);
  return conninfo({
    host: upstream.host,
    port: upstream.port,
    user: "replicator",
    passfile: passfilePath(input.layout),
    application_name: input.node.name,
    connect_timeout: 5,
    // The cluster's own authority signs nothing but its nodes; a public one signs anybody, so the name must fit too.
    sslmode: given ? "verify-full" : "verify-ca",
    sslrootcert: authorityPath(input.layout),
  });
}

export function passfilePath(layout: Layout): string {
  return `${layout.secretsDir}/replicator.pgpass`;
}

export function authorityPath(layout: Layout): string {
  return `${layout.tlsDir}/ca.crt`;
}

function configuredSettings(input: NodeRenderInput): Record<string, Setting> {
  const user: Record<string, Setting> = {};
  for (const [name, value] of Object.entries(input.config.postgres.parameters)) {
    user[name] = { value, why: "postgres.parameters" };
  }
  return { ...defaultParameters(input), ...user, ...managedParameters(input) };
}

/** What a node is given, by name: for who compares. Everything else PostgreSQL decides. */
export function configuredParameters(input: NodeRenderInput): ReadonlyMap<string, string> {
  return new Map(Object.entries(configuredSettings(input)).map(([name, { value }]) => [name, value]));
}

/**
 * The whole configuration file of a node. Order of rule: odoo-pg's defaults, then the user's parameters,
 * then what odoo-pg manages (the configuration's schema refuses those as parameters).
 */
export function renderPostgresqlConf(input: NodeRenderInput): string {
  const all = configuredSettings(input);
  for (const [name, least] of Object.entries(input.floor)) {
    const wanted = Number(all[name]?.value ?? STANDBY_DEFAULTS[name]);
    if (Number.isFinite(wanted) && wanted < least) {
      all[name] = { value: String(least), why: "not below the primary's running value" };
    }
  }
  const lines = Object.entries(all)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { value, why }]) => `${name} = ${quoteSetting(value)}  # ${why}`);
  return [
    `# Made by odoo-pg for node ${input.node.name}. Changes here are lost: use postgres.parameters in odoo-pg.yaml.`,
    ...lines,
    `include_if_exists = ${quoteSetting(input.files.synchronousFile)}  # which replicas a commit waits for`,
    "",
  ].join("\n");
}

export interface HbaInput {
  /** Networks in CIDR form that may connect, with TLS. */
  readonly networks: readonly string[];
  /** Where HAProxy comes from; undefined where it cannot be told from other programs of this host. */
  readonly source: string | undefined;
  /** Whose data the cluster has: in somebody else's, nobody keeps the two roles of passing.ts. */
  readonly follows?: "own" | "foreign" | undefined;
}

/** Who may come in, from where, and how. The first line that fits decides. */
export function renderHba({ networks, source, follows = "own" }: HbaInput): string {
  const lines = [
    // By who it is, at a socket that only the servers' user and root reach: a password could be lost.
    "local all postgres peer map=odoo_pg",
    "local replication replicator scram-sha-256",
    "local all all scram-sha-256",
    ...(source === undefined ? [] : throughEndpoints(`${source}/32`, follows)),
  ];
  for (const loopback of ["127.0.0.1/32", "::1/128"]) {
    if (source === undefined) lines.push(...throughEndpoints(loopback, follows));
    else {
      lines.push(`host replication replicator ${quoteHba(loopback)} scram-sha-256`);
      lines.push(`host all all ${quoteHba(loopback)} scram-sha-256`);
    }
  }
  for (const network of [...networks].sort()) {
    lines.push(`hostssl replication replicator ${quoteHba(network)} scram-sha-256`);
    // The superuser works on this host only: over the network it would be a way to run programs.
    lines.push(`hostssl all ${mighty(follows)} ${quoteHba(network)} reject`);
    lines.push(`hostssl all all ${quoteHba(network)} scram-sha-256`);
  }
  return [
    "# Made by odoo-pg: SCRAM only; replication only for role replicator; other hosts only by TLS and from `networks`.",
    ...lines,
    "",
  ].join("\n");
}

function mighty(follows: "own" | "foreign"): string {
  return follows === "own" ? `postgres,+${BARRED_ROLE}` : "postgres";
}

/** What HAProxy forwards: Odoo's roles and others that are only users of databases, never a superuser or replication. */
function throughEndpoints(address: string, follows: "own" | "foreign"): string[] {
  const from = quoteHba(address);
  return [
    `host replication all ${from} reject`,
    `host all ${follows === "own" ? mighty(follows) : "postgres,replicator"} ${from} reject`,
    `host all ${follows === "own" ? `+${PASSING_ROLE}` : "all"} ${from} scram-sha-256`,
    `host all all ${from} reject`,
  ];
}

/** Users of this host that may be the superuser by who they are, where the server asks for `peer`. */
export function renderIdent(users: readonly string[]): string {
  const lines = [...new Set(users)].sort().map((user) => `odoo_pg ${quoteHba(user)} postgres`);
  return ["# Made by odoo-pg.", ...lines, ""].join("\n");
}

/** The password file by which replicas log in at whichever node is primary: passwords by role. */
export function renderPassfile(passwords: Readonly<Record<string, string>>): string {
  return Object.entries(passwords)
    .map(([role, password]) => `*:*:*:${quotePassfileField(role)}:${quotePassfileField(password)}\n`)
    .join("");
}

/**
 * Which replicas a commit waits for: all that are named, or none. In read-your-writes synchronous_commit stays at
 * remote_apply also while the list is empty, so that only WAL senders have to learn of a new list, never sessions.
 */
export function renderSynchronous(readYourWrites: boolean, standbys: readonly string[]): string {
  const names = [...standbys].sort();
  const list = names.length
    ? `${names.length} (${names.map((name) => quoteIdentifier(name)).join(", ")})`
    : "";
  return [
    "# Made by odoo-pg: the pool of the read endpoint, where its consistency is read-your-writes.",
    `synchronous_standby_names = ${quoteSetting(list)}`,
    ...(readYourWrites ? ["synchronous_commit = 'remote_apply'"] : []),
    "",
  ].join("\n");
}

/** The names in a text of renderSynchronous. */
export function synchronousNames(text: string): string[] {
  return quotedNames(/^synchronous_standby_names = '(.*)'$/m.exec(text)?.[1] ?? "");
}

/** The names in a value of synchronous_standby_names that odoo-pg wrote: all in double quotes. */
export function quotedNames(value: string): string[] {
  return [...value.matchAll(/"([^"]+)"/g)].map((match) => match[1] ?? "");
}

/** The standbys that every commit waits for: none when it waits for some of those that are named. */
export function awaitedNames(value: string): string[] {
  const names = quotedNames(value);
  return value.startsWith(`${names.length} (`) ? names : [];
}
