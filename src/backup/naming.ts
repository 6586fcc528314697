import { timeStamp } from "../model/time-stamp.ts";
import type { BackupKind } from "./manifest.ts";

const SUFFIX = ".dump";
const IN_PROGRESS = ".in_progress";
/** A folder that is being removed: no reader mistakes it for a backup. */
const REMOVING = ".removing";

/**
 * A database's name as part of a file name, reversible. Letters, digits, `_`, `-` and `.` stay, but not `-` or `.` in
 * front; every other byte of its UTF-8 form becomes %XX. The longest name (63 bytes) becomes at most 189 bytes.
 */
export function encodeDatabaseName(database: string): string {
  let encoded = "";
  for (const byte of Buffer.from(database, "utf8")) {
    const character = String.fromCharCode(byte);
    const stays = encoded === "" ? /[A-Za-z0-9_]/ : /[A-Za-z0-9_.-]/;
    encoded += stays.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}

/** The database's name that was encoded; undefined when the text is not of that form. */
export function decodeDatabaseName(encoded: string): string | undefined {
  if (!/^(?:[A-Za-z0-9_]|%[0-9A-F]{2})(?:[A-Za-z0-9_.-]|%[0-9A-F]{2})*$/.test(encoded)) return undefined;
  try {
    return decodeURIComponent(encoded);
  } catch {
    return undefined;
  }
}

/**
 * The name that a backup gets: that of the origin, `NAME_YYYYMMDD_HHMM[-weekly|-monthly]`; where it is taken, with the
 * seconds, and then counted on.
 */
export function backupId(
  database: string,
  at: number,
  kinds: readonly BackupKind[],
  taken: (id: string) => boolean,
): string {
  const tail = kinds.includes("monthly") ? "-monthly" : kinds.includes("weekly") ? "-weekly" : "";
  const name = encodeDatabaseName(database);
  const short = `${name}_${timeStamp(at, false)}${tail}`;
  if (!taken(short)) return short;
  for (let second = 0; ; second++) {
    const long = `${name}_${timeStamp(at + second * 1000, true)}${tail}`;
    if (!taken(long)) return long;
  }
}

const ID = /^(?<name>.+)_\d{8}_\d{4}(?:\d{2})?(?:-weekly|-monthly)?$/;

/** Whether a text has the form of a backup's id. */
export function isBackupId(text: string): boolean {
  const name = ID.exec(text)?.groups?.["name"];
  return name !== undefined && decodeDatabaseName(name) !== undefined;
}

export function folderName(id: string): string {
  return `${id}${SUFFIX}`;
}

export function inProgressName(id: string): string {
  return `${id}${SUFFIX}${IN_PROGRESS}`;
}

export function removingName(id: string): string {
  return `${id}${SUFFIX}${REMOVING}`;
}

/** The id of a backup from the name of its folder; undefined for anything else. */
export function idOfFolder(name: string): string | undefined {
  const id = name.endsWith(SUFFIX) ? name.slice(0, -SUFFIX.length) : undefined;
  return id !== undefined && isBackupId(id) ? id : undefined;
}

/** Whether a name is that of a folder that a killed odoo-pg was writing or removing. */
export function isLeftOverName(name: string): boolean {
  return [IN_PROGRESS, REMOVING].some(
    (end) => name.endsWith(end) && idOfFolder(name.slice(0, -end.length)) !== undefined,
  );
}
