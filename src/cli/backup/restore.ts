import { odooPg, sameCommand } from "../../next-step.ts";
import path from "node:path";
import { findInput } from "../../restore/reading/input.ts";
import { restoreDatabase, type RestoreReport } from "../../restore/restore.ts";
import { ERRORS, OdooPgError, type ExitStatus } from "../../errors.ts";
import { again, suggest, type Context } from "../context.ts";
import { targetWords, type Target } from "../../archive/target.ts";
import { restoreAt, targetOf, type MomentFlags } from "./restore-moment.ts";
import { inDocument, printSetAside } from "./set-aside.ts";
import { assertConfirmed, orReplace, recordedOnPrimary } from "../source.ts";
import { counted } from "../../model/quantities.ts";
import { printableLine } from "../../printable.ts";

export interface RestoreFlags {
  readonly as: string | undefined;
  readonly replace: string | undefined;
  readonly confirm: string | undefined;
  readonly keepOld: boolean;
  readonly neutralize: boolean;
  /** The database to restore, where the file holds several. */
  readonly database: string | undefined;
  readonly json: boolean;
  /** Which moment, where what is restored is a database as it was. */
  readonly moment?: MomentFlags;
  /** Whether a missing attachment of another moment fails it. */
  readonly requireAttachments?: boolean;
}

/** Restores a backup, a dump or a zip of Odoo into a new database, or in place of one. */
export async function restore(
  context: Context,
  named: string | undefined,
  flags: RestoreFlags,
): Promise<ExitStatus> {
  const word = named ?? noBackup();
  const database = flags.as ?? flags.replace;
  if (database === undefined || (flags.as !== undefined && flags.replace !== undefined)) {
    throw new OdooPgError("usage", {
      message: "Say where to: --as NEW_DATABASE, or --replace DATABASE --confirm DATABASE.",
      safe: "Nothing was changed.",
      next: odooPg("restore", word, "--as", newName(word)),
    });
  }
  if (flags.keepOld && flags.replace === undefined) {
    throw new OdooPgError("usage", {
      message: "--keep-old belongs to --replace: with --as no database is replaced.",
      safe: "Nothing was changed.",
      next: sameCommand([], ["--keep-old"]),
    });
  }
  if (flags.replace !== undefined)
    assertConfirmed(context, database, flags.confirm, `To replace database "${database}"`);
  const target = flags.moment && targetOf(flags.moment);
  if (target === undefined && flags.requireAttachments === true) {
    throw new OdooPgError("usage", {
      message: "--require-attachments belongs to --at, --before-xid or --lsn.",
      safe: "Nothing was changed.",
      next: sameCommand([], ["--require-attachments"]),
    });
  }
  if (target !== undefined) return await ofMoment(context, word, database, target, flags);
  const report = await recordedOnPrimary(
    context,
    { kind: "restore", database },
    async (source, progress) => {
      const input = await findInput(source.place, context.invocation.cwd, word);
      const order = {
        input,
        database,
        replace: flags.replace !== undefined,
        keepOld: flags.keepOld,
        neutralize: flags.neutralize,
        part: flags.database,
      };
      return await restoreDatabase(source, order, progress);
    },
    ({ seconds }) =>
      `${database} was restored from ${path.basename(word)}${flags.replace === undefined ? "" : ", in place of the old one"} (${seconds} s)`,
  ).catch((error: unknown) => {
    throw orReplace(error, again(context, { "--replace": database, "--confirm": database }, ["--as"]));
  });
  print(context, report, flags);
  return report.set_aside === null ? 0 : ERRORS.objects_set_aside.exit;
}

function noBackup(): never {
  throw new OdooPgError("usage", {
    message: "Say what to restore: a backup, a file, or with --at a database.",
    safe: "Nothing was changed.",
    next: odooPg("backup", "list"),
  });
}

/** A name for a database that is restored from a backup or a file. */
function newName(word: string): string {
  const stem = path.basename(word).replace(/(?:_\d{8}_.*|\..*)$/, "");
  return `${stem.toLowerCase().replaceAll(/[^a-z0-9_]+/g, "_")}_restored`;
}

async function ofMoment(
  context: Context,
  from: string,
  database: string,
  target: Target,
  flags: RestoreFlags,
): Promise<ExitStatus> {
  const { requireAttachments = false, keepOld, neutralize } = flags;
  const replace = flags.replace !== undefined;
  const order = { from, database, replace, keepOld, neutralize, requireAttachments };
  const { report, lastChange, base } = await recordedOnPrimary(
    context,
    { kind: "restore", database },
    async (source, progress) => await restoreAt(context, source, target, order, progress),
    ({ report: { seconds } }) =>
      `${database} was restored from ${from} as of ${targetWords(target)}${order.replace ? ", in place of the old one" : ""} (${seconds} s)`,
  );
  const { output } = context;
  const words =
    target.kind === "time" && flags.moment?.at !== undefined ? flags.moment.at : targetWords(target);
  output.err(`  As of ${words} (${targetWords(target)}), from base backup ${base}.`);
  if (lastChange !== undefined) output.err(`  The last change in it is of ${lastChange}.`);
  const { count, first } = report.missing;
  if (count > 0) {
    output.err(`  Note: ${count} attachments of that moment are missing:`);
    for (const name of first.slice(0, MISSING_SHOWN)) output.err(`  - ${printableLine(name)}`);
  }
  print(context, report, flags);
  return report.set_aside === null ? 0 : ERRORS.objects_set_aside.exit;
}

/** Names of missing attachments that are printed. */
const MISSING_SHOWN = 20;

function print(context: Context, report: RestoreReport, flags: RestoreFlags): void {
  const { output } = context;
  if (flags.json) return output.out(JSON.stringify(inDocument(context, report), undefined, 2));
  for (const note of report.notes) output.err(`  Note: ${note}`);
  if (report.kept !== null) {
    output.err(
      `  The old database is kept as "${report.kept}"; nobody can connect to it. Drop it: ${suggest(context, odooPg("db", "drop", report.kept, "--confirm", report.kept))}`,
    );
  }
  if (report.live && flags.as !== undefined) {
    const name = report.database;
    const instead = { "--replace": name, "--confirm": name, "--neutralize": "" };
    const trial = again(context, instead, ["--as"]);
    output.err(
      `  Note: "${name}" is live: it has the uuid and the secret of the original, and its scheduled actions and mail servers are on. For a trial: ${suggest(context, trial)}`,
    );
  }
  if (report.set_aside !== null) printSetAside(context, report.set_aside);
  const files = report.files === null ? "" : `, ${counted(report.files, "attachment")}`;
  const harmless = report.neutralized ? ", neutralised" : "";
  const aside = report.set_aside?.objects.length ?? 0;
  const whole = aside === 0 ? "compared and complete" : `compared, without the ${aside} set aside`;
  output.out(
    printableLine(
      `${report.database}: ${counted(report.tables, "table")}, ${counted(report.rows, "row")}${files}, owner ${report.owner}, ${whole}${harmless}, in ${report.seconds} s`,
    ),
  );
}
