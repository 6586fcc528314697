import * as z from "zod";
import { parseJson } from "../system/files/json-file.ts";
import type { Session } from "../system/sql/sql.ts";

const count = z.number().int().nonnegative();

/** Null means unknown: this Odoo has no such table or column, or its owner replaced it by something else. */
const odooFactsSchema = z.object({
  /** Such as `19.0` or `saas~18.2`. */
  odoo_version: z.string(),
  /** Scheduled actions that should have run more than LATE_AFTER seconds ago. */
  late_actions: count.nullable(),
  /** How long the most overdue of them has been due; 0 when none is late. */
  oldest_late_seconds: z.number().nonnegative().nullable(),
  /** Scheduled actions whose last run failed, active or not (Odoo 18 and later). */
  failed_actions: count.nullable(),
  /** Mail that is overdue. */
  mail_outgoing: count.nullable(),
  mail_failed: count.nullable(),
  /** Age of the oldest overdue mail; 0 when none waits. */
  mail_oldest_seconds: z.number().nonnegative().nullable(),
  /** Notifications of the bus. Odoo deletes them after a day. */
  bus_rows: count.nullable(),
  bus_oldest_seconds: z.number().nonnegative().nullable(),
  attachments: count.nullable(),
  attachment_bytes: count.nullable(),
  attachments_in_filestore_bytes: count.nullable(),
  /** Modules to be installed, upgraded or removed: no scheduled action runs until that is done. */
  modules_in_transition: count,
  /** Jobs of OCA's queue_job by state. */
  queue_jobs: z.record(z.string(), count).nullable(),
  /** Rows of the tables that Odoo changes most, from the statistics: dead rows wait for a vacuum. Primary only. */
  hot_tables: z.object({ table: z.string(), live_rows: count, dead_rows: count }).array(),
});

/** The result of one query about an Odoo database. */
export type OdooFacts = z.output<typeof odooFactsSchema>;

/** Odoo looks for what is due once a minute, and runs one after another: seconds until an action counts as late. */
const LATE_AFTER = 300;

/** Tables whose rows are added and deleted all day: the first to show that vacuum does not keep up. */
const HOT_TABLES = ["bus_bus", "ir_attachment", "mail_message", "mail_notification", "stock_quant"];

/** Odoo's times are UTC without a zone. */
const NOW = "(now() AT TIME ZONE 'UTC')";
const age = (column: string): string => `greatest(extract(epoch FROM ${NOW} - ${column}), 0)::float8`;

interface Part {
  /** The part is skipped where these columns are missing. */
  readonly needs: readonly string[];
  /** A query of one row with one column: a JSON object. */
  readonly query: string;
}

const DUE = `active AND nextcall < ${NOW} - interval '${LATE_AFTER} seconds'`;
const actions = (due: string): string =>
  `SELECT json_build_object('late_actions', count(*), 'oldest_late_seconds', coalesce(max(${age("nextcall")}), 0))
   FROM ONLY public.ir_cron WHERE ${due}`;

/** Of parts with the same name, the last one whose columns exist counts. */
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
    // Until Odoo 17: how many runs are left; -1 means no limit.
    needs: ["ir_cron.active", "ir_cron.nextcall", "ir_cron.numbercall"],
    query: actions(`${DUE} AND numbercall <> 0`),
  },
  {
    needs: ["ir_cron.failure_count"],
    query: `SELECT json_build_object('failed_actions', count(*)) FROM ONLY public.ir_cron WHERE failure_count > 0`,
  },
  {
    // scheduled_date is text until Odoo 15, a timestamp since then: as text, both compare the same.
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
 * A part is read where its columns exist: query_to_xml runs a statement that PostgreSQL has not parsed before. Only
 * plain tables of the querying role count: anything that their owner attached to them, such as an index whose condition
 * calls a function that the planner runs, then has no more rights than the owner.
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

/** The object in the one column of the one row of a part. The queries return nothing that XML would escape. */
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
 * Reads the facts of the session's database by one query, from Odoo 13 to 19; undefined where it is not Odoo's. Reads
 * ir_attachment and the bus whole: meant for about once a minute.
 * @param session of the database's owner, opened with `odooFactsSettings`; databases of other owners give nothing
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
 * Settings of a session that reads facts. With an empty search_path, no object of the database's owner can replace the
 * system's own. The session does not wait for an upgrade of modules that holds a table.
 */
export const odooFactsSettings = {
  search_path: "",
  datestyle: "ISO",
  lock_timeout: "200ms",
  statement_timeout: "5s",
  max_parallel_workers_per_gather: "0",
  jit: "off",
} as const;
