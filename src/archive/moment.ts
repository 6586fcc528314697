import path from "node:path";
import { OdooPgError } from "../errors.ts";
import { odooPg } from "../next-step.ts";
import type { BaseBackup } from "../model/archive-status.ts";
import { endOrphans } from "../postgres/orphans.ts";
import { stopServer } from "../postgres/server.ts";
import { Superuser } from "../postgres/sql/superuser.ts";
import type { Progress } from "../progress.ts";
import { lockHolder, releaseLock, takeLock } from "../store/lock.ts";
import { now } from "../system/clock.ts";
import { ensureDirectory, passableFor } from "../system/files/files.ts";
import { inFolder, makeFolder, removeIn } from "../system/files/folder.ts";
import { ownPid } from "../system/process/process.ts";
import type { OpenRepository } from "./base-backup.ts";
import type { ArchivePlace } from "./place.ts";
import { writeBase } from "./pgbackrest.ts";
import {
  isWhole,
  lastChangeIn,
  RECOVERING,
  RECOVERING_PORT,
  requireRoom,
  startRecovering,
  untilRecovered,
  type Missed,
  type Recovering,
} from "./recovering.ts";
import { targetArguments, targetWords, type Target } from "./target.ts";

export interface MomentWish extends Omit<Recovering, "place"> {
  readonly repository: OpenRepository;
  readonly target: Target;
  /** From which it can be reached, the likeliest first. */
  readonly bases: readonly BaseBackup[];
  /** On which it may lie, the likeliest first. */
  readonly timelines: readonly number[];
  /** The only database that is wanted. */
  readonly database: string | undefined;
  readonly processors: number;
  readonly progress: Progress;
}

/** The cluster as it was, running beside the live one for as long as something is copied out of it. */
export interface RecoveredMoment {
  readonly superuser: Superuser;
  readonly dataDir: string;
  /** When the last transaction in it was committed, as the server says it; undefined where none was replayed. */
  readonly lastChange: string | undefined;
  readonly base: string;
}

/**
 * Recovers the cluster of another moment, for as long as `use` takes. It archives nothing, listens on no network, and ends
 * with this process; what a killed one has left is removed by the next, and by the agent.
 * @throws OdooPgError locked while another one is made, outside_window, command_failed, disk_full
 */
export async function withMoment<T>(
  wish: MomentWish,
  use: (moment: RecoveredMoment) => Promise<T>,
): Promise<T> {
  const { place } = wish.repository;
  await takeLock(place.momentLock, ownPid);
  try {
    await clearMoments(place);
    await ensureDirectory(place.moments, passableFor(wish.owner));
    return await fromAnyBase(wish, use);
  } finally {
    await clearMoments(place);
    await releaseLock(place.momentLock, ownPid);
  }
}

/** Removes what a killed odoo-pg has left, unless one is at work. */
export async function removeLeftMoments(place: ArchivePlace): Promise<void> {
  if ((await lockHolder(place.momentLock)) !== undefined) return;
  const left = await inFolder(place.moments, (folder) => folder.names());
  if (!left?.length) return;
  await takeLock(place.momentLock, ownPid);
  try {
    await clearMoments(place);
  } finally {
    await releaseLock(place.momentLock, ownPid);
  }
}

/** The caller holds the lock. */
async function clearMoments({ moments }: ArchivePlace): Promise<void> {
  const names = (await inFolder(moments, (folder) => folder.names())) ?? [];
  for (const name of names) {
    const dataDir = path.join(moments, name, "data");
    await stopServer(dataDir, RECOVERING, "immediate");
    await endOrphans(dataDir, RECOVERING);
    await removeIn(path.join(moments, name));
  }
}

async function fromAnyBase<T>(wish: MomentWish, use: (moment: RecoveredMoment) => Promise<T>): Promise<T> {
  const { place } = wish.repository;
  const attempts = wish.bases.flatMap((base) =>
    wish.timelines.flatMap((timeline) => [
      ...(wish.database === undefined ? [] : [{ base, timeline, only: wish.database }]),
      { base, timeline, only: undefined },
    ]),
  );
  let skipped: Pick<(typeof attempts)[number], "base" | "timeline"> | undefined;
  for (const { base, timeline, only } of attempts) {
    // A base backup that cannot reach the target with one database cannot with all of them.
    if (base === skipped?.base && timeline === skipped.timeline) continue;
    const tried = await fromBase(wish, { base, timeline, only }, use);
    if (tried.ok) return tried.value;
    if (tried.missed === "not_reached") skipped = { base, timeline };
    else wish.progress.note("one database alone cannot be recovered to that moment: all are");
    await clearMoments(place);
  }
  throw new OdooPgError("outside_window", {
    message: `The WAL in the repository ends before ${targetWords(wish.target)}.`,
    safe: "Nothing was changed.",
    next: odooPg("backup", "window"),
  });
}

async function fromBase<T>(
  wish: MomentWish,
  {
    base,
    timeline,
    only,
  }: { readonly base: BaseBackup; readonly timeline: number; readonly only: string | undefined },
  use: (moment: RecoveredMoment) => Promise<T>,
): Promise<{ ok: true; value: T } | { ok: false; missed: Missed }> {
  const { repository, layout, owner, progress } = wish;
  const { place, pgbackrest } = repository;
  const folder = path.join(place.moments, String(now()));
  const dataDir = path.join(folder, "data");
  if (only === undefined) await requireRoom(place.moments, base);
  await makeFolder(folder, 0o700, owner);
  for (const name of ["data", "tablespaces", "locks"])
    await makeFolder(path.join(folder, name), 0o700, owner);
  progress.step(only ?? null, `write base backup ${base.label}`);
  const written = await writeBase(pgbackrest, [
    `--pg1-path=${dataDir}`,
    `--lock-path=${path.join(folder, "locks")}`,
    `--tablespace-map-all=${path.join(folder, "tablespaces")}`,
    `--set=${base.label}`,
    `--process-max=${Math.max(1, wish.processors)}`,
    ...targetArguments(wish.target),
    "--target-action=promote",
    // Never the latest that is there: one that somebody's trial has archived would lead astray.
    `--target-timeline=${timeline}`,
    "--archive-mode=off",
    ...(only === undefined ? [] : [`--db-include=${only}`]),
  ]);
  if (!written) return { ok: false, missed: "needs_all" };
  progress.step(only ?? null, `replay WAL up to ${targetWords(wish.target)}`);
  const log = path.join(place.dir, "moment.log");
  const recovering: Recovering = { ...wish, place };
  const server = await startRecovering(recovering, dataDir, log);
  const superuser = Superuser.of(layout, { name: RECOVERING, port: RECOVERING_PORT, data_dir: dataDir });
  try {
    const missed = await untilRecovered(recovering, server, superuser, log);
    if (missed) return { ok: false, missed };
    if (only !== undefined && !(await isWhole(superuser.in(only)))) return { ok: false, missed: "needs_all" };
    const lastChange = await lastChangeIn(log);
    return { ok: true, value: await use({ superuser, dataDir, lastChange, base: base.label }) };
  } finally {
    await server.end();
  }
}
