import path from "node:path";
import { nodeLayoutOf, type Layout, type NodeConfig, type NodeLayout } from "../config/layout.ts";
import { isFilling, type DiskUse, type KeptAside, type OtherDisk } from "../cluster/view.ts";
import { tablespacesOf, unusedPlaces, walElsewhere } from "../postgres/tablespaces.ts";
import { within } from "../system/clock.ts";
import { deviceOf, diskSpace, namesIn } from "../system/files/files.ts";
import { bytesBelow } from "../system/files/held/by-path.ts";

/** What lies in a directory that was set aside never changes: its size is counted once in a process. */
const counted = new Map<string, Promise<number>>();

/**
 * The disk of a node's data directory; where it fills up, with what reseeds, rejoins and removed nodes left on it.
 * @param timeout milliseconds for counting: what takes longer has no size yet
 */
export async function diskUseOf(layout: Layout, node: NodeConfig, timeout: number): Promise<DiskUse> {
  const files = nodeLayoutOf(layout, node);
  const [space, others] = await Promise.all([diskSpace(files.dataDir), otherDisksOf(files.dataDir)]);
  const disk = others.length ? { ...space, others } : space;
  if (!isFilling(disk)) return disk;
  return { ...disk, keptAside: await keptAsideOf(layout, files, timeout) };
}

/** Disks other than the data directory's own that its tablespaces and its WAL lie on, each once. */
async function otherDisksOf(dataDir: string): Promise<OtherDisk[]> {
  const wal = await walElsewhere(dataDir);
  const places = [...(wal === undefined ? [] : [wal]), ...(await tablespacesOf(dataDir)).values()];
  const found = new Map<number | undefined, OtherDisk | undefined>([[await deviceOf(dataDir), undefined]]);
  for (const place of places) {
    const device = await deviceOf(place);
    if (device === undefined || found.has(device)) continue;
    found.set(device, { path: place, ...(await diskSpace(place)) });
  }
  return [...found.values()].flatMap((disk) => disk ?? []);
}

/** Data that is kept aside on a data directory's disk. A directory that cannot be read is left out. */
export async function keptAsideOf(layout: Layout, files: NodeLayout, timeout: number): Promise<KeptAside[]> {
  const paths = await pathsAside(layout, files).catch(() => []);
  return await Promise.all(paths.map(async (aside) => await sized(aside, timeout)));
}

async function pathsAside(layout: Layout, files: NodeLayout): Promise<string[]> {
  const { dataDir } = files;
  const beside = (await namesIn(path.dirname(dataDir)))
    .filter((name) => name.startsWith(`${path.basename(dataDir)}.aside-`))
    .map((name) => path.join(path.dirname(dataDir), name));
  const tablespaces = await unusedPlaces(files);
  // A node whose data lies elsewhere is on another disk than the state directory.
  const shared = dataDir.startsWith(`${layout.stateDir}${path.sep}`) ? await namesIn(layout.asideDir) : [];
  return [...beside, ...tablespaces, ...shared.map((name) => path.join(layout.asideDir, name))];
}

async function sized(aside: string, timeout: number): Promise<KeptAside> {
  const count = counted.get(aside) ?? bytesBelow(aside);
  counted.set(aside, count);
  const bytes = await within(timeout, aside, count).catch(() => undefined);
  return { path: aside, bytes };
}
