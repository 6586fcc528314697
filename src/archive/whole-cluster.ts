import path from "node:path";
import { OdooPgError } from "../errors.ts";
import type { BaseBackup } from "../model/backups/archive-status.ts";
import { command, odooPg } from "../next-step.ts";
import { endOrphans } from "../postgres/orphans.ts";
import { stopServer } from "../postgres/server.ts";
import type { Superuser } from "../postgres/sql/access/superuser.ts";
import { openTablespaces } from "../postgres/tablespaces.ts";
import { releaseLock } from "../store/lock.ts";
import { makeFolder, removeIn, renameIn } from "../system/files/held/by-path.ts";
import { inFolder } from "../system/files/held/folder.ts";
import { ownPid } from "../system/process/process.ts";
import { takeMomentLock } from "./moment-lock.ts";
import { writeBase } from "./pgbackrest.ts";
import {
  isOnTheWay,
  RECOVERING,
  replayed,
  requireRoom,
  tablespaceInTheWay,
  type Missed,
  type Recovering,
} from "./recovering.ts";
import { targetArguments, targetWords, type Target } from "./target.ts";

export interface ClusterWish extends Recovering {
  /** Undefined: everything that is in the repository. */
  readonly target: Target | undefined;
  /** From which it can be reached, the likeliest first. */
  readonly bases: readonly BaseBackup[];
  /** Where the data directory will be: nothing, or an empty folder. */
  readonly dataDir: string;
  /** Whether it goes on as this cluster: then what it writes is to be archived. */
  readonly goesOn: boolean;
  readonly processors: number;
}

/** What is done with a cluster before it is moved to its place. */
export interface ClusterUse<T> {
  /** Called with a connection while the server runs. */
  readonly whileRunning: (superuser: Superuser) => Promise<T>;
  /** Called when everything is whole, before the data directory gets its name. */
  readonly beforeName: (recovered: RecoveredCluster<T>) => Promise<void>;
}

export interface RecoveredCluster<T> {
  /** When the last transaction in it was committed, as the server reports it; undefined where none was replayed. */
  readonly lastChange: string | undefined;
  readonly base: string;
  readonly timeline: number;
  /** What `whileRunning` gave. */
  readonly used: T;
}

/** What pgBackRest writes for a recovery (its command "restore"): a server that starts later must not go by it. */
const OF_RECOVERY = [
  "restore_command",
  "recovery_target",
  "recovery_target_time",
  "recovery_target_lsn",
  "recovery_target_xid",
  "recovery_target_name",
  "recovery_target_inclusive",
  "recovery_target_timeline",
  "recovery_target_action",
  "archive_mode",
];

/**
 * Recovers a whole cluster as a data directory, which is shut down in the end. It gets its name when it is whole: what
 * a killed one has left is never started, and the next one removes it.
 * @throws OdooPgError locked while another one is made, data_directory_unusable, outside_window, command_failed, disk_full
 */
export async function recoverCluster<T>(wish: ClusterWish, use: ClusterUse<T>): Promise<RecoveredCluster<T>> {
  const { place } = wish.repository;
  await takeMomentLock(place, wish.signal);
  let astray = false;
  try {
    await requireEmpty(wish.dataDir);
    await makeFolder(path.dirname(wish.dataDir), 0o755, undefined);
    for (const base of wish.bases)
      for (const timeline of wish.timelines) {
        if (await isOnTheWay(place, base, timeline)) {
          let recovered = await attempt(wish, base, timeline, use);
          if (recovered === "went_on")
            recovered = await attempt({ ...wish, target: undefined }, base, timeline, use);
          if (typeof recovered === "object") return recovered;
          if (recovered === "tablespace") astray = true;
        }
        wish.progress.note(`base backup ${base.label} does not lead there`);
      }
  } finally {
    await clear(wish.dataDir);
    await releaseLock(place.momentLock, ownPid);
  }
  if (astray) throw tablespaceInTheWay(wish.target ? targetWords(wish.target) : "the end of the WAL");
  throw new OdooPgError("outside_window", {
    message: wish.target
      ? `The WAL in the repository ends before ${targetWords(wish.target)}.`
      : "No base backup in the repository can be recovered.",
    safe: "Nothing was changed.",
    next: odooPg("logs", "backup"),
  });
}

async function requireEmpty(dataDir: string): Promise<void> {
  const names = await inFolder(dataDir, (folder) => folder.names());
  if (!names?.length) return;
  throw new OdooPgError("data_directory_unusable", {
    message: `${dataDir} is not empty.`,
    safe: "It was left as it is.",
    next: command("mv", dataDir, `${dataDir}.aside`),
  });
}

const inTheMaking = (dataDir: string): string => `${dataDir}.recovering`;
const tablespacesOf = (dataDir: string): string => `${dataDir}.tablespaces.recovered`;

/** Removes what was not finished. */
async function clear(dataDir: string): Promise<void> {
  const unfinished = inTheMaking(dataDir);
  if ((await inFolder(unfinished, () => true)) === undefined) return;
  await stopServer(unfinished, RECOVERING, "immediate");
  await endOrphans(unfinished, RECOVERING);
  await removeIn(unfinished);
  await removeIn(tablespacesOf(dataDir));
}

async function attempt<T>(
  wish: ClusterWish,
  base: BaseBackup,
  timeline: number | undefined,
  use: ClusterUse<T>,
): Promise<RecoveredCluster<T> | Missed> {
  const { owner, progress, target, dataDir } = wish;
  const made = inTheMaking(dataDir);
  await clear(dataDir);
  await requireRoom(path.dirname(dataDir), base.database_bytes);
  for (const folder of [made, tablespacesOf(dataDir)]) await makeFolder(folder, 0o700, owner);
  progress.step(null, `write base backup ${base.label}`);
  const missed = await writeBase(wish.repository.pgbackrest, [
    `--pg1-path=${made}`,
    `--tablespace-map-all=${tablespacesOf(dataDir)}`,
    `--set=${base.label}`,
    `--process-max=${Math.max(1, wish.processors)}`,
    ...targetArguments(target),
    `--target-timeline=${timeline ?? "latest"}`,
    "--archive-mode=off",
  ]);
  if (missed) return missed;
  // What it writes is kept, and what goes on as this cluster is archived later.
  const kept = { fsync: "on", full_page_writes: "on", wal_level: "replica" };
  const settings = { ...kept, ...(wish.goesOn ? { archive_mode: "on" } : {}) };
  const replay = {
    dataDir: made,
    timeline,
    isMoment: target?.kind === "time",
    upTo: target ? targetWords(target) : "its end",
    settings,
  };
  return await replayed(wish, replay, async (superuser, lastChange) => {
    const used = await use.whileRunning(superuser);
    const now = await settle(superuser);
    progress.step(null, "shut it down");
    await stopServer(made, RECOVERING, "fast", SHUTDOWN_TIMEOUT);
    const recovered = { lastChange, base: base.label, timeline: now, used };
    await openTablespaces(made, owner);
    await use.beforeName(recovered);
    await giveName(dataDir);
    return recovered;
  });
}

/** Milliseconds for the checkpoint of a shutdown. */
const SHUTDOWN_TIMEOUT = 3_600_000;

/** Takes back what was only for the recovery. @returns the timeline that it is on */
async function settle(superuser: Superuser): Promise<number> {
  return await superuser.use(async (session) => {
    for (const name of OF_RECOVERY) await session.query(`ALTER SYSTEM RESET ${name}`);
    await session.query("CHECKPOINT");
    const [row] = await session.query("SELECT timeline_id FROM pg_control_checkpoint()");
    return Number(row?.["timeline_id"]);
  });
}

/** Gives it its name. */
async function giveName(dataDir: string): Promise<void> {
  const spaces = await inFolder(tablespacesOf(dataDir), (folder) => folder.names());
  if (!spaces?.length) await removeIn(tablespacesOf(dataDir));
  await removeIn(dataDir);
  await renameIn(inTheMaking(dataDir), dataDir);
}
