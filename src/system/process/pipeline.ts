import { spawn, type ChildProcess } from "node:child_process";
import { createReadStream } from "node:fs";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { OdooPgError } from "../../errors.ts";
import { isErrno } from "../files/files.ts";

/** A program of a pipe. Nothing of our environment but PATH reaches it. */
export interface PipedProgram {
  readonly program: string;
  readonly args: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  /** Called with what it writes to its standard error. */
  readonly onStderr?: (text: string) => void;
}

/** Characters of a program's last words that are kept. */
const LAST_WORDS = 8000;

/** Bytes of a pipe or file that are read at once. */
const CHUNK = 256 * 1024;

interface Running {
  readonly child: ChildProcess;
  /** Rejects with an OdooPgError that holds the program's last words. */
  readonly ended: Promise<void>;
  readonly kill: () => void;
}

function start(piece: PipedProgram, stdin: "pipe" | "ignore", stdout: "pipe" | "ignore"): Running {
  const child = spawn(piece.program, [...piece.args], {
    stdio: [stdin, stdout, "pipe"],
    cwd: "/",
    env: { PATH: process.env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin", LC_ALL: "C", ...piece.environment },
  });
  let words = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    words = (words + text).slice(-LAST_WORDS);
    piece.onStderr?.(text);
  });
  const kill = (): void => void child.kill("SIGKILL");
  piece.signal?.addEventListener("abort", kill, { once: true });
  const ended = new Promise<void>((resolve, reject) => {
    child.once("error", (error) => reject(notStarted(piece.program, error)));
    child.once("close", (code, signal) => {
      piece.signal?.removeEventListener("abort", kill);
      if (code === 0) resolve();
      else if (piece.signal?.aborted === true)
        reject(new OdooPgError("interrupted", { message: `${piece.program} was interrupted.` }));
      else reject(programFailure(piece.program, signal ?? `exit status ${code}`, words));
    });
  });
  // Whoever waits gets the error; nobody has to.
  ended.catch(() => {});
  if (piece.signal?.aborted === true) kill();
  return { child, ended, kill };
}

function notStarted(program: string, error: Error): OdooPgError {
  return new OdooPgError("program_missing", {
    message: isErrno(error, "ENOENT")
      ? `The program ${program} is not installed.`
      : `${program} cannot be started: ${error.message}`,
    safe: "Nothing was changed.",
    next: `apt-get install -y ${program.split("/").at(-1) ?? program}`,
    cause: error,
  });
}

/** What a failed program said last, as an error; a full disk is told apart. */
function programFailure(program: string, how: string, words: string): OdooPgError {
  const lines = words.trim().split("\n");
  const telling = lines.filter((line) => /error|fatal|detail|hint|invalid|cannot|could not/i.test(line));
  const text = (telling.length ? telling : lines).slice(-6).join("\n  ");
  if (/No space left on device|Disk quota exceeded/.test(words)) {
    return new OdooPgError("disk_full", {
      message: `${program} found no room left on the disk:\n  ${text}`,
      safe: "What existed before is unchanged.",
      next: "Make room, then run the same command again.",
    });
  }
  return new OdooPgError("command_failed", { message: `${program} failed (${how}):\n  ${text}` });
}

/**
 * Runs a program on what `input` gives, and holds no more of it than one piece.
 * @throws OdooPgError command_failed with its last words, disk_full, interrupted; an error of `input` goes first, and
 * then the program is killed.
 */
export async function feed(piece: PipedProgram, input: AsyncIterable<Buffer | string>): Promise<void> {
  const { child, ended, kill } = start(piece, "pipe", "ignore");
  const { stdin } = child;
  let gone = false;
  const left = ended.then(
    () => {
      gone = true;
    },
    () => {
      gone = true;
    },
  );
  // A program that ends early closes its input: its exit status tells more than EPIPE.
  stdin?.on("error", () => {});
  try {
    for await (const chunk of input) {
      if (gone || !stdin || stdin.destroyed) break;
      if (!stdin.write(chunk)) {
        let drained = (): void => {};
        const drain = new Promise<void>((resolve) => {
          drained = resolve;
          stdin.once("drain", resolve);
          stdin.once("close", resolve);
        });
        await Promise.race([drain, left]);
        stdin.off("drain", drained);
        stdin.off("close", drained);
      }
    }
  } catch (error) {
    kill();
    await left;
    throw error;
  }
  stdin?.end();
  await ended;
}

/** Starts a program whose output is read. The reader then awaits `ended`: a half output is none. */
export function produce(piece: PipedProgram): {
  readonly output: AsyncIterable<Buffer>;
  readonly ended: Promise<void>;
  readonly kill: () => void;
} {
  const { child, ended, kill } = start(piece, "ignore", "pipe");
  const { stdout } = child;
  if (!stdout) throw new Error("a program without an output");
  return { output: stdout, ended, kill };
}

/** The output of a program, whose failure becomes an error at the end of the output. */
export async function* outputOf(piece: PipedProgram): AsyncGenerator<Buffer> {
  const { output, ended, kill } = produce(piece);
  try {
    yield* output;
    await ended;
  } finally {
    kill();
  }
}

/** A file in pieces, of which `onBytes` is told. */
export async function* bytesOf(file: string, onBytes?: (bytes: number) => void): AsyncGenerator<Buffer> {
  const stream = createReadStream(file, { highWaterMark: CHUNK });
  let done = 0;
  for await (const chunk of stream) {
    if (!Buffer.isBuffer(chunk)) continue;
    done += chunk.length;
    onBytes?.(done);
    yield chunk;
  }
}

/** What a gzip file holds. @throws OdooPgError dump_unusable when it is cut or damaged. */
export async function* gunzipped(file: string, onBytes?: (bytes: number) => void): AsyncGenerator<Buffer> {
  const source = createReadStream(file, { highWaterMark: CHUNK });
  let done = 0;
  source.on("data", (chunk) => {
    done += chunk.length;
    onBytes?.(done);
  });
  const gunzip: Readable = source.pipe(createGunzip({ chunkSize: CHUNK }));
  source.on("error", (error) => gunzip.destroy(error));
  try {
    for await (const chunk of gunzip) if (Buffer.isBuffer(chunk)) yield chunk;
  } catch (error) {
    if (!isErrno(error, "Z_BUF_ERROR", "Z_DATA_ERROR")) throw error;
    throw new OdooPgError("dump_unusable", {
      message: `${file} is cut off or damaged: ${error instanceof Error ? error.message : String(error)}.`,
      safe: "Nothing that existed was changed.",
      next: "Take another copy of the file.",
      cause: error,
    });
  } finally {
    source.destroy();
  }
}

/** The first bytes of a file. */
export async function firstBytes(file: string, length: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const chunk of createReadStream(file, { start: 0, end: length - 1 }))
    if (Buffer.isBuffer(chunk)) pieces.push(chunk);
  return Buffer.concat(pieces);
}
