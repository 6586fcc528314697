import {
  appendFileSync,
  closeSync,
  copyFileSync,
  lstatSync,
  readlinkSync,
  statSync,
  truncateSync,
} from "node:fs";
import path from "node:path";
import { printable } from "../printable.ts";
import { openOurs } from "./files/append.ts";
import { Folder } from "./files/held/folder.ts";
import type { Owner } from "./files/rights.ts";

export type Level = "info" | "warn" | "error";
export type Log = (level: Level, text: string) => void;

/** A log file becomes FILE.1 (and that FILE.2, up to KEPT) at this size in bytes or this age in milliseconds. */
const ROTATE_AT_BYTES = 5 * 1024 * 1024;
const ROTATE_AT_AGE = 7 * 24 * 3600 * 1000;
const KEPT = 4;

/**
 * Appends to a log that is rotated by size and age: the file itself where a link of this user leads to it.
 * @param reader by whose group it may be read
 * @throws what the file system answers, or OdooPgError where another user put something in its place.
 */
export function appendRotating(named: string, text: string, reader: Owner | undefined, now: number): void {
  const file = linkTarget(named) ?? named;
  const name = path.basename(file);
  const folder = Folder.open(path.dirname(file));
  if (!folder) throw new Error(`there is no folder ${path.dirname(file)}`);
  try {
    const present = folder.look(name);
    if (present && (present.size > ROTATE_AT_BYTES || now - present.birthtimeMs > ROTATE_AT_AGE)) {
      for (let older = KEPT - 1; older >= 0; older -= 1) {
        const from = older === 0 ? name : `${name}.${older}`;
        if (folder.look(from)) folder.rename(from, folder, `${name}.${older + 1}`);
      }
    }
    // Shippers such as filebeat read as another user; nothing in these logs is secret.
    const log = openOurs(folder.at(name), file, reader);
    try {
      appendFileSync(log, text);
    } finally {
      closeSync(log);
    }
  } finally {
    folder.close();
  }
}

/** Where a link leads that this user made; another's is none of ours. */
function linkTarget(file: string): string | undefined {
  try {
    if (lstatSync(file).uid !== process.geteuid?.()) return undefined;
    return path.resolve(path.dirname(file), readlinkSync(file));
  } catch {
    return undefined;
  }
}

/**
 * Keeps the log of a program that goes on writing to the same open file (with O_APPEND) below the size: the file is
 * copied to FILE.1 and emptied. What is written in between is lost; these logs are for people.
 */
export function rotateOpenLog(file: string): void {
  const present = statSync(file, { throwIfNoEntry: false });
  if (!present || present.size <= ROTATE_AT_BYTES) return;
  copyFileSync(file, `${file}.1`);
  truncateSync(file);
}

/**
 * A log that people read: time in UTC, level, text, one line each. `echo` writes the same to standard error, for systemd
 * and containers. A log that cannot be written never stops the agent.
 */
export function openLog(file: string, reader: Owner | undefined, echo: boolean): Log {
  return (level, text) => {
    const now = Date.now();
    const line = `${new Date(now).toISOString()} ${level.padEnd(5)} ${printable(text).replaceAll("\n", "\n  ")}\n`;
    if (echo) process.stderr.write(line);
    try {
      appendRotating(file, line, reader, now);
    } catch (error) {
      if (!echo) process.stderr.write(`${line}(the log ${file} cannot be written: ${String(error)})\n`);
    }
  };
}
