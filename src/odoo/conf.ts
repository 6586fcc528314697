import type { Config } from "../config/schema.ts";
import { odooPg, type Command } from "../next-step.ts";
import { OWN_CONNECTIONS, SHARED_POOL_SIZE } from "../config/settings/pools.ts";

/** One line of odoo.conf's [options] with its reason. */
export interface OdooOption {
  readonly name: string;
  readonly value: string;
  readonly reason: string;
  /** A command that says more, where there is one. */
  readonly more?: Command;
}

/** Odoo processes that fit the default: workers, cron threads and the one for long polling. */
const PROCESSES = 8;

/** db_maxconn that is enough without workers, as Odoo starts, and lets PROCESSES use all their connections at once. */
function odooMaxConnections(maxConnections: number): number {
  const each = Math.floor((maxConnections - OWN_CONNECTIONS) / PROCESSES);
  return Math.max(4, Math.min(SHARED_POOL_SIZE, each));
}

/**
 * The lines that Odoo 18 and 19 need. `host` is the address at which Odoo reaches the endpoints. db_replica_port is
 * always explicit: unset, it does not inherit db_port (odoo/sql_db.py; libpq then takes 5432).
 */
export function odooOptions(
  config: Config,
  host: string,
  password: string,
  maxConnections: number,
): OdooOption[] {
  const { read, write } = config.endpoints;
  const each = odooMaxConnections(maxConnections);
  return [
    { name: "db_host", value: host, reason: "the write endpoint: it follows the primary" },
    { name: "db_port", value: String(write.port), reason: "the write endpoint" },
    { name: "db_user", value: config.odoo.role, reason: "may create databases, is not a superuser" },
    { name: "db_password", value: password, reason: "generated; kept in the state directory" },
    {
      name: "db_replica_host",
      value: host,
      reason: "the read endpoint: replicas, and the primary when there is none",
    },
    {
      name: "db_replica_port",
      value: String(read.port),
      reason: "always explicit: it does not inherit db_port",
    },
    {
      name: "db_template",
      value: config.odoo.template,
      reason: "has pg_trgm and an IMMUTABLE unaccent that Odoo's role may alter",
    },
    { name: "db_sslmode", value: "prefer", reason: "TLS where it is offered; other hosts need it" },
    {
      name: "db_maxconn",
      value: String(each),
      reason: `per Odoo process and endpoint: ${PROCESSES} processes fit in max_connections = ${maxConnections}`,
      more: odooPg("tune"),
    },
    {
      name: "unaccent",
      value: "True",
      reason: "search that ignores accents; the template has what it needs",
    },
  ];
}

/** One line for the service that runs Odoo, with its reason: Odoo has no option for it. */
export interface ServiceLine {
  readonly line: string;
  readonly reason: string;
}

/** Seconds beyond the timeout of an endpoint: its refusal, which says why, arrives before the client gives up. */
const BEYOND_WAIT = 5;

/**
 * Settings outside odoo.conf that help Odoo through an outage of the database. libpq reads PGCONNECT_TIMEOUT from the
 * environment. Its keepalives follow the system's: https://www.postgresql.org/docs/current/libpq-connect.html.
 */
export function serviceLines({ endpoints }: Pick<Config, "endpoints">): ServiceLine[] {
  const wait = Math.ceil(endpoints.wait_seconds);
  return [
    {
      line: `Environment=PGCONNECT_TIMEOUT=${wait + BEYOND_WAIT}`,
      reason: `Odoo sets no timeout of its own: for a host that is gone it would wait for minutes. Longer than the ${wait} s that a connection waits at an endpoint, so that it is served or gets the reason`,
    },
    {
      line: "Restart=always",
      reason: "a server with workers ends when it cannot reach the database while it starts one",
    },
    { line: "RestartSec=2", reason: "so that it is back soon" },
    {
      line: "ExecStartPre=+-/sbin/sysctl -q net.ipv4.tcp_keepalive_time=60 net.ipv4.tcp_keepalive_intvl=10",
      reason:
        "only where Odoo runs on another host: finds within two minutes that the database's host is gone; the default is two hours",
    },
  ];
}
