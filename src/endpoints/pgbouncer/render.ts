import { isAtLeast } from "../../system/program-version.ts";
import type { PgbouncerFiles } from "./files.ts";
import type { PoolSizes } from "./sizes.ts";

/** What the configuration of one PgBouncer is made from. */
export interface PgbouncerInput {
  /** The endpoint's own. */
  readonly port: number;
  /** HAProxy's way to the servers. */
  readonly servers: ServersWay;
  /** Addresses to listen on, as in the configuration: `*`, `0.0.0.0`, `::`, IP addresses, host names. */
  readonly listen: readonly string[];
  /** Networks in CIDR form that may connect, with TLS. */
  readonly networks: readonly string[];
  readonly files: PgbouncerFiles;
  readonly sizes: PoolSizes;
  /** Clients at once. */
  readonly maxClients: number;
  /** Seconds that a client waits for a server. */
  readonly waitSeconds: number;
  /** Major and minor version of the program. */
  readonly version: readonly [number, number];
}

/**
 * The port in the name of HAProxy's Unix socket; or an address and a port, where servers of other hosts are asked for TLS
 * with a certificate by this authority.
 */
export type ServersWay =
  | { readonly socket: number }
  | { readonly address: string; readonly port: number; readonly authority: string };

const EVERYWHERE = ["0.0.0.0/0", "::/0"] as const;
const LOOPBACK = ["127.0.0.0/8", "::1/128"] as const;

/** The role of PgBouncer's own console, and its database. No role of the servers' is meant by it. */
export const CONSOLE_USER = "odoo_pg_pooler";
export const CONSOLE_DATABASE = "pgbouncer";

/**
 * What takes back what a client has left in its session. PgBouncer hands a session on also where this fails, with all that
 * was set: so an error ends the session (`exit_on_error`, until the last statement has taken that back), and the client's
 * own `statement_timeout`, which many temporary tables or a busy machine exceed, ends with the first ones. `DISCARD ALL`
 * cannot follow another statement. This is what it is made of, but for cached plans, which hold nothing of a client; to
 * make those of foreign keys again costs each transaction that uses them more than all of this.
 *
 * What remains: the first statement is still under the client's `statement_timeout`. One of 1 or 2 ms can cancel it, on a busy
 * machine, before an error ends the session; then the whole string is undone and PgBouncer hands the session on with what was
 * set: `search_path`, `role`, locks, temporary tables, and that timeout. It goes to a client of the same role and database alone.
 */
const RESET = [
  "SET exit_on_error = on",
  "SET statement_timeout = 0",
  "CLOSE ALL",
  "SET SESSION AUTHORIZATION DEFAULT",
  "DEALLOCATE ALL",
  "UNLISTEN *",
  "SELECT pg_catalog.pg_advisory_unlock_all()",
  "DISCARD TEMP",
  "DISCARD SEQUENCES",
  "RESET ALL",
] as const;

/** Seconds for a server's answer beyond a client's timeout: the client gets its error before that connection ends. */
const GRACE = 5;

/** Version from which on PgBouncer follows prepared statements of the protocol through transactions. */
const FOLLOWS_PREPARED = [1, 21] as const;

/**
 * PgBouncer's configuration (1.18 and later). Pure: the same input always gives the same bytes. It names HAProxy's socket
 * and no server: who is primary, and which replicas serve reads, is HAProxy's alone, and never changes a byte here.
 */
export function renderPgbouncer(input: PgbouncerInput): string {
  const { files, sizes } = input;
  const servers =
    "socket" in input.servers
      ? `host=${quoteConnection(files.runDir)} port=${input.servers.socket}`
      : `host=${input.servers.address} port=${input.servers.port}`;
  return [
    ";; Made by odoo-pg. Changes are lost: change odoo-pg.yaml and run odoo-pg up.",
    "[databases]",
    // Odoo listens here (LISTEN), which a transaction's end would forget.
    `postgres = ${servers} pool_mode=session pool_size=${sizes.sessions} reserve_pool=0`,
    `* = ${servers}`,
    "",
    "[pgbouncer]",
    ...Object.entries(settings(input)).map(([name, value]) => `${name} = ${value}`),
    "",
  ].join("\n");
}

function settings({
  port,
  servers,
  listen,
  files,
  sizes,
  maxClients,
  waitSeconds,
  version,
}: PgbouncerInput): Readonly<Record<string, string | number>> {
  return {
    listen_addr: [...new Set(listen)].sort().join(","),
    listen_port: port,
    // While HAProxy hands the port over, and takes it back, both listen on it: no client is refused.
    so_reuseport: 1,
    unix_socket_dir: files.runDir,
    unix_socket_mode: "0700",
    auth_type: "hba",
    auth_hba_file: files.access,
    auth_file: files.users,
    admin_users: CONSOLE_USER,
    client_tls_sslmode: "prefer",
    client_tls_cert_file: files.certificateFile,
    client_tls_key_file: files.keyFile,
    ...("socket" in servers
      ? { server_tls_sslmode: "disable" }
      : { server_tls_sslmode: "verify-ca", server_tls_ca_file: servers.authority }),
    pool_mode: "transaction",
    max_client_conn: maxClients,
    default_pool_size: sizes.usual,
    reserve_pool_size: sizes.reserve,
    reserve_pool_timeout: 2,
    max_user_connections: sizes.role,
    // What a client sets must not meet another one: neither settings (pg_dump empties search_path) nor what it locked.
    server_reset_query: RESET.join("; "),
    server_reset_query_always: 1,
    // HAProxy holds a connection until its server accepts it.
    server_connect_timeout: waitSeconds + GRACE,
    server_login_retry: 1,
    client_login_timeout: waitSeconds + GRACE,
    query_wait_timeout: waitSeconds,
    server_idle_timeout: 60,
    // Replicas that come back get their share again.
    server_lifetime: 600,
    ...(isAtLeast(version, FOLLOWS_PREPARED) ? { max_prepared_statements: 200 } : {}),
    // What drivers send and PostgreSQL has by itself. Others are refused: left out silently, they would do harm.
    ignore_startup_parameters: "extra_float_digits",
    application_name_add_host: 0,
    log_connections: 0,
    log_disconnections: 0,
    log_stats: 0,
  };
}

/** A value of a connection string. Source: PgBouncer, "Section [databases]", as in libpq but for backslashes. */
function quoteConnection(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}

/**
 * The clients that may connect. The first line that fits decides. The console is open to those who can enter the
 * socket's directory: the servers' user, whose process this is, and root. So it needs no secret that could be lost.
 */
export function renderAccess(networks: readonly string[]): string {
  return [
    "# Made by odoo-pg.",
    `local ${CONSOLE_DATABASE} ${CONSOLE_USER} trust`,
    "local all all reject",
    ...EVERYWHERE.map((network) => `host ${CONSOLE_DATABASE} all ${network} reject`),
    ...EVERYWHERE.map((network) => `host all ${CONSOLE_USER} ${network} reject`),
    ...LOOPBACK.map((network) => `host all all ${network} scram-sha-256`),
    // Other hosts only by TLS, which ends here.
    ...[...networks].sort().map((network) => `hostssl all all ${network} scram-sha-256`),
    "",
  ].join("\n");
}
