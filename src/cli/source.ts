import { openBackupSource } from "../backup/open-source.ts";
import type { BackupSource } from "../backup/source.ts";
import { progressTo, type Progress } from "../agent/events.ts";
import { OdooPgError } from "../errors.ts";
import { onSignals } from "../system/process.ts";
import { installHint, searchPath, serverOwner, type Context } from "./context.ts";
import { showProgress } from "./progress.ts";
import { VERSION } from "./version.ts";

/**
 * Finds the primary and runs `act` on it, with its progress shown; Ctrl-C ends it in order. The agent need not run.
 * @throws OdooPgError not_running, primary_unreachable, interrupted.
 */
export async function onPrimary<T>(
  context: Context,
  act: (source: BackupSource, progress: Progress) => Promise<T>,
): Promise<T> {
  const abort = new AbortController();
  const unhook = onSignals(["SIGINT", "SIGTERM"], () => abort.abort());
  const show = showProgress(context.output);
  try {
    const source = await openBackupSource({
      config: context.config,
      layout: context.layout,
      serverOwner: await serverOwner(context),
      machine: context.machine,
      searchPath: searchPath(context.invocation),
      installHint: installHint(context.machine),
      version: VERSION,
      requestedBy: "command",
      signal: abort.signal,
    });
    return await act(source, progressTo(show.event));
  } catch (error) {
    if (!abort.signal.aborted) throw error;
    throw new OdooPgError("interrupted", {
      message: "Interrupted.",
      safe: "What existed before is as it was; what was under way is removed.",
      next: "Run the same command again.",
      cause: error,
    });
  } finally {
    unhook();
    show.end();
  }
}

/** @throws OdooPgError confirmation_missing unless the name was typed. */
export function assertConfirmed(name: string, confirm: string | undefined, what: string): void {
  if (confirm === name) return;
  throw new OdooPgError("confirmation_missing", {
    message: `${what} needs the name typed: --confirm ${JSON.stringify(name)}${confirm === undefined ? "" : `, not ${JSON.stringify(confirm)}`}.`,
    safe: "Nothing was changed.",
    next: `The same command with --confirm ${JSON.stringify(name)}`,
  });
}
