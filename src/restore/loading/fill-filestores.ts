import path from "node:path";
import { databasesToBackUp } from "../../backup/databases.ts";
import { isSafeStoreFname } from "../../backup/attachments/filestore-list.ts";
import type { BackupPlace } from "../../backup/place.ts";
import { filesOfPrefix } from "../../backup/attachments/pool.ts";
import { isOdooDatabase } from "../../backup/contents/read-contents.ts";
import type { Config } from "../../config/schema.ts";
import { toOdooPgError } from "../../errors.ts";
import { assertFilestores, filestoreOf, storeFnames } from "../../odoo/filestore.ts";
import type { Superuser } from "../../postgres/sql/access/superuser.ts";
import type { Progress } from "../../progress.ts";
import { oneLine } from "../../printable.ts";
import { kindOf } from "../../system/files/files.ts";
import { FilestoreReader } from "../../system/files/filestore-reader.ts";
import { removeIn, renameIn } from "../../system/files/held/by-path.ts";
import { NewFilestore } from "../target/attachments.ts";

/** What was put into a database's filestore. */
export interface FilledFilestore {
  readonly database: string;
  /** Files that it names, and those that exist nowhere: how many, and the first names. */
  readonly files: number;
  readonly missing: { readonly count: number; readonly first: readonly string[] };
}

/** How many names of missing files are reported. */
const TOLD = 20;

/** Name of a filestore until it is whole: one with its final name is not filled again. There is one at a time. */
const IN_THE_MAKING = ".odoo-pg-filling";

/**
 * Fills the filestore of each database of a recovered cluster, from the pool of the backups. An existing filestore is
 * left as it is, and checked.
 */
export async function fillFilestores(
  config: Config,
  place: BackupPlace,
  superuser: Superuser,
  progress: Progress,
): Promise<FilledFilestore[]> {
  const { filestore } = config.odoo;
  if (filestore === undefined) return [];
  await assertFilestores(filestore);
  const making = path.join(filestore, IN_THE_MAKING);
  const filled: FilledFilestore[] = [];
  for (const { name } of await databasesToBackUp(superuser, undefined)) {
    const folder = filestoreOf(filestore, name);
    if (folder === undefined) continue;
    progress.step(name, "attachments");
    try {
      const found = await fillOne(place, superuser.in(name), folder, making);
      if (found) filled.push({ database: name, ...found });
    } catch (error) {
      // The files of one database must not stop the others, or the cluster, from coming back.
      const why = oneLine(toOdooPgError(error).message);
      progress.note(`${name}: its attachments could not be brought back: ${why}`);
      filled.push({ database: name, files: 0, missing: { count: 1, first: [why] } });
    }
  }
  return filled;
}

async function fillOne(
  place: BackupPlace,
  database: Superuser,
  folder: string,
  making: string,
): Promise<Omit<FilledFilestore, "database"> | undefined> {
  return await database.use(async (session) => {
    if (!(await isOdooDatabase(session))) return undefined;
    const isThere = (await kindOf(folder)) !== undefined;
    const present = isThere ? new FilestoreReader(folder) : undefined;
    // Left by a killed process.
    if (!isThere) await removeIn(making);
    const made = isThere ? undefined : new NewFilestore(making);
    const missing: string[] = [];
    let [files, count] = [0, 0];
    const pooled = poolBytes(place);
    try {
      for await (const names of storeFnames(session)) {
        for (const storeFname of names) {
          files += 1;
          const sha1 = path.posix.basename(storeFname);
          const isSafe = isSafeStoreFname(storeFname);
          const bytes = isSafe ? pooled(sha1) : undefined;
          if (isSafe && present?.bytes(storeFname) !== undefined) continue;
          if (made && bytes !== undefined) await made.addFromPool(place, { sha1, bytes, storeFname });
          else {
            count += 1;
            if (missing.length < TOLD) missing.push(storeFname);
          }
        }
      }
      await made?.finish();
      if (made) await renameIn(making, folder);
      made?.close();
    } catch (error) {
      await made?.discard();
      throw error;
    } finally {
      present?.close();
    }
    return { files, missing: { count, first: missing } };
  });
}

/** Looks up the bytes of files of the pool: cheap while they come in the order of their names. */
function poolBytes(place: BackupPlace): (sha1: string) => number | undefined {
  let of = "";
  let files: ReadonlyMap<string, number> = new Map();
  return (sha1) => {
    const prefix = sha1.slice(0, 2);
    if (prefix !== of) files = /^[0-9a-f]{2}$/.test(prefix) ? filesOfPrefix(place, prefix) : new Map();
    of = prefix;
    return files.get(sha1);
  };
}
