import path from "node:path";
import type { Config } from "../config/schema.ts";

/** Where the files of all backups lie. */
export interface BackupPlace {
  readonly dir: string;
  /** Content-addressed attachments: `<pool>/<2 hex>/<sha1>`, shared by all backups. */
  readonly pool: string;
  /** Held while a backup is made or removed. */
  readonly lockFile: string;
  /** Held while a backup is drilled. */
  readonly drillLockFile: string;
  /** Held by the one that takes attachments into the pool as they are written. */
  readonly keeperLockFile: string;
}

/**
 * The folder of the backups: `backup.dir`, else beside the state directory, so that `destroy`, which removes the state
 * directory, leaves the backups alone.
 */
export function backupPlaceOf(
  config: Pick<Config, "state_dir"> & { backup: { dir?: string | undefined } },
): BackupPlace {
  return placeOf(config.backup.dir ?? `${config.state_dir}.backups`);
}

/** The same for a folder given by path, such as one that was copied from another host. */
export function placeOf(dir: string): BackupPlace {
  return {
    dir,
    pool: path.join(dir, "filestore"),
    lockFile: path.join(dir, ".odoo-pg-backup.lock"),
    drillLockFile: path.join(dir, ".odoo-pg-drill.lock"),
    keeperLockFile: path.join(dir, ".odoo-pg-attachments.lock"),
  };
}

/** The place of a file of the pool. */
export function poolFile(place: BackupPlace, sha1: string): string {
  return path.join(place.pool, sha1.slice(0, 2), sha1);
}
