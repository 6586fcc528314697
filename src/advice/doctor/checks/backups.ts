import { nextStep, odooPg } from "../../../next-step.ts";
import { knownProofs } from "../../../cluster/backups/proofs.ts";
import type { BackupStatus } from "../../../model/backups/backup-report.ts";
import { backupWarnings, isYoung } from "../../../cluster/backups/backups.ts";
import { wordsOfLack } from "../../../model/backups/lack.ts";
import { isFindingCode } from "../../../model/troubles/troubles.ts";
import { numberOf, serversSeen, settingOf, observedValues, type Evidence, type Server } from "../evidence.ts";
import { finding, type FoundFinding, type Figures } from "../findings.ts";

/** Finished segments that may wait: half a gigabyte of the usual ones. */
const WAITING_SEGMENTS = 32;

/** Whether there are backups, young enough and proven, and whether WAL gets to its archive. */
export function checkBackups(evidence: Evidence): FoundFinding[] {
  return [
    ...observedValues(evidence.backups).flatMap(() => [...off(evidence), ...ofRecord(evidence)]),
    ...serversSeen(evidence).flatMap((server) => archiver(server)),
  ];
}

/** Databases whose loss would matter. */
function databasesOf({ catalog, config }: Evidence): string[] {
  return observedValues(catalog)
    .flatMap(({ databases }) => observedValues(databases))
    .flat()
    .filter(({ is_template, name }) => !is_template && name !== "postgres" && name !== config.odoo.template)
    .map(({ name }) => name);
}

function off(evidence: Evidence): FoundFinding[] {
  const databases = databasesOf(evidence);
  if (evidence.config.backup.enabled || databases.length === 0) return [];
  return [
    finding("backups_off", {
      message: `Backups are turned off, and there ${databases.length === 1 ? "is 1 database" : `are ${databases.length} databases`}.`,
      evidence: { "backup.enabled": false, databases: databases.length },
      next: nextStep`take backup.enabled out of the configuration (and BACKUPS out of the environment), then: ${odooPg("up")}`,
    }),
  ];
}

function ofRecord({ config, backups, now, hosts }: Evidence): FoundFinding[] {
  return observedValues(backups).flatMap(({ record, launchedAt }) => {
    const evidence: Figures = {
      last_good_at: record?.last_good_at ?? null,
      last_drill_at: record?.last_drill?.finished_at ?? null,
      backups: record?.backups ?? 0,
      "backup.max_age_hours": config.backup.max_age_hours,
    };
    const found = backupWarnings({
      settings: config.backup,
      record,
      launchedAt,
      now,
    }).flatMap((warning) => {
      const { code, message, next_step: next } = warning;
      // Those of the time when another host had the primary lie there.
      if (code === "backup_too_old" && isYoung(hosts?.backedUp?.at, config.backup.max_age_hours, now))
        return [];
      return isFindingCode(code) ? [finding(code, { message, evidence, next })] : [];
    });
    found.push(...notRestorable(record));
    const never = neverProven(record);
    if (!record?.backups || never === undefined || found.some(({ code }) => code === "drill_too_old"))
      return found;
    const { drill_schedule, enabled } = config.backup;
    const planned =
      enabled && drill_schedule !== "off" ? ` The schedule does it at ${drill_schedule} (UTC).` : "";
    found.push(
      finding("never_drilled", {
        message: `${never}${planned}`,
        evidence,
        next: odooPg("backup", "restore-check"),
      }),
    );
    return found;
  });
}

/** What a restore elsewhere could not do is left to the backup itself to tell: here all would be well. */
function notRestorable(record: BackupStatus | undefined): FoundFinding[] {
  return (record?.lacking ?? []).flatMap(({ database, id, lacks }) => {
    const told = lacks.filter(({ code }) => code !== "owner" && code !== "extension");
    const [first] = told;
    if (!first) return [];
    const more = told.length > 1 ? `, and ${told.length - 1} more ${told.length > 2 ? "kinds" : "kind"}` : "";
    return [
      finding("not_restorable", {
        message: `${database}: ${wordsOfLack(first)}${more}.`,
        evidence: { database, backup: id, objects: told.reduce((sum, { count }) => sum + count, 0) },
        next: odooPg("backup", "show", id),
      }),
    ];
  });
}

/**
 * Databases of which no backup was ever proven, in a sentence; undefined where there is none. One whose drill failed is
 * told as that.
 */
function neverProven(record: BackupStatus | undefined): string | undefined {
  if (!record) return undefined;
  const known = knownProofs(record);
  const never = known.filter(({ proven, failed }) => !proven && !failed).map(({ database }) => database);
  if (never.length < known.length) {
    if (!never.length) return undefined;
    return `${never.length} of ${known.length} databases ${never.length === 1 ? "was" : "were"} never proven by restoring a backup: ${listed(never)}.`;
  }
  const names = never.length ? `: ${listed(never)}` : "";
  return `There ${record.backups === 1 ? "is 1 backup" : `are ${record.backups} backups`}, and none was ever proven by restoring it${names}.`;
}

/** Names that one line has room for. */
const NAMES_SHOWN = 10;

function listed(names: readonly string[]): string {
  const more = names.length > NAMES_SHOWN ? ` and ${names.length - NAMES_SHOWN} more` : "";
  return `${names.slice(0, NAMES_SHOWN).join(", ")}${more}`;
}

function archiver(server: Server): FoundFinding[] {
  const mode = settingOf(server, "archive_mode");
  if (mode === undefined || mode === "off" || server.in_recovery) return [];
  const means = settingOf(server, "archive_command") || settingOf(server, "archive_library");
  return observedValues(server.archiver).flatMap((seen) => {
    const { failed_count, last_archived_at, last_failed_at, last_failed_wal, waiting } = seen;
    const evidence: Figures = {
      waiting_segments: waiting,
      failed_count,
      last_failed_wal,
      last_archived_at: last_archived_at === null ? null : new Date(last_archived_at).toISOString(),
      last_failed_at: last_failed_at === null ? null : new Date(last_failed_at).toISOString(),
    };
    const logs = odooPg("logs", server.name);
    if (!means || means === "(disabled)") {
      return [
        finding("archiver_failing", {
          node: server.name,
          message: `${server.name} keeps its WAL for an archive, but has no archive_command: its disk fills.`,
          evidence,
          next: nextStep`set archive_command, or archive_mode to off, in postgres.parameters, then: ${odooPg("up")}`,
        }),
      ];
    }
    if (last_failed_at !== null && last_failed_at > (last_archived_at ?? 0)) {
      return [
        finding("archiver_failing", {
          node: server.name,
          message: `${server.name} cannot archive ${last_failed_wal ?? "its WAL"}; ${waiting} ${waiting === 1 ? "segment waits" : "segments wait"}.`,
          evidence,
          next: nextStep`its own words are in the log: ${logs}`,
        }),
      ];
    }
    if (waiting <= WAITING_SEGMENTS) return [];
    return [
      finding("archiver_late", {
        node: server.name,
        message: `${server.name} has ${waiting} finished WAL segments of ${(numberOf(server, "wal_segment_size") ?? 0) / 1024 / 1024} MB waiting to be archived.`,
        evidence,
        next: logs,
      }),
    ];
  });
}
