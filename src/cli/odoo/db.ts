import { odooPg } from "../../next-step.ts";
import { copyDatabase } from "../../restore/copy.ts";
import { dropDatabase, listDatabases, renameDatabase } from "../../restore/databases.ts";
import { showBytes } from "../../model/quantities.ts";
import { ERRORS, type ExitStatus } from "../../errors.ts";
import { again, suggest, type Context } from "../context.ts";
import { inDocument, printSetAside } from "../backup/set-aside.ts";
import { assertConfirmed, onPrimary, orReplace, recordedOnPrimary } from "../source.ts";
import { showTable } from "../table.ts";

export async function dbList(context: Context, flags: { readonly json: boolean }): Promise<ExitStatus> {
  const databases = await onPrimary(context, async (source) => await listDatabases(source));
  if (flags.json) context.output.out(JSON.stringify({ version: 1, databases }, undefined, 2));
  else {
    showTable(
      context.output,
      ["DATABASE", "OWNER", "SIZE", "SESSIONS", "FILESTORE"],
      databases.map(({ database, owner, size_bytes, sessions, filestore, connectable }) => [
        database,
        owner,
        showBytes(size_bytes),
        connectable ? String(sessions) : "closed",
        filestore ?? "–",
      ]),
    );
  }
  return 0;
}

export interface CopyFlags {
  readonly neutralize: boolean;
  readonly replace: boolean;
  readonly confirm: string | undefined;
  readonly keepOld: boolean;
  readonly json: boolean;
}

export async function dbCopy(
  context: Context,
  from: string,
  to: string,
  flags: CopyFlags,
): Promise<ExitStatus> {
  const { output } = context;
  if (flags.replace) assertConfirmed(context, to, flags.confirm, `To replace database "${to}"`);
  const { neutralize, replace, keepOld } = flags;
  const report = await recordedOnPrimary(
    context,
    { kind: "copy", database: to },
    async (source, progress) =>
      await copyDatabase(source, { from, to, neutralize, replace, keepOld }, progress),
    ({ seconds }) => `${from} was copied to ${to}${neutralize ? ", neutralised" : ""} (${seconds} s)`,
  ).catch((error: unknown) => {
    throw orReplace(error, again(context, { "--replace": "", "--confirm": to }));
  });
  const status = report.set_aside === null ? 0 : ERRORS.objects_set_aside.exit;
  if (flags.json) {
    output.out(JSON.stringify(inDocument(context, report), undefined, 2));
    return status;
  }
  for (const note of report.notes) output.err(`  Note: ${note}`);
  if (report.live) {
    const harmless = again(context, { "--neutralize": "", "--replace": "", "--confirm": to });
    output.err(
      `  Note: "${to}" is live: an Odoo that opens it sends mail and runs scheduled actions as "${from}" does. For staging: ${suggest(context, harmless)}`,
    );
  }
  if (report.set_aside !== null) printSetAside(context, report.set_aside);
  if (report.kept !== null) output.err(`  The old database is kept as "${report.kept}".`);
  const scripts = report.neutralized
    ? `, neutralised (${report.neutralize_files.length} neutralize.sql of modules, and what every Odoo has)`
    : "";
  output.out(
    `${to}: a copy of ${from}${report.files === null ? "" : ` with ${report.files} attachments`}${scripts}, in ${report.seconds} s`,
  );
  return status;
}

export async function dbRename(
  context: Context,
  from: string,
  to: string,
  flags: { readonly yes: boolean },
): Promise<ExitStatus> {
  await recordedOnPrimary(
    context,
    { kind: "rename", database: to },
    async (source) => await renameDatabase(source, from, to, flags.yes, context.output.err),
    () => `${from} was renamed to ${to}`,
  );
  noteFilestoreLeft(context);
  context.output.err(`Done. To undo: ${suggest(context, odooPg("db", "rename", to, from))}`);
  return 0;
}

export async function dbDrop(
  context: Context,
  name: string,
  flags: { readonly confirm: string | undefined },
): Promise<ExitStatus> {
  assertConfirmed(context, name, flags.confirm, `To drop database "${name}" with its attachments`);
  await recordedOnPrimary(
    context,
    { kind: "drop", database: name },
    async (source) => await dropDatabase(source, name),
    () => `${name} was dropped`,
  );
  noteFilestoreLeft(context);
  const attachments = context.config.odoo.filestore === undefined ? "" : ", with its filestore";
  context.output.err(`Database "${name}" is dropped${attachments}. Its backups stay.`);
  return 0;
}

/** Without a known filestore the attachments stay under the old name: the user must know. */
function noteFilestoreLeft({ config, output }: Context): void {
  if (config.odoo.filestore !== undefined) return;
  output.err(`  Note: its attachments were left as they are: "odoo.filestore" is not set`);
}
