import path from "node:path";
import { shellWord } from "../../cluster/shell-word.ts";
import { OdooPgError } from "../../errors.ts";
import { kindOf } from "../../system/files.ts";
import { bytesOf, firstBytes, gunzipped, outputOf } from "../../system/pipeline.ts";
import { findBackup, readBackupFolder, unknownBackup, type CataloguedBackup } from "../catalogue.ts";
import { isBackupId } from "../naming.ts";
import { MANIFEST_FILE, TOC_FILE } from "../manifest.ts";
import { placeOf, type BackupPlace } from "../place.ts";

export type Compression = "none" | "gzip" | "zstd";

/** What is restored. */
export type RestoreInput =
  | { readonly kind: "backup"; readonly backup: CataloguedBackup; readonly place: BackupPlace }
  | { readonly kind: "archive"; readonly file: string; readonly format: "custom" | "directory" | "tar" }
  | { readonly kind: "sql"; readonly file: string; readonly compression: Compression }
  | { readonly kind: "zip"; readonly file: string };

/**
 * Finds what a word on the command line means: a path when it holds a slash or names something that is there, else the
 * id of a backup.
 * @throws OdooPgError backup_unknown, dump_unusable, backup_damaged.
 */
export async function findInput(place: BackupPlace, cwd: string, word: string): Promise<RestoreInput> {
  const file = path.resolve(cwd, word);
  if (!word.includes("/") && isBackupId(word.replace(/\.dump$/, "")) && (await kindOf(file)) === undefined)
    return { kind: "backup", backup: await findBackup(place, word), place };
  const kind = await kindOf(file);
  if (kind === "directory") return await directoryInput(file);
  if (kind === "file") return await fileInput(file);
  if (!word.includes("/")) throw await unknownBackup(place, word);
  throw new OdooPgError("backup_unknown", {
    message: `There is no file or folder ${file}.`,
    safe: "Nothing was changed.",
    next: "Look which backups there are: odoo-pg backup list",
  });
}

/**
 * The backup that a word on the command line means, by its id or by its path.
 * @throws OdooPgError as `findInput`; dump_unusable for what somebody else made: it has no checksums.
 */
export async function findNamedBackup(
  place: BackupPlace,
  cwd: string,
  word: string,
): Promise<CataloguedBackup> {
  const input = await findInput(place, cwd, word);
  if (input.kind === "backup") return input.backup;
  throw new OdooPgError("dump_unusable", {
    message: `${word} is no backup of odoo-pg: nothing says what should be in it.`,
    safe: "Nothing was changed.",
    next: `Try it by restoring: odoo-pg restore ${shellWord(word)} --as NEW_DATABASE`,
  });
}

async function directoryInput(folder: string): Promise<RestoreInput> {
  if ((await kindOf(path.join(folder, MANIFEST_FILE))) === "file") {
    const backup = await readBackupFolder(folder);
    if (backup) return { kind: "backup", backup, place: placeOf(path.dirname(folder)) };
  }
  if ((await kindOf(path.join(folder, TOC_FILE))) === "file")
    return { kind: "archive", file: folder, format: "directory" };
  throw notADump(folder, `it holds neither ${MANIFEST_FILE} nor ${TOC_FILE}`);
}

async function fileInput(file: string): Promise<RestoreInput> {
  const head = await firstBytes(file, 512);
  const starts = (text: string): boolean => head.toString("latin1", 0, text.length) === text;
  if (starts("PGDMP")) return { kind: "archive", file, format: "custom" };
  if (starts("PK\u0003\u0004") || starts("PK\u0005\u0006")) return { kind: "zip", file };
  if (starts("\u001f\u008b")) return { kind: "sql", file, compression: "gzip" };
  if (starts("\u0028\u00b5\u002f\u00fd")) return { kind: "sql", file, compression: "zstd" };
  if (head.toString("latin1", 257, 262) === "ustar" && starts(TOC_FILE))
    return { kind: "archive", file, format: "tar" };
  if (head.length === 0) throw notADump(file, "it is empty");
  if (head.includes(0)) throw notADump(file, "it is neither SQL nor an archive of pg_dump nor a zip");
  return { kind: "sql", file, compression: "none" };
}

function notADump(file: string, problem: string): OdooPgError {
  return new OdooPgError("dump_unusable", {
    message: `${file} cannot be restored: ${problem}.`,
    safe: "Nothing was changed.",
    next: "Give a backup of odoo-pg, a file of pg_dump, or a zip of Odoo's database manager.",
  });
}

/**
 * The SQL in a file, as it is read.
 * @throws OdooPgError program_missing when it needs zstd, dump_unusable when it is cut or holds no SQL.
 */
export async function* sqlOf(
  { file, compression }: { readonly file: string; readonly compression: Compression },
  onBytes?: (bytes: number) => void,
  signal?: AbortSignal,
): AsyncGenerator<Buffer> {
  const pieces =
    compression === "gzip"
      ? gunzipped(file, onBytes)
      : compression === "zstd"
        ? unzstd(file, signal)
        : bytesOf(file, onBytes);
  let first = true;
  for await (const piece of pieces) {
    if (first && piece.toString("latin1", 0, 5) === "PGDMP")
      throw notADump(file, "it is a compressed archive of pg_dump: decompress it first");
    first = false;
    yield piece;
  }
}

async function* unzstd(file: string, signal: AbortSignal | undefined): AsyncGenerator<Buffer> {
  try {
    // Node has zstd from version 22 on only.
    yield* outputOf({ program: "zstd", args: ["--decompress", "--stdout", "--quiet", file], signal });
  } catch (error) {
    if (!(error instanceof OdooPgError) || error.code !== "command_failed") throw error;
    throw notADump(file, `it is cut off or damaged: ${error.message}`);
  }
}
