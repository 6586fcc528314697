import * as z from "zod";
import { parseJson } from "../system/files/json-file.ts";
import type { Session } from "../system/sql/sql.ts";

const count = z.number().int().nonnegative();

/** Null is "cannot be told": this Odoo has no such table or column, or its owner made something else of it. */
const odooFactsSchema = z.object({
  /** Such as `19.0` or `saas~18.2`. */
  odoo_version: z.string(),
  /** Scheduled actions that should have run more than LATE_AFTER seconds ago. */
  late_actions: count.nullable(),
  /** How long the most overdue of them has been due; 0 when none is late. */
  oldest_late_seconds: z.number().nonnegative().nullable(),
  /** Scheduled actions whose last run failed, active or not (Odoo 18 and later). */
  failed_actions: count.nullable(),
  /** Mail that should have been sent by now. */
  mail_outgoing: count.nullable(),
  mail_failed: count.nullable(),
  /** Age of the oldest mail that should have been sent by now; 0 when none waits. */
  mail_oldest_seconds: z.number().nonnegative().nullable(),
  /** Notifications of the bus. Odoo deletes them after a day. */
  bus_rows: count.nullable(),
  bus_oldest_seconds: z.number().nonnegative().nullable(),
  attachments: count.nullable(),
  attachment_bytes: count.nullable(),
  attachments_in_filestore_bytes: count.nullable(),
  /** Modules to be installed, upgraded or removed: until that is done, no scheduled action runs. */
  modules_in_transition: count,
  /** Jobs of OCA's queue_job by their state. */
  queue_jobs: z.record(z.string(), count).nullable(),
  /** Rows of the tables that Odoo changes most, as the statistics count them: dead ones wait for a vacuum. Primary only. */
  hot_tables: z.object({ table: z.string(), live_rows: count, dead_rows: count }).array(),
});

/** What one query tells of an Odoo database. */
export type OdooFacts = z.output<typeof odooFactsSchema>;

/** Odoo looks for what is due once a minute, and runs one after another: seconds until an action counts as late. */
const LATE_AFTER = 300;

/** Tables whose rows come and go all day: what a vacuum that does not keep up shows in first. */
const HOT_TABLES = ["bus_bus", "ir_attachment", "mail_message", "mail_notification", "stock_quant"];

/** Odoo's times are UTC without a zone. */
const NOW = "(now() AT TIME ZONE 'UTC')";
const age = (column: string): string => `greatest(extract(epoch FROM ${NOW} - ${column}), 0)::float8`;

interface Part {
  /** Columns without which the part cannot be asked. */
  readonly needs: readonly string[];
  /** A query of one row with one column: a JSON object. */
  readonly query: string;
}

const DUE = `active AND nextcall < ${NOW} - interval '${LATE_AFTER} seconds'`;
const actions = (due: string): string =>
  `SELECT json_build_object('late_actions', count(*), 'oldest_late_seconds', coalesce(max(${age("nextcall")}), 0))
   FROM ONLY public.ir_cron WHERE ${due}`;

/** Of parts that read the same, the last one that can be asked counts. */
const PARTS: readonly Part[] = [
  {
    needs: ["ir_module_module.name", "ir_module_module.state", "ir_module_module.latest_version"],
    query: `SELECT json_build_object(
        'base', max(latest_version) FILTER (WHERE name = 'base' AND latest_version ~ '^[a-z0-9~.+-]{1,40}$'),
        'modules_in_transition', count(*) FILTER (WHERE state IN ('to install', 'to upgrade', 'to remove')))
      FROM ONLY public.ir_module_module`,
  },
  { needs: ["ir_cron.active", "ir_cron.nextcall"], query: actions(DUE) },
  {
    // Until Odoo 17: how many runs are left; -1 is without end.
    needs: ["ir_cron.active", "ir_cron.nextcall", "ir_cron.numbercall"],
    query: actions(`${DUE} AND numbercall <> 0`),
  },
  {
    needs: ["ir_cron.failure_count"],
    query: `SELECT json_build_object('failed_actions', count(*)) FROM ONLY public.ir_cron WHERE failure_count > 0`,
  },
  {
    // scheduled_date is text until Odoo 15, a timestamp since: as text both compare the same.
    needs: ["mail_mail.state", "mail_mail.create_date", "mail_mail.scheduled_date"],
    query: `SELECT json_build_object(
        'mail_outgoing', count(*) FILTER (WHERE due),
        'mail_failed', count(*) FILTER (WHERE state = 'exception'),
        'mail_oldest_seconds', coalesce(max(${age("create_date")}) FILTER (WHERE due), 0))
      FROM (SELECT state, create_date, state = 'outgoing'
          AND coalesce(scheduled_date::text, '') COLLATE "C" <= to_char(${NOW}, 'YYYY-MM-DD HH24:MI:SS') AS due
        FROM ONLY public.mail_mail WHERE state IN ('outgoing', 'exception')) mail`,
  },
  {
    needs: ["bus_bus.create_date"],
    query: `SELECT json_build_object('bus_rows', count(*), 'bus_oldest_seconds', coalesce(max(${age("create_date")}), 0))
      FROM ONLY public.bus_bus`,
  },
  {
    needs: ["ir_attachment.file_size", "ir_attachment.store_fname"],
    query: `SELECT json_build_object('attachments', count(*), 'attachment_bytes', coalesce(sum(file_size), 0),
        'attachments_in_filestore_bytes', coalesce(sum(file_size) FILTER (WHERE store_fname IS NOT NULL), 0))
      FROM ONLY public.ir_attachment`,
  },
  {
    needs: ["queue_job.state"],
    query: `SELECT json_build_object('queue_jobs', coalesce(json_object_agg(state, jobs), '{}'))
      FROM (SELECT state, count(*) AS jobs FROM ONLY public.queue_job WHERE state ~ '^[a-z_]{1,40}$' GROUP BY state) states`,
  },
];

const tables = [...new Set(PARTS.flatMap(({ needs }) => needs.map((column) => column.split(".")[0] ?? "")))];
const list = (names: readonly string[]): string => `ARRAY[${names.map((name) => `'${name}'`).join(", ")}]`;

/**
 * A part is asked where its columns are there: query_to_xml is what runs a statement that PostgreSQL has not looked at
 * before. Only plain tables count that belong to who asks: whatever their owner hung on them, such as an index whose
 * condition calls a function, which the planner runs, has no more rights than he has.
 */
const FACTS = `
WITH columns AS MATERIALIZED (
  SELECT array_agg(c.relname || '.' || a.attname) AS names
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid < 16384
  WHERE n.nspname = 'public' AND c.relkind = 'r' AND c.relname = ANY (${list(tables)})
    AND pg_get_userbyid(c.relowner) = current_user
)
SELECT ${PARTS.map(
  ({ needs, query }, number) =>
    `CASE WHEN ${list(needs)} <@ names THEN query_to_xml($part$${query}$part$, false, true, '')::text END AS part_${number}`,
).join(",\n  ")},
  (SELECT coalesce(json_agg(json_build_object('table', relname, 'live_rows', n_live_tup, 'dead_rows', n_dead_tup) ORDER BY relname), '[]')
    FROM pg_stat_user_tables WHERE schemaname = 'public' AND relname = ANY (${list(HOT_TABLES)})) AS hot_tables
FROM columns`;

/** Base's version without the module's own two numbers: `19.0.1.3` is Odoo 19.0. */
function odooVersion(base: string): string {
  return /^(.+)\.\d+\.\d+$/.exec(base)?.[1] ?? base;
}

/** The object in the one column of the one row of a part. The queries let nothing through that XML would write otherwise. */
function objectIn(xml: unknown): object {
  const text =
    typeof xml === "string" ? /<json_build_object>(.*)<\/json_build_object>/s.exec(xml)?.[1] : undefined;
  const parsed = parseJson(text ?? "", z.record(z.string(), z.unknown()));
  return parsed.ok ? parsed.value : {};
}

const UNKNOWN = {
  late_actions: null,
  oldest_late_seconds: null,
  failed_actions: null,
  mail_outgoing: null,
  mail_failed: null,
  mail_oldest_seconds: null,
  bus_rows: null,
  bus_oldest_seconds: null,
  attachments: null,
  attachment_bytes: null,
  attachments_in_filestore_bytes: null,
  queue_jobs: null,
};

/**
 * What one query tells of the database of a session, from Odoo 13 to 19; undefined where it is not Odoo's. Reads
 * ir_attachment and the bus whole: for who asks about once a minute.
 * @param session of the database's owner, opened with `odooFactsSettings`; of other owners' databases nothing is told
 * @throws SqlError, such as when a table is locked by an upgrade of modules
 */
export async function readOdooFacts(session: Session): Promise<OdooFacts | undefined> {
  const [row] = await session.query(FACTS);
  const found: Record<string, unknown> = Object.assign(
    {},
    ...PARTS.map((_, number) => objectIn(row?.[`part_${number}`])),
  );
  const { base } = found;
  if (typeof base !== "string") return undefined;
  return odooFactsSchema.parse({
    ...UNKNOWN,
    ...found,
    odoo_version: odooVersion(base),
    hot_tables: row?.["hot_tables"],
  });
}

/**
 * Settings of a session that reads facts. With no schema to search, nothing of the database's owner takes the place of
 * the system's own. An upgrade of modules that holds a table is not waited for.
 */
export const odooFactsSettings = {
  search_path: "",
  datestyle: "ISO",
  lock_timeout: "200ms",
  statement_timeout: "5s",
  max_parallel_workers_per_gather: "0",
  jit: "off",
} as const;
