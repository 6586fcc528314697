import { toOdooPgError, type ExitStatus } from "../../errors.ts";
import { backUpBase, expireLeft, openRepository } from "../../archive/base-backup.ts";
import { openLog } from "../../system/log.ts";
import { onSignals } from "../../system/process/process.ts";
import type { Invocation, Output } from "../../system/terminal.ts";
import { appliedContext } from "../as-applied.ts";
import { createNow, drillNow } from "./backup.ts";
import { copyElsewhere } from "../../offsite/copy.ts";
import { progressTo } from "../../progress.ts";
import { serverOwner } from "../context.ts";
import { sourceOf } from "../source.ts";
import { placesElsewhere, resticOptions } from "./copy.ts";
import { drillSecond, whyNotProven } from "./second-drill.ts";

/** Noted when expired base backups are not removed. */
const EXPIRED_LEFT =
  "base backups that have expired were not removed: a copy elsewhere is being made of them";

/**
 * The process that the agent starts when a schedule is due: a process of its own, so that the agent continues to
 * observe twice a second. It works from the configuration that was applied last.
 */
export async function scheduledBackup(
  invocation: Invocation,
  output: Output,
  flags: { stateDir: string; kind: string; to: string | undefined },
): Promise<ExitStatus> {
  const context = await appliedContext(invocation, output, flags.stateDir);
  const { layout } = context;
  const log = openLog(layout.backupLog, await serverOwner(context), false);
  const abort = new AbortController();
  onSignals(["SIGTERM", "SIGINT", "SIGHUP"], () => abort.abort());
  const quiet = { event: () => {}, end: () => {} };
  try {
    if (flags.kind === "copy") {
      const [elsewhere] = placesElsewhere(context, flags.to);
      if (!elsewhere) return 0;
      const options = { ...resticOptions(context, abort.signal), serverOwner: await serverOwner(context) };
      const { name, seconds, error } = await copyElsewhere(
        context.config,
        layout,
        elsewhere,
        options,
        progressTo(quiet.event),
      );
      log(
        error === null ? "info" : "warn",
        `copied to ${name} in ${seconds} s${error === null ? "" : `: ${error}`}`,
      );
      return 0;
    }
    if (flags.kind === "full" || flags.kind === "diff") {
      const owner = await serverOwner(context);
      const repository = await openRepository(context.config, layout, owner, abort.signal);
      const { bases, expiry_skipped_since: left } = await backUpBase(repository, layout, flags.kind);
      log("info", `base backup ${bases.at(-1)?.label ?? ""} was made`);
      if (left !== null) log("warn", EXPIRED_LEFT);
      return 0;
    }
    if (flags.kind === "expire") {
      const owner = await serverOwner(context);
      const repository = await openRepository(context.config, layout, owner, abort.signal);
      const removed = await expireLeft(repository, layout);
      log("info", removed ? "base backups that have expired were removed" : EXPIRED_LEFT);
      return 0;
    }
    if (flags.kind === "second") {
      const source = await sourceOf(context, { requestedBy: "schedule", signal: abort.signal });
      const proof = await drillSecond(context, source, undefined, progressTo(quiet.event));
      const error = whyNotProven(proof);
      log(
        error === undefined ? "info" : "error",
        error === undefined
          ? `${proof.at ?? "a moment"} was brought back whole in ${proof.seconds} s`
          : `${proof.at ?? "a moment"} was not brought back whole: ${error}`,
      );
      return proof.ok ? 0 : 1;
    }
    const report =
      flags.kind === "drill"
        ? await drillNow(context, [], "schedule", quiet, abort.signal)
        : await createNow(context, [], "schedule", quiet, abort.signal);
    return report.ok ? 0 : 1;
  } catch (thrown) {
    const error = toOdooPgError(thrown);
    // A run blocked by another one is no failure: runs do not pile up.
    log(error.code === "locked" ? "info" : "error", `scheduled ${flags.kind}: ${error.message}`);
    return error.exit;
  }
}
