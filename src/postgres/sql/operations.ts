import * as z from "zod";
import { formatLsn, parseLsn, type Lsn } from "../../model/lsn.ts";
import type { Session } from "../../system/sql/sql.ts";

/**
 * Named operations on a server. Whoever asks as superuser does so by src/postgres/sql/access/superuser.ts: names and operators
 * without a schema are then the system's own in every database.
 */

/** Makes sure that a physical slot exists and keeps WAL from now on. */
export async function ensureSlot(session: Session, slot: string): Promise<void> {
  await session.query(
    `SELECT pg_create_physical_replication_slot($1, true)
     WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1)`,
    [slot],
  );
}

/** Makes sure that a physical slot exists and keeps WAL. One that was lost never comes back to life: it is made again. */
export async function renewSlot(session: Session, slot: string): Promise<void> {
  const [lost] = await session.query(
    "SELECT FROM pg_replication_slots WHERE slot_name = $1 AND wal_status = 'lost'",
    [slot],
  );
  if (lost) await dropSlot(session, slot);
  await ensureSlot(session, slot);
}

/**
 * Ends whatever uses a slot, and waits for its end (5 s at most): a base backup whose odoo-pg was killed would keep the
 * next one out.
 */
export async function releaseSlot(session: Session, slot: string): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const ended = await session.query(
      `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1 AND active`,
      [slot],
    );
    if (!ended.length) return;
    await session.query("SELECT pg_sleep(0.05)");
  }
}

/** Ends the WAL senders of the named standbys. */
export async function endSenders(session: Session, names: readonly string[]): Promise<void> {
  await session.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_replication WHERE application_name = ANY($1::text[])",
    [names],
  );
}

/** Drops a physical slot if it is there. One in use is first ended at its WAL sender. */
export async function dropSlot(session: Session, slot: string): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    await releaseSlot(session, slot);
    try {
      await session.query(
        `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
         WHERE slot_name = $1 AND slot_type = 'physical'`,
        [slot],
      );
      return;
    } catch (error) {
      // 55006 object_in_use: a standby came back just now.
      if (attempt >= 10 || !(error instanceof Error && "code" in error && error.code === "55006"))
        throw error;
    }
  }
}

/** Creates a slot again so that it keeps WAL from where another one does, and drops that other one. */
export async function replaceSlot(session: Session, slot: string, by: string): Promise<void> {
  await releaseSlot(session, by);
  await dropSlot(session, slot);
  await session.query("SELECT pg_copy_physical_replication_slot($1, $2)", [by, slot]);
  await dropSlot(session, by);
}

/** Names of the physical slots. */
export async function listSlots(session: Session): Promise<string[]> {
  const rows = await session.query(
    "SELECT slot_name FROM pg_replication_slots WHERE slot_type = 'physical' ORDER BY 1",
  );
  return rows.map((row) => String(row["slot_name"]));
}

/** When this server last read its configuration: milliseconds since the epoch. */
export async function configurationLoadedAt(session: Session): Promise<number> {
  const [row] = await session.query("SELECT extract(epoch FROM pg_conf_load_time())::float8 * 1000 AS at");
  return Number(row?.["at"]);
}

const settingRow = z.object({ name: z.string(), setting: z.string(), pending_restart: z.boolean() });

/** The running values of the named settings, in their own units. */
export async function runningSettings(
  session: Session,
  names: readonly string[],
): Promise<Map<string, { value: string; pendingRestart: boolean }>> {
  const rows = await session.query(
    "SELECT name, setting, pending_restart FROM pg_settings WHERE name = ANY($1::text[])",
    [names],
  );
  return new Map(
    settingRow
      .array()
      .parse(rows)
      .map((row) => [row.name, { value: row.setting, pendingRestart: row.pending_restart }]),
  );
}

const shownRow = z.object({ name: z.string(), shown: z.string(), altered: z.boolean() });

/** The running values of the named settings as SHOW prints them, and whether ALTER SYSTEM set them. */
export async function shownSettings(
  session: Session,
  names: readonly string[],
): Promise<Map<string, { shown: string; altered: boolean }>> {
  const rows = await session.query(
    `SELECT name, current_setting(name) AS shown,
       coalesce(sourcefile LIKE '%/postgresql.auto.conf', false) AS altered
     FROM pg_settings WHERE name = ANY($1::text[])`,
    [names],
  );
  return new Map(
    shownRow
      .array()
      .parse(rows)
      .map(({ name, shown, altered }) => [name, { shown, altered }]),
  );
}

/**
 * Lets only the superuser create objects in schema public of the session's database. PostgreSQL 13 and 14 let
 * every role that may connect do so: PostgreSQL 15 release notes, "Migration".
 */
export async function closeSchemaPublic(session: Session): Promise<void> {
  const open = await session.query(
    `SELECT FROM pg_namespace, aclexplode(nspacl)
     WHERE nspname = 'public' AND grantee = 0 AND privilege_type = 'CREATE'`,
  );
  if (open.length > 0) await session.query("REVOKE CREATE ON SCHEMA public FROM PUBLIC");
}

/** Settings whose new value waits for a restart. */
export async function settingsPendingRestart(session: Session): Promise<string[]> {
  const rows = await session.query("SELECT name FROM pg_settings WHERE pending_restart ORDER BY name");
  return rows.map((row) => String(row["name"]));
}

/** Those of these settings that take effect only at a restart. */
export async function settingsNeedingRestart(session: Session, names: readonly string[]): Promise<string[]> {
  const rows = await session.query(
    "SELECT name FROM pg_settings WHERE name = ANY ($1) AND context = 'postmaster' ORDER BY name",
    [names],
  );
  return rows.map((row) => String(row["name"]));
}

const fileErrorRow = z.object({
  name: z.string().nullable(),
  error: z.string(),
  file: z.string(),
  line: z.number(),
});

/** A line of a configuration file that a running server refuses. */
export type FileError = z.output<typeof fileErrorRow>;

/** Lines of the configuration files that the running server would refuse. */
export async function configurationErrors(session: Session): Promise<FileError[]> {
  // What only waits for a restart is listed there too, and is no error: one that is set, as could not be applied; one that
  // is not set any more, without a file (guc-file.l).
  const rows = await session.query(
    `SELECT f.name, f.error, f.sourcefile AS file, f.sourceline AS line FROM pg_catalog.pg_file_settings f
     WHERE f.error IS NOT NULL AND f.sourcefile IS NOT NULL
       AND NOT (f.error OPERATOR(pg_catalog.=) 'setting could not be applied' AND EXISTS (
         SELECT FROM pg_catalog.pg_settings s
         WHERE s.pending_restart AND pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) pg_catalog.lower(f.name)))`,
  );
  const hba = await session.query(
    `SELECT NULL AS name, error, pg_catalog.current_setting('hba_file') AS file, line_number AS line
     FROM pg_catalog.pg_hba_file_rules WHERE error IS NOT NULL`,
  );
  return fileErrorRow.array().parse([...rows, ...hba]);
}

/**
 * Writes a few bytes of WAL, flushed here but waiting for no replica, and returns the position after them.
 * Each streaming replica answers to it: that releases commits which wait under an older list of standbys.
 */
export async function writeMark(session: Session): Promise<Lsn> {
  await session.query("SET synchronous_commit = local");
  await session.query("SELECT pg_logical_emit_message(true, 'odoo-pg', '')");
  const [row] = await session.query("SELECT pg_current_wal_flush_lsn()::text AS lsn");
  return parseLsn(String(row?.["lsn"]));
}

/** Whether a session still works on a statement that began before a time (the server's clock, milliseconds). */
export async function hasOlderStatements(session: Session, since: number): Promise<boolean> {
  const [row] = await session.query(
    `SELECT EXISTS (SELECT FROM pg_stat_activity
       WHERE backend_type = 'client backend' AND state = 'active' AND pid <> pg_backend_pid()
         AND query_start < to_timestamp($1::float8 / 1000)) AS older`,
    [since],
  );
  return row?.["older"] === true;
}

/** Whether every named standby streams and has reported that it flushed everything up to a position. */
export async function standbysFlushed(
  session: Session,
  names: readonly string[],
  lsn: Lsn,
): Promise<boolean> {
  const [row] = await session.query(
    `SELECT count(DISTINCT application_name)::int AS there FROM pg_stat_replication
     WHERE application_name = ANY($1::text[]) AND state = 'streaming' AND flush_lsn >= $2::pg_lsn`,
    [names, formatLsn(lsn)],
  );
  return Number(row?.["there"]) === names.length;
}

const overrideRow = z.object({
  setting: z.string(),
  value: z.string(),
  file: z.string().nullable(),
  role: z.string().nullable(),
  database: z.string().nullable(),
});

/** A setting by which commits do not wait as odoo-pg has set it. */
export type CommitOverride = z.output<typeof overrideRow>;

/**
 * What overrules odoo-pg's own file in how commits wait: for everybody another file, such as postgresql.auto.conf
 * (`file`), or ALTER ROLE and ALTER DATABASE (`role`, `database`; both null with ALTER ROLE ALL). A file counts from when
 * it is written, also before the server has read it.
 */
export async function commitOverrides(session: Session, ownFile: string): Promise<CommitOverride[]> {
  const rows = await session.query(
    `SELECT name AS setting, setting AS value, sourcefile AS file, NULL AS role, NULL AS database
     FROM pg_file_settings
     WHERE applied AND sourcefile <> $1
       AND (name = 'synchronous_standby_names' OR name = 'synchronous_commit' AND setting <> 'remote_apply')
     UNION ALL
     SELECT 'synchronous_commit', split_part(entry, '=', 2), NULL, rolname, datname
     FROM pg_db_role_setting LEFT JOIN pg_roles ON pg_roles.oid = setrole
       LEFT JOIN pg_database ON pg_database.oid = setdatabase, unnest(setconfig) AS entry
     WHERE entry LIKE 'synchronous\\_commit=%' AND split_part(entry, '=', 2) <> 'remote_apply'
     ORDER BY 1, 3, 4, 5`,
    [ownFile],
  );
  return overrideRow.array().parse(rows);
}

/** Whether the server still has the WAL segment that a replica at this position reads next, of whichever timeline. */
export async function hasWal(session: Session, position: Lsn): Promise<boolean> {
  const [row] = await session.query(
    `SELECT EXISTS (SELECT FROM pg_ls_waldir()
       WHERE length(name) = 24 AND substr(name, 9) = substr(pg_walfile_name($1::pg_lsn), 9)) AS there`,
    // At the very end of a segment the next one is read.
    [formatLsn(position + 1n)],
  );
  return row?.["there"] === true;
}

/** Ends recovery: the replica becomes a primary on a new timeline. A server that is no longer a replica is fine. */
export async function promote(session: Session): Promise<void> {
  await session.query("SELECT pg_promote(true, 60) WHERE pg_is_in_recovery()");
}

/** A checkpoint now. Its start proves that the checkpointer has read the configuration that was loaded before. */
export async function checkpoint(session: Session): Promise<void> {
  await session.query("CHECKPOINT");
}

/** Ends the sessions that come from these addresses, and began before a moment: milliseconds since the epoch, by address. */
export async function endSessionsBefore(
  session: Session,
  moments: ReadonlyMap<string, number>,
): Promise<void> {
  await session.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       JOIN unnest($1::text[], $2::float8[]) AS ending (address, moment) ON host(client_addr) = address
     WHERE backend_start < to_timestamp(moment / 1000)`,
    [[...moments.keys()], [...moments.values()]],
  );
}

/** Ends the sessions of a role that come from these addresses. */
export async function endSessionsFrom(
  session: Session,
  role: string,
  addresses: readonly string[],
): Promise<void> {
  await session.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1 AND host(client_addr) = ANY ($2)",
    [role, addresses],
  );
}

/**
 * Lets role replicator read the files that pg_rewind asks another host for: no more than a base backup gives it anyway.
 * Source: PostgreSQL, pg_rewind, "Notes"
 */
export async function letRewind(session: Session): Promise<void> {
  const functions = [
    "pg_ls_dir(text, boolean, boolean)",
    "pg_stat_file(text, boolean)",
    "pg_read_binary_file(text)",
    "pg_read_binary_file(text, bigint, bigint, boolean)",
  ].map((name) => `pg_catalog.${name}`);
  await session.query(`GRANT EXECUTE ON FUNCTION ${functions.join(", ")} TO replicator`);
}
