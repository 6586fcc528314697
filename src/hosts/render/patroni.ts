import { authorityPath, type Layout, type NodeLayout } from "../../config/layout.ts";
import { CLIENT_PORT } from "../../consensus/etcd.ts";
import type { HostFiles } from "../documents/files.ts";
import { API_PORT, hostPort, NAMESPACE } from "../documents/places.ts";
import type { Host } from "../documents/record.ts";

export interface PatroniInput {
  readonly cluster: string;
  readonly host: Host;
  readonly port: number;
  readonly layout: Layout;
  readonly files: HostFiles;
  readonly node: NodeLayout;
  readonly binDir: string;
  /** The program that it runs in place of pg_rewind. */
  readonly rewind: string;
  /** Hosts of the store. */
  readonly store: readonly string[];
  /** Of role replicator. */
  readonly password: string;
  /** The file with odoo-pg's settings for this server. */
  readonly settingsFile: string;
}

/** Settings by which a dead connection between hosts is noticed within seconds. Reloaded, never a restart. */
export const BETWEEN_HOSTS = {
  wal_sender_timeout: "5s",
  wal_receiver_timeout: "10s",
  wal_retrieve_retry_interval: "1s",
  tcp_user_timeout: "10s",
  tcp_keepalives_idle: "10",
  tcp_keepalives_interval: "5",
  tcp_keepalives_count: "3",
} as const;

/**
 * Patroni's configuration file: JSON, which is YAML too. Patroni never creates, copies or removes a data directory: odoo-pg
 * does. It reaches its server by the Unix socket, and rewinds as role replicator, which may read data files.
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
      cafile: files.patroniAuthority,
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
      bin_name: { pg_rewind: input.rewind },
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
      // Always fails, and leaves everything as it is: odoo-pg makes copies, beside what is there.
      create_replica_methods: ["odoo_pg"],
      odoo_pg: { command: "/bin/false", keep_data: true, no_params: true },
      remove_data_directory_on_rewind_failure: false,
      remove_data_directory_on_diverged_timelines: false,
    },
    watchdog: { mode: "automatic" },
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

/** Settings that must not differ between hosts: Patroni passes them, on the server's command line. */
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

/** Seconds: what Patroni takes at least, and loops that fit. A lost host is noticed after `ttl`. */
const TIMES = { ttl: 20, loop_wait: 1, retry_timeout: 4 } as const;

/**
 * Seconds for a server that is demoted to stop in good order. After that it is stopped without (SIGQUIT), and after as
 * many again killed: nothing acknowledged is lost by it, as all replicas that may be promoted have it. By its default
 * Patroni waits without end, for a process that hangs or for an archive command: in a planned switchover it renews the
 * primary's key all the while, so that nobody writes and nobody takes over; in other demotions the loop itself waits, and
 * the host does not come back. A server that writes its last checkpoint, or whose WAL sender waits for a replica that is
 * gone (BETWEEN_HOSTS), is done before.
 * Source: Patroni 4.0.7, patroni/ha.py, demote; patroni/postgresql/__init__.py, _do_stop
 */
const STOP = 8;

/** Bytes that a replica may lack and still be promoted; without effect while a replica is synchronous. */
const MOST_LAG = 16 * 1024 * 1024;

/**
 * Patroni's configuration for all hosts, in the store. The slot of a host with a database stays while that host is away;
 * commits wait for all replicas.
 * @param shared the values of SHARED_SETTINGS
 */
export function patroniDynamic(
  databases: readonly string[],
  shared: Readonly<Record<string, string>>,
): Record<string, unknown> {
  return {
    ...TIMES,
    // With one host only, Patroni waits for a crashed server, as no other one could take over.
    primary_start_timeout: databases.length > 1 ? 0 : 300,
    // Alone, nobody waits to take over: 0 is without end.
    primary_stop_timeout: databases.length > 1 ? STOP : 0,
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
