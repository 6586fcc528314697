import path from "node:path";
import { OdooPgError } from "../errors.ts";
import { copyOut } from "../postgres/sql/copy-out.ts";
import { kindOf } from "../system/files/files.ts";
import type { Session } from "../system/sql/sql.ts";

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
    // Only a user who may enter the folder finds the dot.
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

/** Reads the filestores. @throws OdooPgError filestore_unusable where this user may not. */
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
 * Blocks Odoo's garbage collector of attachments until the transaction ends: the collector takes SHARE on ir_attachment
 * before it deletes a file, and gives up after 10 s (`ir_attachment._gc_file_store`). Writers are not blocked. Must be
 * the first statement of the transaction: a snapshot older than the lock could name files that are gone.
 */
export async function holdOffCollector(session: Session): Promise<void> {
  await session.query("LOCK TABLE public.ir_attachment IN ROW EXCLUSIVE MODE");
}

/** Names in which each character is one byte: all names that Odoo itself gives. */
const PLAIN = /^[ -~]*$/;

/**
 * Every store_fname that the session's transaction sees, once, sorted by bytes, in batches: those of one folder of the
 * filestore each.
 */
export async function* storeFnames(session: Session): AsyncGenerator<readonly string[]> {
  // With one byte per character, strings sort by bytes.
  const folders = new Map<string, string[]>();
  await copyOut(session, "ir_attachment", ["store_fname"], ([name]) => {
    if (!name) return;
    const bytes = PLAIN.test(name) ? name : Buffer.from(name, "utf8").toString("latin1");
    const start = bytes.slice(0, 2);
    const folder = folders.get(start);
    if (folder) folder.push(bytes);
    else folders.set(start, [bytes]);
  });
  for (const start of [...folders.keys()].sort()) {
    const names = new Set((folders.get(start) ?? []).sort());
    folders.delete(start);
    yield [...names].map((bytes) =>
      PLAIN.test(bytes) ? bytes : Buffer.from(bytes, "latin1").toString("utf8"),
    );
  }
}

/** Bytes of all attachments as Odoo recorded them, for progress; 0 where it did not. */
export async function attachmentBytes(session: Session): Promise<number> {
  const [column] = await session.query(
    `SELECT FROM pg_attribute WHERE attrelid = to_regclass('public.ir_attachment') AND attname = 'file_size'
     AND NOT attisdropped AND atttypid IN ('pg_catalog.int4'::regtype, 'pg_catalog.int8'::regtype)`,
  );
  if (!column) return 0;
  let bytes = 0;
  await copyOut(session, "ir_attachment", ["store_fname", "file_size"], ([name, size]) => {
    if (name !== null) bytes += Number(size);
  });
  return bytes;
}
