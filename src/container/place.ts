import path from "node:path";

/** The one directory of the image that is always a volume. */
export const HOME = "/var/lib/postgresql";

/** Where commands find the settings that the container was made with, wherever its data is. */
export const FIXED = {
  configFile: path.join(HOME, "odoo-pg.yaml"),
  stateLink: path.join(HOME, "odoo-pg"),
  /** The user's own configuration, if any is mounted. */
  ownFile: "/etc/odoo-pg/odoo-pg.yaml",
  /** A copy of the mounted pg_backup.config, made where only root may read that. */
  givenBackupConfig: path.join(HOME, "given", "pg_backup.config"),
  /** A copy of the same kind of what COLLECTD_PGSQL_PASSWD_FILE names. */
  givenCollectdPassword: path.join(HOME, "given", "COLLECTD_PGSQL_PASSWD"),
  backupsDir: "/usr/local/openerp/backups",
  initScriptsDir: "/docker-entrypoint-initdb.d",
  logDir: "/var/log",
  /** Where the image odoo/pgsql logged how a replica was made. */
  seedLog: "/var/log/supervisor/pgsql_slave.log",
  replicationLog: "/var/log/pg_replication.log",
  backupLog: "/var/log/pg_backup.log",
} as const;

/** The contents of PGDATA when the container starts. */
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
 * Where the data and the state directory are. A reseed renames the data directory, which a mount point does not allow:
 * where PGDATA is one, the data is in a directory below it. An existing data directory, such as the official image's,
 * is used where it is. The state directory is always on the same volume as new data; for data on a volume of its own,
 * it is on the volume that every container has.
 */
export function placeOf(pgdata: string, seen: PgdataSeen): Place {
  if (seen.version === undefined && seen.isMountPoint) {
    return { dataDir: path.join(pgdata, "main"), stateDir: path.join(pgdata, "odoo-pg") };
  }
  const beside = seen.isMountPoint ? HOME : path.dirname(pgdata);
  return { dataDir: pgdata, stateDir: path.join(beside, "odoo-pg") };
}

/** A data directory in a place where a start would miss it. */
export interface OtherData {
  readonly directory: string;
  /** The text of PG_VERSION; undefined where it cannot be read. */
  readonly version: string | undefined;
}

/**
 * Directories, other than the one that the data is to lie in, where a volume of this or another image may have its data:
 * the volume is mounted one directory too high or too low, or it is of an image that has its data elsewhere (the
 * official one from 18 on in VERSION/docker, the image odoo/pgsql and Debian in VERSION/main).
 * @param names what lies in a directory
 */
export function placesOfOtherData(
  pgdata: string,
  dataDir: string,
  names: (directory: string) => readonly string[],
): string[] {
  const above: string[] = [];
  for (let one = path.dirname(pgdata); one !== path.dirname(one); one = path.dirname(one)) above.push(one);
  const inside = [pgdata, path.dirname(pgdata)].flatMap((root) => [
    ...["data", "main", "pgdata"].map((name) => path.join(root, name)),
    ...names(root)
      .filter((name) => /^\d+(?:\.\d+)?$/.test(name))
      .flatMap((version) => ["docker", "main", "data"].map((name) => path.join(root, version, name))),
  ]);
  return [...above, ...inside].filter((one) => one !== dataDir && one !== pgdata);
}

/** How to make the container start with that data, or with an empty data directory beside it. */
export function wayToOtherData(directory: string): string {
  const usual = path.join(HOME, "data");
  if (directory === HOME || directory === path.join(HOME, "main"))
    return `Mount that volume at ${usual}, and another one at ${HOME}.`;
  if (directory === path.join(usual, "data")) return `Mount that volume at ${HOME}.`;
  return `Set PGDATA=${directory} to use it, or mount an empty volume to start afresh.`;
}
