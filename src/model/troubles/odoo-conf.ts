import type { Trouble } from "./trouble.ts";

export const ODOO_CONF = {
  odoo_replica_port_missing: {
    severity: "warning",
    meaning: "odoo.conf has `db_replica_host` without `db_replica_port`.",
    why: "An unset `db_replica_port` does not inherit `db_port`: libpq uses PGPORT or 5432, so reads go nowhere, or to another server (Odoo 19, `odoo/sql_db.py`).",
    remedy: "Put the lines that `odoo-pg odoo-conf` prints into odoo.conf and restart Odoo.",
    remark:
      "`db_port` is that of the write endpoint (5436), `db_replica_port` that of the read endpoint (5435), unless you chose others.",
    foundBy: ["doctor"],
  },
  odoo_replica_unused: {
    severity: "advice",
    meaning: "odoo.conf names no `db_replica_host`, though the cluster has replicas.",
    why: "Every read is then the primary's work. Odoo sends about 70 % of its requests to a replica where it has one (odoo/odoo#186786).",
    remedy: "Put the lines that `odoo-pg odoo-conf` prints into odoo.conf and restart Odoo.",
    foundBy: ["doctor"],
  },
  odoo_write_endpoint_bypassed: {
    severity: "warning",
    meaning: "`db_port` is that of a node or of the read endpoint, not of the write endpoint.",
    why: "The write endpoint follows the primary. After a switchover a node's port is that of a replica, where every write fails with SQLSTATE 0A000, while `/web/health?db_server_status=1` stays green because it only connects (tried with Odoo 19.0).",
    remedy: "Put the lines that `odoo-pg odoo-conf` prints into odoo.conf and restart Odoo.",
    remark: "A port that is not this cluster's, such as that of a pooler, is not judged.",
    foundBy: ["doctor"],
  },
  odoo_read_endpoint_bypassed: {
    severity: "warning",
    meaning: "`db_replica_port` is that of a node or of the write endpoint, not of the read endpoint.",
    why: "Only the read endpoint keeps stale replicas away from Odoo and goes to the primary when there is none. After one refused connection Odoo leaves its replica alone for 20 minutes (Odoo 19, `odoo/orm/registry.py`).",
    remedy: "Put the lines that `odoo-pg odoo-conf` prints into odoo.conf and restart Odoo.",
    foundBy: ["doctor"],
  },
  odoo_template_other: {
    severity: "warning",
    meaning: "With `unaccent` on, `db_template` is not the cluster's template.",
    why: "From another template Odoo's role may not make `unaccent` IMMUTABLE (it must be its owner): the transaction is rolled back, pg_trgm is lost with it, and only a warning in Odoo's log says so (tried with Odoo 19.0).",
    remedy: "Put the lines that `odoo-pg odoo-conf` prints into odoo.conf and restart Odoo.",
    foundBy: ["doctor"],
  },
  odoo_role_unknown: {
    severity: "warning",
    meaning: "The role in `db_user` does not exist, or may not log in.",
    why: "Odoo cannot connect.",
    remedy: "Put the lines that `odoo-pg odoo-conf` prints into odoo.conf and restart Odoo.",
    foundBy: ["doctor"],
  },
  odoo_tls_off: {
    severity: "warning",
    meaning: "`db_sslmode` keeps Odoo from using TLS, and the database is on another host.",
    why: "odoo-pg lets other hosts in by TLS only (`hostssl` in pg_hba.conf). Where something else lets the connection in, passwords and data cross the network in clear text.",
    remedy: "Put the lines that `odoo-pg odoo-conf` prints into odoo.conf and restart Odoo.",
    foundBy: ["doctor"],
  },
} as const satisfies Record<string, Trouble>;
