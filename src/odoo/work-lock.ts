import { quoteSqlLiteral as literal, SqlError, type Session } from "../system/sql/sql.ts";

/** First key of the advisory locks that tell that an odoo-pg works on something. */
const LOCK_CLASS = 0x0d00;

/** The second key. */
const keyOf = (what: string): string => `pg_catalog.hashtext(${literal(what)})`;

/** Sessions that have a lock or wait for it. pg_locks shows both keys as OIDs; 2 says that there are two (lmgr.c). */
const HOLDERS = (what: string): string => `
  FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
    LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
  WHERE l.locktype = 'advisory' AND l.classid = ${LOCK_CLASS} AND l.objsubid = 2
    AND l.objid::bigint = (${keyOf(what)}::bigint & 4294967295) AND l.pid <> pg_catalog.pg_backend_pid()
    AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())`;

/** How often other sessions are ended, and how long each attempt waits for the lock. */
const TRIES = 5;
const WAIT = "1s";
/** SQLSTATE lock_not_available. */
const LOCK_NOT_AVAILABLE = "55P03";

/**
 * Takes the lock on a piece of work until the session ends. Any role that may connect to the database can take the same
 * lock by its number, and block that work: only a superuser's lock counts, and sessions of others that hold it or wait
 * for it are ended.
 * @param what such as the mark of a database in the making
 * @returns false while another odoo-pg holds it
 */
export async function lockWork(session: Session, what: string): Promise<boolean> {
  for (let tried = 0; ; tried += 1) {
    const [row] = await session.query(
      `SELECT pg_catalog.pg_try_advisory_lock(${LOCK_CLASS}, ${keyOf(what)}) AS free`,
    );
    if (row?.["free"] === true) return true;
    const ours = await session.query(`SELECT ${HOLDERS(what)} AND l.granted AND r.rolsuper LIMIT 1`);
    if (ours.length > 0 || tried === TRIES) return false;
    try {
      // In one text: a later session then queues behind us.
      await session.query(
        [
          `SET lock_timeout = '${WAIT}'`,
          `SELECT pg_catalog.pg_terminate_backend(a.pid) ${HOLDERS(what)} AND r.rolsuper IS NOT TRUE`,
          `SELECT pg_catalog.pg_advisory_lock(${LOCK_CLASS}, ${keyOf(what)})`,
          "RESET lock_timeout",
        ].join("; "),
      );
      return true;
    } catch (error) {
      if (!(error instanceof SqlError) || error.code !== LOCK_NOT_AVAILABLE) throw error;
    }
  }
}
