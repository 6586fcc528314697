import { createHash, hash as hashOf } from "node:crypto";
import { createReadStream, readFileSync, statSync } from "node:fs";
import * as fs from "node:fs/promises";
import readline from "node:readline";

/** Bytes that are read or written at once. */
const CHUNK = 256 * 1024;

/** Files up to this size are read at once: a stream for each of many small files would take longer. */
const SMALL = 1024 * 1024;

/** The lines of a file, one after the other; the file is never held as a whole. */
export async function* linesOf(file: string): AsyncGenerator<string> {
  const handle = await fs.open(file, "r");
  const input = handle.createReadStream({ encoding: "utf8", highWaterMark: CHUNK });
  const lines = readline.createInterface({ input, crlfDelay: Infinity });
  try {
    yield* lines;
  } finally {
    lines.close();
    input.destroy();
    await handle.close().catch(() => {});
  }
}

/** Writes lines to a new file of mode 0600, in large pieces; `end` makes them durable. */
export interface LineWriter {
  readonly write: (line: string) => Promise<void>;
  readonly end: () => Promise<void>;
  /** Closes without a promise about what was written. Does nothing after `end`. */
  readonly abandon: () => Promise<void>;
}

export async function openLineWriter(file: string): Promise<LineWriter> {
  const handle = await fs.open(file, "wx", 0o600);
  let open = true;
  let waiting = "";
  const flush = async (): Promise<void> => {
    if (waiting) await handle.appendFile(waiting);
    waiting = "";
  };
  return {
    async write(line) {
      waiting += `${line}\n`;
      if (waiting.length > CHUNK) await flush();
    },
    async end() {
      await flush();
      await handle.sync();
      open = false;
      await handle.close();
    },
    async abandon() {
      if (open) await handle.close();
      open = false;
    },
  };
}

/** The checksum of a file's content in hex, and how many bytes it has. */
export async function hashFile(
  file: string,
  algorithm: "sha1" | "sha256",
  signal?: AbortSignal,
): Promise<{ digest: string; bytes: number }> {
  if (statSync(file).size <= SMALL) {
    const content = readFileSync(file);
    return { digest: hashOf(algorithm, content, "hex"), bytes: content.length };
  }
  const hash = createHash(algorithm);
  let bytes = 0;
  const stream = createReadStream(file, { highWaterMark: CHUNK, ...(signal ? { signal } : {}) });
  for await (const chunk of stream) {
    if (!Buffer.isBuffer(chunk)) continue;
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { digest: hash.digest("hex"), bytes };
}

/** Calls `act` with the first `length` bytes of every line of a file, as ASCII: much faster than whole lines. */
export async function eachLineStart(
  file: string,
  length: number,
  act: (start: string) => void,
): Promise<void> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of createReadStream(file, { highWaterMark: CHUNK })) {
    if (!Buffer.isBuffer(chunk)) continue;
    const text = rest.length ? Buffer.concat([rest, chunk]) : chunk;
    let at = 0;
    for (let end = text.indexOf(10, at); end !== -1; end = text.indexOf(10, at)) {
      act(text.toString("latin1", at, Math.min(end, at + length)));
      at = end + 1;
    }
    rest = text.subarray(at);
  }
  if (rest.length) act(rest.toString("latin1", 0, length));
}
