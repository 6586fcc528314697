import path from "node:path";
import { openRepository } from "../../archive/base-backup.ts";
import { mergedTimelines } from "../../archive/continuity.ts";
import { readArchiving } from "../../archive/record.ts";
import { basesToReach, targetWords, type Target } from "../../archive/target.ts";
import { recoverCluster, type RecoveredCluster } from "../../archive/whole-cluster.ts";
import { basesToEnd, windowOf, type Kept } from "../../cluster/backups/window.ts";
import { nodeLayoutOf } from "../../config/layout.ts";
import { readHostRecord } from "../../hosts/documents/record.ts";
import { OdooPgError, type ExitStatus } from "../../errors.ts";
import type { BaseBackup } from "../../model/backups/archive-status.ts";
import { newestTimeline, timelinesFor } from "../../model/timeline.ts";
import { command, nextStep, odooPg } from "../../next-step.ts";
import { findInstallation, programOf, type Installation } from "../../postgres/installation.ts";
import { findPostmaster } from "../../postgres/server.ts";
import { Superuser } from "../../postgres/sql/access/superuser.ts";
import { progressTo, type Progress } from "../../progress.ts";
import { lockHolder } from "../../store/lock.ts";
import { readState, recordedPrimary, writeState, type ClusterState } from "../../store/state.ts";
import { now } from "../../system/clock.ts";
import { processors } from "../../system/machine.ts";
import { onSignals } from "../../system/process/process.ts";
import { serverOwner, suggest, type Context, programSearch } from "../context.ts";
import { showProgress } from "../progress.ts";
import { archiveAll, outside, targetOf, type MomentFlags } from "./restore-moment.ts";
import { lookAtKept } from "./window.ts";

/**
 * Recovers the whole cluster as a data directory: as of a moment, or with everything in the repository. In place of the
 * primary's own lost directory, it continues as this cluster.
 */
export async function restoreCluster(
  context: Context,
  named: string,
  flags: { readonly moment: MomentFlags; readonly json: boolean },
): Promise<ExitStatus> {
  const { invocation } = context;
  const target = targetOf(flags.moment);
  const dataDir = path.resolve(invocation.cwd, named);
  const abort = new AbortController();
  const unhook = onSignals(["SIGINT", "SIGTERM"], () => abort.abort());
  const show = showProgress(context);
  try {
    const request = { target, dataDir, progress: progressTo(show.event), signal: abort.signal };
    const recovered = await recover(context, request);
    show.end();
    if (recovered.goesOn)
      await recordTimeline(
        context,
        recovered.state,
        recovered.timeline,
        target ? targetWords(target) : "what was archived",
      );
    tell(context, recovered, { target, dataDir, json: flags.json });
    return 0;
  } finally {
    unhook();
    show.end();
  }
}

interface Recovered extends RecoveredCluster<void> {
  readonly state: ClusterState;
  readonly installation: Installation;
  /** Whether it is the primary's own directory, which goes on as this cluster. */
  readonly goesOn: boolean;
}

async function recover(
  context: Context,
  request: {
    readonly target: Target | undefined;
    readonly dataDir: string;
    readonly progress: Progress;
    readonly signal: AbortSignal;
  },
): Promise<Recovered> {
  const { config, layout } = context;
  const { target, dataDir, progress, signal } = request;
  const owner = await serverOwner(context);
  const repository = await openRepository(config, layout, owner, signal);
  const state = await readState(layout);
  const node = recordedPrimary(config.nodes, state);
  if (!state || !node) throw new Error("an open repository has a primary");
  const primary = nodeLayoutOf(layout, node).dataDir;
  const asked = now();
  const before = await lookAtKept(context, repository);
  if (target?.kind === "time" && target.at > asked) throw outside(target, before, "it is in the future");
  const running = (await findPostmaster(primary)) !== undefined;
  if (running) progress.step(null, "archive what has been written so far");
  const live = running ? await archiveAll({ superuser: Superuser.of(layout, node) }) : undefined;
  // Of a lost primary, everything that it ever archived counts.
  const bases = startingBases(target, { ...before, end: Math.max(before.end, asked) }, progress);
  const goesOn = dataDir === primary && !running;
  if (goesOn) {
    await refuseOverHosts(context);
    await requireNoAgent(context, node.name);
  }
  const archiving = await readArchiving(repository.place.recordFile);
  const at = target?.kind === "time" ? target.at : undefined;
  const history = mergedTimelines(archiving?.timelines ?? [], state.history);
  const present = live?.timeline ?? newestTimeline(history, archiving?.primary?.timeline) ?? 1;
  const installation = await findInstallation(config.postgres, programSearch(context));
  const recovered = await recoverCluster(
    {
      repository,
      layout,
      owner,
      installation,
      target,
      bases,
      timelines: timelinesFor(history, at, present),
      dataDir,
      goesOn,
      preloaded: live?.preloaded ?? "",
      processors: processors(),
      progress,
      signal,
    },
    { whileRunning: async () => {}, beforeName: async () => {} },
  );
  return { ...recovered, state, installation, goesOn };
}

/** The base backups from which it can be recovered. @throws OdooPgError where none reaches the target */
function startingBases(target: Target | undefined, kept: Kept, progress: Progress): readonly BaseBackup[] {
  const bases = target ? basesToReach(target, kept) : basesToEnd(kept);
  if (target && !bases.length) throw outside(target, kept, "no base backup reaches it");
  const { to } = windowOf(kept);
  if (!target && to !== null && Date.parse(to) < kept.end)
    progress.note(`WAL after ${to} is missing in the repository: the cluster is recovered up to then`);
  return bases;
}

function tell(
  context: Context,
  { base, timeline, lastChange, goesOn, installation }: Recovered,
  asked: { readonly target: Target | undefined; readonly dataDir: string; readonly json: boolean },
): void {
  const { output } = context;
  const { target, dataDir } = asked;
  if (asked.json) {
    const document = { version: 1, data_dir: dataDir, base, timeline, last_change: lastChange ?? null };
    output.out(JSON.stringify(document, undefined, 2));
    return;
  }
  output.out(
    `The cluster ${target ? `as of ${targetWords(target)}` : "as the repository has it"} is in ${dataDir}.`,
  );
  if (lastChange !== undefined)
    output.err(`  The last change in it is of ${lastChange}, from base backup ${base}.`);
  const start = goesOn
    ? odooPg("up")
    : command(programOf(installation, "pg_ctl"), "-D", dataDir, "-o", "-p 5499", "start");
  output.err(suggest(context, nextStep`It is shut down. Start it: ${start}`));
}

/**
 * @throws OdooPgError still_running: an agent would start an unfinished data directory, and keeps a record of its own
 */
async function requireNoAgent({ layout }: Context, node: string): Promise<void> {
  if ((await lockHolder(layout.lockFile)) === undefined) return;
  throw new OdooPgError("still_running", {
    message: `The agent is running, and tries to start ${node}.`,
    safe: "Nothing was changed.",
    next: nextStep`Stop it, then run the same command again: ${odooPg("down")}`,
  });
}

/** @throws OdooPgError refused where Patroni runs the servers: the other hosts would have another past */
async function refuseOverHosts({ layout }: Context): Promise<void> {
  if (!(await readHostRecord(layout))) return;
  throw new OdooPgError("refused", {
    message: "The servers of several hosts do not go on from a recovered directory.",
    safe: "Nothing was changed.",
    next: nextStep`Recover into another folder, and take from there what you need; or a single database: ${odooPg("restore", "DATABASE", "--at", "TIME", "--as", "NAME")}`,
  });
}

/** A later recovery needs it: WAL archived on the previous timeline after this point does not belong to this one. */
async function recordTimeline(
  { layout }: Context,
  state: ClusterState,
  timeline: number,
  of: string,
): Promise<void> {
  const at = new Date(now()).toISOString();
  const { primary } = state;
  const why = `recovered from the repository: ${of}`;
  await writeState(layout, {
    ...state,
    history: [
      ...state.history,
      { at, kind: "promote", from: primary, to: primary, why, timeline, writes_paused_ms: null },
    ],
  });
}
