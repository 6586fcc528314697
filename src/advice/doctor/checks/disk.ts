import type { DiskUse } from "../../../cluster/view.ts";
import { showBytes, showShare } from "../../../cluster/quantities.ts";
import { shellWord } from "../../../cluster/shell-word.ts";
import { backupPlaceOf } from "../../../backup/place.ts";
import { whatWasSeen, type Evidence } from "../evidence.ts";
import { finding, type Finding } from "../findings.ts";
import type { NextCommands } from "../next-commands.ts";

/** As in status. */
const FILLING = 0.85;
const NEARLY_FULL = 0.95;
/** Days within which a disk that grows full is said. */
const DAYS = 14;

interface Disk extends DiskUse {
  /** What lies on it: nodes, or the backups. */
  readonly on: string[];
  readonly node: string | undefined;
  readonly directory: string;
  /** Days until it is full; undefined where it does not fill, or nobody knows. */
  daysLeft: number | undefined;
}

/** How full the disks are, and when they will be. */
export function checkDisk(evidence: Evidence, _next: NextCommands): Finding[] {
  return disksOf(evidence).flatMap((disk) => [...full(disk), ...soonFull(disk)]);
}

/** One for each disk, however much lies on it. */
function disksOf(evidence: Evidence): Disk[] {
  const [known] = whatWasSeen(evidence.daysLeft);
  const disks: Disk[] = [];
  const add = (use: DiskUse, what: string, directory: string, node: string | undefined): void => {
    // The same size, and nearly the same room: nothing else that is known tells one disk from another.
    const same = disks.find(
      (disk) =>
        disk.totalBytes === use.totalBytes &&
        Math.abs(disk.freeBytes - use.freeBytes) < use.totalBytes / 1000,
    );
    const own = (node === undefined ? undefined : known?.get(node)) ?? undefined;
    if (!same) disks.push({ ...use, on: [what], node, directory, daysLeft: own });
    else {
      same.on.push(what);
      if (own !== undefined) same.daysLeft = Math.min(own, same.daysLeft ?? own);
    }
  };
  for (const node of evidence.nodes)
    for (const use of whatWasSeen(node.disk))
      if (use.totalBytes > 0) add(use, node.name, node.dataDir, node.name);
  for (const use of whatWasSeen(evidence.backupDisk))
    if (use && use.totalBytes > 0) add(use, "the backups", backupPlaceOf(evidence.config).dir, undefined);
  return disks;
}

function full({ totalBytes, freeBytes, on, node, directory }: Disk): Finding[] {
  const used = 1 - freeBytes / totalBytes;
  if (used < FILLING) return [];
  return [
    finding(used >= NEARLY_FULL ? "disk_nearly_full" : "disk_filling", {
      ...(node !== undefined && on.length === 1 ? { node } : {}),
      message: `The disk of ${on.join(", ")} is ${showShare(used)} full: ${showBytes(freeBytes)} left.`,
      evidence: { used_ratio: used, free_bytes: freeBytes, total_bytes: totalBytes },
      next: `make room, or move to a larger disk: df -h ${shellWord(directory)}`,
    }),
  ];
}

function soonFull({ freeBytes, on, node, directory, daysLeft }: Disk): Finding[] {
  if (daysLeft === undefined || daysLeft >= DAYS) return [];
  return [
    finding("disk_days_left", {
      ...(node !== undefined && on.length === 1 ? { node } : {}),
      message: `The disk of ${on.join(", ")} is full in about ${daysLeft < 2 ? `${Math.max(1, Math.round(daysLeft * 24))} hours` : `${Math.floor(daysLeft)} days`}, if it goes on as in the last 24 hours.`,
      evidence: { days_left: daysLeft, free_bytes: freeBytes },
      next: `make room, or move to a larger disk: df -h ${shellWord(directory)}`,
    }),
  ];
}
