import type { Forecast } from "../../../cluster/disk-growth.ts";
import type { DiskUse } from "../../../cluster/view.ts";
import { showBytes, showShare } from "../../../model/quantities.ts";
import { command, nextStep } from "../../../next-step.ts";
import { backupPlaceOf } from "../../../backup/place.ts";
import { observedValues, type Evidence } from "../evidence.ts";
import { shareOf } from "../../../model/troubles/troubles.ts";
import { finding, type FoundFinding } from "../findings.ts";

/** Days within which a disk that grows full is said. */
const DAYS = 14;

interface Disk extends DiskUse {
  /** Nodes on it, or the backups. */
  readonly on: string[];
  /** Those of its nodes. */
  readonly nodes: string[];
  readonly directory: string;
  /** When it is full; undefined where it does not fill, or that is unknown. */
  forecast: Forecast | undefined;
}

/** How full the disks are, and when they will be. */
export function checkDisk(evidence: Evidence): FoundFinding[] {
  return disksOf(evidence).flatMap((disk) => [...full(disk), ...soonFull(disk)]);
}

/** One for each disk, however much lies on it. */
function disksOf(evidence: Evidence): Disk[] {
  const [known] = observedValues(evidence.forecasts);
  const disks: Disk[] = [];
  const add = (use: DiskUse, what: string, directory: string, node: string | undefined): void => {
    // The same size and nearly the same free space: nothing else that is known tells one disk from another.
    const same = disks.find(
      (disk) =>
        disk.totalBytes === use.totalBytes &&
        Math.abs(disk.freeBytes - use.freeBytes) < use.totalBytes / 1000,
    );
    const own = (node === undefined ? undefined : known?.get(node)) ?? undefined;
    if (!same)
      disks.push({ ...use, on: [what], nodes: node === undefined ? [] : [node], directory, forecast: own });
    else {
      same.on.push(what);
      if (node !== undefined) same.nodes.push(node);
      if (own && (!same.forecast || own.days < same.forecast.days)) same.forecast = own;
    }
  };
  for (const node of evidence.nodes)
    for (const use of observedValues(node.disk))
      if (use.totalBytes > 0) add(use, node.name, node.dataDir, node.name);
  for (const use of observedValues(evidence.backupDisk))
    if (use && use.totalBytes > 0) add(use, "the backups", backupPlaceOf(evidence.config).dir, undefined);
  return disks;
}

function full({ totalBytes, freeBytes, on, nodes: [node], directory }: Disk): FoundFinding[] {
  const used = 1 - freeBytes / totalBytes;
  if (used < shareOf("disk_filling")) return [];
  return [
    finding(used >= shareOf("disk_nearly_full") ? "disk_nearly_full" : "disk_filling", {
      ...(node !== undefined && on.length === 1 ? { node } : {}),
      message: `The disk of ${on.join(", ")} is ${showShare(used)} full: ${showBytes(freeBytes)} left.`,
      evidence: { used_ratio: used, free_bytes: freeBytes, total_bytes: totalBytes },
      next: nextStep`make room, or move to a larger disk: ${command("df", "-h", directory)}`,
    }),
  ];
}

function soonFull({ freeBytes, on, nodes, directory, forecast }: Disk): FoundFinding[] {
  if (!forecast || forecast.days >= DAYS) return [];
  const { days, hours, perDay } = forecast;
  const [node] = nodes;
  const when = days < 2 ? `${Math.max(1, Math.round(days * 24))} hours` : `${Math.floor(days)} days`;
  return [
    finding("disk_days_left", {
      ...(node !== undefined && on.length === 1 ? { node } : {}),
      message: `The disk of ${on.join(", ")} will be full in about ${when}, at the pace of the last ${hours} hours: ${sayGrowth(forecast, nodes.length)}.`,
      evidence: {
        days_left: days,
        free_bytes: freeBytes,
        history_hours: hours,
        growth_bytes_per_day: perDay,
        databases_bytes_per_day: forecast.databasesPerDay,
      },
      next: nextStep`make room, or move to a larger disk: ${command("df", "-h", directory)}`,
    }),
  ];
}

/** The shares that fill it: each node on it has all databases, and the rest is not the cluster's data. */
function sayGrowth({ perDay, databasesPerDay }: Forecast, nodes: number): string {
  const all = `it fills by ${showBytes(perDay)} a day`;
  if (databasesPerDay === null) return all;
  const own = Math.min(perDay, databasesPerDay * nodes);
  const others = perDay - own;
  return `${all}, ${showBytes(own)} of it by the databases and ${showBytes(others)} by other things (WAL, logs, backups, other programs)`;
}
