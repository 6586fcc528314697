import { createReadStream, createWriteStream } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { crc32 } from "node:zlib";
import * as yauzl from "yauzl";
import { ZipFile } from "yazl";
import { messageOf, OdooPgError } from "../../errors.ts";
import { explain } from "./files.ts";
import { nameProblem, type ArchivedFile } from "./tar.ts";

/**
 * The files in a zip archive, one after the other; the archive is never held as a whole. Directories are left out.
 * @param file its name, for messages
 * @param at where it is read
 * @throws OdooPgError dump_unusable for a name that leads elsewhere, encryption, damage.
 */
export async function* zipEntries(file: string, at: string): AsyncGenerator<ArchivedFile> {
  let zip: yauzl.ZipFile;
  try {
    zip = await yauzl.openPromise(at, { lazyEntries: true, autoClose: false });
  } catch (error) {
    throw unusable(file, error);
  }
  try {
    const entries = zip.eachEntry();
    for (;;) {
      let next: IteratorResult<yauzl.Entry>;
      try {
        next = await entries.next();
      } catch (error) {
        throw unusable(file, error);
      }
      if (next.done === true) return;
      const entry = next.value;
      const problem = nameProblem(entry.fileName);
      if (problem !== undefined) throw unusable(file, new Error(problem));
      if (entry.fileName.endsWith("/")) continue;
      if (entry.isEncrypted()) throw unusable(file, new Error(`${entry.fileName} is encrypted`));
      yield {
        name: entry.fileName.replace(/^(?:\.\/)+/, ""),
        bytes: entry.uncompressedSize,
        mark: entry.crc32,
        content: () => contentOf(file, zip, entry),
      };
    }
  } finally {
    zip.close();
  }
}

async function* contentOf(file: string, zip: yauzl.ZipFile, entry: yauzl.Entry): AsyncGenerator<Buffer> {
  let checksum = 0;
  let stream: Readable | undefined;
  try {
    stream = await zip.openReadStreamPromise(entry);
    for await (const chunk of stream) {
      if (!Buffer.isBuffer(chunk)) continue;
      checksum = crc32(chunk, checksum);
      yield chunk;
    }
  } catch (error) {
    throw unusable(file, error, entry.fileName);
  } finally {
    stream?.destroy();
  }
  if (checksum !== entry.crc32) throw unusable(file, new Error("its checksum is wrong"), entry.fileName);
}

function unusable(file: string, error: unknown, entry?: string): OdooPgError {
  if (error instanceof OdooPgError) return error;
  const words = messageOf(error).replace(/\.$/, "");
  return new OdooPgError("dump_unusable", {
    message: `The zip ${file} cannot be used: ${entry === undefined ? "" : `${entry}: `}${words}.`,
    safe: "Nothing that existed was changed.",
    next: "Copy the file again, or create it again.",
    cause: error,
  });
}

/** A part of a zip that is written: its name in the archive, and where its bytes come from. */
export type ZipPart =
  | { readonly name: string; readonly file: string }
  | { readonly name: string; readonly text: string }
  /** `large`: it may become larger than 4 GB. */
  | { readonly name: string; readonly content: AsyncIterable<Buffer>; readonly large: boolean };

/**
 * Writes a zip archive of mode 0600, part after part; parts are asked for when there is room for them.
 * @param file undefined: to standard output
 * @throws what the parts throw; then the file is to be removed by the caller.
 */
export async function writeZip(file: string | undefined, parts: AsyncIterable<ZipPart>): Promise<void> {
  const zip = new ZipFile();
  const written =
    file === undefined
      ? pipeline(zip.outputStream, process.stdout, { end: false })
      : pipeline(zip.outputStream, createWriteStream(file, { flags: "wx", mode: 0o600, flush: true }));
  let failed: unknown;
  written.catch((error: unknown) => {
    failed = error;
  });
  const failing = new Promise<never>((_resolve, reject) => {
    zip.once("error", reject);
    written.catch(reject);
  });
  failing.catch(() => {});
  try {
    for await (const part of parts) {
      if (failed !== undefined) break;
      await Promise.race([add(zip, part), failing]);
    }
    zip.end();
    await Promise.race([written, failing]);
  } catch (error) {
    const stream = zip.outputStream;
    if (stream instanceof Readable) stream.destroy();
    await written.catch(() => {});
    throw explain(error, file ?? "standard output");
  }
}

async function add(zip: ZipFile, part: ZipPart): Promise<void> {
  if ("text" in part) return zip.addBuffer(Buffer.from(part.text), part.name);
  if ("file" in part) {
    const stream = createReadStream(part.file);
    zip.addReadStream(stream, part.name);
    return await ended(stream);
  }
  const stream = Readable.from(part.content, { objectMode: false });
  zip.addReadStream(stream, part.name, { forceZip64Format: part.large });
  return await ended(stream);
}

/** Resolves when a part is read to its end: the next is then asked for, so that few are open. */
async function ended(stream: Readable): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    stream.once("end", resolve);
    stream.once("error", reject);
  });
}
