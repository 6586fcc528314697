import type { Session } from "../../system/sql/sql.ts";

/**
 * Lets a superuser's session compress the pages that it writes to the WAL with lz4, where the server has that (from
 * PostgreSQL 15 on, where it was built with it): to create a database is to write all of its pages, and the older pglz
 * takes several times as long for them.
 */
export async function compressWithLz4(session: Session): Promise<void> {
  await session.query(
    `SELECT pg_catalog.set_config('wal_compression', 'lz4', false) FROM pg_catalog.pg_settings
     WHERE name = 'wal_compression' AND 'lz4' = ANY (enumvals)`,
  );
}
