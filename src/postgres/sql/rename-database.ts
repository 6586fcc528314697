import { pause } from "../../system/clock.ts";
import { quoteSqlIdentifier as id, SqlError, type Session } from "../../system/sql/sql.ts";
import type { Superuser } from "./access/superuser.ts";

/** Milliseconds for which sessions are ended until the database is free. */
const ENDING_TIMEOUT = 60_000;

/** Attempts to rename, while new sessions come in faster than they are ended. */
const ATTEMPTS = 6;

/** SQLSTATE object_in_use: the database has sessions, or prepared transactions. */
const OBJECT_IN_USE = "55006";

/**
 * Renames a database that is in use, inside the session's open transaction: others see the new name only after its commit,
 * and a kill before that leaves the old one. ALTER DATABASE locks the database against new sessions and waits 5 s for those
 * in it (dbcommands.c, CountOtherDBBackends); meanwhile another session ends these.
 * @throws SqlError 55006 when it stays in use
 */
export async function renameInUse(
  superuser: Superuser,
  session: Session,
  database: string,
  to: string,
): Promise<void> {
  const done = { renamed: false };
  const ending = superuser
    .use(async (other) => {
      for (let waited = 0; !done.renamed && waited < ENDING_TIMEOUT; waited += 50) {
        await other.query(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND backend_type <> 'walsender'",
          [database],
        );
        await pause(50);
      }
    })
    // Without a second session nobody is ended: then the rename fails, and reports that the database is in use.
    .catch(() => {});
  try {
    for (let attempt = 1; ; attempt++) {
      await session.query("SAVEPOINT renaming");
      try {
        await session.query(`ALTER DATABASE ${id(database)} RENAME TO ${id(to)}`);
        return;
      } catch (error) {
        if (!(error instanceof SqlError) || session.broken()) throw error;
        await session.query("ROLLBACK TO SAVEPOINT renaming");
        // New sessions were faster. A prepared transaction stays until its owner ends it.
        const mayGo = error.code === OBJECT_IN_USE && !/prepared transaction/.test(error.message);
        if (!mayGo || attempt >= ATTEMPTS) throw error;
      }
    }
  } finally {
    done.renamed = true;
    await ending;
  }
}

/** Whether an error says that a database has sessions. */
export function isInUse(error: unknown): error is SqlError {
  return error instanceof SqlError && error.code === OBJECT_IN_USE;
}
