import type { FoundWarning } from "../../model/warnings.ts";
import type { BackupStatus } from "../../model/backups/backup-report.ts";
import type { Config } from "../../config/schema.ts";
import type { Forecast } from "../../cluster/disk-growth.ts";
import type { DiskUse } from "../../cluster/view.ts";
import type { SessionState } from "../../postgres/sql/observing/session-state.ts";
import type { OdooConf } from "./odoo-conf.ts";

/** A piece of evidence, or why it could not be read, for people. Missing evidence never counts as well. */
export type Observed<T> =
  | { readonly seen: true; readonly value: T }
  | { readonly seen: false; readonly why: string };

export const seen = <T>(value: T): Observed<T> => ({ seen: true, value });
export const unseen = (why: string): Observed<never> => ({ seen: false, why });

/** The value in a list of one; an empty list where it could not be read. */
export function observedValues<T>(observed: Observed<T> | undefined): T[] {
  return observed?.seen ? [observed.value] : [];
}

/** A running setting in its own unit, and the file that it comes from, if it comes from one. */
export interface SettingSeen {
  readonly value: string;
  readonly file: string | null;
}

export interface ClockSeen {
  /** Seconds by which the server's clock is ahead of ours; 0 while the difference may be the way of the question. */
  readonly ahead_seconds: number;
  /** On a replica: seconds between the sending of the primary's last word and its receipt, by their two clocks. */
  readonly since_sent_seconds: number | null;
}

/** A session in a transaction in which it runs nothing. */
export interface IdleSession {
  readonly pid: number;
  readonly database: string;
  readonly user: string;
  readonly application: string;
  /** Seconds since its transaction began. */
  readonly seconds: number;
  /** Whether the last that it ran names ir_cron. */
  readonly names_cron: boolean;
  /** Relations of which it has locked rows. */
  readonly row_locks: readonly number[];
}

/** A transaction after PREPARE TRANSACTION: it no longer belongs to a session, and no restart ends it. */
export interface PreparedTransaction {
  /** The name that its program gave it. */
  readonly name: string;
  readonly database: string;
  readonly owner: string;
  /** Seconds since it was prepared. */
  readonly seconds: number;
}

export interface SessionsSeen {
  /** Sessions that count against max_connections. */
  readonly used: number;
  readonly idle: readonly IdleSession[];
}

/** A line of pg_hba.conf, as pg_hba_file_rules has it. */
export interface HbaRule {
  readonly line: number;
  readonly type: string | null;
  readonly databases: readonly string[];
  readonly users: readonly string[];
  readonly address: string | null;
  readonly method: string | null;
  readonly error: string | null;
}

export interface SlotSeen {
  readonly name: string;
  readonly type: "physical" | "logical";
  readonly active: boolean;
  readonly wal_status: string | null;
  readonly kept_bytes: number | null;
}

export interface ConflictsSeen {
  /** Reads that were cancelled, by why. */
  readonly by_reason: Readonly<Record<string, number>>;
  /** Seconds for which was counted; null when they were never reset. */
  readonly counted_seconds: number | null;
}

export interface ArchiverSeen {
  readonly failed_count: number;
  /** Milliseconds since the epoch. */
  readonly last_archived_at: number | null;
  readonly last_failed_at: number | null;
  readonly last_failed_wal: string | null;
  /** Segments that wait. */
  readonly waiting: number;
}

/** The evidence of one server. Any part may be missing. */
export interface ServerSeen {
  readonly in_recovery: boolean;
  readonly settings: Observed<ReadonlyMap<string, SettingSeen>>;
  readonly clock: Observed<ClockSeen>;
  readonly sessions: Observed<SessionsSeen>;
  readonly hba: Observed<readonly HbaRule[]>;
  readonly slots: Observed<readonly SlotSeen[]>;
  /** Of a replica. */
  readonly conflicts: Observed<ConflictsSeen> | undefined;
  /** Of a primary. */
  readonly archiver: Observed<ArchiverSeen> | undefined;
  /** Of a primary: the oldest first. */
  readonly prepared: Observed<readonly PreparedTransaction[]> | undefined;
}

export interface NodeSeen {
  readonly name: string;
  readonly dataDir: string;
  readonly server: Observed<ServerSeen>;
  readonly disk: Observed<DiskUse>;
  /** The end of its certificate, milliseconds since the epoch. */
  readonly certificateEnds: Observed<number>;
}

export interface RoleSeen {
  readonly name: string;
  readonly superuser: boolean;
  readonly login: boolean;
  /** Whether it may make databases, as each Odoo's role. */
  readonly createdb: boolean;
  /** Whether it may connect to the database `postgres`. */
  readonly reaches_postgres: boolean;
  readonly password: "scram" | "md5" | "none" | "other";
}

export interface DatabaseListed {
  readonly name: string;
  readonly owner: string;
  readonly encoding: string;
  /** As LC_COLLATE names it; `icu` where the order comes from ICU. */
  readonly collation: string;
  readonly is_template: boolean;
  readonly open: boolean;
  /** Whether every role may connect to it. */
  readonly open_to_all: boolean;
  /** Roles that own something in it and are neither its owner nor a superuser. */
  readonly others: readonly string[];
  /** Version of the library that sorts: as recorded, and now. Null where there is none. */
  readonly collation_version: string | null;
  readonly library_version: string | null;
  /** Transactions and multixacts since its oldest. */
  readonly xid_age: number;
  readonly mxid_age: number;
  readonly checksum_failures: number;
}

export interface SequenceSeen {
  readonly name: string;
  /** `table.column` that it numbers. */
  readonly column: string | null;
  readonly last: number;
  /** The highest number that fits. */
  readonly most: number;
}

export interface IndexSeen {
  readonly name: string;
  readonly table: string;
  readonly bytes: number;
}

export interface DuplicateIndex extends IndexSeen {
  /** The index that does the same. */
  readonly same_as: string;
}

export interface TableSeen {
  readonly name: string;
  readonly live: number;
  readonly dead: number;
  /** Seconds since the last vacuum; null when there was none. */
  readonly vacuumed_seconds: number | null;
  /** Whether autovacuum is turned off for this table. */
  readonly autovacuum_off: boolean;
}

/** The evidence that only an Odoo database has. */
export interface OdooDatabaseSeen {
  /** Relation of ir_cron in this database, and the database's own number. */
  readonly cron_relation: number | null;
  readonly extensions: readonly string[];
  /** `i` IMMUTABLE, `s`, `v`; null where there is no unaccent(text). */
  readonly unaccent_volatility: string | null;
  /** Tables of names that people search, with the index that does it. */
  readonly searched: readonly {
    readonly table: string;
    readonly is_json: boolean;
    /** Name of its trigram index over `name`, if there is one. */
    readonly index: string | null;
    readonly index_has_unaccent: boolean;
  }[];
  /** Objects of roles whose rights the database's owner does not have. */
  readonly foreign_objects: readonly {
    readonly owner: string;
    readonly objects: number;
    readonly example: string;
  }[];
}

/** The evidence of one database. Any part may be missing. */
export interface DatabaseSeen {
  /** Undefined for a database that is not Odoo's. */
  readonly odoo: Observed<OdooDatabaseSeen | undefined>;
  readonly sequences: Observed<readonly SequenceSeen[]>;
  readonly invalid_indexes: Observed<readonly IndexSeen[]>;
  readonly duplicate_indexes: Observed<readonly DuplicateIndex[]>;
  readonly tables: Observed<readonly TableSeen[]>;
}

export interface TemplateSeen {
  readonly exists: boolean;
  readonly is_template: boolean;
  readonly extensions: readonly string[];
  readonly unaccent_volatility: string | null;
}

/** The evidence that is the same for all nodes, from the primary, or from a replica where the primary is not ours. */
export interface CatalogSeen {
  readonly node: string;
  /** Where statements that change something are run: that node, or `write` where the primary is not ours. */
  readonly target: string;
  readonly roles: Observed<readonly RoleSeen[]>;
  readonly databases: Observed<readonly DatabaseListed[]>;
  readonly template: Observed<TemplateSeen>;
  readonly each: ReadonlyMap<string, Observed<DatabaseSeen>>;
  /** Features that clients used and that pooling does not keep; undefined where no endpoint pools. */
  readonly sessionState: Observed<readonly SessionState[]> | undefined;
}

export interface BackupsSeen {
  readonly record: BackupStatus | undefined;
  /** When the cluster was first launched, ISO 8601. */
  readonly launchedAt: string | undefined;
}

/** A host that is not the one where doctor runs, as its agent knows it. */
export interface OtherHost {
  readonly name: string;
  readonly hasDatabase: boolean;
  readonly answers: boolean;
  /** Of PostgreSQL, such as `17.6`; undefined where unknown. */
  readonly version: string | undefined;
  /** Seconds by which its clock is ahead of this host's; undefined where unknown. */
  readonly aheadSeconds: number | undefined;
}

/**
 * Where the cluster has several hosts: doctor examines the one where it runs, and on the primary's also what concerns all.
 * The rest is what this host's agent has received.
 */
export interface HostsSeen {
  readonly own: string;
  /** The primary's host, as this one sees it; undefined where there is none, or it is unknown. */
  readonly primary: string | undefined;
  readonly others: readonly OtherHost[];
  /** The problems between hosts that are reported on this one. */
  readonly warnings: readonly FoundWarning[];
  /** The host that answers and has the newest good backup of all databases, where that is another, ISO 8601. */
  readonly backedUp: { readonly host: string; readonly at: string } | undefined;
  /** Why nothing of this is known: the agent does not answer. */
  readonly silence: string | undefined;
}

/** Everything that doctor judges by, gathered at one time. */
export interface Evidence {
  /** Milliseconds since the epoch, by our clock. */
  readonly now: number;
  /** The configuration of what runs. */
  readonly config: Config;
  /** Whether odoo-pg does not run the primary. */
  readonly follows: boolean;
  /** Undefined where the cluster has one host. */
  readonly hosts: HostsSeen | undefined;
  readonly nodes: readonly NodeSeen[];
  /** The end of the authority that signs the servers' certificates, milliseconds since the epoch. */
  readonly authorityEnds: Observed<number>;
  readonly catalog: Observed<CatalogSeen>;
  readonly odooConf: Observed<OdooConf>;
  readonly backups: Observed<BackupsSeen>;
  /** The disk of the backups, where there are any. */
  readonly backupDisk: Observed<DiskUse | undefined>;
  /** When the disk of each node is full; null for one that does not fill. Those of which too little is known are left out. */
  readonly forecasts: Observed<ReadonlyMap<string, Forecast | null>>;
}

/** A node whose server was seen. */
export interface Server extends ServerSeen {
  readonly name: string;
  readonly dataDir: string;
}

/** Whether findings about the whole cluster are reported here: on the primary's host, where there are several. */
export function tellsForAll({ hosts }: Pick<Evidence, "hosts">): boolean {
  return hosts === undefined || hosts.own === hosts.primary;
}

export function serversSeen(evidence: Evidence): Server[] {
  return evidence.nodes.flatMap((node) =>
    observedValues(node.server).map((server) => ({ ...server, name: node.name, dataDir: node.dataDir })),
  );
}

/** The value of a setting, where it was seen. */
export function settingOf(server: ServerSeen, name: string): string | undefined {
  return server.settings.seen ? server.settings.value.get(name)?.value : undefined;
}

/** A setting as a number in its own unit; undefined where it was not seen. */
export function numberOf(server: ServerSeen, name: string): number | undefined {
  const text = settingOf(server, name);
  return text === undefined ? undefined : Number(text);
}
