import { pause } from "../../system/clock.ts";
import { quoteSqlIdentifier as id, SqlError, type Session } from "../../system/sql/sql.ts";
import type { Superuser } from "./superuser.ts";

/** Milliseconds for which sessions are ended until the database is free. */
const ENDING_TIMEOUT = 60_000;

/** Attempts while other sessions are quicker. */
const ATTEMPTS = 6;

/** What PostgreSQL says of a database that has sessions. */
const OBJECT_IN_USE = "55006";

/**
 * Renames a database that sessions are in, inside the session's transaction: until its commit nobody else sees any of it,
 * and what is killed meanwhile leaves nothing. The rename locks the database, so that nobody comes in any more, and waits
 * 5 s for those who are in (dbcommands.c, CountOtherDBBackends): they are ended.
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
    // Where no second session can be opened, the sessions in it keep it in use, and that is reported.
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
        // Somebody was quicker. A prepared transaction goes only when its owner ends it.
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
