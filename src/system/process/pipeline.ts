import { createReadStream } from "node:fs";
import type { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { messageOf, OdooPgError } from "../../errors.ts";
import { isErrno } from "../files/files.ts";
import { childEnvironment, loadExeca, programFailure } from "./child.ts";

/** A program of a pipe. Nothing of our environment but PATH reaches it. */
export interface PipedProgram {
  readonly program: string;
  readonly args: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** A file that is its standard input, where nothing else is. */
  readonly inputFile?: string;
  readonly signal?: AbortSignal | undefined;
  /** Called with what it writes to its standard error. */
  readonly onStderr?: (text: string) => void;
}

/** Characters of a program's last words that are kept. */
const LAST_WORDS = 8000;

/** Bytes of a pipe or file that are read at once. */
const CHUNK = 256 * 1024;

interface Running {
  readonly stdin: Writable | null;
  readonly stdout: Readable | null;
  /** Rejects with an OdooPgError that holds the program's last words. */
  readonly ended: Promise<void>;
  readonly kill: () => void;
}

/** Lines in which a program says what went wrong. */
const TELLING = { is: /error|fatal|detail|hint|invalid|cannot|could not/i, lines: 6 };

async function start(
  piece: PipedProgram,
  stdin: "pipe" | "ignore",
  stdout: "pipe" | "ignore",
): Promise<Running> {
  const { execa } = await loadExeca();
  const { program, args, environment, inputFile, signal, onStderr } = piece;
  const child = execa(program, args, {
    stdin: inputFile === undefined ? stdin : { file: inputFile },
    stdout,
    stderr: "pipe",
    // What it gives is streamed, and held nowhere.
    buffer: false,
    cwd: "/",
    env: childEnvironment(environment),
    extendEnv: false,
    reject: false,
  });
  let words = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    words = (words + text).slice(-LAST_WORDS);
    onStderr?.(text);
  });
  const kill = (): void => void child.kill("SIGKILL");
  signal?.addEventListener("abort", kill, { once: true });
  const ended = child.then((result) => {
    signal?.removeEventListener("abort", kill);
    if (result.exitCode === 0) return;
    if (signal?.aborted === true)
      throw new OdooPgError("interrupted", { message: `${program} was interrupted.` });
    if (result.exitCode === undefined && result.signal === undefined) throw notStarted(program, result.cause);
    const end =
      result.signal === undefined
        ? `failed (exit status ${result.exitCode})`
        : `was killed (${result.signal})`;
    throw programFailure(program, end, words, TELLING);
  });
  // A caller that waits gets the error; no caller has to wait.
  ended.catch(() => {});
  if (signal?.aborted === true) kill();
  return { stdin: child.stdin, stdout: child.stdout, ended, kill };
}

function notStarted(program: string, cause: unknown): OdooPgError {
  return new OdooPgError("program_missing", {
    message: isErrno(cause, "ENOENT")
      ? `The program ${program} is not installed.`
      : `${program} cannot be started: ${messageOf(cause)}`,
    safe: "Nothing was changed.",
    next: `apt-get install -y ${program.split("/").at(-1) ?? program}`,
    cause,
  });
}

/**
 * Runs a program on what `input` gives, and holds no more of it than one piece.
 * @throws OdooPgError command_failed with its last words, disk_full, interrupted; an error of `input` goes first, and
 * then the program is killed.
 */
export async function feed(piece: PipedProgram, input: AsyncIterable<Buffer | string>): Promise<void> {
  const { stdin, ended, kill } = await start(piece, "pipe", "ignore");
  const failed: { cause?: { readonly error: unknown } } = {};
  const watched = async function* (): AsyncGenerator<Buffer | string> {
    try {
      yield* input;
    } catch (error) {
      // Before its input ends: it would take half of it for all.
      kill();
      failed.cause = { error };
      throw error;
    }
  };
  // A program that ends early closes its input: its exit status tells more than EPIPE.
  if (stdin) await pipeline(watched, stdin).catch(() => {});
  if (failed.cause) {
    await ended.catch(() => {});
    throw failed.cause.error;
  }
  await ended;
}

/** Starts a program whose output is read. The reader then awaits `ended`: a half output is none. */
export async function produce(piece: PipedProgram): Promise<{
  readonly output: AsyncIterable<Buffer>;
  readonly ended: Promise<void>;
  readonly kill: () => void;
}> {
  const { stdout, ended, kill } = await start(piece, "ignore", "pipe");
  if (!stdout) throw new Error("a program without an output");
  return { output: stdout, ended, kill };
}

/** The output of a program, whose failure becomes an error at the end of the output. */
export async function* outputOf(piece: PipedProgram): AsyncGenerator<Buffer> {
  const { output, ended, kill } = await produce(piece);
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

/** What a gzip file holds. @param name for messages @throws OdooPgError dump_unusable when it is cut or damaged. */
export async function* gunzipped(
  file: string,
  onBytes?: (bytes: number) => void,
  name = file,
): AsyncGenerator<Buffer> {
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
      message: `${name} is truncated or damaged: ${messageOf(error)}.`,
      safe: "Nothing that existed was changed.",
      next: "Copy the file again.",
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
