import { nextStep, odooPg } from "../../next-step.ts";
import path from "node:path";
import { shellWord } from "../../shell-word.ts";
import { OdooPgError } from "../../errors.ts";
import { kindOf } from "../../system/files/files.ts";
import { heldPlace } from "../../system/files/others-files.ts";
import { bytesOf, firstBytes, gunzipped, outputOf } from "../../system/process/pipeline.ts";
import { HEAD, kindOfFile, type Compression } from "./file-kind.ts";
import { findBackup, readBackupFolder, type CataloguedBackup } from "../../backup/catalogue.ts";
import { isBackupId } from "../../backup/naming.ts";
import { MANIFEST_FILE, TOC_FILE } from "../../backup/manifest.ts";
import { placeOf, type BackupPlace } from "../../backup/place.ts";

/** Where something lies. */
export interface Place {
  /** As it was named, for messages. */
  readonly file: string;
  /** Where it is read: by this path it is the same one, whatever is put in its place meanwhile. */
  readonly at: string;
}

/** Files in one: `folder` is an unpacked one, `other` what bsdtar reads. */
export interface BundleInput extends Place {
  readonly kind: "bundle";
  readonly form: "zip" | "tar" | "other" | "folder";
  /** Of a tar. */
  readonly compression: Compression;
}

/** Packed input, which must be unpacked before it can be read. */
export interface PackedInput extends Place {
  readonly kind: "packed";
  readonly compression: Compression;
}

/** The source of a restore. */
export type RestoreInput =
  | { readonly kind: "backup"; readonly backup: CataloguedBackup; readonly place: BackupPlace }
  | FileInput;

/** Input that odoo-pg did not make. */
export type FileInput =
  | ({ readonly kind: "archive"; readonly format: "custom" | "directory" | "tar" } & Place)
  | ({ readonly kind: "sql"; readonly compression: Compression } & Place)
  | BundleInput
  | PackedInput;

/**
 * Resolves an argument of the command line: a path when it contains a slash or names an existing file, else the id of a
 * backup.
 * @throws OdooPgError backup_unknown, dump_unusable, backup_damaged.
 */
export async function findInput(place: BackupPlace, cwd: string, word: string): Promise<RestoreInput> {
  const file = path.resolve(cwd, word);
  if (!word.includes("/") && isBackupId(word.replace(/\.dump$/, "")) && (await kindOf(file)) === undefined)
    return { kind: "backup", backup: await findBackup(place, word), place };
  const kind = await kindOf(file);
  if (kind === "directory") return await directoryInput(file);
  if (kind === "file") return await fileInput(file, placeToRead(file));
  if (!word.includes("/")) return { kind: "backup", backup: await findBackup(place, word), place };
  throw new OdooPgError("backup_unknown", {
    message: `There is no file or folder ${file}.`,
    safe: "Nothing was changed.",
    next: nextStep`List the backups: ${odooPg("backup", "list")}`,
  });
}

/**
 * The backup that an argument of the command line means, by its id or by its path.
 * @throws OdooPgError as `findInput`; dump_unusable for a dump that odoo-pg did not make: it has no checksums.
 */
export async function findNamedBackup(
  place: BackupPlace,
  cwd: string,
  word: string,
): Promise<CataloguedBackup> {
  const input = await findInput(place, cwd, word);
  if (input.kind === "backup") return input.backup;
  throw new OdooPgError("dump_unusable", {
    message: `${word} is not a backup of odoo-pg: nothing says what should be in it.`,
    safe: "Nothing was changed.",
    next: nextStep`Try it by restoring: ${odooPg("restore", word, "--as", "NEW_DATABASE")}`,
  });
}

async function directoryInput(folder: string): Promise<RestoreInput> {
  if ((await kindOf(path.join(folder, MANIFEST_FILE))) === "file") {
    const backup = await readBackupFolder(folder);
    if (backup) return { kind: "backup", backup, place: placeOf(path.dirname(folder)) };
  }
  if ((await kindOf(path.join(folder, TOC_FILE))) === "file")
    return { kind: "archive", file: folder, at: folder, format: "directory" };
  if ((await kindOf(path.join(folder, "dump.sql"))) === "file")
    return { kind: "bundle", file: folder, at: folder, form: "folder", compression: "none" };
  throw notADump(folder, `it holds neither ${MANIFEST_FILE} nor ${TOC_FILE}`);
}

/**
 * Where a file is read. Who may put another one in its place could have root restore what only root may read: there it is
 * held as it is now, and a link is not followed.
 * @throws OdooPgError dump_unusable for a link, and for what could have been put there to be read
 */
function placeToRead(file: string): string {
  let held: ReturnType<typeof heldPlace>;
  try {
    held = heldPlace(file);
  } catch (error) {
    if (!(error instanceof OdooPgError) || error.code !== "state_dir_unusable") throw error;
    throw notADump(file, "somebody else decides where its path leads", copyIt(file));
  }
  if (typeof held === "string") return held;
  throw held.isLink
    ? notADump(
        held.name,
        "it is a link, which root does not follow where somebody else may change it",
        "Name the file that it leads to, where you know that it is the one you mean.",
      )
    : notADump(held.name, "it is no file that the owner of its folder may read", copyIt(file));
}

function copyIt(file: string): string {
  return `Where you know what it holds, copy it as root to where nobody else writes, and restore it from there: cp ${shellWord(file)} PLACE`;
}

/** @param at where it is read @throws OdooPgError dump_unusable for what cannot be restored. */
export async function fileInput(file: string, at = file): Promise<FileInput> {
  await assertWhole(file);
  let kind = kindOfFile(await firstBytes(at, HEAD));
  let compression: Compression = "none";
  if (kind.is === "compressed") {
    compression = kind.by;
    kind = kindOfFile(await headOf(piecesOf({ file, at, compression })));
  }
  if (kind.is === "none") throw notADump(file, kind.problem);
  if (kind.is === "sql") return { kind: "sql", file, at, compression };
  if (kind.is === "bundle" && (compression === "none" || kind.form === "tar"))
    return { kind: "bundle", file, at, form: kind.form, compression };
  if (kind.is === "archive" && compression === "none")
    return { kind: "archive", file, at, format: kind.format };
  return { kind: "packed", file, at, compression };
}

async function headOf(pieces: AsyncIterable<Buffer>): Promise<Buffer> {
  let head = Buffer.alloc(0);
  for await (const piece of pieces) {
    head = Buffer.concat([head, piece.subarray(0, HEAD)]);
    if (head.length >= HEAD) break;
  }
  return head;
}

/** One part of several is incomplete: `x.zip.001`, `x.zip.002` …, or `x.z01` beside `x.zip`. */
async function assertWhole(file: string): Promise<void> {
  const { dir, name, ext } = path.parse(file);
  const numbered = /^\.0*1$/.test(ext);
  const second = path.join(dir, `${name}${ext.replace("1", "2")}`);
  if (numbered && (await kindOf(second)) === "file") {
    throw notADump(
      file,
      "it is the first of several parts",
      `Put them together: cat ${shellWord(path.join(dir, name))}.[0-9]* > ${shellWord(path.join(dir, `whole_${name}`))}`,
    );
  }
  if (/^\.(?:zip|z\d\d)$/i.test(ext) && (await kindOf(path.join(dir, `${name}.z01`))) === "file") {
    throw notADump(
      file,
      "it is one of several parts of a zip",
      `Put them together: zip -s 0 ${shellWord(path.join(dir, `${name}.zip`))} --out ${shellWord(path.join(dir, `${name}_whole.zip`))}`,
    );
  }
}

function notADump(
  file: string,
  problem: string,
  next = "Give a backup of odoo-pg, a file of pg_dump, or a zip of Odoo's database manager.",
): OdooPgError {
  return new OdooPgError("dump_unusable", {
    message: `${file} cannot be restored: ${problem}.`,
    safe: "Nothing was changed.",
    next,
  });
}

/**
 * The contents of a file, decompressed as they are read.
 * @throws OdooPgError program_missing when a program that it needs is missing, dump_unusable when it is truncated.
 */
export async function* piecesOf(
  { file, at, compression }: Place & { readonly compression: Compression },
  onBytes?: (bytes: number) => void,
  signal?: AbortSignal,
): AsyncGenerator<Buffer> {
  try {
    if (compression === "none") yield* bytesOf(at, onBytes);
    else if (compression === "gzip") yield* gunzipped(at, onBytes, file);
    else {
      // Node has none of them, or only from version 22 on.
      const args = ["--decompress", "--stdout", "--quiet"];
      // By its path zstd would pass over one that is held: it leads there as a link does.
      yield* outputOf(
        at === file
          ? { program: compression, args: [...args, file], signal }
          : { program: compression, args, inputFile: at, signal },
      );
    }
  } catch (error) {
    if (!(error instanceof OdooPgError) || error.code !== "command_failed") throw error;
    throw notADump(file, `it is cut off or damaged: ${error.message}`);
  }
}
