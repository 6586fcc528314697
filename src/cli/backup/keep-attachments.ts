import { AttachmentsKeeper } from "../../backup/attachments/keep-attachments.ts";
import type { BackupSource } from "../../backup/source.ts";
import { toOdooPgError, type ExitStatus } from "../../errors.ts";
import type { KeptAttachments } from "../../model/backups/kept-attachments.ts";
import { assertFilestores } from "../../odoo/filestore.ts";
import { databaseNames } from "../../postgres/sql/observing/facts.ts";
import { oneLine } from "../../printable.ts";
import { withLock } from "../../runs/run.ts";
import { now, pause } from "../../system/clock.ts";
import { endSelf, onSignals, tellStarter, whenInputEnds } from "../../system/process/process.ts";
import type { Invocation, Output } from "../../system/terminal.ts";
import { appliedContext } from "../as-applied.ts";
import { sourceOf } from "../source.ts";

/** Milliseconds between two scans of the filestores. */
const EVERY = 5000;

/**
 * Takes attachments into the pool as they are written, for as long as the agent lives: in a process of its own, as
 * copying would delay the agent's observations.
 */
export async function keepAttachments(
  invocation: Invocation,
  output: Output,
  stateDir: string,
): Promise<ExitStatus> {
  const abort = new AbortController();
  onSignals(["SIGTERM", "SIGINT", "SIGHUP"], () => abort.abort());
  whenInputEnds(() => endSelf("SIGTERM"));
  const context = await appliedContext(invocation, output, stateDir);
  const { filestore } = context.config.odoo;
  if (filestore === undefined) return 0;
  const source = await sourceOf(context, { requestedBy: "schedule" });
  await withLock(source.place, source.place.keeperLockFile, source.owner, async () => {
    const keeper = new AttachmentsKeeper(source.place, filestore, source.owner);
    let told: KeptAttachments = { whole_at: null, damaged: { count: 0, first: null }, error: null };
    while (!abort.signal.aborted) {
      const begun = new Date(now()).toISOString();
      try {
        await assertFilestores(filestore);
        const { damaged } = await keeper.look(await databasesOf(source), abort.signal);
        const [first = null] = damaged;
        told = { whole_at: begun, damaged: { count: damaged.length, first }, error: null };
      } catch (error) {
        told = { ...told, error: oneLine(toOdooPgError(error).message) };
      }
      if (!abort.signal.aborted) tellStarter(JSON.stringify(told));
      await pause(EVERY, abort.signal).catch(() => {});
    }
  });
  return 0;
}

/**
 * The databases whose attachments are kept: those that are backed up. A server that became a replica knows them, too.
 */
async function databasesOf({ superuser, config }: BackupSource): Promise<string[]> {
  const names = await superuser.use(databaseNames);
  const { only_filter: part } = config.backup;
  return names.filter((name) => part === undefined || name.includes(part));
}
