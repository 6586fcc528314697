import { appendFileSync, closeSync, openSync, readFileSync, readSync, renameSync, statSync } from "node:fs";
import { openOurs } from "./append.ts";
import type { Owner } from "./rights.ts";

const NEWLINE = 10;

/**
 * Adds a line to a file that several processes may write. Beyond `maxBytes` the file becomes FILE.1, and the FILE.1
 * before goes. A line that a killed process left half written is ended first: only that one is lost. `reader` may read it
 * by its group.
 * @throws what the file system answers.
 */
export function appendBounded(
  file: string,
  line: string,
  options: { readonly maxBytes: number; readonly reader: Owner | undefined },
): void {
  const present = statSync(file, { throwIfNoEntry: false });
  const full = present !== undefined && present.size > options.maxBytes;
  if (full) renameSync(file, `${file}.1`);
  const isNew = full || !present;
  const text = !isNew && endsWithin(file, present.size) ? `\n${line}\n` : `${line}\n`;
  // O_APPEND and one write: lines of several writers do not mix.
  const handle = openOurs(file, file, options.reader);
  try {
    appendFileSync(handle, text);
  } finally {
    closeSync(handle);
  }
}

/** Whether the last line of a file is not ended. */
function endsWithin(file: string, size: number): boolean {
  if (size === 0) return false;
  const handle = openSync(file, "r");
  try {
    const last = Buffer.alloc(1);
    return readSync(handle, last, 0, 1, size - 1) === 1 && last[0] !== NEWLINE;
  } finally {
    closeSync(handle);
  }
}

/** The lines of such a file, the oldest first; none where it is not there or may not be read. */
export function readBounded(file: string): string[] {
  return [`${file}.1`, file].flatMap((part) => {
    try {
      return readFileSync(part, "utf8")
        .split("\n")
        .filter((line) => line !== "");
    } catch {
      return [];
    }
  });
}
