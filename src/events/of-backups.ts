import { showBytes } from "../model/quantities.ts";
import type { NewEvent } from "./event.ts";

/** What an event reports about a run of backups or drills. */
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

/** The result of a run, in one sentence; undefined where there was nothing to do. */
export function runEvent({ kind, databases }: Run, by: string): NewEvent | undefined {
  const [first] = databases;
  if (!first) return undefined;
  const failed = databases.filter(({ outcome }) => outcome === "failed");
  const good = databases.filter(({ outcome }) => outcome === "ok");
  // One of them: the log of the backups and the next drill or backup tell of the others.
  const trouble = failed[0] && `${failed[0].database}: ${failed[0].error ?? "?"}`;
  const done = kind === "backup" ? "backed up" : "proven by restoring";
  if (databases.length === 1) {
    const { database, id, seconds, size_bytes } = first;
    const size = kind === "backup" ? `, ${showBytes(size_bytes)}` : "";
    const text = failed.length
      ? `${kind} did not succeed: ${trouble}`
      : good.length
        ? `${database} was ${done}: ${id ?? "?"} (${seconds} s${size})`
        : `${database} was dropped before its ${kind}`;
    return { kind, by, database, text };
  }
  const size =
    kind === "backup" ? `, ${showBytes(good.reduce((sum, { size_bytes }) => sum + size_bytes, 0))}` : "";
  const all = `${good.length} database${good.length === 1 ? "" : "s"} ${done}${size}`;
  return {
    kind,
    by,
    text: failed.length
      ? `${all}; ${failed.length} failed${failed.length > 1 ? ", first" : ""}: ${trouble}`
      : all,
  };
}
