import * as z from "zod";
import { isArchiveId, isLabel, isPathWithin, isWalFolder, liesIn } from "./names.ts";

// What the agents of two hosts say to each other of a repository. Each end takes the other for hostile: names are
// pgBackRest's own, numbers and lists have a bound.

export const LOOK = "/any-second/look";
export const FOLDER = "/any-second/folder";
export const PIECE = "/any-second/piece";

/** Bytes of a file in one answer. */
export const PIECE_BYTES = 1024 * 1024;

/** Bytes of an answer in JSON: on a base backup, and on anything else. */
export const LONGEST_BASE = 16 * 1024 * 1024;
export const LONGEST_LOOK = 4 * 1024 * 1024;

/** Folders of WAL: each has 4 GB, so that is 80 TB. */
export const MOST_FOLDERS = 20_000;

/** Files in a folder of WAL: 256 segments of 16 MB, 4096 of 1 MB, and notes of base backups. */
export const MOST_WAL_FILES = 20_000;

/** Files of a base backup: pgBackRest puts those of less than 2 MB together. And their folders: of a database one or two. */
export const MOST_BASE_FILES = 50_000;
export const MOST_BASE_FOLDERS = 20_000;

/** Bytes of one file: no part of a table has more than 1 GB, no bundle has much more than its largest file. */
const LARGEST_FILE = 64 * 1024 ** 3;

/** Bytes of archive.info and backup.info: about one kilobyte for each base backup. */
export const LARGEST_INFO = 8 * 1024 * 1024;

/** What tells whether something is as it was: of a folder that is just being changed there is none. */
const mark = z.string().max(80).nullable();

/** Of WAL, below the stanza's archive: an archive id alone has the histories. */
const walFolder = z.string().refine((folder) => {
  const [id = "", segments, ...rest] = folder.split("/");
  return isArchiveId(id) && rest.length === 0 && (segments === undefined || isWalFolder(segments));
});

export const lookSchema = z.object({
  /** Of archive.info and backup.info; null where there is none. */
  archive_info: mark,
  backup_info: mark,
  folders: z.object({ folder: walFolder, mark }).array().max(MOST_FOLDERS),
});
export type Look = z.output<typeof lookSchema>;

export const folderQuestionSchema = z.union([
  z.object({ wal: walFolder }),
  z.object({ base: z.string().refine(isLabel) }),
]);

/** A name or path, bytes, and when it was written (milliseconds since the epoch). */
const file = z.tuple([
  z.string().refine(isPathWithin),
  z.int().min(0).max(LARGEST_FILE),
  z.int().min(0).max(8_000_000_000_000),
]);
export type Listed = z.output<typeof file>;

export const walAnswerSchema = z.object({ mark, files: file.array().max(MOST_WAL_FILES) });
export const baseAnswerSchema = z.object({ files: file.array().max(MOST_BASE_FILES) });

/** Where a file of a repository lies. */
export const placeSchema = z.union([
  z.object({ info: z.enum(["archive.info", "backup.info"]) }),
  z.object({ wal: walFolder, name: z.string().max(100) }).refine(({ wal, name }) => liesIn(name, wal)),
  z.object({ base: z.string().refine(isLabel), path: z.string().refine(isPathWithin) }),
]);
export type Place = z.output<typeof placeSchema>;

export const pieceQuestionSchema = z.object({
  of: placeSchema,
  offset: z.int().min(0).max(LARGEST_FILE),
});
