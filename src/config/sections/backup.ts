import * as z from "zod";
import { scheduleProblem } from "../values/cron.ts";
import { absolutePath, docs, textWithout, wholeNumber } from "../fields.ts";
import { offsite } from "./offsite.ts";

const WINDOW = /^(\d{1,4})d$/;

/** Days of a window as it is written. */
export function windowDays(window: string): number {
  return Number(WINDOW.exec(window)?.[1]);
}

const DAY = 86_400_000;

/** Milliseconds for which what a second of the window needs has to be there; 0 where any second is off. */
export function windowMilliseconds({ enabled, window }: { enabled: boolean; window: string }): number {
  // A base backup is older than the first second that is made from it.
  return enabled ? (windowDays(window) + 1) * DAY : 0;
}

const anySecond = z
  .strictObject({
    enabled: z.boolean().default(false).register(docs, {
      description:
        "Whether every second of the last days can be restored: pgBackRest keeps base backups and all WAL since. It needs the program pgbackrest. A cluster made by 0.1 is restarted once for it, later ones are not.",
    }),
    window: textWithout((text) => {
      const days = windowDays(text);
      return days >= 1 && days <= 3650
        ? undefined
        : `${JSON.stringify(text)} is not a number of days such as 7d`;
    })
      .default("7d")
      .register(docs, {
        description:
          "How far back: days, as in `7d`. This takes one more base backup, and the WAL since then.",
        examples: ["14d"],
      }),
    repository: absolutePath()
      .optional()
      .register(docs, {
        description:
          "Directory of base backups and WAL, best on another disk than the data. It belongs to the user the servers run as. When not set: `<state_dir>.archive`.",
        examples: ["/var/backups/odoo-pg.archive"],
      }),
    full_schedule: textWithout(scheduleProblem)
      .default("0 1 * * 0")
      .register(docs, {
        description: "When the agent makes a full base backup: five fields, in UTC.",
        examples: ["0 2 * * 6"],
      }),
    diff_schedule: textWithout(scheduleProblem)
      .default("0 1 * * 1-6")
      .register(docs, {
        description:
          "When it backs up what has changed since the last full one: five fields, in UTC, or `off`.",
        examples: ["off"],
      }),
    drill_schedule: textWithout(scheduleProblem)
      .default("30 4 * * 0")
      .register(docs, {
        description:
          "When the agent proves that a second can be brought back, as `odoo-pg backup verify --any-second` does: it reads all of the repository, recovers a random second of the window beside the live cluster, dumps every database out of it, looks for its attachments, checks its tables and indexes, and removes it. Five fields, in UTC, or `off`. It needs room for the whole cluster on the disk of the state directory; a backup that is due meanwhile may be left out.",
        examples: ["off"],
      }),
  })
  .prefault({})
  .register(docs, { description: "Any second back." });

export const backup = z
  .strictObject({
    enabled: z.boolean().default(true).register(docs, {
      description:
        "Whether the agent makes backups on `schedule`. `BACKUPS=false` in the environment turns it off.",
    }),
    schedule: textWithout(scheduleProblem)
      .default("0 * * * *")
      .register(docs, {
        description:
          "When the agent backs up every database: five fields as in a crontab (minute, hour, day of the month, month, day of the week), in UTC.",
        examples: ["30 */4 * * *"],
      }),
    drill_schedule: textWithout(scheduleProblem)
      .default("30 3 * * *")
      .register(docs, {
        description:
          "When the agent proves backups by restoring them into a scratch database, which it compares and drops: five fields, in UTC, or `off`. A run takes the databases whose last proof would otherwise get older than a week, the oldest first; after a sixth of the time to the next run it starts no more. It needs as much room as the largest of them.",
        examples: ["off"],
      }),
    dir: absolutePath()
      .optional()
      .register(docs, {
        description:
          "Directory of the backups, best on another disk than the data. When not set: `<state_dir>.backups`.",
        examples: ["/var/backups/odoo-pg"],
      }),
    user: z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/, "cannot be the name of a user of this system")
      .optional()
      .register(docs, {
        description:
          "System user who owns the backups, when odoo-pg runs as root. When not set: root. Whoever owns them can change them, and is trusted with what root does in their folder. Without root it must be the user who runs odoo-pg.",
        examples: ["backup"],
      }),
    config_file: absolutePath().default("/config/pg_backup/pg_backup.config").register(docs, {
      description:
        "A `pg_backup.config` of the image `odoo/pgsql`, if there is one: KEY=VALUE lines, read and never executed. What it sets overrides this file.",
    }),
    only_filter: z
      .string()
      .optional()
      .register(docs, {
        description: "Backs up only databases whose name contains this text. When not set: all.",
        examples: ["prod"],
      }),
    custom: z.boolean().default(true).register(docs, {
      description:
        "Whether a backup holds an archive for pg_restore: parallel, in pg_dump's directory format.",
    }),
    plain: z.boolean().default(false).register(docs, {
      description: "Whether a backup holds the database as SQL for psql too, compressed.",
    }),
    role_passwords: z.boolean().default(false).register(docs, {
      description:
        "Whether `globals.sql` of a backup holds the verifiers of the roles' passwords. Who can read the backup then can try to guess them.",
    }),
    days_to_keep: wholeNumber(0, 3650).default(2).register(docs, {
      description: "Days for which every backup is kept.",
    }),
    day_of_week_to_keep: wholeNumber(1, 7).default(5).register(docs, {
      description:
        "Day on which a week of backups begins, 1 (Monday) to 7 (Sunday). The first good backup from that day on is the weekly one.",
    }),
    weeks_to_keep: wholeNumber(0, 520).default(12).register(docs, {
      description: "Weeks for which the weekly backups are kept.",
    }),
    months_to_keep: wholeNumber(0, 120).default(24).register(docs, {
      description: "Months for which the first good backup of each month is kept.",
    }),
    any_second: anySecond,
    offsite,
    on_success: z
      .array(z.string().min(1))
      .default([])
      .register(docs, {
        description:
          "Program and arguments to run after a run without failures, with what happened as JSON on its standard input. No shell is involved.",
        examples: [["/usr/local/bin/tell", "backup done"]],
      }),
    on_failure: z
      .array(z.string().min(1))
      .default([])
      .register(docs, {
        description: "The same, after a run in which something failed.",
        examples: [["/usr/local/bin/tell", "backup FAILED"]],
      }),
    webhook_file: absolutePath()
      .optional()
      .register(docs, {
        description:
          "File that holds the address (http or https) to which what happened is posted as JSON after every run. Such addresses are secrets: keep the file at mode 0600.",
        examples: ["/etc/odoo-pg/backup-webhook"],
      }),
    max_age_hours: wholeNumber(1, 8760).default(26).register(docs, {
      description: "Age in hours from which `status` warns that the last good backup is too old.",
    }),
    max_drill_age_days: wholeNumber(1, 3650).default(8).register(docs, {
      description:
        "Age in days from which `status` warns that the last proven restore is too old, while drills are scheduled.",
    }),
  })
  .prefault({})
  .register(docs, { description: "Backups." });
