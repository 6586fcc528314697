import { showBytes } from "../cluster/quantities.ts";
import type { NewEvent } from "./event.ts";

/** What an event tells of a run of backups or drills. */
interface Run {
  readonly kind: "backup" | "drill";
  readonly databases: readonly {
    readonly database: string;
    readonly outcome: "ok" | "failed" | "dropped";
    readonly id: string | null;
    readonly seconds: number;
    readonly size_bytes: number;
    readonly error: string | null;
  }[];
}

/** What came of a run, in one sentence; undefined where there was nothing to do. */
export function runEvent({ kind, databases }: Run, by: string): NewEvent | undefined {
  const [first] = databases;
  if (!first) return undefined;
  const failed = databases.filter(({ outcome }) => outcome === "failed");
  const good = databases.filter(({ outcome }) => outcome === "ok");
  const troubles = failed.map(({ database, error }) => `${database}: ${error ?? "?"}`).join("; ");
  const done = kind === "backup" ? "backed up" : "proven by restoring";
  if (databases.length === 1) {
    const { database, id, seconds, size_bytes } = first;
    const size = kind === "backup" ? `, ${showBytes(size_bytes)}` : "";
    const text = failed.length
      ? `${kind} did not succeed: ${troubles}`
      : good.length
        ? `${database} was ${done}: ${id ?? "?"} (${seconds} s${size})`
        : `${database} was dropped before its ${kind}`;
    return { kind, by, database, text };
  }
  const size =
    kind === "backup" ? `, ${showBytes(good.reduce((sum, { size_bytes }) => sum + size_bytes, 0))}` : "";
  const all = `${good.length} database${good.length === 1 ? "" : "s"} ${done}${size}`;
  return { kind, by, text: failed.length ? `${all}; ${failed.length} failed: ${troubles}` : all };
}
