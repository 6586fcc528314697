import type { Trouble } from "./trouble.ts";

export const BACKUPS = {
  backups_off: {
    severity: "warning",
    meaning: "The cluster holds databases, and `backup.enabled` is false.",
    why: "As far as odoo-pg knows, nothing backs them up. A replica is no backup: it repeats every mistake at once.",
    remedy: "Remove `backup.enabled` from the configuration, then `odoo-pg up`.",
    foundBy: ["doctor"],
  },
  backup_filter_matches_nothing: {
    severity: "warning",
    meaning: "`backup.only_filter` matches no database: nothing is backed up.",
    why: "`only_filter` is a part of a name, not a pattern: `*shop*` matches nothing.",
    remedy:
      "Set `backup.only_filter` (`BACKUP_ONLY_FILTER`) to a part of the databases' names, or remove it; then `odoo-pg up`.",
    foundBy: ["status", "doctor"],
    alarm: { afterSeconds: 0, endsAfterSeconds: 0 },
  },
  backup_failed: {
    severity: "warning",
    meaning: "The last backup run failed for at least one database. Earlier backups are untouched.",
    why: "The newest good backup of that database gets older.",
    remedy:
      "`odoo-pg backup create --all` says why, by database: [When something is wrong](operations.md#when-something-is-wrong)",
    foundBy: ["status", "doctor"],
    alarm: { afterSeconds: 0, endsAfterSeconds: 0 },
    prometheus: {
      expr: "odoo_pg_backup_last_run_ok == 0",
      summary: "{{ $labels.cluster }}: the last backup run failed.",
      description: "Why: odoo-pg status",
    },
  },
  backup_incomplete: {
    severity: "warning",
    meaning:
      "The last backup found no folder in the filestore for a database that names attachments, for example because a disk is not mounted.",
    why: "Such a backup restores records without their files.",
    remedy:
      "Mount the disk of `odoo.filestore`, or put the database's folder back there; then `odoo-pg backup create --all`.",
    foundBy: ["status", "doctor"],
    alarm: "backup_failed",
  },
  backup_too_old: {
    severity: "warning",
    meaning: "A database has no backup younger than `backup.max_age_hours`.",
    why: "That much work would be lost.",
    remedy:
      "`odoo-pg backup create --all` says why, by database: [When something is wrong](operations.md#when-something-is-wrong)",
    foundBy: ["status", "doctor"],
    alarm: { afterSeconds: 0, endsAfterSeconds: 0, formerly: "backup_late" },
    prometheus: {
      expr: "odoo_pg_backup_age_seconds > on (cluster) odoo_pg_backup_max_age_seconds",
      for: "5m",
      summary:
        "{{ $labels.cluster }}: the last good backup of all databases is {{ $value | humanizeDuration }} old.",
      description: "Make one: odoo-pg backup create --all",
    },
  },
  backup_missing: {
    severity: "critical",
    meaning: "A database has had no backup at all for a day.",
    remedy: "`odoo-pg backup create --all`",
    foundBy: [],
    prometheus: {
      expr: "odoo_pg_backup_databases_without > 0 and on (cluster) odoo_pg_backup_enabled == 1",
      for: "1d",
      summary: "{{ $labels.cluster }}: {{ $value }} databases have no backup at all.",
      description: "Make one: odoo-pg backup create --all",
    },
  },
  never_drilled: {
    severity: "advice",
    meaning: "There are backups, but at least one database has none that was ever proven by a restore.",
    why: "Only a restore proves a backup: listing an archive passed one that was cut by 60 % (geolens-io/geolens#710).",
    remedy: "`odoo-pg backup restore-check`",
    remark: "Not reported where there are no databases.",
    foundBy: ["doctor"],
  },
  drill_too_old: {
    severity: "warning",
    meaning:
      "At least one database has had no backup proven by a restore for longer than `backup.max_drill_age_days`.",
    why: "Only a restore proves a backup.",
    remedy: "`odoo-pg backup restore-check` tries the newest backup of each database, and says what differs.",
    foundBy: ["status", "doctor"],
    alarm: { afterSeconds: 0, endsAfterSeconds: 0, formerly: "drill_late" },
    prometheus: {
      expr: "odoo_pg_drill_age_seconds > on (cluster) odoo_pg_drill_max_age_seconds",
      for: "1h",
      summary: "{{ $labels.cluster }}: the last proven restore is {{ $value | humanizeDuration }} old.",
      description: "Prove one: odoo-pg backup restore-check",
    },
  },
  drill_failed: {
    severity: "warning",
    meaning: "A backup could not be restored, or what was restored is not what the backup promises.",
    why: "It would fail you on the day you need it.",
    remedy:
      "`odoo-pg backup create NAME --prove` makes a new one and proves it: the old one would only fail again.",
    foundBy: ["status", "doctor"],
    alarm: { afterSeconds: 0, endsAfterSeconds: 0 },
    prometheus: {
      expr: "odoo_pg_drill_last_ok == 0",
      summary: "{{ $labels.cluster }}: a backup could not be restored.",
      description: "Why: odoo-pg status. Make a new one and prove it: odoo-pg backup create --all --prove",
    },
  },
  not_restorable: {
    severity: "advice",
    meaning: "A restore could not recreate everything in a database, or not as it was.",
    why: "A restore creates nothing as a superuser just because a dump says so. Event triggers, publications of all tables, functions in C, foreign servers and the like are set aside as SQL, for you to read and run. What belongs to a superuser goes to the database's owner. It is better to know before the restore.",
    remedy: "`odoo-pg backup show ID` lists what it is.",
    foundBy: ["doctor"],
  },
  archiver_failing: {
    severity: "warning",
    meaning: "WAL archiving is on, and its last attempt failed, or there is no command for it.",
    why: "PostgreSQL keeps every segment until it is archived: the disk fills, and the archive has a gap (PostgreSQL manual, “Continuous Archiving”).",
    remedy: "`odoo-pg logs NODE` quotes the command and what it said.",
    foundBy: ["status", "doctor"],
    alarm: { afterSeconds: 60, endsAfterSeconds: 60 },
  },
  archiver_late: {
    severity: "warning",
    meaning:
      "More than 32 finished WAL segments are waiting to be archived, or some are waiting and none was archived for three minutes.",
    why: "The archive is that far behind, and so is what can be restored from it.",
    remedy: "`odoo-pg logs NODE`",
    foundBy: ["status", "doctor"],
    alarm: "archiver_failing",
  },
  window_broken: {
    severity: "critical",
    meaning:
      "WAL is not archived (`backup.any_second`). Either archiving failed for so long that waiting WAL was given up before it filled the disk. Or, with several hosts, the primary's host cannot archive into its repository, or its own file does not enable it.",
    why: "What is written now cannot be brought back to the second. Scheduled backups go on.",
    remedy:
      "Find out why the repository takes nothing (its disk, its permissions, the own file of the primary's host), then `odoo-pg up`. A new base backup follows at once, and the gap stays in the window.",
    remark: "odoo-pg tries again by itself every five minutes.",
    foundBy: ["status"],
    alarm: { afterSeconds: 0, endsAfterSeconds: 0 },
  },
  base_backup_failed: {
    severity: "warning",
    meaning: "The last base backup failed (`backup.any_second`). Earlier ones are untouched.",
    why: "Without a base backup there is no window; with an old one, bringing back a second takes longer.",
    remedy: "`odoo-pg logs backup` says why. It is tried again every minute.",
    foundBy: ["status"],
    alarm: { afterSeconds: 300, endsAfterSeconds: 0 },
  },
  second_drill_failed: {
    severity: "warning",
    meaning:
      "A second of the window could not be brought back, or not whole: the repository is damaged, attachments are missing, or a table or an index is damaged (`backup.any_second`).",
    why: "It would fail you on the day you need it.",
    remedy:
      "`odoo-pg backup verify --any-second` tries another second, and says all that is wrong. If base backups or WAL are damaged, the next full base backup begins a sound window. Rebuild a damaged index in the live database with REINDEX.",
    foundBy: ["status"],
    alarm: { afterSeconds: 0, endsAfterSeconds: 0 },
    prometheus: {
      expr: "odoo_pg_second_drill_ok == 0",
      summary: "{{ $labels.cluster }}: a second of the window could not be brought back whole.",
      description: "Why: odoo-pg status. Try again: odoo-pg backup verify --any-second",
    },
  },
  second_drill_too_old: {
    severity: "warning",
    meaning:
      "Two times of `backup.any_second.drill_schedule` and six hours have passed since a second was last brought back whole.",
    why: "Only a restore proves that a second comes back.",
    remedy: "`odoo-pg backup verify --any-second` tries one; `odoo-pg logs backup` says why none was tried.",
    foundBy: ["status"],
    alarm: { afterSeconds: 0, endsAfterSeconds: 0 },
  },
  rotation_skipped: {
    severity: "warning",
    meaning: "Expired backups or WAL were not removed, because a copy elsewhere was being made.",
    why: "Their disk fills up meanwhile.",
    remedy:
      "The next backup removes them, unless a copy takes longer than five minutes again; `odoo-pg logs backup` says which copies were made. If copies take long, the connection is too slow for their schedule.",
    remark: "A copy that takes more than six hours is ended, so that they can be removed.",
    foundBy: ["status"],
    alarm: { afterSeconds: 86_400, endsAfterSeconds: 0 },
  },
  attachments_late: {
    severity: "warning",
    meaning:
      "Attachments have not been copied into the backups' pool for more than a minute (`backup.any_second`).",
    why: "A second that is brought back may refer to a file that Odoo has since removed. Scheduled backups take only the files that are still there.",
    remedy: "`odoo-pg logs agent` says why: usually the disk of `backup.dir` or of `odoo.filestore`.",
    foundBy: ["status"],
    alarm: { afterSeconds: 60, endsAfterSeconds: 0 },
  },
  attachments_damaged: {
    severity: "warning",
    meaning: "Files of the filestore do not match their names, which are their SHA-1 (`backup.any_second`).",
    why: "They were damaged on the disk, or changed by hand. Odoo serves them as they are.",
    remedy: "`odoo-pg backup create --all` names them, and takes intact copies from earlier backups.",
    foundBy: ["status"],
  },
  copy_failed: {
    severity: "warning",
    meaning: "The last copy elsewhere failed (`backup.offsite`). Earlier copies are untouched.",
    why: "What was written since then would be lost with this host.",
    remedy: "`odoo-pg backup copy --to NAME` says why. The next copy includes what this one missed.",
    foundBy: ["status"],
    alarm: { afterSeconds: 900, endsAfterSeconds: 0 },
  },
  copy_late: {
    severity: "warning",
    meaning: "A copy elsewhere is more than 15 minutes older than two intervals of its schedule.",
    why: "What was written since then would be lost with this host.",
    remedy:
      "`odoo-pg backup copy --to NAME` copies now. If that takes long, the connection is too slow for the schedule.",
    foundBy: ["status"],
    alarm: "copy_failed",
    prometheus: {
      meaning: "A copy elsewhere is more than a day old.",
      expr: "odoo_pg_copy_age_seconds > 86400",
      for: "15m",
      summary:
        "{{ $labels.cluster }}: the copy at {{ $labels.place }} is {{ $value | humanizeDuration }} old.",
      description: "Why: odoo-pg backup copy --to {{ $labels.place }}",
    },
  },
  copy_key_unkept: {
    severity: "warning",
    meaning: "Nobody has confirmed that the passphrase of a copy elsewhere is also kept elsewhere.",
    why: "It is on this host, and the copy cannot be read without it: if it is lost with the host, so is the copy.",
    remedy:
      "Write down what `odoo-pg backup key show` prints. `odoo-pg backup key confirm --of NAME` has you type it from there, and clears the warning.",
    foundBy: ["status"],
  },
} as const satisfies Record<string, Trouble>;
