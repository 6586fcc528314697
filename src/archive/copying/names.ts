/** A segment, or the part of one with which a timeline ended: pgBackRest adds the checksum of what it holds. */
const SEGMENT = /^(([0-9A-F]{24})(?:\.partial)?)-([0-9a-f]{40})(?:\.(?:gz|lz4|zst|bz2))?$/;

/** What PostgreSQL notes of a base backup among the WAL. */
const BACKUP_NOTE = /^([0-9A-F]{24})\.[0-9A-F]{8}\.backup$/;

/** How one timeline came out of another. */
const HISTORY = /^([0-9A-F]{8})\.history$/;

/** WAL of one PostgreSQL: its version, and its number in the stanza. */
const ARCHIVE_ID = /^\d{1,2}(?:\.\d{1,2})?-\d{1,4}$/;

/** The segments of 4 GB, all on one timeline. */
const WAL_FOLDER = /^[0-9A-F]{16}$/;

/** A full base backup, or one with what has changed since. */
const LABEL = /^\d{8}-\d{6}F(?:_\d{8}-\d{6}[DI])?$/;

/** Characters of a file's path within a base backup, and of each part of it. */
const LONGEST_PATH = 1024;
const LONGEST_PART = 255;

/** Parts of such a path: PostgreSQL has 6 (pg_data/pg_tblspc/16400/PG_17_202406281/5/1259), and who keeps folders of his own there some more. */
export const MOST_PARTS = 16;

export function isLabel(name: string): boolean {
  return LABEL.test(name);
}

export function isArchiveId(name: string): boolean {
  return ARCHIVE_ID.test(name);
}

export function isWalFolder(name: string): boolean {
  return WAL_FOLDER.test(name);
}

/** The full base backup that one needs; itself, where it is full. */
export function fullOf(label: string): string {
  return label.split("_")[0] ?? label;
}

/** What pgBackRest's file of WAL holds. */
export interface WalFile {
  /** What there must not be twice: pgBackRest finds a segment by it, whatever its checksum and compression. */
  readonly key: string;
  /** By which it is held against the oldest WAL that is kept: a segment's name, or the start of one. */
  readonly position: string;
  readonly checksum: string | undefined;
}

/** Undefined for what is no file of WAL, such as one that is being written. */
export function walFile(name: string): WalFile | undefined {
  const [, key = "", position = "", checksum] = SEGMENT.exec(name) ?? [];
  if (position !== "") return { key, position, checksum };
  const of = BACKUP_NOTE.exec(name)?.[1] ?? HISTORY.exec(name)?.[1];
  return of === undefined ? undefined : { key: name, position: of, checksum: undefined };
}

/** Whether WAL lies where pgBackRest looks for it: histories beside the folders of segments. */
export function liesIn(name: string, folder: string): boolean {
  const [id = "", segments, ...rest] = folder.split("/");
  if (!isArchiveId(id) || rest.length > 0) return false;
  const file = walFile(name);
  if (segments === undefined) return HISTORY.test(name);
  return isWalFolder(segments) && file !== undefined && name.length > 24 && name.startsWith(segments);
}

/** Whether a path leads to a file within a base backup, and nowhere else. */
export function isPathWithin(relative: string): boolean {
  if (relative.length > LONGEST_PATH) return false;
  const parts = relative.split("/", MOST_PARTS + 1);
  return parts.length <= MOST_PARTS && parts.every(isPart);
}

function isPart(part: string): boolean {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (part.length > LONGEST_PART || /[\u0000-\u001f\u007f]/.test(part)) return false;
  return part !== "" && part !== "." && part !== "..";
}
