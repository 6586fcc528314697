import type { Config } from "../config/schema.ts";
import { OWN_CONNECTIONS, SHARED_POOL_SIZE } from "../config/settings/pools.ts";

/** One line of odoo.conf's [options] with its reason. */
export interface OdooOption {
  readonly name: string;
  readonly value: string;
  readonly reason: string;
}

/** Odoo processes that the default leaves room for: workers, cron threads and the one for long polling. */
const PROCESSES = 8;

/** db_maxconn that is enough without workers, as Odoo starts, and lets PROCESSES use all their connections at once. */
function odooMaxConnections(maxConnections: number): number {
  const each = Math.floor((maxConnections - OWN_CONNECTIONS) / PROCESSES);
  return Math.max(4, Math.min(SHARED_POOL_SIZE, each));
}

/**
 * The lines that Odoo 18 and 19 need. `host` is what Odoo reaches the endpoints by.
 * db_replica_port is always explicit: unset, it does not inherit db_port (odoo/sql_db.py; libpq then takes 5432).
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
      reason: `per Odoo process and endpoint: ${PROCESSES} processes fit in max_connections = ${maxConnections}; for workers: odoo-pg tune`,
    },
    {
      name: "unaccent",
      value: "True",
      reason: "search that ignores accents; the template has what it needs",
    },
  ];
}
