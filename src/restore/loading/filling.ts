import type { Progress } from "../../progress.ts";
import { OdooPgError } from "../../errors.ts";
import { oneLine } from "../../printable.ts";
import { diskSpace } from "../../system/files/files.ts";
import type { Difference } from "../../backup/contents/compare.ts";
import type { Contents, Right } from "../../backup/contents/contents.ts";
import type { BackupSource } from "../../backup/source.ts";
import { neededFilestore, type NewFilestore } from "../target/attachments.ts";
import type { NewDatabase } from "../target/new-database.ts";
import type { SetAside } from "../target/set-aside.ts";

/** A database in the making and its files, while they are filled. */
export interface Filling {
  /** Whether rows of a table that cannot be created may be set aside with it: not where a database is replaced. */
  readonly rowsMayLack?: boolean;
  readonly source: BackupSource;
  /** The database that progress messages name. */
  readonly database: string;
  readonly target: NewDatabase;
  readonly progress: Progress;
  /** Set once there are files to put there. */
  files: NewFilestore | undefined;
  /** How many nested archives were unpacked. */
  unpacked: number;
}

/** Removes an unfinished database that does not get its name. What cannot be removed goes with the next restore. */
export async function discardFilling({ files, target }: Filling): Promise<void> {
  if (target.isLeft) files?.close();
  else await files?.discard().catch(() => {});
  await target.discard();
}

/** What was loaded, and what it is compared with. */
export interface Loaded {
  readonly differences: (found: Contents) => readonly Difference[];
  /** How many objects are promised; undefined where that is not known. */
  readonly objects: number | undefined;
  readonly notes: readonly string[];
  /** What could not be created; it is in `notes` too. */
  readonly setAside: readonly SetAside[];
  /** Owners of single things that are not the database's, where they are to stay. */
  readonly owners: Contents | undefined;
  /** Rights, where they are known; and the former owner of the database. */
  readonly rights?: { readonly all: readonly Right[]; readonly owner: string } | undefined;
  readonly settings: readonly string[];
  /** Attachments that the database names and the input is known to lack. */
  readonly knownMissing: number | undefined;
}

/** Characters of the one difference that a sentence shows. */
const FIRST = 160;

/**
 * Differences in one sentence: how many, and the first; all of them are its details.
 * @param objects how many were compared; undefined where something else was
 */
export function restoreFailed(differences: readonly string[], objects?: number): OdooPgError {
  const first = oneLine(differences[0] ?? "", FIRST);
  const all = Math.max(objects ?? 0, differences.length).toLocaleString("en-US");
  const count = differences.length.toLocaleString("en-US");
  const differ = differences.length === 1 ? "differs:" : "differ, first:";
  const told = differences.length === 1 && first === differences[0];
  return new OdooPgError("restore_failed", {
    message: `What was restored is not what the backup holds: ${objects === undefined ? "" : `${count} of ${all} objects ${differ} `}${first}.`,
    details: told ? [] : differences,
  });
}

/** Processes that load in parallel. */
export function jobsOf({ source }: Filling): number {
  return Math.max(1, Math.min(source.processors, 8));
}

/** Reports finished tables. */
export function tableProgress({ progress, database }: Filling): (done: number, total: number) => void {
  return (done, total) => progress.bytes(database, done, total);
}

/** Room for what is restored: the data directory for the database, the filestore for the files. */
export async function assertRoom(
  source: BackupSource,
  databaseBytes: number,
  fileBytes: number,
): Promise<void> {
  const [row] = await source.superuser.use((session) =>
    session.query("SELECT current_setting('data_directory') AS dir"),
  );
  const needs: [string, number][] = [[String(row?.["dir"]), databaseBytes]];
  if (fileBytes > 0) needs.push([await neededFilestore(source.config), fileBytes]);
  for (const [place, bytes] of needs) {
    const { freeBytes } = await diskSpace(place);
    if (bytes <= freeBytes) continue;
    throw new OdooPgError("disk_full", {
      message: `The restore needs ${Math.ceil(bytes / 2 ** 20)} MB in ${place}, and ${Math.floor(freeBytes / 2 ** 20)} MB are free.`,
      safe: "Nothing was changed.",
      next: "Make room, then run the same command again.",
    });
  }
}
