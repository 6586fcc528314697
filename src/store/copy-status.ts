import path from "node:path";
import type { Layout } from "../config/layout.ts";
import { copyStatusSchema, type CopyStatus } from "../model/backups/copy-status.ts";
import { namesIn, writeFileAtomic } from "../system/files/files.ts";
import { inspectJsonFile } from "../system/files/json-file.ts";

function statusFile({ offsiteDir }: Layout, name: string): string {
  return path.join(offsiteDir, `${name}.json`);
}

/** How a copy elsewhere is; where nothing is known, or its record is damaged, as before the first one. */
export async function readCopyStatus(layout: Layout, name: string): Promise<CopyStatus> {
  const read = await inspectJsonFile(statusFile(layout, name), copyStatusSchema);
  if (read?.ok === true) return read.value;
  return {
    version: 1,
    name,
    begun_at: null,
    copied_at: null,
    snapshot: null,
    seconds: 0,
    added_bytes: 0,
    tidied_at: null,
    error: null,
    key_confirmed_at: null,
  };
}

/** @param changes over what is known by now */
export async function changeCopyStatus(
  layout: Layout,
  name: string,
  changes: Partial<Omit<CopyStatus, "version" | "name">>,
): Promise<CopyStatus> {
  const status = { ...(await readCopyStatus(layout, name)), ...changes };
  await writeFileAtomic(statusFile(layout, name), `${JSON.stringify(status, undefined, 2)}\n`, {
    mode: 0o644,
  });
  return status;
}

/** Of all places that were ever copied to. Nothing, where another user's is looked at. */
export async function readCopies(layout: Layout): Promise<CopyStatus[]> {
  const names = await namesIn(layout.offsiteDir).catch(() => []);
  const places = names.flatMap((name) => /^([a-z0-9_-]+)\.json$/.exec(name)?.[1] ?? []);
  return await Promise.all(places.map(async (name) => await readCopyStatus(layout, name)));
}
