import { nextStep, odooPg } from "../../next-step.ts";
import { randomBytes } from "node:crypto";
import path from "node:path";
import type { Progress } from "../../progress.ts";
import { messageOf, OdooPgError, toOdooPgError } from "../../errors.ts";
import { othersByOurNames } from "../../odoo/own-names.ts";
import { now, waitUntil } from "../../system/clock.ts";
import { isBelievable, namesIn, removeFile, removeTree } from "../../system/files/files.ts";
import { removeIn, renameIn } from "../../system/files/held/by-path.ts";
import { inspectJsonFile } from "../../system/files/json-file.ts";
import { isInUse, renameInUse } from "../../postgres/sql/rename-database.ts";
import { explainSql, quoteSqlIdentifier as id, SqlError, type Session } from "../../system/sql/sql.ts";
import { timeStamp } from "../../model/time-stamp.ts";
import type { BackupSource } from "../../backup/source.ts";
import { filestoreFor, type NewFilestore } from "./attachments.ts";
import { assertNoSlots } from "./slots.ts";
import {
  beginJournal,
  clearOld,
  endJournal,
  JOURNAL,
  journalSchema,
  moveFolders,
  settle,
  type Journal,
} from "./swap-journal.ts";
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
  /** The number (oid) of the database that is replaced; undefined where there was none. */
  readonly replaces: string | undefined;
  readonly keepOld: boolean;
  readonly files: NewFilestore | undefined;
  /** A database whose settings and grants it takes over: its source, or the one that it replaces. */
  readonly like: string | undefined;
}

interface Published {
  /** The name under which the old one is kept, if it is. */
  readonly kept: string | undefined;
  /** What remained undone after the new one got its name. */
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
  const { database, replaces: old } = placement;
  const kept = old === undefined ? undefined : await freeName(target.outside, database, now());
  progress.step(database, old === undefined ? "give it its name" : "end the sessions, swap");
  const file = await swap(source, target, placement, kept);
  placement.files?.close();
  return await clearAway(source, target, placement, { kept, file }, progress);
}

/**
 * Gives it its name, and the one that had it another: both or neither.
 * @param kept the other name, where one had it
 * @returns the file that records what still has to be cleared away
 */
async function swap(
  source: BackupSource,
  target: NewDatabase,
  placement: Placement,
  kept: string | undefined,
): Promise<string | undefined> {
  const { database, replaces: old } = placement;
  const session = target.outside;
  const { journal, file } = await beginJournal(source, markOf(target.name), {
    version: 1,
    incoming: target.name,
    database,
    kept: kept ?? null,
    oid: await oidOf(session, target.name),
    old_oid: old ?? null,
    drop: old !== undefined && !placement.keepOld,
  });
  let committing = false;
  try {
    await session.query("BEGIN");
    if (kept !== undefined) {
      await renameBusy(source, session, database, kept);
      if ((await oidOf(session, kept)) !== old) throw isAnother(database);
      // Created while the new one was filled; from here on no session may connect.
      if (!placement.keepOld) await assertNoSlots(session, kept, { called: database });
      // Neither Odoo nor its crons may take it for one of theirs. PostgreSQL never drops a template.
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
    let done: boolean;
    try {
      done = await settle(source, session, journal, file, committing);
    } catch (unknown) {
      // It may be the live one, and by what is there the next restore settles it.
      target.leave();
      throw unknown;
    }
    if (!done) {
      await endJournal(file);
      throw error instanceof OdooPgError
        ? error
        : explainSql(error, `Database "${database}" cannot get its name`);
    }
  }
  return file;
}

/** Whatever of it fails is told: the new one has its name. */
async function clearAway(
  source: BackupSource,
  target: NewDatabase,
  placement: Placement,
  { kept, file }: { readonly kept: string | undefined; readonly file: string | undefined },
  progress: Progress,
): Promise<Published> {
  const { database, replaces: old } = placement;
  const notes: string[] = [];
  /** @returns whether it was done */
  const ifPossible = async (undone: string, act: () => Promise<void>): Promise<boolean> => {
    try {
      await act();
      return true;
    } catch (error) {
      notes.push(`${undone} (${messageOf(error)})`);
      return false;
    }
  };
  let dropped = false;
  if (kept !== undefined && placement.keepOld) await endSessionsOnReplicas(source, old ?? "0", database);
  else if (kept !== undefined) {
    progress.step(database, "drop the old one");
    dropped = await ifPossible(`the old one could not be dropped and is kept as "${kept}"`, async () => {
      // The session that filled the new one may be lost.
      await source.superuser.use(async (own) => await own.query(`DROP DATABASE ${id(kept)} WITH (FORCE)`));
    });
    const folder = filestoreFor(source.config, kept);
    if (dropped && folder !== undefined)
      await ifPossible(`attachments of the old one are left in ${folder}`, async () => {
        await removeIn(folder);
      });
  }
  // Last: until then it records what still has to be cleared away.
  if (file !== undefined)
    await ifPossible(`${file} was not removed: the next restore does it`, async () => {
      await removeIn(file);
    });
  await ifPossible("the session that filled it did not end in order", async () => {
    await target.close();
  });
  return { kept: dropped ? undefined : kept, notes };
}

/**
 * Renames a database and its filestore; its sessions are ended. One that accepted no connections accepts them again.
 */
export async function changeName(source: BackupSource, from: string, to: string): Promise<void> {
  await source.superuser.use(async (session) => {
    if (!(await lockMark(session, markOf(from)))) {
      throw new OdooPgError("locked", {
        message: "Another odoo-pg is renaming a database.",
        safe: "Nothing was changed.",
        next: "Run the same command again in a moment.",
      });
    }
    const { journal, file } = await beginJournal(source, randomBytes(4).toString("hex"), {
      version: 1,
      incoming: from,
      database: to,
      kept: null,
      oid: await oidOf(session, from),
    });
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
      if (!(await settle(source, session, journal, file, committing))) {
        await endJournal(file);
        throw error instanceof OdooPgError
          ? error
          : explainSql(error, `Database "${from}" cannot be renamed`);
      }
    }
    await endJournal(file);
  });
}

/** The name for a replaced database that is kept: one that is not taken. */
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

/** The number of a database: it stays its own, whatever it is called. @throws OdooPgError database_unknown */
export async function oidOf(session: Session, database: string): Promise<string> {
  const [row] = await session.query("SELECT oid::text FROM pg_database WHERE datname = $1", [database]);
  if (row) return String(row["oid"]);
  throw isGone(database);
}

function isGone(database: string): OdooPgError {
  return new OdooPgError("database_unknown", {
    message: `Database "${database}" no longer exists.`,
    next: nextStep`List what there is: ${odooPg("db", "list")}`,
  });
}

/** The request meant the database that was there then. */
function isAnother(database: string): OdooPgError {
  return new OdooPgError("refused", {
    message: `Another database is called "${database}" by now: the one that was to be replaced was renamed or dropped meanwhile.`,
    safe: "Both are as they were; what was restored is removed.",
    next: nextStep`Look which one it is (${odooPg("db", "list")}), and run the same command again.`,
  });
}

/** Renames a database that is in use. @throws OdooPgError refused when it stays in use. */
async function renameBusy(
  source: BackupSource,
  session: Session,
  database: string,
  to: string,
): Promise<void> {
  try {
    await renameInUse(source.superuser, session, database, to);
  } catch (error) {
    // 3D000 invalid_catalog_name
    if (error instanceof SqlError && error.code === "3D000") throw isGone(database);
    if (!isInUse(error)) throw explainSql(error, `Database "${database}" cannot be renamed`);
    throw new OdooPgError("refused", {
      message: `Database "${database}" stays in use: ${error.message}.`,
      safe: "It and its filestore are as they were.",
      next: nextStep`Stop Odoo, look who is in it (${odooPg("sessions", "list", database)}), and run the same command again.`,
      cause: error,
    });
  }
}

/**
 * Copies settings (ALTER DATABASE … SET), grants and the connection limit of another database. Rights that the other
 * grants to every role are not copied: each database is its owner's.
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
  // Through the catalogue: SET would have to know which settings are lists.
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

/**
 * Completes changes of names that were interrupted between database and filestore. What another process works on is left
 * alone.
 * @param note receives what a person has to check
 */
export async function settleInterrupted(source: BackupSource, note: Progress["note"]): Promise<void> {
  await source.superuser.use(async (session) => await settleAll(source, session, note));
}

async function settleAll(source: BackupSource, session: Session, note: Progress["note"]): Promise<void> {
  const root = source.config.odoo.filestore;
  if (root === undefined) return;
  for (const name of await namesIn(root)) {
    if (!JOURNAL.test(name)) continue;
    const file = path.join(root, name);
    if (!(await isBelievable(file))) {
      // The owner of the filestores could have written it.
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
    await settleLeft(source, session, journal.value, file, note);
  }
}

/**
 * Clears away what killed restores and copies left behind: half-finished databases, their roles and folders, and a
 * change of names that was interrupted between database and filestore. What another process works on is left alone.
 * @param note receives what a person has to check
 */
export async function tidyUp(source: BackupSource, note: Progress["note"]): Promise<void> {
  const root = source.config.odoo.filestore;
  await source.superuser.use(async (session) => {
    await settleAll(source, session, note);
    for (const mark of await abandonedMarks(session)) {
      try {
        const name = await removeAbandoned(session, mark);
        const folder = name === undefined ? undefined : filestoreFor(source.config, name);
        if (folder !== undefined && name !== undefined && isNewName(name)) await removeIn(folder);
        await removeFile(path.join(source.secretsDir, `odoo_pg_loader_${mark}.pgpass`));
      } catch (error) {
        if (session.broken()) throw error;
        // Leftovers must not stop anything else.
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
      // An existing one belongs to somebody else by now, and so do its files.
      const there = await session.query("SELECT FROM pg_database WHERE datname = $1", [name]);
      if (!there.length) await removeIn(path.join(root, name));
    }
  });
}

/** Completes an interrupted change of names. A failure to complete it now stops no other work. */
async function settleLeft(
  source: BackupSource,
  session: Session,
  journal: Journal,
  file: string,
  note: Progress["note"],
): Promise<void> {
  const { database } = journal;
  try {
    const done = await settle(source, session, journal, file, true);
    const old = done ? await clearOld(source, session, journal) : undefined;
    if (old !== undefined)
      note(
        `"${database}" was replaced by a restore or a copy that was killed then; the old one is kept as "${old}"`,
        odooPg("db", "drop", old, "--confirm", old),
      );
    await endJournal(file);
  } catch (error) {
    if (session.broken()) throw error;
    note(
      `whether "${database}" has its own attachments is not settled: ${toOdooPgError(error).message} The next restore tries again (${file})`,
    );
  }
}

/** An unreadable record stops no restore, and nothing is moved because of it. */
async function setAside(file: string, problem: string): Promise<string> {
  await renameIn(file, `${file}.damaged`);
  return (
    `${file} is damaged (${problem}) and was put aside as ${path.basename(file)}.damaged. It was the record of a ` +
    "database that was getting its name: check that the databases have their filestores. An earlier one is kept as NAME_old_TIME."
  );
}

/** Sessions on the replicas continue in a renamed database: ends them, where the replicas answer. */
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
      // A replica that does not answer serves no clients; one that lags ends them when the old one is dropped.
    }
  }
}
