import { openBackupSource, type SourceOptions } from "../backup/open-source.ts";
import type { BackupSource } from "../backup/source.ts";
import { progressTo, type Progress } from "../progress.ts";
import { FilestoreExists } from "../restore/target/attachments.ts";
import { OdooPgError } from "../errors.ts";
import { nextStep, type Command } from "../next-step.ts";
import type { EventKind, NewEvent } from "../events/event.ts";
import { recorded } from "../events/journal.ts";
import { requester } from "../system/machine.ts";
import { onSignals } from "../system/process/process.ts";
import { again, serverOwner, type Context, programSearch } from "./context.ts";
import { showProgress } from "./progress.ts";
import { VERSION } from "./setup/version.ts";

/** The primary, as backups see it. @throws OdooPgError not_running, primary_unreachable */
export async function sourceOf(
  context: Context,
  by: Pick<SourceOptions, "requestedBy" | "signal">,
): Promise<BackupSource> {
  return await openBackupSource({
    config: context.config,
    layout: context.layout,
    serverOwner: await serverOwner(context),
    machine: context.machine,
    ...programSearch(context),
    version: VERSION,
    ...by,
  });
}

/**
 * Finds the primary and runs `act` on it, with its progress shown; Ctrl-C ends it cleanly. The agent need not run.
 * @throws OdooPgError not_running, primary_unreachable, interrupted.
 */
export async function onPrimary<T>(
  context: Context,
  act: (source: BackupSource, progress: Progress) => Promise<T>,
): Promise<T> {
  const abort = new AbortController();
  const unhook = onSignals(["SIGINT", "SIGTERM"], () => abort.abort());
  const show = showProgress(context);
  try {
    const source = await sourceOf(context, { requestedBy: "command", signal: abort.signal });
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

/** The same, with its result in the journal of events. @param told the event where it succeeded */
export async function recordedOnPrimary<T>(
  context: Context,
  what: { readonly kind: EventKind; readonly database?: string },
  act: (source: BackupSource, progress: Progress) => Promise<T>,
  told: (result: T) => string | undefined,
): Promise<T> {
  const by = requester();
  const event = (text: string | undefined): NewEvent | undefined =>
    text === undefined ? undefined : { ...what, by, text };
  const { stateDir } = context.layout;
  const owner = await serverOwner(context);
  return await recorded(
    { ...what, by, stateDir, owner, told: (result: T) => event(told(result)) },
    async () => await onPrimary(context, act),
  );
}

/** @throws OdooPgError confirmation_missing unless the name was typed. */
export function assertConfirmed(
  context: Context,
  name: string,
  confirm: string | undefined,
  what: string,
): void {
  if (confirm === name) return;
  throw new OdooPgError("confirmation_missing", {
    message: `${what} needs the name typed: --confirm ${JSON.stringify(name)}${confirm === undefined ? "" : `, not ${JSON.stringify(confirm)}`}.`,
    safe: "Nothing was changed.",
    next: again(context, { "--confirm": name }),
  });
}

/** The error for a taken name, with the command that replaces the existing database; any other error is unchanged. */
export function orReplace(error: unknown, next: Command): unknown {
  if (!(error instanceof OdooPgError) || error.code !== "database_exists") return error;
  if (error instanceof FilestoreExists) return error;
  const { message, safe = "Nothing was changed." } = error;
  return new OdooPgError("database_exists", {
    message,
    safe,
    next: nextStep`Choose another name, or replace it: ${next}`,
    cause: error,
  });
}
