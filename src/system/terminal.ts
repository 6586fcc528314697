import { realpathSync } from "node:fs";
import process from "node:process";
import { howCalled } from "./called.ts";
import { printable, printableLine, printableWithColours } from "../printable.ts";

/** Where a command's words go: data to standard output, messages to standard error. */
export interface Output {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Whether standard output is a terminal that people look at. */
  readonly terminal: boolean;
  readonly colours: boolean;
  /** Characters in a line. */
  readonly width: number;
  /** How this program is typed where it was called. */
  readonly called: string;
  /** Tells a program that has started this one how far it is, a line each; absent where no program listens. */
  readonly tell?: (line: string) => void;
}

export function openOutput(colours: boolean | undefined, called: string): Output {
  const terminal = process.stdout.isTTY;
  const plain = process.env["NO_COLOR"] !== undefined || process.env["TERM"] === "dumb";
  const painted = colours ?? (terminal && !plain);
  // The one place where words leave: names in them may come from any user.
  const shown = painted ? printableWithColours : printable;
  return {
    out: (text) => void process.stdout.write(`${shown(text)}\n`),
    // An end of line in a name begins no line that looks as if it were ours.
    err: (text) => void process.stderr.write(`${shown(text).replaceAll(/\n(?=\S)/g, "\n  ")}\n`),
    terminal,
    colours: painted,
    width: process.stdout.columns ?? 100,
    called,
  };
}

/** Writes over the present line of the terminal on standard error; nothing where there is no terminal. */
export function overwriteLine(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[2K${printableLine(text)}`);
}

export function clearScreen(): void {
  process.stdout.write("\u001b[H\u001b[2J");
}

/** What the command was started with: read here and handed on. */
export interface Invocation {
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** How to start this same program again. */
  readonly program: readonly [string, string];
  /** How it is typed where it was called. */
  readonly called: string;
}

export function readInvocation(): Invocation {
  const script = process.argv[1];
  // npx starts a link in its cache, which npm may clear: a unit file and the agent name the file itself.
  const file = script === undefined ? "" : realpathSync(script);
  return {
    args: process.argv.slice(2),
    environment: process.env,
    cwd: process.cwd(),
    program: [process.execPath, file],
    called: howCalled(file, process.env, process.cwd()),
  };
}

/** A reader that goes away (`odoo-pg logs | head`) is not an error. */
export function endQuietlyWhenReaderLeaves(): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    throw error;
  });
  // Nobody reads the messages any more; the work goes on all the same.
  process.stderr.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
}

/**
 * Ends, whatever is still open, as soon as the last word was written. A pipe that is full takes no more until its reader
 * has read: what waits for that would be lost.
 */
export async function exitAfterLastWord(status: number): Promise<never> {
  for (const stream of [process.stdout, process.stderr]) {
    if (stream.writableLength > 0) await new Promise<void>((done) => void stream.write("", () => done()));
  }
  process.exit(status);
}

/** All of standard input, as text. */
export async function readStandardInput(): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const chunk of process.stdin) pieces.push(Buffer.from(chunk));
  return Buffer.concat(pieces).toString("utf8");
}
