import { appendFileSync, chownSync, renameSync, statSync } from "node:fs";
import type { Owner } from "./files.ts";

export type Level = "info" | "warn" | "error";
export type Log = (level: Level, text: string) => void;

/** Bytes at which the log file becomes FILE.1 and a new one begins. */
const ROTATE_AT = 5 * 1024 * 1024;

/**
 * A log that people read: time in UTC, level, text, one line each. `echo` writes the same to standard error, for systemd
 * and containers. A log that cannot be written never stops the agent.
 */
export function openLog(file: string, owner: Owner | undefined, echo: boolean): Log {
  return (level, text) => {
    const line = `${new Date().toISOString()} ${level.padEnd(5)} ${text.replaceAll("\n", "\n  ")}\n`;
    if (echo) process.stderr.write(line);
    try {
      if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > ROTATE_AT) renameSync(file, `${file}.1`);
      appendFileSync(file, line, { mode: 0o600 });
      if (owner) chownSync(file, owner.uid, owner.gid);
    } catch (error) {
      if (!echo) process.stderr.write(`${line}(the log ${file} cannot be written: ${String(error)})\n`);
    }
  };
}
