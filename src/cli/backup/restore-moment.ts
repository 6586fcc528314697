import { odooPg } from "../../next-step.ts";
import { openRepository } from "../../archive/base-backup.ts";
import { mergedTimelines } from "../../archive/continuity.ts";
import { withMoment, type RecoveredMoment } from "../../archive/moment.ts";
import { basesToReach, targetWords, type Target } from "../../archive/target.ts";
import { windowOf, windowWords, type Kept } from "../../cluster/backups/window.ts";
import { OdooPgError } from "../../errors.ts";
import { parseLsn } from "../../model/lsn.ts";
import { parseMoment } from "../../model/moment.ts";
import type { Progress } from "../../progress.ts";
import type { BackupSource } from "../../backup/source.ts";
import { databaseSizes, observeServer } from "../../postgres/sql/observing/facts.ts";
import {
  proveMoment,
  restoreFromMoment,
  type MomentOrder,
  type MomentReport,
  type ProvenDatabase,
} from "../../restore/at-moment.ts";
import { readState } from "../../store/state.ts";
import { timelinesFor } from "../../model/timeline.ts";
import { hostTimeZone, now, waitUntil } from "../../system/clock.ts";
import { serverOwner, type Context } from "../context.ts";
import { lookAtKept } from "./window.ts";

export interface MomentFlags {
  readonly at: string | undefined;
  readonly beforeXid: string | undefined;
  readonly lsn: string | undefined;
}

/** The requested moment; undefined where none is named. @throws OdooPgError usage */
export function targetOf({ at, beforeXid, lsn }: MomentFlags): Target | undefined {
  if ([at, beforeXid, lsn].filter((one) => one !== undefined).length > 1)
    throw usage("--at, --before-xid and --lsn cannot be used together.");
  if (at !== undefined) {
    const moment = parseMoment(at, hostTimeZone());
    if (typeof moment === "string") throw usage(`${moment}.`);
    return { kind: "time", at: moment.at, text: moment.utc };
  }
  if (beforeXid !== undefined) {
    if (!/^\d{1,19}$/.test(beforeXid)) throw usage("--before-xid takes the number of a transaction.");
    return { kind: "xid", xid: beforeXid };
  }
  if (lsn === undefined) return undefined;
  try {
    parseLsn(lsn);
  } catch {
    throw usage("--lsn takes a position in the WAL, such as 0/4A1B2C8.");
  }
  return { kind: "lsn", lsn };
}

function usage(message: string): OdooPgError {
  return new OdooPgError("usage", {
    message,
    safe: "Nothing was changed.",
    next: odooPg("restore", "DATABASE", "--at", "2026-11-21 09:41:07", "--as", "NEW_DATABASE"),
  });
}

/** The restored database, and its moment. */
export interface FromMoment {
  readonly report: MomentReport;
  readonly lastChange: string | undefined;
  readonly base: string;
}

/** Restores a database of another moment beside the live ones, or in place of one. */
export async function restoreAt(
  context: Context,
  source: BackupSource,
  target: Target,
  order: MomentOrder,
  progress: Progress,
): Promise<FromMoment> {
  return await recovered(context, source, target, order.from, progress, async (moment, place) => ({
    report: await restoreFromMoment(source, place, moment, order, progress),
    lastChange: moment.lastChange,
    base: moment.base,
  }));
}

/** Proves that a moment can be brought back, with all databases of that moment. */
export async function proveAt(
  context: Context,
  source: BackupSource,
  target: Target,
  progress: Progress,
): Promise<{ readonly databases: readonly ProvenDatabase[]; readonly base: string }> {
  return await recovered(context, source, target, undefined, progress, async (moment, place) => ({
    databases: await proveMoment(source, place, moment, progress),
    base: moment.base,
  }));
}

/** Recovers the cluster as it was. @param database the only one that is wanted */
async function recovered<T>(
  context: Context,
  source: BackupSource,
  target: Target,
  database: string | undefined,
  progress: Progress,
  use: (moment: RecoveredMoment, place: Awaited<ReturnType<typeof openRepository>>["place"]) => Promise<T>,
): Promise<T> {
  const { config, layout } = context;
  const owner = await serverOwner(context);
  const repository = await openRepository(config, layout, owner, source.signal);
  const asked = now();
  const before = await lookAtKept(context, repository);
  if (target.kind === "time" && target.at > asked) throw outside(target, before, "it is in the future");
  progress.step(null, "archive what has been written so far");
  const { timeline, preloaded } = await archiveAll(source);
  const sizes = await source.superuser.use(databaseSizes);
  const history = mergedTimelines(
    before.archiving?.timelines ?? [],
    (await readState(layout))?.history ?? [],
  );
  // Everything written before is in the repository by now.
  const kept = { ...before, end: asked };
  const bases = basesToReach(target, kept);
  if (!bases.length) throw outside(target, kept, "no base backup reaches it");
  return await withMoment(
    {
      repository,
      layout,
      owner,
      installation: source.installation,
      target,
      bases,
      timelines: timelinesFor(history, target.kind === "time" ? target.at : undefined, timeline),
      database: database === undefined ? undefined : { name: database, bytes: sizes.get(database) ?? 0 },
      preloaded,
      processors: source.processors,
      progress,
      signal: source.signal,
    },
    async (moment) => await use(moment, repository.place),
  );
}

export function outside(target: Target, kept: Kept, why: string): OdooPgError {
  return new OdooPgError("outside_window", {
    message: `${targetWords(target)} cannot be brought back: ${why}. There is ${windowWords(windowOf(kept), now())}.`,
    safe: "Nothing was changed.",
    next: odooPg("backup", "window"),
  });
}

/** Timeout for the current segment to reach the repository, in milliseconds. */
const ARCHIVE_TIMEOUT = 120_000;

/**
 * Archives everything written until now, and one commit after it: a recovery knows by a later commit that it has
 * reached its moment, and a quiet cluster has none.
 */
export async function archiveAll({
  superuser,
}: Pick<BackupSource, "superuser">): Promise<{ timeline: number; preloaded: string }> {
  return await superuser.use(async (session) => {
    await session.query("SELECT pg_logical_emit_message(true, 'odoo-pg', 'now')");
    const [row] = await session.query(
      "SELECT pg_walfile_name(pg_switch_wal()) AS segment, current_setting('shared_preload_libraries') AS preloaded",
    );
    const segment = String(row?.["segment"]);
    await waitUntil(
      async () => {
        const { archiver } = await observeServer(session);
        return (archiver?.last_archived_wal ?? "") >= segment;
      },
      {
        what: `${segment} to be archived`,
        timeout: ARCHIVE_TIMEOUT,
        interval: 200,
        next: odooPg("logs", "agent"),
      },
    );
    const { timeline } = await observeServer(session);
    return { timeline, preloaded: String(row?.["preloaded"]) };
  });
}
