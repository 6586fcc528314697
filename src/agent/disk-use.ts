import path from "node:path";
import { nodeLayoutOf, type Layout, type NodeConfig } from "../cluster/layout.ts";
import { isFilling, type DiskUse, type KeptAside } from "../cluster/view.ts";
import { within } from "../system/clock.ts";
import { diskSpace, namesIn, treeBytes } from "../system/files.ts";

/** What lies in a directory that is kept aside never changes: its size is counted once in a process. */
const counted = new Map<string, Promise<number>>();

/**
 * The disk of a node's data directory; where it fills up, with what reseeds, rejoins and removed nodes left on it.
 * @param limit milliseconds for counting: what takes longer has no size yet
 */
export async function diskUseOf(layout: Layout, node: NodeConfig, limit: number): Promise<DiskUse> {
  const { dataDir } = nodeLayoutOf(layout, node);
  const disk = await diskSpace(dataDir);
  if (!isFilling(disk)) return disk;
  return { ...disk, keptAside: await keptAsideOf(layout, dataDir, limit) };
}

/** What is kept aside on the disk of a data directory. Nothing that cannot be looked at is an error. */
export async function keptAsideOf(layout: Layout, dataDir: string, limit: number): Promise<KeptAside[]> {
  const paths = await pathsAside(layout, dataDir).catch(() => []);
  return await Promise.all(paths.map(async (aside) => await sized(aside, limit)));
}

async function pathsAside(layout: Layout, dataDir: string): Promise<string[]> {
  const beside = (await namesIn(path.dirname(dataDir)))
    .filter((name) => name.startsWith(`${path.basename(dataDir)}.aside-`))
    .map((name) => path.join(path.dirname(dataDir), name));
  // A node whose data lies elsewhere is on another disk than the state directory.
  const shared = dataDir.startsWith(`${layout.stateDir}${path.sep}`) ? await namesIn(layout.asideDir) : [];
  return [...beside, ...shared.map((name) => path.join(layout.asideDir, name))];
}

async function sized(aside: string, limit: number): Promise<KeptAside> {
  const count = counted.get(aside) ?? treeBytes(aside);
  counted.set(aside, count);
  const bytes = await within(limit, aside, count).catch(() => undefined);
  return { path: aside, bytes };
}
