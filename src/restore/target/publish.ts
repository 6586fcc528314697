import { nextStep, odooPg } from "../../next-step.ts";
import { randomBytes } from "node:crypto";
import path from "node:path";
import * as z from "zod";
import type { Progress } from "../../progress.ts";
import { OdooPgError, toOdooPgError } from "../../errors.ts";
import { othersByOurNames } from "../../odoo/own-names.ts";
import { now, pause, waitUntil } from "../../system/clock.ts";
import { isBelievable, kindOf, namesIn, removeFile, removeTree } from "../../system/files/files.ts";
import { removeIn, renameIn, writeIn } from "../../system/files/folder.ts";
import { inspectJsonFile } from "../../system/files/json-file.ts";
import { moveIfThere } from "../../system/files/filestore-files.ts";
import { explainSql, quoteSqlIdentifier as id, SqlError, type Session } from "../../system/sql/sql.ts";
import { timeStamp } from "../../model/time-stamp.ts";
import type { BackupSource } from "../../backup/source.ts";
import { filestoreFor, type NewFilestore } from "./attachments.ts";
import { assertNoSlots } from "./slots.ts";
import {
  abandonedMarks,
  isNewName,
  lockMark,
  markOf,
  removeAbandoned,
  type NewDatabase,
} from "./new-database.ts";

export interface Placement {
  /** The name that it gets. */
  readonly database: string;
  readonly owner: string;
  /** Whether a database of that name is to be replaced. */
  readonly replace: boolean;
  readonly keepOld: boolean;
  readonly files: NewFilestore | undefined;
  /** A database whose settings and grants it takes over: its source, or the one that it replaces. */
  readonly like: string | undefined;
}

/** Milliseconds for which sessions are ended until the old database is free. */
const SWAP_TIMEOUT = 60_000;
/** Milliseconds for a server that went away while it committed to answer again. */
const ANSWER_TIMEOUT = 60_000;

/** A change of names that is under way, kept beside the filestores until both database and folders have theirs. */
const journalSchema = z.object({
  version: z.literal(1),
  incoming: z.string(),
  database: z.string(),
  kept: z.string().nullable(),
});
type Journal = z.output<typeof journalSchema>;
const JOURNAL = /^\.odoo-pg-swap-[0-9a-f]{8}\.json$/;

interface Published {
  /** The name under which the old one is kept, if it is. */
  readonly kept: string | undefined;
  /** What was left undone once the new one had its name. */
  readonly notes: readonly string[];
}

/**
 * Gives a finished database its name, owner and filestore in one transaction, and ends the work on it. What had the name
 * is first renamed, and dropped when the new one is there. From the commit on nothing fails: what cannot be cleared away
 * is told in `notes`, as the database and its filestore are the new ones by then.
 * @throws OdooPgError what keeps it from its name; timed_out where the server went away before it said whether it has it
 */
export async function publish(
  source: BackupSource,
  target: NewDatabase,
  placement: Placement,
  progress: Progress,
): Promise<Published> {
  const { database, replace } = placement;
  const session = target.outside;
  const kept = replace ? await freeName(session, database, now()) : undefined;
  const root = source.config.odoo.filestore;
  const journal: Journal = { version: 1, incoming: target.name, database, kept: kept ?? null };
  const journalFile =
    root === undefined ? undefined : path.join(root, `.odoo-pg-swap-${markOf(target.name)}.json`);
  progress.step(database, replace ? "end the sessions, swap" : "give it its name");
  const old = replace ? await oidOf(session, database) : undefined;
  if (journalFile !== undefined) await writeIn(journalFile, `${JSON.stringify(journal)}\n`);
  let committing = false;
  try {
    await session.query("BEGIN");
    if (kept !== undefined) {
      await renameBusy(source, session, database, kept);
      // Made while the new one was filled; from here on nobody comes in.
      if (!placement.keepOld) await assertNoSlots(session, kept, { called: database });
      // Neither Odoo nor its crons are to take it for one of theirs. A template would be dropped for nobody.
      await session.query(`ALTER DATABASE ${id(kept)} ALLOW_CONNECTIONS false IS_TEMPLATE false`);
    }
    await takeOver(session, target.name, kept ?? placement.like);
    await session.query(
      `ALTER DATABASE ${id(target.name)} OWNER TO ${id(placement.owner)}; ALTER DATABASE ${id(target.name)} RENAME TO ${id(database)}`,
    );
    await moveFolders(source, journal);
    committing = true;
    await session.query("COMMIT");
  } catch (error) {
    await session.query("ROLLBACK").catch(() => {});
    if (!(await settleJournal(source, journal, journalFile, committing)))
      throw error instanceof OdooPgError
        ? error
        : explainSql(error, `Database "${database}" cannot get its name`);
  }
  placement.files?.close();
  const notes: string[] = [];
  /** @returns whether it was done */
  const ifPossible = async (undone: string, act: () => Promise<void>): Promise<boolean> => {
    try {
      await act();
      return true;
    } catch (error) {
      notes.push(`${undone} (${error instanceof Error ? error.message : String(error)})`);
      return false;
    }
  };
  if (journalFile !== undefined)
    await ifPossible(`${journalFile} was not removed: the next restore does it`, async () => {
      await removeIn(journalFile);
    });
  let dropped = false;
  if (kept !== undefined && placement.keepOld) await endSessionsOnReplicas(source, old ?? "0", database);
  else if (kept !== undefined) {
    progress.step(database, "drop the old one");
    dropped = await ifPossible(`the old one could not be dropped and is kept as "${kept}"`, async () => {
      await session.query(`DROP DATABASE ${id(kept)} WITH (FORCE)`);
    });
    const folder = filestoreFor(source.config, kept);
    if (dropped && folder !== undefined)
      await ifPossible(`attachments of the old one are left in ${folder}`, async () => {
        await removeIn(folder);
      });
  }
  await ifPossible("the session that filled it did not end in order", async () => {
    await target.close();
  });
  return { kept: dropped ? undefined : kept, notes };
}

/** Renames a database and its filestore; sessions in it are ended. One that took no connections takes them again. */
export async function changeName(source: BackupSource, from: string, to: string): Promise<void> {
  const root = source.config.odoo.filestore;
  const journal: Journal = { version: 1, incoming: from, database: to, kept: null };
  const mark = randomBytes(4).toString("hex");
  const file = root === undefined ? undefined : path.join(root, `.odoo-pg-swap-${mark}.json`);
  await source.superuser.use(async (session) => {
    if (!(await lockMark(session, markOf(from)))) {
      throw new OdooPgError("locked", {
        message: "Another odoo-pg is renaming a database.",
        safe: "Nothing was changed.",
        next: "Run the same command again in a moment.",
      });
    }
    if (file !== undefined) await writeIn(file, `${JSON.stringify(journal)}\n`);
    let committing = false;
    try {
      await session.query("BEGIN");
      await renameBusy(source, session, from, to);
      await session.query(`ALTER DATABASE ${id(to)} ALLOW_CONNECTIONS true`);
      await moveFolders(source, journal);
      committing = true;
      await session.query("COMMIT");
    } catch (error) {
      await session.query("ROLLBACK").catch(() => {});
      if (!(await settleJournal(source, journal, file, committing)))
        throw error instanceof OdooPgError
          ? error
          : explainSql(error, `Database "${from}" cannot be renamed`);
    }
    // It has its name. What is left of the record goes with the next change of a name.
    if (file !== undefined) await removeIn(file).catch(() => {});
  });
}

/** The name that a replaced database is kept by: one that nobody has. */
async function freeName(session: Session, database: string, at: number): Promise<string> {
  const name = keptName(database, at);
  const taken = await session.query("SELECT FROM pg_database WHERE datname = $1", [name]);
  return taken.length ? keptName(database, at, `_${randomBytes(4).toString("hex")}`) : name;
}

/** `DB_old_TIMESTAMP`, in UTC; a long name is cut so that it fits in 63 bytes. */
function keptName(database: string, at: number, mark = ""): string {
  const tail = `_old_${timeStamp(at, true)}${mark}`;
  let head = database;
  while (Buffer.byteLength(head + tail) > 63) head = Array.from(head).slice(0, -1).join("");
  return head + tail;
}

async function oidOf(session: Session, database: string): Promise<string> {
  const [row] = await session.query("SELECT oid::text FROM pg_database WHERE datname = $1", [database]);
  if (row) return String(row["oid"]);
  throw new OdooPgError("database_unknown", {
    message: `Database "${database}" no longer exists.`,
    safe: "What was restored is removed.",
    next: "Restore it with --as.",
  });
}

/**
 * Renames a database that sessions are in, inside the session's transaction. The rename locks the database, so that
 * nobody comes in any more, and waits 5 s for those who are in (dbcommands.c, CountOtherDBBackends): they are ended.
 * @throws OdooPgError refused when it stays in use.
 */
async function renameBusy(
  source: BackupSource,
  session: Session,
  database: string,
  to: string,
): Promise<void> {
  const done = { renamed: false };
  const ending = source.superuser.use(async (other) => {
    for (let waited = 0; !done.renamed && waited < SWAP_TIMEOUT; waited += 50) {
      await other.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND backend_type <> 'walsender'",
        [database],
      );
      await pause(50);
    }
  });
  try {
    for (let attempt = 0; ; attempt++) {
      await session.query("SAVEPOINT renaming");
      try {
        await session.query(`ALTER DATABASE ${id(database)} RENAME TO ${id(to)}`);
        break;
      } catch (error) {
        await session.query("ROLLBACK TO SAVEPOINT renaming");
        // 55006 object_in_use: somebody was quicker.
        const busy = error instanceof Error && "code" in error && error.code === "55006";
        if (!busy) throw explainSql(error, `Database "${database}" cannot be renamed`);
        if (attempt < 5 && !/prepared transaction/.test(error.message)) continue;
        throw new OdooPgError("refused", {
          message: `Database "${database}" stays in use: ${error.message}.`,
          safe: "It and its filestore are as they were.",
          next: nextStep`Stop Odoo, look who is in it (${odooPg("sessions", "list", database)}), and run the same command again.`,
          cause: error,
        });
      }
    }
  } finally {
    done.renamed = true;
    await ending.catch(() => {});
  }
}

/**
 * Settings (ALTER DATABASE … SET), grants and limit of another database. What another lets everybody do is not taken over:
 * each database is its owner's.
 */
async function takeOver(session: Session, target: string, like: string | undefined): Promise<void> {
  const rows = await session.query(
    `SELECT a.grantee::text, coalesce(r.rolname, '') AS name, a.privilege_type AS privilege
     FROM pg_database d, aclexplode(d.datacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
     WHERE d.datname = $1 AND a.grantee <> d.datdba`,
    [like ?? ""],
  );
  const [own] = await session.query("SELECT datconnlimit AS most FROM pg_database WHERE datname = $1", [
    like ?? "",
  ]);
  for (const row of rows) {
    const to = id(String(row["name"]));
    if (to === '""' || !["CONNECT", "CREATE", "TEMPORARY"].includes(String(row["privilege"]))) continue;
    await session.query(`GRANT ${String(row["privilege"])} ON DATABASE ${id(target)} TO ${to}`);
  }
  if (like === undefined) return;
  const most = Number(own?.["most"] ?? -1);
  if (most >= 0) await session.query(`ALTER DATABASE ${id(target)} CONNECTION LIMIT ${most}`);
  // By the catalogue: SET would have to know which settings are lists.
  await session.query(
    `DELETE FROM pg_db_role_setting WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = $1)`,
    [target],
  );
  await session.query(
    `INSERT INTO pg_db_role_setting (setdatabase, setrole, setconfig)
     SELECT (SELECT oid FROM pg_database WHERE datname = $1), s.setrole, s.setconfig
     FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = $2`,
    [target, like],
  );
}

interface Folders {
  readonly incoming: string;
  readonly present: string;
  readonly kept: string | undefined;
}

function foldersOf(source: BackupSource, journal: Journal): Folders | undefined {
  const incoming = filestoreFor(source.config, journal.incoming);
  const present = filestoreFor(source.config, journal.database);
  const kept = journal.kept === null ? undefined : filestoreFor(source.config, journal.kept);
  return incoming === undefined || present === undefined ? undefined : { incoming, present, kept };
}

async function moveFolders(source: BackupSource, journal: Journal): Promise<void> {
  const folders = foldersOf(source, journal);
  if (!folders) return;
  if (folders.kept !== undefined) await moveIfThere(folders.present, folders.kept);
  await moveIfThere(folders.incoming, folders.present);
}

async function moveFoldersBack(source: BackupSource, journal: Journal): Promise<void> {
  const folders = foldersOf(source, journal);
  if (!folders) return;
  const { incoming, present, kept } = folders;
  // The new files are at the place of the old ones only if they were moved.
  const keptThere = kept !== undefined && (await kindOf(kept)) !== undefined;
  const incomingThere = (await kindOf(incoming)) !== undefined;
  if (!incomingThere && (keptThere || journal.kept === null)) await moveIfThere(present, incoming);
  if (keptThere && kept !== undefined) await moveIfThere(kept, present);
}

/**
 * Brings the folders to where the databases are, after a change of names that failed or was cut off.
 * @returns whether the databases have their new names
 * @throws OdooPgError timed_out where no server says so; the record stays for the next restore
 */
async function settleJournal(
  source: BackupSource,
  journal: Journal,
  file: string | undefined,
  maybeCommitted: boolean,
): Promise<boolean> {
  const committed = maybeCommitted && (await isCommitted(source, journal));
  if (!committed) await moveFoldersBack(source, journal);
  if (file !== undefined) await removeIn(file).catch(() => {});
  return committed;
}

/** Whether a change of names took place whose end nobody was told: the server may be starting again. */
async function isCommitted(source: BackupSource, { incoming, database, kept }: Journal): Promise<boolean> {
  let there = true;
  try {
    await waitUntil(
      async () => {
        try {
          there = await source.superuser.use(async (session) => {
            const rows = await session.query("SELECT FROM pg_database WHERE datname = $1", [incoming]);
            return rows.length > 0;
          });
          return true;
        } catch (error) {
          if (error instanceof OdooPgError || error instanceof SqlError) return false;
          throw error;
        }
      },
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
  return !there;
}

/**
 * Clears away what killed restores and copies left behind: half databases, their roles and folders, and a change of
 * names that was cut off between database and filestore. What another process works on is left alone.
 * @param note is told what a person has to look at
 */
export async function tidyUp(source: BackupSource, note: Progress["note"]): Promise<void> {
  const root = source.config.odoo.filestore;
  await source.superuser.use(async (session) => {
    for (const name of root === undefined ? [] : await namesIn(root)) {
      if (!JOURNAL.test(name) || root === undefined) continue;
      const file = path.join(root, name);
      if (!(await isBelievable(file))) {
        // Whoever owns the filestores could have written it.
        note(await setAside(file, "it does not belong to root"));
        continue;
      }
      const journal = await inspectJsonFile(file, journalSchema);
      if (!journal) continue;
      if (!journal.ok) {
        note(await setAside(file, journal.problem));
        continue;
      }
      if (!(await lockMark(session, markOf(journal.value.incoming)))) continue;
      await settleJournal(source, journal.value, file, true);
    }
    for (const mark of await abandonedMarks(session)) {
      try {
        const name = await removeAbandoned(session, mark);
        const folder = name === undefined ? undefined : filestoreFor(source.config, name);
        if (folder !== undefined && name !== undefined && isNewName(name)) await removeIn(folder);
        await removeFile(path.join(source.secretsDir, `odoo_pg_loader_${mark}.pgpass`));
      } catch (error) {
        if (session.broken()) throw error;
        // What is left over keeps nothing from its work.
        note(toOdooPgError(error).message);
      }
    }
    const others = await othersByOurNames(session);
    if (others !== undefined) note(others);
    for (const name of await namesIn(source.restoresDir)) {
      const mark = /^unpacked_([0-9a-f]{8})_\d$/.exec(name)?.[1];
      if (mark !== undefined && (await lockMark(session, mark)))
        await removeTree(path.join(source.restoresDir, name));
    }
    // Folders whose databases are gone already.
    for (const name of root === undefined ? [] : await namesIn(root)) {
      if (root === undefined || !isNewName(name) || !(await lockMark(session, markOf(name)))) continue;
      // One that is there by now is somebody else's, and so are its files.
      const there = await session.query("SELECT FROM pg_database WHERE datname = $1", [name]);
      if (!there.length) await removeIn(path.join(root, name));
    }
  });
}

/** A record that cannot be read ends no restore, and nothing is moved by it. */
async function setAside(file: string, problem: string): Promise<string> {
  await renameIn(file, `${file}.damaged`);
  return (
    `${file} is damaged (${problem}) and was put aside as ${path.basename(file)}.damaged. It was the record of a ` +
    "database that was getting its name: check that the databases have their filestores. An earlier one is kept as NAME_old_TIME."
  );
}

/** Sessions on the replicas go on in a database that was renamed: ends them, where the replicas answer. */
async function endSessionsOnReplicas(source: BackupSource, oid: string, oldName: string): Promise<void> {
  for (const replica of source.replicas) {
    try {
      await replica.use(async (session) => {
        await waitUntil(
          async () =>
            (
              await session.query("SELECT FROM pg_database WHERE oid = $1::oid AND datname = $2", [
                oid,
                oldName,
              ])
            ).length === 0,
          { what: "the replica to know of it", timeout: 5000, interval: 50 },
        );
        await session.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datid = $1::oid", [
          oid,
        ]);
      });
    } catch {
      // A replica that does not answer serves nobody; one that lags ends them when the old one is dropped.
    }
  }
}
