import path from "node:path";
import { OdooPgError } from "../errors.ts";
import { odooPg } from "../next-step.ts";
import type { BaseBackup } from "../model/backups/archive-status.ts";
import { endOrphans } from "../postgres/orphans.ts";
import { stopServer } from "../postgres/server.ts";
import type { Superuser } from "../postgres/sql/access/superuser.ts";
import { openTablespaces } from "../postgres/tablespaces.ts";
import { lockHolder, releaseLock, takeLock } from "../store/lock.ts";
import { now } from "../system/clock.ts";
import { ensureDirectory, kindOf, passableFor, removeTree } from "../system/files/files.ts";
import { makeFolder, removeIn } from "../system/files/held/by-path.ts";
import { inFolder } from "../system/files/held/folder.ts";
import { ownPid } from "../system/process/process.ts";
import { forgetMoment, keepMoment, keptMoment } from "./kept-moment.ts";
import { takeMomentLock } from "./moment-lock.ts";
import type { ArchivePlace } from "./place.ts";
import { writeBase } from "./pgbackrest.ts";
import {
  isOnTheWay,
  isWhole,
  RECOVERING,
  replayed,
  requireRoom,
  tablespaceInTheWay,
  type Missed,
  type Recovering,
} from "./recovering.ts";
import { targetArguments, targetWords, type Target } from "./target.ts";

export interface MomentWish extends Recovering {
  readonly target: Target;
  /** From which it can be reached, the likeliest first. */
  readonly bases: readonly BaseBackup[];
  readonly timelines: readonly number[];
  /** The only database that is wanted, and its size in bytes now: 0 where there is no longer one of its name. */
  readonly database: { readonly name: string; readonly bytes: number } | undefined;
  readonly processors: number;
}

/** The cluster as it was, running beside the live one for as long as something is copied out of it. */
export interface RecoveredMoment {
  readonly superuser: Superuser;
  readonly dataDir: string;
  /** When the last transaction in it was committed, as the server reports it; undefined where none was replayed. */
  readonly lastChange: string | undefined;
  readonly base: string;
}

/**
 * Recovers the cluster of another moment, for as long as `use` takes. It archives nothing, listens on no network, and ends
 * with this process; its files are kept a while for the next one. The next one, and the agent, remove what a killed one
 * has left.
 * @throws OdooPgError locked while another one is made, outside_window, command_failed, disk_full
 */
export async function withMoment<T>(
  wish: MomentWish,
  use: (moment: RecoveredMoment) => Promise<T>,
): Promise<T> {
  const { place } = wish.repository;
  await takeMomentLock(place, wish.signal);
  try {
    const kept = await keptMoment(place);
    await forgetMoment(place);
    await clearMoments(place, kept);
    await ensureDirectory(place.moments, passableFor(wish.owner));
    const used = await fromAnyBase(wish, kept, use);
    await keepMoment(place, used.folder);
    return used.value;
  } finally {
    await clearMoments(place, await keptMoment(place));
    await releaseLock(place.momentLock, ownPid);
  }
}

/** Removes what a killed odoo-pg has left and what was kept long enough, unless one is at work. */
export async function removeLeftMoments(place: ArchivePlace): Promise<void> {
  if ((await lockHolder(place.momentLock)) !== undefined) return;
  const left = (await inFolder(place.moments, (folder) => folder.names())) ?? [];
  if (!left.length && (await kindOf(place.copies)) === undefined) return;
  await takeLock(place.momentLock, ownPid);
  try {
    await clearMoments(place, await keptMoment(place));
    await removeTree(place.copies);
  } finally {
    await releaseLock(place.momentLock, ownPid);
  }
}

/** The caller holds the lock. @param but the name of the one that stays */
async function clearMoments({ moments }: ArchivePlace, but?: string): Promise<void> {
  const names = (await inFolder(moments, (folder) => folder.names())) ?? [];
  for (const name of names) {
    if (name === but) continue;
    const dataDir = path.join(moments, name, "data");
    await stopServer(dataDir, RECOVERING, "immediate");
    await endOrphans(dataDir, RECOVERING);
    await removeIn(path.join(moments, name));
  }
}

interface Used<T> {
  /** Whose files could be kept. */
  readonly folder: string;
  readonly value: T;
}

/** @param kept the folder of the moment before */
async function fromAnyBase<T>(
  wish: MomentWish,
  kept: string | undefined,
  use: (moment: RecoveredMoment) => Promise<T>,
): Promise<Used<T>> {
  const { place } = wish.repository;
  const attempts = wish.bases.flatMap((base) =>
    wish.timelines.flatMap((timeline) => [
      ...(wish.database === undefined ? [] : [{ base, timeline, only: wish.database.name }]),
      { base, timeline, only: undefined },
    ]),
  );
  let skipped: Pick<(typeof attempts)[number], "base" | "timeline"> | undefined;
  let over = kept;
  let astray = false;
  for (const { base, timeline, only } of attempts) {
    // A base backup that cannot reach the target with one database cannot with all of them.
    if (base === skipped?.base && timeline === skipped.timeline) continue;
    if (!(await isOnTheWay(place, base, timeline))) continue;
    let tried = await fromBase(wish, { base, timeline, only, over, toEnd: false }, use);
    over = undefined;
    if (tried === "went_on") {
      wish.progress.note(`timeline ${timeline} was left before that moment: all of it is wanted`);
      await clearMoments(place);
      tried = await fromBase(wish, { base, timeline, only, over, toEnd: true }, use);
    }
    if (typeof tried === "object") return tried;
    if (tried === "tablespace") astray = true;
    if (tried !== "needs_all") skipped = { base, timeline };
    else wish.progress.note("one database alone cannot be recovered to that moment: all are");
    await clearMoments(place);
  }
  if (astray) throw tablespaceInTheWay(targetWords(wish.target));
  throw new OdooPgError("outside_window", {
    message: `The WAL in the repository ends before ${targetWords(wish.target)}.`,
    safe: "Nothing was changed.",
    next: odooPg("backup", "window"),
  });
}

interface Attempt {
  readonly base: BaseBackup;
  readonly timeline: number;
  /** The only database that is written. */
  readonly only: string | undefined;
  /** The folder of the moment before, whose files it takes over. */
  readonly over: string | undefined;
  /** Whether all of the timeline is wanted: it ended before the moment, and was the cluster's own until then. */
  readonly toEnd: boolean;
}

async function fromBase<T>(
  wish: MomentWish,
  { base, timeline, only, over, toEnd }: Attempt,
  use: (moment: RecoveredMoment) => Promise<T>,
): Promise<Used<T> | Missed> {
  const { progress, target } = wish;
  const { place, pgbackrest } = wish.repository;
  progress.step(only ?? null, `write base backup ${base.label}`);
  const write = async (name: string, isOver: boolean): Promise<Missed | undefined> => {
    const folder = path.join(place.moments, name);
    return await writeBase(pgbackrest, [
      `--pg1-path=${path.join(folder, "data")}`,
      `--lock-path=${path.join(folder, "locks")}`,
      `--tablespace-map-all=${path.join(folder, "tablespaces")}`,
      `--set=${base.label}`,
      `--process-max=${Math.max(1, wish.processors)}`,
      ...targetArguments(toEnd ? undefined : target),
      // Never the latest that is there: one that somebody's trial has archived would lead astray.
      `--target-timeline=${timeline}`,
      "--archive-mode=off",
      ...(only === undefined ? [] : [`--db-include=${only}`]),
      ...(isOver ? ["--delta"] : []),
    ]);
  };
  const { folder, missed } = await writeOver(wish, { base, only, over }, write);
  if (missed) return missed;
  const dataDir = path.join(place.moments, folder, "data");
  const replay = {
    dataDir,
    timeline,
    isMoment: target.kind === "time" && !toEnd,
    database: only,
    upTo: targetWords(target),
  };
  return await replayed(wish, replay, async (superuser, lastChange) => {
    if (only !== undefined && !(await isWhole(superuser.in(only)))) return "needs_all";
    return { folder, value: await use({ superuser, dataDir, lastChange, base: base.label }) };
  });
}

/** Writes over the files of the previous moment. Where there are none, or that fails, it writes all of them. */
async function writeOver(
  { repository: { place }, owner, database }: MomentWish,
  { base, only, over }: Omit<Attempt, "timeline" | "toEnd">,
  write: (name: string, isOver: boolean) => Promise<Missed | undefined>,
): Promise<{ readonly folder: string; readonly missed: Missed | undefined }> {
  if (over !== undefined) {
    await openTablespaces(path.join(place.moments, over, "data"), owner);
    const tried = await write(over, true).then(
      (missed) => ({ missed }),
      () => undefined,
    );
    if (tried) return { folder: over, missed: tried.missed };
    await clearMoments(place);
  }
  await requireRoom(place.moments, only === undefined ? base.database_bytes : (database?.bytes ?? 0));
  const folder = String(now());
  for (const name of ["", "data", "tablespaces", "locks"])
    await makeFolder(path.join(place.moments, folder, name), 0o700, owner);
  return { folder, missed: await write(folder, false) };
}
