import { nextStep, odooPg } from "../next-step.ts";
import path from "node:path";
import { didYouMean, nearest } from "../config/suggestion.ts";
import { messageOf, OdooPgError } from "../errors.ts";
import { kindOf, namesIn, type Owner } from "../system/files/files.ts";
import { writeThere } from "../system/files/held/by-path.ts";
import { inspectJsonFile, readJsonFile } from "../system/files/json-file.ts";
import { contentsSchema, type Contents } from "./contents/contents.ts";
import {
  CHECKS_FILE,
  checksSchema,
  CONTENTS_FILE,
  MANIFEST_FILE,
  manifestSchema,
  NO_CHECKS,
  type Checks,
  type Manifest,
} from "./manifest.ts";
import { folderName, idOfFolder } from "./naming.ts";
import type { BackupPlace } from "./place.ts";

/** One backup in the folder. */
export interface CataloguedBackup {
  readonly id: string;
  /** Absolute path of its folder, which `pg_restore` takes as it is. */
  readonly folder: string;
  readonly manifest: Manifest;
  readonly checks: Checks;
  /** Made just now by the process that restores it, in a place that no other user can reach. */
  readonly madeHere?: true;
}

/** A folder that has the name of a backup, but cannot be read as one. It is never removed by odoo-pg. */
export interface UnreadableBackup {
  readonly id: string;
  readonly folder: string;
  readonly problem: string;
}

export interface Catalogue {
  /** The oldest first. */
  readonly backups: readonly CataloguedBackup[];
  readonly unreadable: readonly UnreadableBackup[];
}

/**
 * The contents of the folder of the backups: there is no other record. Files and folders of others are ignored. A
 * missing folder is an empty catalogue.
 */
export async function readCatalogue(place: BackupPlace): Promise<Catalogue> {
  const backups: CataloguedBackup[] = [];
  const unreadable: UnreadableBackup[] = [];
  for (const name of await namesIn(place.dir)) {
    const id = idOfFolder(name);
    const folder = path.join(place.dir, name);
    // A file of that name is a dump of the origin, or another program's.
    if (id === undefined || (await kindOf(folder)) !== "directory") continue;
    try {
      const backup = await readBackupFolder(folder);
      // Being removed by another odoo-pg, or a directory dump that somebody else made.
      if (backup) backups.push({ ...backup, id });
    } catch (error) {
      unreadable.push({ id, folder, problem: messageOf(error) });
    }
  }
  const order = (one: CataloguedBackup, other: CataloguedBackup): number =>
    compare(one.manifest.finished_at, other.manifest.finished_at) || compare(one.id, other.id);
  return { backups: backups.sort(order), unreadable };
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

/**
 * A backup from its folder, wherever that lies. Undefined when there is no manifest in it.
 * @throws OdooPgError backup_damaged when what describes it cannot be read.
 */
export async function readBackupFolder(folder: string): Promise<CataloguedBackup | undefined> {
  const manifest = await readJsonFile(path.join(folder, MANIFEST_FILE), manifestSchema, DAMAGED);
  return manifest && { id: manifest.id, folder, manifest, checks: await readChecks(folder) };
}

const DAMAGED = {
  code: "backup_damaged",
  safe: "Nothing was changed.",
  next: nextStep`Choose another backup: ${odooPg("backup", "list")}`,
} as const;

/** The result of later checks of the backup. A damaged record proves nothing, and says so. */
async function readChecks(folder: string): Promise<Checks> {
  const read = await inspectJsonFile(path.join(folder, CHECKS_FILE), checksSchema);
  if (!read) return NO_CHECKS;
  if (read.ok) return read.value;
  return { ...NO_CHECKS, problems: [`${CHECKS_FILE} is damaged (${read.problem}): verify the backup again`] };
}

export async function writeChecks(folder: string, checks: Checks, owner: Owner | undefined): Promise<void> {
  await writeThere(path.join(folder, CHECKS_FILE), `${JSON.stringify(checks, undefined, 2)}\n`, {
    owner,
  });
}

/** The contents of the database. @throws OdooPgError backup_damaged when they cannot be read. */
export async function readContents(folder: string): Promise<Contents> {
  const file = path.join(folder, CONTENTS_FILE);
  const contents = await readJsonFile(file, contentsSchema, DAMAGED);
  if (contents) return contents;
  throw new OdooPgError("backup_damaged", {
    message: `There is no ${file}: the backup is incomplete.`,
    safe: "Nothing was changed.",
    next: nextStep`Choose another backup: ${odooPg("backup", "list")}`,
  });
}

/** Words for the newest backup there is. */
const NEWEST = ["latest", "newest", "last"];

/**
 * Finds a backup by its id; for a database's name its newest; for `latest` the newest where there is only one database.
 * @throws OdooPgError backup_unknown, or backup_damaged when it cannot be read.
 */
export async function findBackup(place: BackupPlace, id: string): Promise<CataloguedBackup> {
  const plain = idOfFolder(id) ?? id;
  const folder = path.join(place.dir, folderName(plain));
  const found = idOfFolder(path.basename(folder)) === plain ? await readBackupFolder(folder) : undefined;
  if (found) return { ...found, id: plain };
  const { backups } = await readCatalogue(place);
  const newest = backups.findLast(({ manifest }) => manifest.database === id);
  if (newest) return newest;
  const databases = [...new Set(backups.map(({ manifest }) => manifest.database))];
  const last = backups.at(-1);
  if (NEWEST.includes(id) && last && databases.length === 1) return last;
  if (NEWEST.includes(id) && databases.length > 1) {
    throw new OdooPgError("backup_unknown", {
      message: `There are backups of ${databases.length} databases: the newest of which one?`,
      safe: "Nothing was changed.",
      details: databases.sort(),
      next: nextStep`Name the database instead of "${id}", or list them: ${odooPg("backup", "list")}`,
    });
  }
  throw await unknownBackup(place, id);
}

/** How many backups are suggested. */
const NAMED = 3;

/** What to suggest for a word that is no backup: it may be misspelt, or be the name of a database. */
async function unknownBackup(place: BackupPlace, word: string): Promise<OdooPgError> {
  const { backups } = await readCatalogue(place);
  const databases = [...new Set(backups.map(({ manifest }) => manifest.database))];
  const database = databases.includes(word) ? word : nearest(word, databases)[0];
  const newest = backups.findLast(({ manifest }) => manifest.database === database)?.id;
  // The newest ones are the likeliest.
  const ids = nearest(
    word,
    backups.map(({ id }) => id),
  ).slice(-NAMED);
  const hint = ids.length
    ? ` D${didYouMean(ids).slice(1)}`
    : newest === undefined
      ? ""
      : ` The newest backup of database "${database}" is ${newest}.`;
  return new OdooPgError("backup_unknown", {
    message: `There is no backup "${word}" in ${place.dir}.${hint}`,
    safe: "Nothing was changed.",
    next: nextStep`List them: ${odooPg("backup", "list")}`,
  });
}
