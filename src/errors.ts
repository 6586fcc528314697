import { afterCall, asStep, nextInDocument, type NextStep, type NextText } from "./next-step.ts";

/**
 * Every error that odoo-pg can end with, declared once: its exit status and what it means.
 * docs/errors.md is made from this table and a test keeps both in step.
 *
 * Exit status: 0 done, 1 failed, 2 usage, 3 done but for what was set aside, 69 unreachable or missing program, 75 still running or locked,
 * 130 interrupted.
 */
export type ExitStatus = 0 | 1 | 2 | 3 | 69 | 75 | 130;

interface ErrorKind {
  readonly exit: ExitStatus;
  /** What it means, for the reader of docs/errors.md. */
  readonly meaning: string;
}

export const ERRORS = {
  usage: { exit: 2, meaning: "The command line cannot be understood." },
  config_invalid: { exit: 2, meaning: "The configuration has a mistake; nothing was changed." },
  config_unwritable: {
    exit: 1,
    meaning: "odoo-pg cannot change the configuration file; the message has the lines to write.",
  },
  alarm_not_delivered: {
    exit: 1,
    meaning:
      "A test message through the channel being set up did not arrive; the message says why. Nothing was changed.",
  },
  parameter_invalid: {
    exit: 2,
    meaning: "PostgreSQL refuses a parameter; the message quotes it. No server was touched.",
  },
  postgres_missing: { exit: 69, meaning: "No PostgreSQL server and client programs of version 13 or later." },
  haproxy_missing: { exit: 69, meaning: "No HAProxy of version 2.4 or later." },
  pgbouncer_missing: {
    exit: 69,
    meaning: "An endpoint has `pooling: transaction`, and there is no PgBouncer of version 1.18 or later.",
  },
  pgbackrest_missing: {
    exit: 69,
    meaning:
      "`backup.any_second` is enabled, and there is no pgBackRest of a version that knows this PostgreSQL.",
  },
  repository_missing: {
    exit: 1,
    meaning:
      "The repository of any second is not where it was, for example because its disk is not mounted. Nothing was made in its place.",
  },
  outside_window: {
    exit: 2,
    meaning: "The moment cannot be brought back: it is outside the window, or in a gap.",
  },
  program_missing: { exit: 69, meaning: "A program that this step needs is not installed." },
  no_unprivileged_user: {
    exit: 2,
    meaning: "Started as root, and there is no unprivileged user to run the servers as.",
  },
  permission_denied: {
    exit: 1,
    meaning: "The cluster belongs to another user; the message says to whom.",
  },
  state_dir_unusable: { exit: 1, meaning: "The state directory cannot be created, written or read." },
  filestore_unusable: {
    exit: 1,
    meaning:
      "The directory of Odoo's filestores is missing, for example because a disk is not mounted, or may not be read.",
  },
  disk_full: { exit: 1, meaning: "A disk does not have enough room." },
  port_in_use: { exit: 1, meaning: "A port that the cluster needs is taken by another program." },
  data_directory_unusable: {
    exit: 1,
    meaning:
      "A data directory belongs to another cluster or major version, or is not one. It was left as it is.",
  },
  node_failed: { exit: 1, meaning: "A database server does not start or stops again; its log says why." },
  node_unknown: { exit: 2, meaning: "No node has this name." },
  node_not_ready: { exit: 1, meaning: "A node is not in the state that this action needs." },
  primary_unreachable: { exit: 69, meaning: "The primary does not answer." },
  not_running: { exit: 69, meaning: "The cluster, or the part of it that is needed, is not running." },
  still_running: { exit: 75, meaning: "The cluster is running and must be stopped first." },
  locked: { exit: 75, meaning: "Another odoo-pg is working on this cluster; the message says which." },
  timed_out: { exit: 75, meaning: "A wait timed out; the message says what for." },
  confirmation_missing: { exit: 2, meaning: "A drastic action needs the name typed out with --confirm." },
  refused: { exit: 1, meaning: "The action would not be safe now; the message says why." },
  command_failed: { exit: 1, meaning: "A program that odoo-pg ran ended with an error." },
  database_unknown: { exit: 2, meaning: "No database has this name." },
  database_exists: { exit: 2, meaning: "A database, or a filestore, of this name already exists." },
  dump_unusable: {
    exit: 1,
    meaning: "A file to restore is truncated, damaged, unsafe, or not a dump; the message says which.",
  },
  restore_failed: {
    exit: 1,
    meaning:
      "What was restored is not what the backup holds. It was removed; nothing that existed was changed.",
  },
  objects_set_aside: {
    exit: 3,
    meaning:
      "Everything was restored except some objects that could not be created. Their SQL, with the rows of any tables among them, is in the file named, for a superuser to read and run.",
  },
  backup_unknown: { exit: 2, meaning: "No backup has this id." },
  backup_damaged: {
    exit: 1,
    meaning: "A backup is no longer what it was when it was made; the message says what is wrong with it.",
  },
  backup_failed: {
    exit: 1,
    meaning: "A backup could not be made; the message says for which database and why.",
  },
  session_unknown: { exit: 2, meaning: "No client session on the primary has this process ID." },
  sign_in_needed: { exit: 1, meaning: "The console needs a sign-in at this address." },
  not_allowed: {
    exit: 1,
    meaning:
      "The console refuses this: the client is not an operator, the request comes from another site, or `console.read_only` is set.",
  },
  too_many_tries: { exit: 75, meaning: "Too many wrong passwords at the console: try again later." },
  interrupted: {
    exit: 130,
    meaning: "Interrupted. What was started can be resumed by the same command.",
  },
  internal: { exit: 1, meaning: "A bug in odoo-pg itself." },
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERRORS;

export interface ErrorText {
  /** What happened, and to what. */
  readonly message: string;
  /** What is safe: the state of the data now. */
  readonly safe?: string;
  /** What to do next, best an exact command. */
  readonly next?: NextText;
  /** What the message sums up, one line each, such as every difference: shown folded, and never part of a sentence. */
  readonly details?: readonly string[];
  readonly cause?: unknown;
}

/** An error whose text is written for its reader. Everything else that is thrown is a defect (`internal`). */
export class OdooPgError extends Error {
  readonly code: ErrorCode;
  readonly safe: string | undefined;
  readonly next: NextStep | undefined;
  readonly details: readonly string[];

  constructor(code: ErrorCode, text: ErrorText) {
    super(text.message, text.cause === undefined ? undefined : { cause: text.cause });
    this.name = "OdooPgError";
    this.code = code;
    this.safe = text.safe;
    this.next = text.next === undefined ? undefined : asStep(text.next);
    this.details = text.details ?? [];
  }

  get exit(): ExitStatus {
    return ERRORS[this.code].exit;
  }

  /** The form in which an error crosses the control socket: whoever asked knows by which configuration. */
  toJSON(): ErrorDocument {
    return this.toDocument(undefined);
  }

  /**
   * The form in which an error appears in --json output.
   * @param config the file that commands have to name
   * @param called the arguments of the command that ended with it, where they are known
   */
  toDocument(config: string | undefined, called?: readonly string[]): ErrorDocument {
    const next = this.next && called ? afterCall(this.next, called) : this.next;
    return {
      code: this.code,
      message: this.message,
      ...(this.safe === undefined ? {} : { safe: this.safe }),
      ...(next === undefined ? {} : nextInDocument(next, config)),
      ...(this.details.length ? { details: this.details } : {}),
    };
  }
}

export interface ErrorDocument {
  readonly code: ErrorCode;
  readonly message: string;
  readonly safe?: string;
  readonly next?: string;
  /** The same by its parts. */
  readonly next_step?: NextStep;
  readonly details?: readonly string[];
}

/** Lines of details that are shown with a message. */
export const DETAILS_SHOWN = 20;

/** Details as they are shown below a message: the first of them, and how many more there are. */
export function folded(details: readonly string[]): string[] {
  const more = details.length - DETAILS_SHOWN;
  return more > 0 ? [...details.slice(0, DETAILS_SHOWN), `… and ${more} more`] : [...details];
}

/** The words of whatever was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** Turns whatever was thrown into an OdooPgError. */
export function toOdooPgError(thrown: unknown): OdooPgError {
  if (thrown instanceof OdooPgError) return thrown;
  const message = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  return new OdooPgError("internal", {
    message: `Unexpected: ${message}`,
    safe: "No step is lost: run the same command again.",
    next: "Report this text as a bug in odoo-pg.",
    cause: thrown,
  });
}
