import { showBytes, showShare } from "../../model/quantities.ts";
import { shareOf } from "../../model/troubles/troubles.ts";
import { warning, type FoundWarning } from "../../model/warnings.ts";
import { command } from "../../next-step.ts";
import { fullness, isFilling, type ClusterView, type KeptAside, type NodeView } from "../view.ts";

/** One warning for each disk, however many nodes are on it. */
export function disks({ nodes }: ClusterView): FoundWarning[] {
  const groups = new Map<string, { used: number; on: NodeView[] }>();
  for (const node of nodes) {
    if (!node.disk || !isFilling(node.disk)) continue;
    const used = fullness(node.disk);
    // The same size and the same use: nothing else that is known tells one disk from another.
    const key = `${node.disk.totalBytes} ${Math.round(used * 1000)}`;
    const group = groups.get(key) ?? { used, on: [] };
    group.on.push(node);
    groups.set(key, group);
  }
  const ofData = [...groups.values()].map(({ used, on }) => {
    const [first] = on;
    const free = first?.disk ? showBytes(first.disk.freeBytes) : "?";
    const kept = keptOn(on);
    return warning(used >= shareOf("disk_nearly_full") ? "disk_nearly_full" : "disk_filling", {
      ...(on.length === 1 && first ? { node: first.name } : {}),
      message: `The disk of ${on.map(({ name }) => name).join(", ")} is ${showShare(used)} full: ${free} left. Make room, or move the data to a larger disk.${sayKept(kept)}`,
      next: kept.length
        ? command("rm", "-r", ...kept.map(({ path }) => path))
        : command("df", "-h", first?.dataDir ?? "/"),
    });
  });
  return [...ofData, ...otherDisks(nodes)];
}

/** Disks of tablespaces, or of a WAL that lies elsewhere. */
function otherDisks(nodes: readonly NodeView[]): FoundWarning[] {
  return nodes.flatMap(({ name, disk }) =>
    (disk?.others ?? []).filter(isFilling).map((other) =>
      warning(fullness(other) >= shareOf("disk_nearly_full") ? "disk_nearly_full" : "disk_filling", {
        node: name,
        message: `The disk of ${other.path}, which ${name} writes to, is ${showShare(fullness(other))} full: ${showBytes(other.freeBytes)} left. Make room, or give it a larger disk.`,
        next: command("df", "-h", other.path),
      }),
    ),
  );
}

/** What was set aside on these nodes' disks, each item once. */
function keptOn(nodes: readonly NodeView[]): KeptAside[] {
  const all = nodes.flatMap(({ disk }) => disk?.keptAside ?? []);
  return [...new Map(all.map((kept) => [kept.path, kept])).values()];
}

function sayKept(kept: readonly KeptAside[]): string {
  if (!kept.length) return "";
  const each = kept.map(
    ({ path, bytes }) => `${path} (${bytes === undefined ? "size not known yet" : showBytes(bytes)})`,
  );
  return ` Old data is kept on it, and is yours to remove once you are sure that it is not needed: ${each.join(", ")}.`;
}
