import path from "node:path";

/** The one directory of the image that is always a volume. */
export const HOME = "/var/lib/postgresql";

/** Where commands find what the container was made of, wherever its data lies. */
export const FIXED = {
  configFile: path.join(HOME, "odoo-pg.yaml"),
  stateLink: path.join(HOME, "odoo-pg"),
  /** The user's own configuration, if any is mounted. */
  ownFile: "/etc/odoo-pg/odoo-pg.yaml",
  backupsDir: "/usr/local/openerp/backups",
  initScriptsDir: "/docker-entrypoint-initdb.d",
  logDir: "/var/log",
  /** Where the image odoo/pgsql told how a replica was made. */
  seedLog: "/var/log/supervisor/pgsql_slave.log",
  replicationLog: "/var/log/pg_replication.log",
  backupLog: "/var/log/pg_backup.log",
} as const;

/** What lies at PGDATA when the container starts. */
export interface PgdataSeen {
  /** The text of PG_VERSION, where there is one. */
  readonly version: string | undefined;
  readonly isMountPoint: boolean;
}

export interface Place {
  readonly dataDir: string;
  readonly stateDir: string;
}

/**
 * Where the data and the state directory lie. A reseed renames the data directory, which a mount point does not allow:
 * where PGDATA is one, the data lies in a directory below it. A data directory that is there already, such as the
 * official image's, is used where it is. The state directory is always on the same volume as new data.
 */
export function placeOf(pgdata: string, seen: PgdataSeen): Place {
  if (seen.version === undefined && seen.isMountPoint) {
    return { dataDir: path.join(pgdata, "main"), stateDir: path.join(pgdata, "odoo-pg") };
  }
  return { dataDir: pgdata, stateDir: path.join(path.dirname(pgdata), "odoo-pg") };
}
