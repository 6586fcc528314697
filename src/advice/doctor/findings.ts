import { asStep, type NextText } from "../../next-step.ts";
import { nextStepSchema } from "../../next-step-schema.ts";
import * as z from "zod";

/**
 * How bad: advice can wait for a quiet day; a warning is a fault that will hurt one day; critical means that data or
 * service are in danger now.
 */
export type Severity = "advice" | "warning" | "critical";

interface FindingKind {
  readonly severity: Severity;
  /** What it means. */
  readonly meaning: string;
  /** Why it matters, and where that is known from. */
  readonly why: string;
}

/** Everything that doctor can find, declared once. docs/advice.md is made from this table. */
export const FINDINGS = {
  odoo_replica_port_missing: {
    severity: "warning",
    meaning: "odoo.conf has `db_replica_host` without `db_replica_port`.",
    why: "An unset `db_replica_port` does not inherit `db_port`: libpq takes PGPORT or 5432, so reads go nowhere, or to another server (Odoo 19, `odoo/sql_db.py`).",
  },
  odoo_replica_unused: {
    severity: "advice",
    meaning: "odoo.conf names no `db_replica_host`, though the cluster has replicas.",
    why: "Then every read is the primary's work. Odoo sends about 70 % of its requests to a replica where it has one (odoo/odoo#186786).",
  },
  odoo_write_endpoint_bypassed: {
    severity: "warning",
    meaning: "`db_port` leads to a node, or to the read endpoint, and not to the write endpoint.",
    why: "The write endpoint follows the primary. After a switchover a node's port leads to a replica, where every read-write query fails with SQLSTATE 0A000, while `/web/health?db_server_status=1` stays green because it only connects (tried with Odoo 19.0).",
  },
  odoo_read_endpoint_bypassed: {
    severity: "warning",
    meaning: "`db_replica_port` leads to a node, or to the write endpoint, and not to the read endpoint.",
    why: "Only the read endpoint keeps stale replicas away from Odoo and goes to the primary when there is none. After one refused connection Odoo leaves its replica alone for 20 minutes (Odoo 19, `odoo/orm/registry.py`).",
  },
  odoo_template_other: {
    severity: "warning",
    meaning: "With `unaccent` on, `db_template` is not the cluster's template.",
    why: "From another template Odoo's role may not make `unaccent` IMMUTABLE (it must be its owner): the transaction is rolled back, pg_trgm is lost with it, and only a warning in Odoo's log says so (tried with Odoo 19.0).",
  },
  odoo_role_unknown: {
    severity: "warning",
    meaning: "The role in `db_user` does not exist, or may not log in.",
    why: "Odoo cannot connect.",
  },
  odoo_tls_off: {
    severity: "warning",
    meaning: "`db_sslmode` keeps Odoo from using TLS, and the database is on another host.",
    why: "odoo-pg lets other hosts in by TLS only (`hostssl` in pg_hba.conf). Where something else lets it in, passwords and data cross the network in plain view.",
  },
  odoo_connections_exceed: {
    severity: "warning",
    meaning: "All processes of Odoo together may open more connections than a server takes.",
    why: "`db_maxconn` counts for each process, and once for each endpoint: (workers + max_cron_threads) × db_maxconn + (db_maxconn_gevent or db_maxconn) + 1. Beyond max_connections users get “too many clients” (odoo/odoo#9204, odoo/odoo#87766).",
  },
  connections_nearly_used: {
    severity: "warning",
    meaning: "More than 80 % of a server's connections are in use.",
    why: "The next ones are refused, and one refused connection to the replica costs 20 minutes of reads on the primary (Odoo 19, `odoo/orm/registry.py`).",
  },
  idle_timeout_below_cron: {
    severity: "warning",
    meaning: "idle_in_transaction_session_timeout is shorter than Odoo's `limit_time_real_cron`.",
    why: "The cursor of a scheduled action holds its row lock idle throughout the job (Odoo 19, `ir_cron.py`): PostgreSQL cuts it, and the job fails at its end.",
  },
  odoo_role_superuser: {
    severity: "critical",
    meaning: "Odoo's role, or the owner of an Odoo database, is a superuser.",
    why: "A superuser runs programs on the server by `COPY … FROM PROGRAM`: a hole in Odoo becomes a hole in the host. Odoo itself refuses `postgres` (Odoo 19, `odoo/cli/server.py`; docker-library/postgres#175).",
  },
  more_superusers: {
    severity: "advice",
    meaning: "Besides `postgres` another role that may log in is a superuser.",
    why: "It may do everything that `postgres` may, also run programs on the host (PostgreSQL manual, “Role Attributes”).",
  },
  odoo_role_cut_off: {
    severity: "warning",
    meaning: "Odoo's role may not connect to the database `postgres`.",
    why: "Odoo listens there for `cron_trigger` and `imbus`: without it scheduled actions start late and chat is not live (Odoo 19, `odoo/service/server.py`, `addons/bus/models/bus.py`).",
  },
  password_md5: {
    severity: "warning",
    meaning: "The password of a role is kept as an MD5 hash.",
    why: "Such a hash is as good as the password for logging in, MD5 is broken, and PostgreSQL 18 warns that it will go (PostgreSQL manual, “Password Authentication”).",
  },
  template_unfit: {
    severity: "warning",
    meaning: "The template that Odoo copies new databases from is not there, or lacks what Odoo needs of it.",
    why: "New databases then lack pg_trgm or an IMMUTABLE unaccent, and searches are slow for good (tried with Odoo 19.0).",
  },
  database_owner_wrong: {
    severity: "warning",
    meaning: "An Odoo database belongs to a role that is not Odoo's.",
    why: "Odoo lists only databases that its role owns: others are hidden, and their scheduled actions do not run (Odoo 19, `odoo/service/db.py`, `list_dbs`).",
  },
  template_owner_wrong: {
    severity: "critical",
    meaning: "The template that Odoo copies new databases from does not belong to the superuser.",
    why: "What its owner puts there is in every new database, also in other tenants', and runs with their rights (PostgreSQL manual, “Template Databases”).",
  },
  database_open: {
    severity: "warning",
    meaning: "Every role may connect to a database, not its owner alone.",
    why: "PostgreSQL grants that on each new database, and Odoo lets everybody create in its schema `public`: another role's function there runs with the owner's rights. The agent takes it back within a second of a database's making; without the agent it stays.",
  },
  others_in_database: {
    severity: "warning",
    meaning: "A role that is neither its owner nor a superuser owns something in a database.",
    why: "Its functions, operators and triggers may run in the sessions of the database's owner (CVE-2018-1058; PostgreSQL manual, “Schemas”, Usage Patterns).",
  },
  objects_owner_wrong: {
    severity: "warning",
    meaning: "Tables of an Odoo database belong to a role whose rights the database's owner does not have.",
    why: "Odoo changes its tables when modules are updated: PostgreSQL answers “must be owner of table”. It comes of a restore as another role (odoo/odoo#31115).",
  },
  database_collation: {
    severity: "advice",
    meaning: "An Odoo database has another collation than C, or another encoding than UTF8.",
    why: "Odoo makes its databases with C (Odoo 19, `odoo/service/db.py`). Other orders come from the C library, and indexes become wrong when an update of the system changes them (PostgreSQL wiki, “Locale data changes”).",
  },
  collation_version_changed: {
    severity: "warning",
    meaning: "The library that sorts for a database is of another version than when its indexes were made.",
    why: "Indexes on text may be wrong: rows are not found, unique values come twice (PostgreSQL manual, ALTER DATABASE, “REFRESH COLLATION VERSION”).",
  },
  extension_missing: {
    severity: "warning",
    meaning: "An Odoo database lacks pg_trgm, or unaccent where Odoo uses it.",
    why: "Without pg_trgm Odoo leaves its trigram indexes out, and searches by part of a name read whole tables (Odoo 19, `odoo/orm/registry.py`).",
  },
  unaccent_not_immutable: {
    severity: "warning",
    meaning: "The function unaccent(text) of an Odoo database is not IMMUTABLE.",
    why: "PostgreSQL takes only IMMUTABLE functions into an index: every search that ignores accents reads the whole table (PostgreSQL manual, CREATE INDEX; Odoo 19, `odoo/modules/db.py`).",
  },
  unaccent_index_missing: {
    severity: "advice",
    meaning: "An Odoo database with unaccent lacks the trigram index on the unaccented names of a table.",
    why: "It is what a search box uses. A restore by psql without ON_ERROR_STOP loses it and says nothing (Odoo 19, `odoo/service/db.py`; tried).",
  },
  replica_settings_below: {
    severity: "warning",
    meaning: "A replica has a lower value than its primary in a setting where that is not allowed.",
    why: "The replica stops replaying, or does not start again (PostgreSQL manual, “Hot Standby”, Administrator's Overview).",
  },
  standby_feedback_off: {
    severity: "warning",
    meaning: "A replica that serves reads runs without hot_standby_feedback.",
    why: "Vacuum on the primary cancels reads on the replica. Odoo tries such a read five times on the same replica, never on the primary (Odoo 19, `odoo/service/model.py`).",
  },
  standby_delay_unfit: {
    severity: "advice",
    meaning: "max_standby_streaming_delay of a replica is below 5 s, above 5 min, or without end.",
    why: "Too short cancels reads; too long lets one report hold up replay, and the replica leaves the read endpoint (PostgreSQL manual, “Handling Query Conflicts”).",
  },
  slot_without_cap: {
    severity: "warning",
    meaning: "max_slot_wal_keep_size is -1: replication slots may keep WAL without a limit.",
    why: "A replica that is away fills the primary's disk, and the primary stops (zalando/postgres-operator#2012, patroni/patroni#280).",
  },
  slot_keeps_much: {
    severity: "warning",
    meaning:
      "A replication slot keeps more than half of what it may (max_slot_wal_keep_size), or WAL of more than a tenth of the disk.",
    why: "Beyond its limit the slot is lost and the replica has to be made anew; without one the disk fills.",
  },
  slot_unused: {
    severity: "warning",
    meaning: "A replication slot that belongs to no node of this cluster is not in use.",
    why: "It keeps WAL and holds back vacuum for somebody who may never come back (PostgreSQL manual, “Replication Slots”).",
  },
  slot_lost: {
    severity: "warning",
    meaning: "A replication slot is lost: WAL that its replica still needs was removed.",
    why: "That replica can never catch up (PostgreSQL manual, pg_replication_slots, wal_status).",
  },
  replica_conflicts: {
    severity: "advice",
    meaning:
      "Reads on a replica were cancelled because replay needed their locks or rows, once a day or more.",
    why: "Users see “could not serialize access” or a retry that takes long (odoo/odoo#18546, odoo/odoo#143495).",
  },
  backups_off: {
    severity: "warning",
    meaning: "The cluster holds databases, and `backup.enabled` is false.",
    why: "Nobody backs them up, as far as odoo-pg knows. A replica is no backup: it repeats every mistake at once.",
  },
  backup_failed: {
    severity: "warning",
    meaning: "The last run of backups failed for at least one database.",
    why: "The newest good backup of that database gets older.",
  },
  backup_incomplete: {
    severity: "warning",
    meaning: "The last backup found no folder in the filestore for a database that names attachments.",
    why: "Such a backup restores records without their files.",
  },
  backup_late: {
    severity: "warning",
    meaning: "A database has no backup that is younger than `backup.max_age_hours`.",
    why: "So much work would be lost.",
  },
  never_drilled: {
    severity: "advice",
    meaning: "There are backups, and of a database none was ever proven by restoring it.",
    why: "Only a restore proves a backup: listing an archive passed one that was cut by 60 % (geolens-io/geolens#710).",
  },
  drill_late: {
    severity: "warning",
    meaning:
      "Of a database no backup was proven by restoring it for longer than `backup.max_drill_age_days`.",
    why: "Only a restore proves a backup.",
  },
  drill_failed: {
    severity: "warning",
    meaning: "A backup could not be restored, or what was restored is not what the backup promises.",
    why: "It would fail you on the day you need it.",
  },
  not_restorable: {
    severity: "advice",
    meaning: "A restore could not make all that is in a database, or not as it was.",
    why: "A restore makes nothing as a superuser on a dump's word: event triggers, publications of all tables, functions in C, foreign servers and their kin are set aside as SQL, to be read and run by hand, and what belongs to a superuser goes to the owner of the database. Better known before the restore.",
  },
  archiver_failing: {
    severity: "warning",
    meaning: "Archiving of WAL is on, and its last try failed, or there is no command for it.",
    why: "PostgreSQL keeps every segment until it is archived: the disk fills, and the archive has a gap (PostgreSQL manual, “Continuous Archiving”).",
  },
  archiver_late: {
    severity: "warning",
    meaning: "More than 32 finished WAL segments wait to be archived.",
    why: "The archive is behind by as much, and so is what can be restored from it.",
  },
  disk_nearly_full: {
    severity: "critical",
    meaning: "A disk is 95 % full or more.",
    why: "PostgreSQL stops when it cannot write WAL; backups end half made.",
  },
  disk_filling: {
    severity: "warning",
    meaning: "A disk is 85 % full or more.",
    why: "A restore, a reseed and a reindex need room for a second copy.",
  },
  disk_days_left: {
    severity: "warning",
    meaning: "At the present growth a disk is full in less than 14 days.",
    why: "A larger disk takes days to order and to fit.",
  },
  checksums_off: {
    severity: "warning",
    meaning: "The data pages of a node have no checksums.",
    why: "A disk that returns wrong data is then noticed by users, not by PostgreSQL, and the damage goes into the backups (PostgreSQL manual, pg_checksums).",
  },
  checksum_failures: {
    severity: "critical",
    meaning: "PostgreSQL has read pages whose checksum is wrong.",
    why: "The disk or the memory of that host damages data (PostgreSQL manual, pg_stat_database).",
  },
  damage_ignored: {
    severity: "critical",
    meaning: "A setting is on that makes PostgreSQL go on with damaged data.",
    why: "zero_damaged_pages destroys rows for good, and ignore_checksum_failure hides and spreads damage (PostgreSQL manual, “Developer Options”).",
  },
  wraparound_approaching: {
    severity: "warning",
    meaning:
      "A database has transaction ids or multixacts older than twice what autovacuum allows, or than a billion.",
    why: "Something holds vacuum back. At 2 billion PostgreSQL takes no more writes (PostgreSQL manual, “Preventing Transaction ID Wraparound Failures”).",
  },
  wraparound_near: {
    severity: "critical",
    meaning: "A database has transaction ids or multixacts older than 1.6 billion.",
    why: "At 2 billion PostgreSQL takes no more writes until vacuum has run, which may take hours (PostgreSQL manual, vacuum_failsafe_age).",
  },
  autovacuum_off: {
    severity: "warning",
    meaning: "autovacuum, or track_counts that it needs, is off.",
    why: "Tables grow without end, statistics get old, and plans get slow (PostgreSQL manual, “The Autovacuum Daemon”).",
  },
  tables_not_vacuumed: {
    severity: "warning",
    meaning:
      "A table holds many dead rows and was not vacuumed within the last hour. Tables that Odoo changes all the time are told of earlier.",
    why: "Every read goes through the dead rows. Odoo deletes from bus_bus in bulk (Odoo 19, `addons/bus/models/bus.py`).",
  },
  sequence_half_used: {
    severity: "warning",
    meaning: "A sequence of 32-bit numbers is used up by more than half.",
    why: "At 2 147 483 647 no row can be added to that table (odoo/odoo#76188).",
  },
  index_invalid: {
    severity: "warning",
    meaning: "An index is invalid: CREATE INDEX or REINDEX CONCURRENTLY was cut off.",
    why: "It costs every write and helps no read, and a unique one proves nothing (PostgreSQL manual, CREATE INDEX).",
  },
  index_duplicate: {
    severity: "advice",
    meaning: "Two indexes of a table are the same. doctor tells, and never drops.",
    why: "Each costs room and slows down every write.",
  },
  idle_in_transaction: {
    severity: "warning",
    meaning:
      "A session that is no cursor of a scheduled action is idle in its transaction for over 5 minutes.",
    why: "It holds its locks, and vacuum may not remove rows that died since (PostgreSQL manual, idle_in_transaction_session_timeout).",
  },
  cron_in_transaction: {
    severity: "advice",
    meaning: "The cursor of a scheduled action of Odoo is in its transaction for over an hour.",
    why: "It is idle by design while the job runs (Odoo 19, `ir_cron.py`), but it holds vacuum back as long.",
  },
  fsync_off: {
    severity: "critical",
    meaning: "A node runs with fsync off.",
    why: "After a power cut or a crash of the system its data may be beyond repair (PostgreSQL manual, fsync).",
  },
  full_page_writes_off: {
    severity: "critical",
    meaning: "A node runs with full_page_writes off.",
    why: "A page that was half written in a crash stays broken, and pg_rewind and base backups are no longer safe (PostgreSQL manual, full_page_writes).",
  },
  commits_not_flushed: {
    severity: "warning",
    meaning: "synchronous_commit is off for everybody.",
    why: "A crash loses the last commits, which users have seen succeed (PostgreSQL manual, “Asynchronous Commit”).",
  },
  hba_trust: {
    severity: "critical",
    meaning: "A line of pg_hba.conf lets people in without a password (trust).",
    why: "Who reaches the server is whoever they say, the superuser too (PostgreSQL manual, “Trust Authentication”).",
  },
  hba_weak_password: {
    severity: "warning",
    meaning: "A line of pg_hba.conf asks for a password in the clear, by MD5, or by ident.",
    why: "`password` sends it readable, md5 is broken, and ident believes the other host (PostgreSQL manual, “Authentication Methods”).",
  },
  hba_without_tls: {
    severity: "warning",
    meaning: "A line of pg_hba.conf lets other hosts in without TLS.",
    why: "Data and passwords' proofs can be read and changed on the way (PostgreSQL manual, “The pg_hba.conf File”).",
  },
  hba_superuser_remote: {
    severity: "warning",
    meaning: "A line of pg_hba.conf lets the superuser in from other hosts.",
    why: "Who guesses one password runs programs on this host.",
  },
  hba_error: {
    severity: "warning",
    meaning: "A line of pg_hba.conf cannot be read.",
    why: "A running server keeps the old rules, and one that starts does not come up (PostgreSQL manual, “The pg_hba.conf File”).",
  },
  tls_off: {
    severity: "warning",
    meaning: "A server listens to other hosts with TLS off.",
    why: "Every connection from there is in plain view.",
  },
  tls_old_protocol: {
    severity: "warning",
    meaning: "A server takes TLS older than 1.2.",
    why: "TLS 1.0 and 1.1 are withdrawn (RFC 8996).",
  },
  certificate_expiring: {
    severity: "warning",
    meaning: "The certificate of a server ends within 30 days.",
    why: "Then replicas that verify it can no longer connect to it.",
  },
  certificate_expired: {
    severity: "critical",
    meaning: "The certificate of a server has ended.",
    why: "Replicas that verify it cannot connect to it again.",
  },
  major_version_ends_soon: {
    severity: "advice",
    meaning: "The community ends its care for this major version of PostgreSQL within six months.",
    why: "An upgrade of the major version wants planning (PostgreSQL versioning policy, https://www.postgresql.org/support/versioning/).",
  },
  major_version_ended: {
    severity: "warning",
    meaning: "This major version of PostgreSQL is past its end of life.",
    why: "Its holes are no longer mended (PostgreSQL versioning policy, https://www.postgresql.org/support/versioning/).",
  },
  node_versions_differ: {
    severity: "advice",
    meaning: "The nodes run different minor versions of PostgreSQL.",
    why: "A fix counts only where it runs, and the primary of tomorrow may be the one without it.",
  },
  clock_skew: {
    severity: "warning",
    meaning:
      "The clock of a server differs by more than 2 s from this host's, or by more than 5 s from its primary's.",
    why: "Lag in seconds, the times of backups and restores to a point in time are wrong by as much.",
  },
} as const satisfies Record<string, FindingKind>;

export type FindingCode = keyof typeof FINDINGS;

const isFindingCode = (text: string): text is FindingCode => Object.hasOwn(FINDINGS, text);

/** Figures by name; the end of a name tells the unit: `_bytes`, `_seconds`, `_ratio` (0 to 1). */
const figuresSchema = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]));
export type Figures = z.output<typeof figuresSchema>;

export const findingSchema = z.strictObject({
  code: z.string().refine(isFindingCode),
  severity: z.enum(["advice", "warning", "critical"]),
  /** The node that it is about, if it is about one. */
  node: z.string().nullable(),
  /** The database that it is about, if it is about one. */
  database: z.string().nullable(),
  message: z.string().min(1),
  /** What was seen. */
  evidence: figuresSchema,
  /** What to do: an exact command, with words before it where it needs them. */
  next: z.string().min(1),
  /** The same by its parts: words as text, commands by program and arguments. */
  next_step: nextStepSchema,
});
/** A finding as documents hold it. */
export type Finding = z.output<typeof findingSchema>;

/** A finding as it is made: nobody has said yet by which configuration its commands meet the cluster. */
export type FoundFinding = Omit<Finding, "next">;

export function finding(
  code: FindingCode,
  found: {
    readonly node?: string;
    readonly database?: string;
    readonly message: string;
    readonly evidence: Figures;
    readonly next: NextText;
  },
): FoundFinding {
  return {
    code,
    severity: FINDINGS[code].severity,
    node: found.node ?? null,
    database: found.database ?? null,
    message: found.message,
    evidence: found.evidence,
    next_step: asStep(found.next),
  };
}
