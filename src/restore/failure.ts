import path from "node:path";
import { DETAILS_SHOWN, OdooPgError } from "../errors.ts";
import { now } from "../system/clock.ts";
import { ensureDirectory, writeFileAtomic } from "../system/files/files.ts";
import { explainSql, SqlError } from "../system/sql/sql.ts";
import { differencesText } from "../backup/contents/differences.ts";
import { encodeDatabaseName } from "../backup/naming.ts";
import { timeStamp } from "../model/time-stamp.ts";
import type { BackupSource } from "../backup/source.ts";

interface Failed {
  /** What failed, as the beginning of a sentence: `The restore of "shop" failed`. */
  readonly what: string;
  readonly database: string;
  /** The sentence about what is safe, for errors that have none of their own. */
  readonly safe: string;
}

/** The reason why a restore or a copy failed, as it is reported; what is too long to be shown is kept in a file. */
export async function tellFailure(
  { restoresDir }: BackupSource,
  thrown: unknown,
  { what, database, safe }: Failed,
): Promise<unknown> {
  const error = thrown instanceof SqlError ? explainSql(thrown, what) : thrown;
  if (!(error instanceof OdooPgError)) return error;
  const { code, message, details } = error;
  const file = details.length > DETAILS_SHOWN ? await keepDetails(restoresDir, database, details) : undefined;
  const next = error.next ?? (file === undefined ? undefined : `Read them all in ${file}`);
  return new OdooPgError(code, {
    message,
    safe: error.safe ?? safe,
    ...(next === undefined ? {} : { next }),
    details,
    cause: thrown,
  });
}

/** @returns the file; undefined where it cannot be written, which must not hide why the restore failed. */
async function keepDetails(
  directory: string,
  database: string,
  details: readonly string[],
): Promise<string | undefined> {
  const name = `${encodeDatabaseName(database)}_${timeStamp(now(), true)}.differences.txt`;
  const file = path.join(directory, name);
  try {
    await ensureDirectory(directory, { mode: 0o700 });
    await writeFileAtomic(file, differencesText(details), { mode: 0o600 });
    return file;
  } catch {
    return undefined;
  }
}
