import path from "node:path";
import * as z from "zod";
import { OdooPgError } from "../../errors.ts";
import { diskSpace, writeStream } from "../../system/files/files.ts";
import { parseJson } from "../../system/files/json-file.ts";
import { outputOf } from "../../system/process/pipeline.ts";
import { filesOfOthers } from "../../system/files/others-files.ts";
import { tarFiles, type ArchivedFile } from "../../system/files/tar.ts";
import { zipEntries } from "../../system/files/zip.ts";
import { neededFilestore, NewFilestore } from "../target/attachments.ts";
import { attachmentIn, isJunk, LayoutReader, type BundleLayout } from "../reading/bundle-layout.ts";
import { HEAD, kindOfFile } from "../reading/file-kind.ts";
import { assertRoom, type Filling, type Loaded } from "./filling.ts";
import { loadForeignSql } from "./from-dump.ts";
import { fileInput, piecesOf, type BundleInput, type PackedInput, type FileInput } from "../reading/input.ts";
import { sqlText } from "../reading/text.ts";
import { unpacked } from "./unpacked.ts";

/** Loads what is in a file of its own. */
export type LoadInput = (filling: Filling, input: FileInput, part: string | undefined) => Promise<Loaded>;

/** Bytes of a manifest.json. */
const MANIFEST = 4 * 1024 * 1024;

/** Bytes after which free space is checked, and that stay free: a small archive may hold a very large file. */
const LOOK_AFTER = 16 * 1024 * 1024;
const STAYS_FREE = 256 * 1024 * 1024;

async function* whileThereIsRoom(folder: string, pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let since = LOOK_AFTER;
  for await (const piece of pieces) {
    since += piece.length;
    if (since >= LOOK_AFTER) {
      since = 0;
      const { freeBytes } = await diskSpace(folder);
      if (freeBytes < STAYS_FREE) {
        throw new OdooPgError("disk_full", {
          message: `What is restored has to be unpacked first, and there is no room for that in ${path.dirname(folder)}.`,
          safe: "Nothing that existed was changed.",
          next: "Make room, or unpack it elsewhere and restore what is inside.",
        });
      }
    }
    yield piece;
  }
}

/** Loads compressed data that must be a file of its own to be read. */
export async function loadPacked(
  filling: Filling,
  input: PackedInput,
  part: string | undefined,
  load: LoadInput,
): Promise<Loaded> {
  const { source, database, progress } = filling;
  progress.step(database, "unpack");
  return await unpacked(filling, async (folder) => {
    const file = path.join(folder, "unpacked");
    await writeStream(file, whileThereIsRoom(folder, piecesOf(input, undefined, source.signal)));
    return await load(filling, await fileInput(file), part);
  });
}

/** The files in an archive, one after the other; can be read more than once. */
function filesIn(filling: Filling, input: BundleInput): AsyncGenerator<ArchivedFile> {
  const { file, at, form } = input;
  const { signal } = filling.source;
  if (form === "zip") return zipEntries(file, at);
  if (form === "tar") return tarFiles(file, piecesOf(input, undefined, signal));
  if (form === "folder") return filesOfOthers(at);
  // bsdtar reads formats that have no other reader here, and writes a tar.
  const args = ["--create", "--format=pax", "--file=-", `@${at}`];
  return tarFiles(file, outputOf({ program: "bsdtar", args, signal }));
}

/**
 * Loads a zip of Odoo's database manager, or another archive of files in the forms that people make, with its
 * attachments.
 */
export async function loadBundle(
  filling: Filling,
  input: BundleInput,
  part: string | undefined,
  load: LoadInput,
): Promise<Loaded> {
  const { source } = filling;
  const layout = await layoutOf(filling, input);
  await assertRoom(source, layout.dumpBytes, layout.filestoreBytes);
  const loaded = layout.dump.endsWith("/")
    ? await loadFolder(filling, input, layout.dump, part, load)
    : await loadFile(filling, input, layout, part, load);
  if (layout.filestore !== undefined)
    await takeAttachments(filling, input, layout.filestore, layout.filestoreBytes);
  return { ...loaded, notes: [...layout.notes, ...loaded.notes] };
}

async function layoutOf(filling: Filling, input: BundleInput): Promise<BundleLayout> {
  const reader = new LayoutReader();
  for await (const entry of filesIn(filling, input)) {
    filling.source.signal?.throwIfAborted();
    if (/^(?:[^/]*\/)?manifest\.json$/.test(entry.name) && entry.bytes < MANIFEST)
      reader.database = databaseIn(await textOf(entry.content()));
    reader.add(entry);
  }
  const layout = reader.layout();
  if (typeof layout !== "string") return layout;
  throw new OdooPgError("dump_unusable", {
    message: `It is not clear what to restore from ${input.file}: ${layout}.`,
    safe: "Nothing was changed.",
    next: "Unpack it, and restore the file that is meant.",
  });
}

async function textOf(content: AsyncIterable<Buffer>): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of content) pieces.push(piece);
  return Buffer.concat(pieces).toString("utf8");
}

/** The database that Odoo's manifest.json names. */
function databaseIn(manifest: string): string | undefined {
  const parsed = parseJson(manifest, z.object({ db_name: z.string() }));
  return "value" in parsed ? parsed.value.db_name : undefined;
}

/** A file of an archive: SQL is read as it comes, all else is unpacked first. */
async function loadFile(
  filling: Filling,
  input: BundleInput,
  { dump, dumpBytes }: BundleLayout,
  part: string | undefined,
  load: LoadInput,
): Promise<Loaded> {
  const { source, database, progress } = filling;
  let done = 0;
  async function* open(): AsyncGenerator<Buffer> {
    done = 0;
    for await (const entry of filesIn(filling, input)) {
      if (entry.name !== dump) continue;
      for await (const piece of entry.content()) {
        done += piece.length;
        progress.bytes(database, done, dumpBytes);
        yield piece;
      }
      return;
    }
  }
  const head = await headOf(open());
  const kind = kindOfFile(head);
  if (kind.is === "sql")
    return await loadForeignSql(filling, sqlText(`${dump} in ${input.file}`, open), part);
  progress.step(database, "unpack");
  return await unpacked(filling, async (folder) => {
    source.signal?.throwIfAborted();
    const file = path.join(folder, "unpacked");
    await writeStream(file, whileThereIsRoom(folder, open()));
    return await load(filling, await fileInput(file), part);
  });
}

async function headOf(pieces: AsyncIterable<Buffer>): Promise<Buffer> {
  let head = Buffer.alloc(0);
  for await (const piece of pieces) {
    head = Buffer.concat([head, piece.subarray(0, HEAD)]);
    if (head.length >= HEAD) break;
  }
  return head;
}

/** A folder that pg_dump wrote (--format=directory): its files have names without slashes. */
async function loadFolder(
  filling: Filling,
  input: BundleInput,
  prefix: string,
  part: string | undefined,
  load: LoadInput,
): Promise<Loaded> {
  const { database, progress } = filling;
  const root = prefix === "./" ? "" : prefix;
  progress.step(database, "unpack");
  return await unpacked(filling, async (folder) => {
    for await (const entry of filesIn(filling, input)) {
      const name = entry.name.slice(root.length);
      const ours =
        entry.name.startsWith(root) &&
        /^(?:toc\.dat|blobs(?:_\d+)?\.toc|(?:blob_)?\d+\.dat(?:\.\w+)?)$/.test(name);
      if (ours) await writeStream(path.join(folder, name), whileThereIsRoom(folder, entry.content()));
    }
    return await load(filling, { kind: "archive", file: folder, at: folder, format: "directory" }, part);
  });
}

async function takeAttachments(
  filling: Filling,
  input: BundleInput,
  root: string,
  total: number,
): Promise<void> {
  const { source, database, progress, target } = filling;
  progress.step(database, "restore the attachments");
  const files = new NewFilestore(path.join(await neededFilestore(source.config), target.name));
  filling.files = files;
  for await (const entry of filesIn(filling, input)) {
    source.signal?.throwIfAborted();
    if (!entry.name.startsWith(root) || isJunk(entry.name)) continue;
    const attachment = attachmentIn(entry.name);
    if (attachment && attachment.root !== root) continue;
    // An archive's own folder has more than attachments.
    if (!attachment && !/(?:^|\/)filestore\//.test(root)) continue;
    await files.addFromZip(attachment?.storeFname ?? entry.name.slice(root.length), entry.content());
    progress.bytes(database, files.bytes, total);
  }
  await files.finish();
}
