import type { Config } from "../config/schema.ts";
import type { Layout, NodeLayout } from "../config/layout.ts";
import { CLIENT_PORT } from "../consensus/etcd.ts";
import {
  configuredParameters,
  passfilePath,
  authorityPath,
  type NodeRenderInput,
} from "../postgres/render.ts";
import { quoteSetting } from "../postgres/sql/quoting.ts";
import type { HostFiles } from "./files.ts";
import type { ClusterDocument, Host } from "./record.ts";

/** etcd's port for its own members, Patroni's API, and the agents: on the host's address alone. */
export const PEER_PORT = 2380;
export const API_PORT = 8008;
export const AGENT_PORT = 5051;

/** An address in a URL. */
function hostPort(address: string, port: number): string {
  return `${address.includes(":") ? `[${address}]` : address}:${port}`;
}

export function peerUrlOf({ address }: Pick<Host, "address">): string {
  return `https://${hostPort(address, PEER_PORT)}`;
}

/** How a member of the store came to be: the first of its kind, or one more of those that are named. */
export interface EtcdStart {
  readonly state: "new" | "existing";
  /** Members by name and URL. */
  readonly members: Readonly<Record<string, string>>;
}

/** Bytes that etcd's file may have, and hours of history that it keeps. */
const ETCD_QUOTA = 256 * 1024 * 1024;
const ETCD_HISTORY = "1h";

/** The arguments of this host's etcd. Every connection, also between members, shows a certificate of the cluster's hosts. */
export function etcdArguments(
  host: Pick<Host, "name" | "address">,
  cluster: string,
  files: HostFiles,
  start: EtcdStart,
): string[] {
  const client = `https://${hostPort(host.address, CLIENT_PORT)}`;
  const peer = peerUrlOf(host);
  const members = Object.entries(start.members)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, url]) => `${name}=${url}`);
  const options: readonly (readonly [string, string])[] = [
    ["name", host.name],
    ["data-dir", files.etcdDir],
    ["listen-client-urls", client],
    ["advertise-client-urls", client],
    ["listen-peer-urls", peer],
    ["initial-advertise-peer-urls", peer],
    ["initial-cluster", members.join(",")],
    ["initial-cluster-state", start.state],
    ["initial-cluster-token", cluster],
    ["client-cert-auth", "true"],
    ["trusted-ca-file", files.authority],
    ["cert-file", files.certificate],
    ["key-file", files.key],
    ["peer-client-cert-auth", "true"],
    ["peer-trusted-ca-file", files.authority],
    ["peer-cert-file", files.certificate],
    ["peer-key-file", files.key],
    ["auto-compaction-mode", "periodic"],
    ["auto-compaction-retention", ETCD_HISTORY],
    ["quota-backend-bytes", String(ETCD_QUOTA)],
    ["logger", "zap"],
    ["log-level", "warn"],
  ];
  return options.map(([name, value]) => `--${name}=${value}`);
}

/** Where Patroni keeps its keys: all of them below this and the cluster's name. */
const NAMESPACE = "/odoo-pg/";

export function patroniPrefix(cluster: string): string {
  return `${NAMESPACE}${cluster}/`;
}

/** Where odoo-pg keeps its own. */
export function hostsPrefix(cluster: string): string {
  return `/odoo-pg-hosts/${cluster}/`;
}

export interface PatroniInput {
  readonly cluster: string;
  readonly host: Host;
  readonly port: number;
  readonly layout: Layout;
  readonly files: HostFiles;
  readonly node: NodeLayout;
  readonly binDir: string;
  /** Hosts of the store. */
  readonly store: readonly string[];
  /** Of role replicator. */
  readonly password: string;
  /** The file with odoo-pg's settings for this server. */
  readonly settingsFile: string;
}

/** Settings by which a dead connection between hosts is noticed within seconds. Reloaded, never a restart. */
const BETWEEN_HOSTS = {
  wal_sender_timeout: "5s",
  wal_receiver_timeout: "10s",
  wal_retrieve_retry_interval: "1s",
  tcp_user_timeout: "10s",
  tcp_keepalives_idle: "10",
  tcp_keepalives_interval: "5",
  tcp_keepalives_count: "3",
} as const;

/**
 * Patroni's configuration file: JSON, which is YAML too. It never makes, copies or removes a data directory: that is
 * odoo-pg's. It reaches its server by the Unix socket; rewinding goes by role replicator, which may read data files.
 */
export function renderPatroni(input: PatroniInput): string {
  const { cluster, host, port, layout, files, node, store } = input;
  const replication = {
    username: "replicator",
    password: input.password,
    sslmode: "verify-ca",
    sslrootcert: authorityPath(layout),
  };
  const document = {
    scope: cluster,
    namespace: NAMESPACE,
    name: host.name,
    log: { dir: files.logDir, level: "INFO", file_size: 5 * 1024 * 1024, file_num: 4 },
    restapi: {
      listen: hostPort(host.address, API_PORT),
      connect_address: hostPort(host.address, API_PORT),
      certfile: files.certificate,
      keyfile: files.key,
      cafile: files.authority,
      verify_client: "required",
    },
    ctl: {
      cacert: files.authority,
      certfile: files.certificate,
      keyfile: files.key,
    },
    etcd3: {
      hosts: store.map((address) => hostPort(address, CLIENT_PORT)),
      protocol: "https",
      cacert: files.authority,
      cert: files.certificate,
      key: files.key,
    },
    postgresql: {
      listen: `127.0.0.1,${host.address}:${port}`,
      connect_address: hostPort(host.address, port),
      data_dir: node.dataDir,
      bin_dir: input.binDir,
      config_dir: files.postgresDir,
      custom_conf: input.settingsFile,
      pgpass: `${files.postgresDir}/pgpass`,
      use_unix_socket: true,
      use_unix_socket_repl: true,
      authentication: {
        superuser: { username: "postgres" },
        replication,
        rewind: replication,
      },
      parameters: {
        ...BETWEEN_HOSTS,
        hba_file: node.hbaFile,
        ident_file: node.identFile,
        unix_socket_directories: layout.runDir,
      },
      // Fails, and leaves all where it is: a copy is made by odoo-pg, beside what is there.
      create_replica_methods: ["odoo_pg"],
      odoo_pg: { command: "/bin/false", keep_data: true, no_params: true },
      remove_data_directory_on_rewind_failure: false,
      remove_data_directory_on_diverged_timelines: false,
    },
    watchdog: { mode: "automatic" },
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

/** Settings that must not differ between hosts: Patroni alone gives them, and on its command line. */
export const SHARED_SETTINGS = [
  "max_connections",
  "max_locks_per_transaction",
  "max_worker_processes",
  "max_prepared_transactions",
  "max_wal_senders",
  "max_replication_slots",
  "wal_level",
  "track_commit_timestamp",
  "wal_log_hints",
] as const;

/** Settings of a node that are Patroni's, or nobody's, where it runs the server. */
const NOT_OURS = new Set<string>([
  ...SHARED_SETTINGS,
  "port",
  "listen_addresses",
  "cluster_name",
  "hot_standby",
  "data_directory",
  "primary_conninfo",
  "primary_slot_name",
  "synchronous_standby_names",
  ...Object.keys(BETWEEN_HOSTS),
]);

/** odoo-pg's settings of a server that Patroni runs: it includes this file, and puts over it what is its own. */
export function renderHostSettings(input: NodeRenderInput): string {
  const lines = [...configuredParameters(input)]
    .filter(([name]) => !NOT_OURS.has(name))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name} = ${quoteSetting(value)}`);
  const waits = input.config.endpoints.read.consistency === "read-your-writes";
  return [
    "# Made by odoo-pg. Changes here are lost: change the configuration, and run odoo-pg up.",
    ...lines,
    ...(waits ? ["synchronous_commit = 'remote_apply'"] : []),
    "",
  ].join("\n");
}

/** Seconds: what Patroni takes at least, and loops that fit. A lost host is noticed after `ttl`. */
const TIMES = { ttl: 20, loop_wait: 1, retry_timeout: 4 } as const;

/** Bytes that a replica may lack and still be promoted; with a synchronous one there it says nothing. */
const MOST_LAG = 16 * 1024 * 1024;

/**
 * What Patroni keeps in the store for all hosts. Every host with a database has a slot that stays when it is away; all
 * replicas are waited for.
 * @param shared the values of SHARED_SETTINGS
 */
export function patroniDynamic(
  databases: readonly string[],
  shared: Readonly<Record<string, string>>,
): Record<string, unknown> {
  return {
    ...TIMES,
    // Alone, a server that crashed is waited for: there is nobody else.
    primary_start_timeout: databases.length > 1 ? 0 : 300,
    synchronous_mode: true,
    synchronous_node_count: Math.max(1, databases.length - 1),
    failsafe_mode: true,
    maximum_lag_on_failover: MOST_LAG,
    check_timeline: true,
    slots: Object.fromEntries(databases.map((name) => [name, { type: "physical" }])),
    postgresql: {
      use_pg_rewind: true,
      use_slots: true,
      parameters: { ...shared },
    },
  };
}

/** The networks of each host alone. */
function networkOf(address: string): string {
  return `${address}/${address.includes(":") ? 128 : 32}`;
}

/** The configuration as one host applies it: its own node alone, its own address in the place of the first host's. */
export function configOf(
  document: ClusterDocument,
  host: Host,
  node: string,
  local: { stateDir: string; user: string | undefined },
): Config {
  const { config, port } = document;
  return {
    ...config,
    state_dir: local.stateDir,
    ...(local.user === undefined ? {} : { user: local.user }),
    listen: [...new Set(["127.0.0.1", host.address])],
    nodes: [{ name: node, host: host.address, port, ...dataDirOf(config, node) }],
    networks: [...config.networks],
  };
}

function dataDirOf(config: Config, node: string): { data_dir?: string } {
  const given = config.nodes.find(({ name }) => name === node)?.data_dir;
  return given === undefined ? {} : { data_dir: given };
}

/** What the endpoints of a host lead to: every host with a database. */
export function servedConfig(document: ClusterDocument): Config {
  return {
    ...document.config,
    listen: ["127.0.0.1"],
    nodes: databasesOf(document).map(({ name, address: host }) => ({ name, host, port: document.port })),
  };
}

export function databasesOf({ hosts }: Pick<ClusterDocument, "hosts">): Host[] {
  return hosts.filter(({ role }) => role === "database");
}

/**
 * Who may come in from the other hosts: replication and the reading of data files for role replicator, and what the
 * endpoints of each host lead here. Always with TLS.
 */
export function hostRules(document: ClusterDocument, mighty: string, refused: readonly string[]): string[] {
  return document.hosts.flatMap(({ name, address, role }) => {
    const from = `"${networkOf(address)}"`;
    return [
      ...(role === "database"
        ? [
            `hostssl replication replicator ${from} ${refused.includes(name) ? "reject" : "scram-sha-256"}`,
            `hostssl postgres replicator ${from} scram-sha-256`,
          ]
        : []),
      `hostssl all ${mighty} ${from} reject`,
      `hostssl all all ${from} scram-sha-256`,
    ];
  });
}

/** The connection by which a copy of the primary is fetched from another host. */
export function copySource(
  layout: Layout,
  name: string,
  primary: { readonly address: string; readonly port: number },
): Readonly<Record<string, string | number>> {
  return {
    host: primary.address,
    port: primary.port,
    user: "replicator",
    passfile: passfilePath(layout),
    application_name: name,
    connect_timeout: 5,
    sslmode: "verify-ca",
    sslrootcert: authorityPath(layout),
  };
}
