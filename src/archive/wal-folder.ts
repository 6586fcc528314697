import path from "node:path";
import { inFolder, type Folder } from "../system/files/held/folder.ts";
import type { ArchivePlace } from "./place.ts";

export type Repository = Pick<ArchivePlace, "repository" | "stanza">;

/** The folder of a cluster's WAL; undefined where there is none yet. */
export async function walOf({ repository, stanza }: Repository): Promise<string | undefined> {
  const archive = path.join(repository, "archive", stanza);
  // One for each cluster that ever had the name, as 15-1: the last is ours.
  const names = await inFolder(archive, (folder) =>
    folder.names().filter((name) => /^\d+-\d+$/.test(name)),
  ).catch(() => undefined);
  const ours = names?.toSorted((a, b) => Number(a.split("-")[1]) - Number(b.split("-")[1])).at(-1);
  return ours === undefined ? undefined : path.join(archive, ours);
}

/**
 * Which of these segments a repository holds, by their names.
 * @param segments as PostgreSQL names them
 */
export async function heldSegments(
  repository: Repository,
  segments: readonly string[],
): Promise<ReadonlySet<string>> {
  const held = new Set<string>();
  await findSegments(repository, segments, (_folder, _name, segment) => held.add(segment));
  return held;
}

/** When those that it holds were archived, in milliseconds since the epoch. */
export async function archivedAt(
  repository: Repository,
  segments: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const times = new Map<string, number>();
  await findSegments(repository, segments, (folder, name, segment) => {
    const at = folder.look(name)?.mtimeMs;
    if (at !== undefined) times.set(segment, at);
  });
  return times;
}

async function findSegments(
  repository: Repository,
  segments: readonly string[],
  found: (folder: Folder, name: string, segment: string) => void,
): Promise<void> {
  const wal = await walOf(repository);
  const wanted = new Set(segments);
  if (wal === undefined) return;
  // pgBackRest: a folder for each of the first 16 digits, and behind the name of each segment its checksum.
  for (const folder of new Set(segments.map((name) => name.slice(0, 16))))
    await inFolder(path.join(wal, folder), (opened) => {
      for (const name of opened.names()) {
        const [, segment] = /^([0-9A-F]{24})-[0-9a-f]{40}(?:\.\w+)?$/.exec(name) ?? [];
        if (segment !== undefined && wanted.has(segment)) found(opened, name, segment);
      }
    });
}
