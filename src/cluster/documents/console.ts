import type { StatusDocument } from "./status.ts";
import type { NextStep } from "../../next-step.ts";
import type { Action } from "../../model/console-actions.ts";

/**
 * What the page shows, sent whole at each change. Times are ISO 8601, sizes bytes, durations seconds; null is "not
 * known", which the page shows as "?". Types alone: the page is built from the same ones.
 */
export interface ConsoleDocument {
  readonly version: 1;
  readonly at: string;
  readonly cluster: string;
  readonly verdict: Verdict;
  readonly recovery: Recovery;
  readonly status: StatusDocument;
  readonly disks: readonly NodeDisk[];
  readonly databases: readonly OdooDatabase[];
  readonly activity: Activity;
  /** The configuration file that commands have to name to meet this cluster; null where it is found without. */
  readonly config_file: string | null;
  /** How odoo-pg is typed on this host, wherever one is: by its name, or by its path. */
  readonly called: string;
  /** The newest first. */
  readonly jobs: readonly Job[];
  /** The newest first. */
  readonly events: readonly ClusterEvent[];
}

/** How the cluster is, in one sentence, and what to do. */
export interface Verdict {
  readonly level: "ok" | "warning" | "critical";
  readonly sentence: string;
  /** The beginning of that sentence. */
  readonly head: string;
  /** The warning that it tells, by its place in `status.warnings`; null when all is well. */
  readonly warning: number | null;
  /** An exact command, with words before it where it needs them; null when there is nothing to do. */
  readonly next: string | null;
  /** The same by its parts. */
  readonly next_step: NextStep | null;
  /** The same as a button, where the page has one for it. */
  readonly action: Action | null;
  /** The same for each of `status.warnings`. */
  readonly actions: readonly (Action | null)[];
}

/** "Can I go back?" */
export interface Recovery {
  readonly sentence: string;
  readonly last_backup_at: string | null;
  /** Up to when every database is proven by restoring it; null while one never was. */
  readonly last_proven_at: string | null;
  /** The oldest moment to which one can go back. */
  readonly oldest_at: string | null;
  /** Bytes of all backups. */
  readonly size_bytes: number | null;
  /** What can be restored to a copy, the newest first, at most 50. */
  readonly backups: readonly RestorableBackup[];
}

interface RestorableBackup {
  readonly id: string;
  readonly database: string;
  /** The moment that it shows. */
  readonly at: string;
  /** When it was last restored and compared; null while it never was. */
  readonly proven_at: string | null;
}

export interface NodeDisk {
  readonly node: string;
  readonly free_bytes: number | null;
  readonly total_bytes: number | null;
  /** Days until it is full at the growth of the samples that are kept; null when it does not grow or is not known yet. */
  readonly days_left: number | null;
  /** Hours of samples that this is based on. */
  readonly history_hours: number | null;
}

export interface OdooDatabase {
  readonly name: string;
  /** Null for a database that is not Odoo's, or that was not looked at yet. */
  readonly odoo_version: string | null;
  readonly size_bytes: number | null;
  readonly filestore_bytes: number | null;
  readonly last_backup_at: string | null;
  readonly late_actions: number | null;
  readonly failed_actions: number | null;
  readonly mail_waiting: number | null;
}

export interface Activity {
  /** When it was checked; null before the first time. */
  readonly at: string | null;
  readonly connections: number | null;
  readonly max_connections: number | null;
  /** Who blocks whom, in plain words, the longest wait first. */
  readonly blocking: readonly Blocking[];
  /** The longest first. */
  readonly long_transactions: readonly LongTransaction[];
  /** Null where pg_stat_statements is not there. */
  readonly slowest_statements: readonly SlowStatement[] | null;
  /** Why they are not there: the server has not loaded pg_stat_statements, or no database has the extension; null otherwise. */
  readonly statements_missing: "library" | "extension" | null;
}

export interface Blocking {
  readonly sentence: string;
  readonly seconds: number;
  /** The session at the end of the chain, for which the others wait. */
  readonly blocker: number;
  readonly waiting: readonly number[];
}

export interface LongTransaction {
  readonly pid: number;
  readonly database: string;
  readonly user: string;
  readonly application: string;
  readonly state: string;
  readonly seconds: number;
  /** Whether it holds the row of a scheduled action, as Odoo does throughout a job. */
  readonly scheduled_action: boolean;
  /** Null for who may not see it. */
  readonly statement: string | null;
}

export interface SlowStatement {
  readonly database: string;
  readonly statement: string | null;
  readonly calls: number;
  readonly mean_ms: number;
  readonly total_seconds: number;
}

/** How far a command is with what it copies or reads now. */
export interface JobProgress {
  readonly done_bytes: number;
  readonly total_bytes: number;
  /** At the pace until now; null before there is one. */
  readonly left_seconds: number | null;
}

/** A command that was started from the page. */
export interface Job {
  readonly id: string;
  readonly action: Action;
  /** As it would be typed. */
  readonly command: string;
  /** True while it only shows what it would do. */
  readonly plan: boolean;
  readonly by: string;
  readonly started_at: string;
  readonly ended_at: string | null;
  readonly exit_status: number | null;
  /** Null where the step that runs has no length that is known, and when it has ended. */
  readonly progress: JobProgress | null;
  /** The last lines that it printed, the oldest first, at most 200; none for who is no operator: they may hold data. */
  readonly lines: readonly string[];
}

export interface ClusterEvent {
  readonly at: string;
  readonly kind: string;
  /** Who asked: a user of the system, `schedule`, `agent`, or a role of the console. */
  readonly by: string;
  readonly text: string;
  readonly node: string | null;
  readonly database: string | null;
}

/** One point of the graphs. Rates are per second since the sample before; null where it is not known. */
export interface Sample {
  readonly at: string;
  readonly nodes: readonly {
    readonly name: string;
    readonly lag_bytes: number | null;
    readonly lag_seconds: number | null;
    readonly disk_free_bytes: number | null;
  }[];
  readonly connections: number | null;
  readonly max_connections: number | null;
  readonly transactions_per_second: number | null;
  readonly wal_bytes_per_second: number | null;
  readonly database_bytes: number | null;
}

/** The viewer of the page. */
export interface Principal {
  readonly role: "viewer" | "operator";
  /** False on loopback for who has not signed in: such a viewer sees no statement and no line of a job. */
  readonly signed_in: boolean;
  /** Whether the configuration forbids all actions. */
  readonly read_only: boolean;
  /** Sent back as `x-odoo-pg-token` with every order; empty for who has not signed in. */
  readonly token: string;
}
