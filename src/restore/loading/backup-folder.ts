import path from "node:path";
import type { CataloguedBackup } from "../../backup/catalogue.ts";
import {
  CONTENTS_FILE,
  FILESTORE_LIST_FILE,
  GLOBALS_FILE,
  MANIFEST_FILE,
  SEAL_FILE,
  SUMS_FILE,
} from "../../backup/manifest.ts";
import { OdooPgError } from "../../errors.ts";
import { shellWord } from "../../shell-word.ts";
import { copyOfOthers, irregularIn, isOthers, type NotCopied } from "../../system/files/others-files.ts";

const SAFE = "Nothing that existed was changed.";

/** What pg_restore reads of a folder that pg_dump wrote (pg_backup_directory.c), packed or not. */
const DUMPED = /^(?:toc\.dat|\d+\.dat|blobs?(?:_\d+)?\.toc|blob_\d+\.dat)(?:\.[a-z0-9]+)?$/;

/** What is read of a backup besides its dumps. */
const DESCRIBED: readonly string[] = [
  MANIFEST_FILE,
  CONTENTS_FILE,
  FILESTORE_LIST_FILE,
  GLOBALS_FILE,
  SUMS_FILE,
  SEAL_FILE,
];

/** Makes an empty folder that is root's alone for the time of `use`. */
export type InPassing = <T>(use: (folder: string) => Promise<T>) => Promise<T>;

/**
 * Reads a folder that pg_dump wrote (--format=directory). pg_restore follows links: as root it would read any file of the
 * machine into a database of whoever may write to the folder. So root reads regular files alone, of a copy where somebody
 * else may change what lies there.
 * @throws OdooPgError dump_unusable where a file is something else, or is not its owner's to read; disk_full
 */
export async function withDumpedFolder<T>(
  inPassing: InPassing,
  folder: string,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  return await withRegularFiles(inPassing, folder, (name) => DUMPED.test(name), use);
}

/**
 * Reads the folder of a backup of odoo-pg, as `withDumpedFolder`: its dumps and all that describes them.
 * @param use is given the backup as it lies where it is read
 */
export async function withBackupFolder<T>(
  inPassing: InPassing,
  backup: CataloguedBackup,
  use: (backup: CataloguedBackup) => Promise<T>,
): Promise<T> {
  // What was made a moment ago lies where root alone goes.
  if (backup.madeHere) return await use(backup);
  const dumps = new Set(backup.manifest.dumps.map((dump) => dump.path));
  const isRead = (name: string): boolean => DUMPED.test(name) || DESCRIBED.includes(name) || dumps.has(name);
  return await withRegularFiles(
    inPassing,
    backup.folder,
    isRead,
    async (folder) => await use({ ...backup, folder }),
  );
}

async function withRegularFiles<T>(
  inPassing: InPassing,
  folder: string,
  isRead: (name: string) => boolean,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  if (!isOthers(folder)) {
    refuseLeft(folder, irregularIn(folder, isRead));
    return await use(folder);
  }
  return await inPassing(async (copy) => {
    const left = await copyOfOthers(folder, copy, isRead, {
      noRoom: (name) => noRoom(folder, name, copy),
      changed: (name) => changed(folder, name),
    }).catch((error: unknown) => {
      // Somebody else decides where its path leads.
      if (!(error instanceof OdooPgError) || error.code !== "state_dir_unusable") throw error;
      const { message } = error;
      throw new OdooPgError("dump_unusable", { message, safe: SAFE, next: copyIt(folder), cause: error });
    });
    refuseLeft(folder, left);
    return await use(copy);
  });
}

function refuseLeft(folder: string, [left]: readonly NotCopied[]): void {
  if (left === undefined) return;
  const file = path.join(folder, left.name);
  throw new OdooPgError("dump_unusable", {
    message: left.isLink
      ? `${file} is a link, which root does not follow in the folder of a dump.`
      : `${file} is no file that the owner of its folder may read.`,
    safe: SAFE,
    next: left.isLink
      ? "Leave such a dump alone: the link may be there to make root read what its maker may not."
      : copyIt(folder),
  });
}

function copyIt(folder: string): string {
  return `Where you know what it holds, copy it as root to where nobody else writes, and restore it from there: cp -r ${shellWord(folder)} PLACE`;
}

function noRoom(folder: string, name: string, copy: string): OdooPgError {
  return new OdooPgError("disk_full", {
    message: `Somebody else may change ${folder}, so root reads a copy of it, and there is no room for ${name} in ${path.dirname(copy)}.`,
    safe: SAFE,
    next: "Make room there, then run the same command again.",
  });
}

function changed(folder: string, name: string): OdooPgError {
  return new OdooPgError("dump_unusable", {
    message: `${path.join(folder, name)} was written to while it was read.`,
    safe: SAFE,
    next: "Wait until it is whole, then run the same command again.",
  });
}
