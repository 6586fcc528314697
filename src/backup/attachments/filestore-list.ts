import { nextStep, odooPg } from "../../next-step.ts";
import path from "node:path";
import { OdooPgError } from "../../errors.ts";
import { linesOf } from "../../system/process/streams.ts";
import { FILESTORE_LIST_FILE } from "../manifest.ts";

/** One attachment of a backup. */
export interface ListedFile {
  /** Of its content: the name in the pool. */
  readonly sha1: string;
  readonly bytes: number;
  /** The path below the database's filestore, as ir_attachment.store_fname has it. */
  readonly storeFname: string;
}

/** A line of filestore.tsv. */
export function formatListedFile({ sha1, bytes, storeFname }: ListedFile): string {
  return `${sha1}\t${bytes}\t${storeFname}`;
}

function parseListedFile(line: string): ListedFile | undefined {
  const match = /^([0-9a-f]{40})\t(\d{1,15})\t(.+)$/.exec(line);
  const [, sha1, bytes, storeFname] = match ?? [];
  if (sha1 === undefined || bytes === undefined || storeFname === undefined) return undefined;
  return isSafeStoreFname(storeFname) ? { sha1, bytes: Number(bytes), storeFname } : undefined;
}

/** Whether a store_fname stays below the filestore's folder: a database may contain any value. */
export function isSafeStoreFname(storeFname: string): boolean {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(storeFname) || storeFname.length > 1000) return false;
  return storeFname.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

/**
 * The attachments of a backup, one at a time, ordered by store_fname.
 * @param folder the folder of the backup
 * @throws OdooPgError backup_damaged for a line that cannot be read.
 */
export async function* readFilestoreList(folder: string): AsyncGenerator<ListedFile> {
  const file = path.join(folder, FILESTORE_LIST_FILE);
  for await (const line of linesOf(file)) {
    const listed = parseListedFile(line);
    if (!listed) {
      throw new OdooPgError("backup_damaged", {
        message: `${file} holds a line that cannot be read: ${JSON.stringify(line.slice(0, 80))}.`,
        safe: "Nothing was changed.",
        next: nextStep`Choose another backup: ${odooPg("backup", "list")}`,
      });
    }
    yield listed;
  }
}
