import path from "node:path";
import { openRepository } from "../../archive/base-backup.ts";
import { readArchiving } from "../../archive/record.ts";
import { basesToReach, targetWords } from "../../archive/target.ts";
import { recoverCluster } from "../../archive/whole-cluster.ts";
import { basesToEnd, windowOf } from "../../cluster/window.ts";
import { nodeLayoutOf } from "../../config/layout.ts";
import { OdooPgError, type ExitStatus } from "../../errors.ts";
import { newestTimeline, timelinesFor } from "../../model/timeline.ts";
import { command, nextStep, odooPg } from "../../next-step.ts";
import { findInstallation, programOf } from "../../postgres/installation.ts";
import { findPostmaster } from "../../postgres/server.ts";
import { Superuser } from "../../postgres/sql/superuser.ts";
import { progressTo } from "../../progress.ts";
import { lockHolder } from "../../store/lock.ts";
import { readState, writeState, type ClusterState } from "../../store/state.ts";
import { now } from "../../system/clock.ts";
import { installOn } from "../../system/install.ts";
import { processors } from "../../system/machine.ts";
import { onSignals } from "../../system/process/process.ts";
import { searchPath, serverOwner, suggest, type Context } from "../context.ts";
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
  const { config, layout, output, invocation } = context;
  const target = targetOf(flags.moment);
  const dataDir = path.resolve(invocation.cwd, named);
  const abort = new AbortController();
  const unhook = onSignals(["SIGINT", "SIGTERM"], () => abort.abort());
  const show = showProgress(context);
  try {
    const owner = await serverOwner(context);
    const repository = await openRepository(config, layout, owner, abort.signal);
    const state = await readState(layout);
    const node = config.nodes.find(({ name }) => name === state?.primary);
    if (!state || !node) throw new Error("an open repository has a primary");
    const primary = nodeLayoutOf(layout, node).dataDir;
    const progress = progressTo(show.event);
    const asked = now();
    const before = await lookAtKept(context, repository);
    if (target?.kind === "time" && target.at > asked) throw outside(target, before, "it is in the future");
    const running = (await findPostmaster(primary)) !== undefined;
    if (running) progress.step(null, "archive what has been written so far");
    const live = running ? await archiveAll({ superuser: Superuser.of(layout, node) }) : undefined;
    // Of a lost primary, everything that it ever archived counts.
    const kept = { ...before, end: Math.max(before.end, asked) };
    const bases = target ? basesToReach(target, kept) : basesToEnd(kept);
    if (target && !bases.length) throw outside(target, kept, "no base backup reaches it");
    const { to } = windowOf(kept);
    if (!target && to !== null && Date.parse(to) < kept.end)
      progress.note(`WAL after ${to} is missing in the repository: the cluster is recovered up to then`);
    const goesOn = dataDir === primary && !running;
    if (goesOn) await requireNoAgent(context, node.name);
    const archiving = await readArchiving(repository.place.recordFile);
    const at = target?.kind === "time" ? target.at : undefined;
    const present = live?.timeline ?? newestTimeline(state.history, archiving?.primary?.timeline) ?? 1;
    const installation = await findInstallation(config.postgres, {
      searchPath: searchPath(invocation),
      install: installOn(context.machine),
    });
    const { lastChange, base, timeline } = await recoverCluster(
      {
        repository,
        layout,
        owner,
        installation,
        target,
        bases,
        timelines: timelinesFor(state.history, at, present),
        dataDir,
        goesOn,
        preloaded: live?.preloaded ?? "",
        processors: processors(),
        progress,
        signal: abort.signal,
      },
      { whileRunning: async () => {}, beforeName: async () => {} },
    );
    show.end();
    if (goesOn)
      await recordTimeline(context, state, timeline, target ? targetWords(target) : "what was archived");
    if (flags.json) {
      const document = { version: 1, data_dir: dataDir, base, timeline, last_change: lastChange ?? null };
      output.out(JSON.stringify(document, undefined, 2));
      return 0;
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
    return 0;
  } finally {
    unhook();
    show.end();
  }
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
