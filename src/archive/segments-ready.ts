import path from "node:path";
import { archivedUpTo, segmentsWaiting } from "../cluster/backups/window.ts";
import { ARCHIVE_TIMEOUT_SECONDS } from "../config/settings/archiving.ts";
import type { ServerFacts } from "../model/observation.ts";
import { inFolder } from "../system/files/held/folder.ts";

/** What a server's own notes tell of its WAL. Times are milliseconds since the epoch. */
export interface Segments {
  /** Whether there are any notes. */
  readonly found: boolean;
  /** Names of those that wait to be archived, the oldest first. */
  readonly waiting: readonly string[];
  /** When the oldest of them was finished. */
  readonly finishedAt: number | undefined;
  /** When the newest of those that are archived was finished; undefined where their notes are gone. */
  readonly doneAt: number | undefined;
}

/**
 * Looks at the server's own notes: what its statistics say of the last one is of no use after a promotion, nor before the
 * first.
 */
export async function segmentsReady(dataDir: string): Promise<Segments> {
  const wal = path.join(dataDir, "pg_wal");
  const notes = await inFolder(path.join(wal, "archive_status"), (folder) => {
    const named = (ending: RegExp): string[] =>
      folder.names().flatMap((name) => ending.exec(name)?.[1] ?? []);
    const done = named(/^([0-9A-F]{24})\.done$/);
    return {
      ready: named(/^([0-9A-F]{24})\.ready$/),
      doneAt: newest(done.flatMap((name) => folder.look(`${name}.done`)?.mtimeMs ?? [])),
    };
  });
  const ready = notes?.ready ?? [];
  // A crash rewrites the notes; the segments themselves keep their age. One may be archived meanwhile.
  const written = await inFolder(wal, (folder) => ready.flatMap((name) => folder.look(name)?.mtimeMs ?? []));
  const oldest = written?.reduce((least, at) => Math.min(least, at), Infinity) ?? Infinity;
  return {
    found: notes !== undefined,
    waiting: ready.toSorted(),
    finishedAt: oldest === Infinity ? undefined : oldest,
    doneAt: notes?.doneAt,
  };
}

/**
 * Up to when a repository holds everything, in milliseconds since the epoch: by what the primary says, and by its own notes.
 * One that has archived nothing of its timeline yet does not say what waits.
 */
export async function archivedEnd(
  dataDir: string,
  facts: ServerFacts | undefined,
  status: Parameters<typeof archivedUpTo>[1],
): Promise<number> {
  const said = archivedUpTo(facts, status, ARCHIVE_TIMEOUT_SECONDS);
  if (segmentsWaiting(facts) > 0) return said;
  const { finishedAt } = await segmentsReady(dataDir);
  if (finishedAt === undefined) return said;
  const least = archivedUpTo(undefined, status, ARCHIVE_TIMEOUT_SECONDS);
  return Math.max(least, Math.min(said, Math.floor(finishedAt) - ARCHIVE_TIMEOUT_SECONDS * 1000));
}

function newest(times: readonly number[]): number | undefined {
  return times.length ? Math.floor(times.reduce((most, at) => Math.max(most, at), 0)) : undefined;
}
