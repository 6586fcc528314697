import { windowMilliseconds } from "../../config/sections/backup.ts";
import { nextStep, odooPg } from "../../next-step.ts";
import { readCatalogue, type CataloguedBackup } from "../../backup/catalogue.ts";
import { databasesNamed, databasesToBackUp, type DatabaseSize } from "../../backup/databases.ts";
import { noteFailedRun } from "../../runs/failed-run.ts";
import { tellHooks } from "../../runs/hooks.ts";
import { lacksAttachments } from "../../backup/manifest.ts";
import { openBackupSource } from "../../backup/open-source.ts";
import { readDifferences } from "../../backup/contents/differences.ts";
import { backupPlaceOf, type BackupPlace } from "../../backup/place.ts";
import { prune } from "../../backup/prune.ts";
import { readBackupStatus } from "../../store/backup-status.ts";
import { unlessCopying } from "../../store/copying.ts";
import type { RunReport } from "../../model/backups/backup-report.ts";
import { roundOf, type Round } from "../../backup/round.ts";
import { backUpDatabases, drillBackups, withBackupLock, withLock } from "../../runs/run.ts";
import { findNamedBackup } from "../../restore/reading/input.ts";
import type { BackupSource } from "../../backup/source.ts";
import { noteRotation, writeBackupStatus } from "../../runs/write-status.ts";
import { SoundFiles, verifyBackup, type Verified } from "../../backup/verify.ts";
import { progressTo, type Progress } from "../../progress.ts";
import { wordsOfLack } from "../../model/backups/lack.ts";
import { readArchive } from "../../archive/record.ts";
import { rotationSkippedSince, WHY_LEFT } from "../../cluster/backups/rotation.ts";
import { windowWords } from "../../cluster/backups/window.ts";
import { lookAtWindow } from "./window.ts";
import { showBytes } from "../../model/quantities.ts";
import { nextTime, parseSchedule } from "../../config/values/cron.ts";
import { folded, OdooPgError, toOdooPgError, type ExitStatus } from "../../errors.ts";
import { recorded } from "../../events/journal.ts";
import { runEvent } from "../../events/of-backups.ts";
import { now } from "../../system/clock.ts";
import { openLog, type Log } from "../../system/log.ts";
import { requester } from "../../system/machine.ts";
import { onSignals } from "../../system/process/process.ts";
import { ownerOf } from "../../system/files/files.ts";
import { serverOwner, suggest, type Context, programSearch } from "../context.ts";
import { noteAttachments } from "../odoo/attachments.ts";
import { showProgress } from "../progress.ts";
import { showTable } from "../table.ts";
import { VERSION } from "../setup/version.ts";
import { oneLine, printableLine } from "../../printable.ts";

interface JsonOption {
  readonly json: boolean;
}

/** Runs `act` so that Ctrl-C ends it cleanly. */
async function interruptible<T>(act: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const abort = new AbortController();
  const unhook = onSignals(["SIGINT", "SIGTERM"], () => abort.abort());
  try {
    return await act(abort.signal);
  } catch (error) {
    if (!abort.signal.aborted) throw error;
    throw new OdooPgError("interrupted", {
      message: "Interrupted.",
      safe: "Finished backups are whole; what was under way is removed.",
      next: "Run the same command again.",
      cause: error,
    });
  } finally {
    unhook();
  }
}

/**
 * Backs up databases at once: those named, or all. 0 when all succeeded, 1 when one failed.
 * @throws OdooPgError usage, locked, database_unknown, not_running, primary_unreachable.
 */
export async function backupCreate(
  context: Context,
  names: readonly string[],
  options: JsonOption & { all: boolean; prove: boolean },
): Promise<ExitStatus> {
  if (options.all === names.length > 0) {
    throw new OdooPgError("usage", {
      message: options.all ? "--all and names of databases cannot be used together." : "Which databases?",
      next: nextStep`${odooPg("backup", "create", "--all")}, or name them.`,
    });
  }
  await noteAttachments(context);
  const report = await interruptible(
    async (signal) => await createNow(context, names, "command", showProgress(context), signal),
  );
  const made = report.databases.flatMap(({ id, outcome }) => (outcome === "ok" && id !== null ? [id] : []));
  if (!options.prove || made.length === 0) {
    printRun(context, report, options);
    return report.ok ? 0 : 1;
  }
  if (!options.json) printRun(context, report, options);
  const proof = await interruptible(
    async (signal) => await drillNow(context, made, "command", showProgress(context), signal),
  );
  if (options.json) context.output.out(JSON.stringify({ ...report, proof }, undefined, 2));
  else printDrill(context, proof, options);
  return report.ok && proof.ok ? 0 : 1;
}

async function openSource(context: Context, requestedBy: "command" | "schedule", signal: AbortSignal) {
  const { config, layout } = context;
  const servers = await serverOwner(context);
  const source = await openBackupSource({
    config,
    layout,
    serverOwner: servers,
    machine: context.machine,
    ...programSearch(context),
    version: VERSION,
    requestedBy,
    signal,
  });
  return { source, log: openLog(layout.backupLog, servers, false) };
}

/** Makes backups, keeps the record for monitoring, and calls the hooks. */
export async function createNow(
  context: Context,
  names: readonly string[],
  requestedBy: "command" | "schedule",
  show: ReturnType<typeof showProgress>,
  signal: AbortSignal,
): Promise<RunReport> {
  const startedAt = new Date(now()).toISOString();
  let ran = false;
  try {
    return await recordedRun(context, "backup", requestedBy, async () => {
      const { source, log } = await openSource(context, requestedBy, signal);
      const all = await databasesToBackUp(source.superuser, context.config.backup.only_filter);
      const wanted = names.length ? await databasesNamed(source.superuser, names) : all;
      return await withBackupLock(source, async () => {
        const progress = progressTo(show.event);
        const run = await backUpDatabases(source, wanted, progress, failuresTo(progress, log));
        ran = true;
        return await finishRun(context, source, log, all, run);
      });
    });
  } catch (thrown) {
    const error = toOdooPgError(thrown);
    const attempt = {
      startedAt,
      finishedAt: new Date(now()).toISOString(),
      host: context.machine.hostname,
      error,
    };
    // What follows a run says nothing about its backups. A record that cannot be written, as on a full disk, must not
    // hide why.
    if (!ran && names.length === 0 && !signal.aborted)
      await noteFailedRun(context.config, context.layout.stateDir, attempt).catch(() => {});
    throw thrown;
  } finally {
    show.end();
  }
}

/** The log has the whole of a failure; on the terminal only as much as can be read is shown. */
function failuresTo({ note }: Progress, log: Log) {
  return (subject: string, { message, details }: OdooPgError): void => {
    log(
      "error",
      [`${subject}: ${message}`, ...details.map((detail) => `- ${printableLine(detail)}`)].join("\n"),
    );
    for (const line of `${subject} FAILED: ${message}`.split("\n")) note(line);
    for (const detail of folded(details)) note(`- ${detail}`);
  };
}

/** Writes the result of a run into the journal of events. */
async function recordedRun(
  context: Context,
  kind: RunReport["kind"],
  requestedBy: "command" | "schedule",
  run: () => Promise<RunReport>,
): Promise<RunReport> {
  const by = requestedBy === "schedule" ? "schedule" : requester();
  const { stateDir } = context.layout;
  const owner = await serverOwner(context);
  return await recorded({ stateDir, owner, kind, by, told: (report) => runEvent(report, by) }, run);
}

/** Reports the result to the hooks, the log and monitoring. */
async function finishRun(
  { config, layout }: Context,
  { place }: BackupSource,
  log: Log,
  all: readonly DatabaseSize[],
  run: RunReport,
): Promise<RunReport> {
  // A night on which no database is due is no news.
  const unheard = run.kind === "drill" && !run.databases.length ? [] : await tellHooks(config, run);
  const report = { ...run, warnings: [...run.warnings, ...unheard] };
  for (const { database, outcome, id, seconds, error, warnings } of report.databases) {
    const words = `${run.kind} of ${database}: ${outcome}${id === null ? "" : ` ${id}`} in ${seconds} s`;
    log(outcome === "failed" ? "error" : "info", error === null ? words : `${words}: ${error}`);
    for (const warning of warnings) log("warn", `${database}: ${warning}`);
  }
  for (const id of report.removed) log("info", `removed ${id}: it has expired`);
  for (const warning of report.warnings) log("warn", warning);
  const names = all.map(({ name }) => name);
  try {
    await writeBackupStatus(layout.stateDir, place, names, report);
    return report;
  } catch (error) {
    // A backup that was made counts, even where its record cannot be written.
    const warning = `status does not know of this run, as its record cannot be written: ${oneLine(toOdooPgError(error).message)}`;
    log("warn", warning);
    return { ...report, warnings: [...report.warnings, warning] };
  }
}

function printRun({ output, configFile }: Context, report: RunReport, { json }: JsonOption): void {
  if (json) return output.out(JSON.stringify(report, undefined, 2));
  for (const {
    database,
    outcome,
    id,
    seconds,
    size_bytes,
    copied_bytes,
    error,
    safe,
    next = "",
    next_step = [next],
    warnings,
  } of report.databases) {
    if (outcome === "ok") {
      const attachments = copied_bytes ? `, ${showBytes(copied_bytes)} of new attachments` : "";
      output.out(
        printableLine(`${database}  ${id ?? ""}  ${showBytes(size_bytes)}${attachments}  ${seconds} s`),
      );
    } else
      output.out(`${database}  ${outcome === "dropped" ? "dropped meanwhile" : `FAILED: ${error ?? ""}`}`);
    if (safe !== undefined) output.err(`  Safe: ${safe}`);
    if (next !== "") output.err(`  Next: ${suggest({ configFile, output }, next_step)}`);
    for (const warning of warnings) output.err(`  Warning: ${database}: ${warning}`);
  }
  if (!report.databases.length) output.err("There is no database to back up.");
  for (const id of report.removed) output.err(`  Removed ${id}: it has expired.`);
  for (const warning of report.warnings) output.err(`  Warning: ${warning}`);
}

/** One backup as `list --json` and `show --json` have it. */
function listed({ id, folder, manifest, checks }: CataloguedBackup) {
  return { ...manifest, id, folder, ...checks, version: undefined, problems: checks.problems };
}

/** The backups, the oldest first. */
export async function backupList(
  context: Context,
  options: JsonOption & { database?: string },
): Promise<ExitStatus> {
  const { output, config } = context;
  const { backups, unreadable } = await readCatalogue(backupPlaceOf(config));
  const shown = backups.filter(
    ({ manifest }) => options.database === undefined || manifest.database === options.database,
  );
  const seconds = config.backup.any_second.enabled ? await lookAtWindow(context) : null;
  const left = await leftByRotation(context);
  if (options.json) {
    output.out(
      JSON.stringify(
        {
          version: 1,
          window: seconds,
          dir: backupPlaceOf(config).dir,
          backups: shown.map(listed),
          unreadable,
          rotation_skipped_since: left ?? null,
        },
        undefined,
        2,
      ),
    );
    return 0;
  }
  if (seconds) output.out(`Seconds: ${windowWords(seconds, now())}`);
  const rows = shown.map(({ id, manifest, checks }) => [
    id,
    manifest.database,
    `${manifest.finished_at.slice(0, 16).replace("T", " ")}Z`,
    showBytes(manifest.size_bytes),
    [checked(checks), ...(lacksAttachments(manifest.filestore) ? ["without attachments"] : [])].join(", "),
  ]);
  if (rows.length) showTable(output, ["BACKUP", "DATABASE", "MADE", "SIZE", "CHECKED"], rows);
  if (!shown.length) output.err(`There is no backup in ${backupPlaceOf(config).dir}.`);
  for (const { folder, problem } of unreadable) output.err(`Cannot be read: ${folder}: ${problem}`);
  if (left !== undefined) output.err(`Not removed since ${left}, though expired: ${WHY_LEFT}.`);
  return 0;
}

/** Since when expired backups have been left in place; undefined where they are removed. */
async function leftByRotation({ layout }: Context): Promise<string | undefined> {
  const { record } = await readBackupStatus(layout.stateDir);
  const { status } = await readArchive(layout);
  return rotationSkippedSince(record, status);
}

function checked({ verified_at, drilled_at, problems }: CataloguedBackup["checks"]): string {
  if (problems.length) return `DAMAGED: ${problems[0] ?? ""}`;
  if (drilled_at !== null) return `restored ${drilled_at.slice(0, 10)}`;
  return verified_at === null ? "not yet" : `verified ${verified_at.slice(0, 10)}`;
}

/** Everything that a backup says about itself, or how its last restore differed. */
export async function backupShow(
  context: Context,
  id: string,
  options: JsonOption & { differences: boolean },
): Promise<ExitStatus> {
  const { output, config } = context;
  const backup = await findNamedBackup(backupPlaceOf(config), context.invocation.cwd, id);
  if (options.differences) return await showDifferences(context, backup, options);
  if (options.json) {
    output.out(JSON.stringify({ version: 1, backup: listed(backup) }, undefined, 2));
    return 0;
  }
  const { manifest, checks, folder } = backup;
  const { filestore } = manifest;
  const lines: [string, string][] = [
    ["backup", backup.id],
    ["folder", folder],
    ["database", manifest.database],
    ["snapshot at", manifest.snapshot_at],
    ["finished at", `${manifest.finished_at} (${manifest.kinds.join(", ")})`],
    [
      "asked for by",
      `${manifest.requested_by.user}@${manifest.requested_by.host} (${manifest.requested_by.kind})`,
    ],
    ["PostgreSQL", manifest.server_version],
    ["Odoo", manifest.odoo_version ?? "not a database of Odoo"],
    ["size", `${showBytes(manifest.size_bytes)}, of a database of ${showBytes(manifest.database_bytes)}`],
    ["tables", `${manifest.tables} with ${manifest.rows} rows`],
    [
      "attachments",
      filestore.included
        ? `${filestore.files}, ${showBytes(filestore.bytes)}${filestore.missing.count ? `, ${filestore.missing.count} missing` : ""}${filestore.altered.count ? `, ${filestore.altered.count} damaged at their source` : ""}${filestore.pool_only.count ? `, ${filestore.pool_only.count} lost at their source and taken from earlier backups` : ""}`
        : `not in the backup (${filestore.reason.replaceAll("_", " ")})`,
    ],
    ...manifest.lacks.map((lack): [string, string] => ["restorable", wordsOfLack(lack)]),
    ["verified at", checks.verified_at ?? "never"],
    ["restored at", checks.drilled_at ?? "never"],
    ...checks.problems.map((problem): [string, string] => ["problem", problem]),
    ["by hand", `pg_restore --list ${JSON.stringify(folder)}`],
  ];
  for (const [name, value] of lines) output.out(printableLine(`${name.padEnd(13)} ${value}`));
  return 0;
}

async function showDifferences(
  context: Context,
  { id, folder, checks }: CataloguedBackup,
  { json }: JsonOption,
): Promise<ExitStatus> {
  const { output } = context;
  const differences = await readDifferences(folder);
  if (json) {
    output.out(JSON.stringify({ version: 1, id, drilled_at: checks.drilled_at, differences }, undefined, 2));
    return 0;
  }
  for (const difference of differences) output.out(printableLine(difference));
  if (differences.length) return 0;
  const prove = suggest(context, odooPg("backup", "restore-check", id));
  const [problem] = checks.problems;
  output.err(
    checks.drilled_at !== null
      ? `There is no difference: it was restored and compared at ${checks.drilled_at}.`
      : problem === undefined
        ? `It was never restored and compared. To do so: ${prove}`
        : `No list of differences is kept. What the last check found: ${problem}`,
  );
  return 0;
}

/**
 * Proves backups by restoring them into a scratch database: those named, else the newest of every database. 0 when all
 * came back unchanged, 1 when one did not.
 * @throws OdooPgError usage, locked, backup_unknown, not_running, primary_unreachable.
 */
export async function backupRestoreCheck(
  context: Context,
  ids: readonly string[],
  options: JsonOption & { all: boolean },
): Promise<ExitStatus> {
  const { config } = context;
  if (options.all && ids.length) {
    throw new OdooPgError("usage", {
      message: "--all and ids cannot be used together.",
      next: odooPg("backup", "restore-check", "--all"),
    });
  }
  const every = options.all ? (await readCatalogue(backupPlaceOf(config))).backups.map(({ id }) => id) : ids;
  const report = await interruptible(
    async (signal) => await drillNow(context, every, "command", showProgress(context), signal),
  );
  printDrill(context, report, options);
  return report.ok ? 0 : 1;
}

/**
 * Reads backups whole and checks them against their checksums. 0 when all is well, 1 when something is damaged.
 * @throws OdooPgError usage, backup_unknown.
 */
export async function backupVerify(
  context: Context,
  ids: readonly string[],
  options: JsonOption & { all: boolean; restore: boolean },
): Promise<ExitStatus> {
  const { output, config } = context;
  if (options.restore) return await backupRestoreCheck(context, ids, options);
  if (options.all === ids.length > 0) {
    throw new OdooPgError("usage", {
      message: options.all ? "--all and ids cannot be used together." : "Which backup?",
      next: nextStep`${odooPg("backup", "verify", "--all")}, or an id of: ${odooPg("backup", "list")}`,
    });
  }
  const place = backupPlaceOf(config);
  const catalogue = await readCatalogue(place);
  const backups: CataloguedBackup[] = options.all ? [...catalogue.backups] : [];
  for (const id of ids) backups.push(await findNamedBackup(place, context.invocation.cwd, id));
  const show = showProgress(context);
  const results: Verified[] = options.all
    ? catalogue.unreadable.map(({ id, problem }) => ({ id, database: "", ok: false, problems: [problem] }))
    : [];
  await interruptible(async (signal) => {
    const sound = new SoundFiles();
    for (const backup of backups) {
      const verified = await verifyBackup(backup, sound, {
        // Any other user who could change its notes could claim that it is of this cluster.
        owner: context.machine.isRoot ? await ownerOf(backup.folder) : undefined,
        progress: progressTo(show.event),
        signal,
      });
      if (verified) results.push(verified);
    }
  }).finally(show.end);
  const ok = results.every((result) => result.ok);
  if (options.json) output.out(JSON.stringify({ version: 1, ok, results }, undefined, 2));
  else {
    for (const { id, problems } of results) {
      output.out(printableLine(`${id}  ${problems.length ? "DAMAGED" : "all checksums match"}`));
      for (const problem of problems) output.out(printableLine(`  ${problem}`));
    }
    if (!results.length) output.err(`There is no backup in ${place.dir}.`);
  }
  return ok ? 0 : 1;
}

/**
 * Proves backups by restoring them: those named, else the newest of every database, or of those that are due where the
 * schedule asks. Keeps the record for monitoring, and calls the hooks.
 */
export async function drillNow(
  context: Context,
  ids: readonly string[],
  requestedBy: "command" | "schedule",
  show: ReturnType<typeof showProgress>,
  signal: AbortSignal,
): Promise<RunReport> {
  const { config } = context;
  try {
    return await recordedRun(context, "drill", requestedBy, async () => {
      const { source, log } = await openSource(context, requestedBy, signal);
      const { place } = source;
      const named: CataloguedBackup[] = [];
      for (const id of ids) named.push(await findNamedBackup(place, context.invocation.cwd, id));
      const all = await databasesToBackUp(source.superuser, config.backup.only_filter);
      return await withLock(place, place.drillLockFile, source.owner, async () => {
        const progress = progressTo(show.event);
        const tell = failuresTo(progress, log);
        const round = requestedBy === "schedule" ? await scheduledRound(context, place, all) : undefined;
        const { backups, budget } = round ?? {
          backups: named.length ? named : await newestOfEach(place, all),
          budget: Infinity,
        };
        const run = await drillBackups(source, backups, progress, { tell, budget });
        return await finishRun(context, source, log, all, run);
      });
    });
  } finally {
    show.end();
  }
}

async function newestOfEach(
  place: BackupPlace,
  databases: readonly DatabaseSize[],
): Promise<CataloguedBackup[]> {
  const { backups } = await readCatalogue(place);
  return databases.flatMap(
    ({ name }) => backups.findLast(({ manifest }) => manifest.database === name) ?? [],
  );
}

async function scheduledRound(
  { config, layout }: Context,
  place: BackupPlace,
  databases: readonly DatabaseSize[],
): Promise<Round> {
  const { backups } = await readCatalogue(place);
  const { record } = await readBackupStatus(layout.stateDir);
  const schedule = parseSchedule(config.backup.drill_schedule);
  const at = now();
  const nextAt = typeof schedule === "string" ? undefined : nextTime(schedule, at);
  return roundOf({ databases: databases.map(({ name }) => name), backups, record, now: at, nextAt });
}

function printDrill({ output, configFile }: Context, report: RunReport, { json }: JsonOption): void {
  if (json) return output.out(JSON.stringify(report, undefined, 2));
  for (const { id, outcome, error, seconds, next = "", next_step = [next] } of report.databases) {
    if (outcome === "ok")
      output.out(printableLine(`${id ?? ""}  restored and compared: the same  ${seconds} s`));
    else
      output.out(
        `${id ?? ""}  ${outcome === "dropped" ? "was removed meanwhile" : `FAILED: ${error ?? ""}`}`,
      );
    if (next !== "") output.err(`  Next: ${suggest({ configFile, output }, next_step)}`);
  }
  if (!report.databases.length) output.err("There is no backup to try.");
  for (const warning of report.warnings) output.err(`  Warning: ${warning}`);
}

/** Removes what has expired, and files of the pool that no backup names. */
export async function backupPrune(
  context: Context,
  options: JsonOption & { dryRun: boolean },
): Promise<ExitStatus> {
  const { output, config, layout } = context;
  const place = backupPlaceOf(config);
  const act = async () =>
    await prune(place, config.backup, {
      now: now(),
      dryRun: options.dryRun,
      pool: true,
      window: windowMilliseconds(config.backup.any_second),
      filestores: config.odoo.filestore,
    });
  const pruned = options.dryRun
    ? await act()
    : await withBackupLock({ place, owner: undefined }, async () => await unlessCopying(layout, act));
  if (!pruned) {
    throw new OdooPgError("locked", {
      message: "A copy elsewhere is being made of what would be removed.",
      safe: "Nothing was changed.",
      next: nextStep`Wait for it to end: ${odooPg("status")}`,
    });
  }
  // As after a run: a pool that was left alone is reported below.
  if (!options.dryRun)
    await noteRotation(layout.stateDir, place).catch((error: unknown) =>
      output.err(`  Warning: status does not know of it yet: ${oneLine(toOdooPgError(error).message)}`),
    );
  if (options.json) {
    output.out(JSON.stringify({ version: 1, dry_run: options.dryRun, ...pruned }, undefined, 2));
    return 0;
  }
  const verb = options.dryRun ? "Would remove" : "Removed";
  for (const id of pruned.removed) output.out(printableLine(`${verb} ${id}`));
  output.out(
    printableLine(
      `${verb} ${pruned.pool_files} attachments that no backup names (${showBytes(pruned.pool_bytes)})`,
    ),
  );
  if (pruned.pool_kept !== null) output.err(`The attachments were left alone: ${pruned.pool_kept}`);
  return 0;
}
