import path from "node:path";
import * as z from "zod";
import type { BackupSource } from "../../backup/source.ts";
import { OdooPgError } from "../../errors.ts";
import { odooPg } from "../../next-step.ts";
import { waitUntil } from "../../system/clock.ts";
import { moveIfThere } from "../../system/files/filestore-files.ts";
import { kindOf } from "../../system/files/files.ts";
import { changedAt, moveAllInto, moveWritten } from "../../system/files/merge-folders.ts";
import { removeIn, writeIn } from "../../system/files/held/by-path.ts";
import { SqlError, type Session } from "../../system/sql/sql.ts";
import { filestoreFor } from "./attachments.ts";
import { lockMark, markOf } from "./new-database.ts";

/** Timeout, in milliseconds, for a server that disappeared during a commit to answer again. */
const ANSWER_TIMEOUT = 60_000;

const number = z.string().regex(/^\d{1,10}$/);

/** A change of names in progress, recorded beside the filestores until both database and folders have theirs. */
export const journalSchema = z.object({
  version: z.literal(1),
  incoming: z.string(),
  database: z.string(),
  kept: z.string().nullable(),
  /** The numbers (oid) of the database that gets the name and of the one that had it: they never change. */
  oid: number.optional(),
  old_oid: number.nullable().optional(),
  /**
   * Whether a folder moves with the database that gets the name. Without one, what is in its new place belongs to
   * another.
   */
  files: z.boolean().optional(),
  /** Whether the old one is dropped once the new one has its name. */
  drop: z.boolean().optional(),
});
/** Optional keys are absent in a record of an earlier version. */
export type Journal = z.output<typeof journalSchema>;

/** Names of such records. */
export const JOURNAL = /^\.odoo-pg-swap-[0-9a-f]{8}\.json$/;

/**
 * Records a change of names before it begins. @returns the record and its file: none where no filestore is configured
 */
export async function beginJournal(
  source: BackupSource,
  mark: string,
  change: Journal,
): Promise<{ journal: Journal; file: string | undefined }> {
  const root = source.config.odoo.filestore;
  if (root === undefined) return { journal: change, file: undefined };
  const incoming = filestoreFor(source.config, change.incoming);
  const files = incoming !== undefined && (await kindOf(incoming)) !== undefined;
  const journal = { ...change, files };
  const file = path.join(root, `.odoo-pg-swap-${mark}.json`);
  await writeIn(file, `${JSON.stringify(journal)}\n`);
  return { journal, file };
}

/** Leftovers of a settled record go with the next change of a name. */
export async function endJournal(file: string | undefined): Promise<void> {
  if (file !== undefined) await removeIn(file).catch(() => {});
}

interface Folders {
  readonly incoming: string;
  readonly present: string;
  readonly kept: string | undefined;
}

function foldersOf({ config }: BackupSource, journal: Journal): Folders | undefined {
  const incoming = filestoreFor(config, journal.incoming);
  const present = filestoreFor(config, journal.database);
  const kept = journal.kept === null ? undefined : filestoreFor(config, journal.kept);
  return incoming === undefined || present === undefined ? undefined : { incoming, present, kept };
}

export async function moveFolders(source: BackupSource, journal: Journal): Promise<void> {
  const folders = foldersOf(source, journal);
  if (!folders) return;
  const { incoming, present, kept } = folders;
  if (kept !== undefined && (await moveIfThere(present, kept)) && (await isThere(present)))
    // Odoo, whose sessions were ended, went on with a file.
    await moveAllInto(present, kept);
  await moveIfThere(incoming, present);
}

async function isThere(folder: string): Promise<boolean> {
  return (await kindOf(folder)) !== undefined;
}

/**
 * Brings folders back to the databases that kept their names. Odoo has served these meanwhile, with the folder that had
 * the name: what it has written there belongs to them.
 * @param taken whether another owner's database has the name by now, and the files there may be its own
 * @param file the record, which was written when the new files were whole
 */
async function moveFoldersBack(
  source: BackupSource,
  journal: Journal,
  taken: boolean,
  file: string | undefined,
): Promise<void> {
  const folders = foldersOf(source, journal);
  if (!folders || taken) return;
  const { incoming, present, kept } = folders;
  const since = (file === undefined ? undefined : await changedAt(file)) ?? Infinity;
  const keptThere = kept !== undefined && (await isThere(kept));
  const incomingThere = await isThere(incoming);
  const presentThere = await isThere(present);
  if (journal.kept === null) {
    // Of a database that was to be renamed, and is called what it was: its folder was moved.
    if (!presentThere || journal.files === false) return;
    if (incomingThere && markOf(journal.incoming) !== "") return;
    if (incomingThere) await moveAllInto(incoming, present);
    await moveIfThere(present, incoming);
    return;
  }
  if (presentThere && keptThere) {
    // The new files never came to the place of the old ones, or they did.
    if (incomingThere || journal.files === false) await moveAllInto(present, kept);
    else await moveIfThere(present, incoming);
  } else if (presentThere && !incomingThere && journal.files === true) await moveIfThere(present, incoming);
  if (keptThere) await moveIfThere(kept, present);
  await moveWritten(incoming, present, since);
}

/** The outcome of a change of names. */
interface Outcome {
  /** Whether the databases have their new names. */
  readonly done: boolean;
  /** Whether a database that is not part of the change has the name. */
  readonly taken: boolean;
}

/** @param databases all existing ones. Pure. */
export function outcomeOf(
  { incoming, database, oid, old_oid }: Journal,
  databases: readonly { readonly oid: string; readonly name: string }[],
): Outcome {
  const nameOf = (wanted: string | null | undefined): string | undefined =>
    databases.find((one) => one.oid === wanted)?.name;
  const other = databases.find(({ name }) => name === database)?.oid;
  const taken = oid !== undefined && other !== undefined && other !== oid && other !== old_oid;
  // Without numbers there are only the names, which another database may have by now.
  if (oid === undefined) return { done: !databases.some(({ name }) => name === incoming), taken };
  const [own, old] = [nameOf(oid), nameOf(old_oid)];
  if (own !== undefined) return { done: own !== incoming, taken };
  // It was dropped meanwhile. The old one gave up its name in the same transaction, or never.
  return { done: old !== database, taken };
}

const databaseRow = z.object({ oid: z.string(), name: z.string() });

async function askOutcome(session: Session, journal: Journal): Promise<Outcome> {
  const rows = await session.query("SELECT oid::text AS oid, datname AS name FROM pg_database");
  return outcomeOf(journal, databaseRow.array().parse(rows));
}

/**
 * Brings the folders to where the databases are, after a change of names that failed or was cut off.
 * @param session in which it was made, or which has its lock by now
 * @param file the record of it
 * @param maybeCommitted whether its end may have been reached
 * @returns whether the databases have their new names
 * @throws OdooPgError timed_out where no server says so, and what the file system answers; the record is still needed then
 */
export async function settle(
  source: BackupSource,
  session: Session,
  journal: Journal,
  file: string | undefined,
  maybeCommitted: boolean,
): Promise<boolean> {
  const { done, taken } = maybeCommitted
    ? await findOutcome(source, session, journal)
    : { done: false, taken: false };
  if (!done) await moveFoldersBack(source, journal, taken, file);
  return done;
}

/** The result of the commit never arrived: the server may be restarting. */
async function findOutcome(source: BackupSource, session: Session, journal: Journal): Promise<Outcome> {
  const quiet = async (ask: () => Promise<Outcome | undefined>): Promise<Outcome | undefined> => {
    try {
      return await ask();
    } catch (error) {
      if (error instanceof OdooPgError || error instanceof SqlError) return undefined;
      throw error;
    }
  };
  const own = session.broken() ? undefined : await quiet(async () => await askOutcome(session, journal));
  if (own) return own;
  const { incoming, database, kept } = journal;
  try {
    return await waitUntil(
      async () =>
        await quiet(
          async () =>
            await source.superuser.use(async (other) => {
              // A backend that has lost its client may still be committing: it holds the lock until that is over.
              const over = await lockMark(other, markOf(incoming));
              return over ? await askOutcome(other, journal) : undefined;
            }),
        ),
      { what: "the server to say which names databases have", timeout: ANSWER_TIMEOUT, interval: 200 },
    );
  } catch (error) {
    throw new OdooPgError("timed_out", {
      message: `The server went away before it said whether "${database}" has its new contents.`,
      safe: `Nothing was dropped: the new one is "${incoming}" or "${database}"${kept === null ? "" : `, the old one "${database}" or "${kept}"`}.`,
      next: odooPg("db", "list"),
      cause: error,
    });
  }
}

/**
 * What a restore that was killed after its commit left of the database that it replaced: its attachments are removed
 * where it is gone.
 * @returns the name that it is kept by, where it still exists
 */
export async function clearOld(
  source: BackupSource,
  session: Session,
  { kept, old_oid, drop }: Journal,
): Promise<string | undefined> {
  if (drop !== true || kept === null) return undefined;
  const there = await session.query("SELECT FROM pg_database WHERE oid = $1::oid OR datname = $2", [
    old_oid ?? null,
    kept,
  ]);
  if (there.length) return kept;
  const folder = filestoreFor(source.config, kept);
  if (folder !== undefined) await removeIn(folder);
  return undefined;
}
