import path from "node:path";
import { OdooPgError } from "../errors.ts";
import { kindOf } from "../system/files.ts";
import type { Session } from "../system/sql.ts";

/** The folder of a database's attachments; undefined where its name cannot be that of a folder. Source: Odoo `tools/config.py`, filestore(). */
export function filestoreOf(filestores: string, database: string): string | undefined {
  if (database.includes("/") || database === "." || database === "..") return undefined;
  return path.join(filestores, database);
}

/**
 * Whether a database has a folder of attachments.
 * @param filestores directory of all filestores; @param folder that of the database
 * @throws OdooPgError filestore_unusable when the directory of all filestores is not there, as when its disk is not
 * mounted, or when this user may not enter the folder.
 */
export async function hasFilestore(filestores: string, folder: string): Promise<boolean> {
  return await readingFilestore(filestores, async () => {
    await assertFilestores(filestores);
    // The dot is only found by who may enter the folder.
    return (await kindOf(`${folder}/.`)) === "directory";
  });
}

/** @throws OdooPgError filestore_unusable when the directory of all filestores is not there. */
export async function assertFilestores(filestores: string): Promise<void> {
  if ((await kindOf(filestores)) === "directory") return;
  throw new OdooPgError("filestore_unusable", {
    message: `The directory of Odoo's filestores, ${filestores}, is not there.`,
    safe: "Nothing was changed; earlier backups are untouched.",
    next: `Mount its disk, or correct "odoo.filestore" in the configuration. Then look: ls ${filestores}`,
  });
}

/** Reads in the filestores. @throws OdooPgError filestore_unusable where this user may not. */
export async function readingFilestore<T>(filestores: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof OdooPgError) || error.code !== "state_dir_unusable") throw error;
    const at = pathOf(error.cause);
    if (at === undefined || !`${at}/`.startsWith(`${path.resolve(filestores)}/`)) throw error;
    throw new OdooPgError("filestore_unusable", {
      message: `The filestore may not be read by this user: ${at}.`,
      safe: "Nothing was changed; earlier backups are untouched.",
      next: "Run odoo-pg as root (sudo), or as a user who may read Odoo's files.",
      cause: error,
    });
  }
}

function pathOf(cause: unknown): string | undefined {
  return cause instanceof Error && "path" in cause ? String(cause.path) : undefined;
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
