import path from "node:path";
import type { Session } from "../system/sql.ts";

/** The folder of a database's attachments; undefined where its name cannot be that of a folder. Source: Odoo `tools/config.py`, filestore(). */
export function filestoreOf(filestores: string, database: string): string | undefined {
  if (database.includes("/") || database === "." || database === "..") return undefined;
  return path.join(filestores, database);
}

/**
 * Holds off Odoo's garbage collector of attachments until the transaction ends: it takes SHARE on ir_attachment before
 * it deletes a file, and gives up after 10 s (`ir_attachment._gc_file_store`). Writers are not held off. Has to be the
 * first statement of the transaction: a snapshot that is older than the lock could name files that are gone.
 */
export async function holdOffCollector(session: Session): Promise<void> {
  await session.query("LOCK TABLE public.ir_attachment IN ROW EXCLUSIVE MODE");
}

/** How many names are fetched at once. */
const NAMES_AT_ONCE = 5000;

/** Every store_fname that the session's transaction sees, once, sorted by bytes, in batches. */
export async function* storeFnames(session: Session): AsyncGenerator<readonly string[]> {
  await session.query(
    `DECLARE odoo_pg_files NO SCROLL CURSOR FOR SELECT DISTINCT store_fname COLLATE "C" AS name
     FROM public.ir_attachment WHERE store_fname IS NOT NULL AND store_fname <> '' ORDER BY 1`,
  );
  for (;;) {
    const rows = await session.query(`FETCH ${NAMES_AT_ONCE} FROM odoo_pg_files`);
    if (!rows.length) break;
    yield rows.map((row) => String(row["name"]));
  }
  await session.query("CLOSE odoo_pg_files");
}

/** Bytes of all attachments as Odoo has noted them, for progress; 0 where it has not. */
export async function attachmentBytes(session: Session): Promise<number> {
  const [column] = await session.query(
    `SELECT FROM pg_attribute WHERE attrelid = to_regclass('public.ir_attachment') AND attname = 'file_size'
     AND NOT attisdropped AND atttypid IN ('pg_catalog.int4'::regtype, 'pg_catalog.int8'::regtype)`,
  );
  if (!column) return 0;
  const [row] = await session.query(
    "SELECT coalesce(sum(file_size), 0)::text AS bytes FROM public.ir_attachment WHERE store_fname IS NOT NULL",
  );
  return Number(row?.["bytes"]);
}
