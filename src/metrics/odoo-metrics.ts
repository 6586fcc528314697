import type { KnownFacts } from "../odoo/facts-cache.ts";
import type { Labels, Sample } from "./exposition.ts";
import { sample } from "./server-metrics.ts";

/**
 * Metrics of Odoo's databases.
 * @param labels those of the primary, on which it was looked
 * @param now our clock, milliseconds since the epoch
 */
export function odooMetrics(
  known: ReadonlyMap<string, KnownFacts>,
  labels: { readonly cluster: Labels; readonly node: Labels },
  now: number,
): Sample[] {
  return [...known].flatMap(([datname, { at, facts }]) => {
    if (!facts) return [];
    const both = { ...labels.cluster, datname };
    return [
      ...sample("odoo_pg_odoo_info", { ...both, odoo_version: facts.odoo_version }, 1),
      ...sample("odoo_pg_odoo_facts_age_seconds", both, Math.max(0, (now - at) / 1000)),
      ...sample("odoo_pg_odoo_late_actions", both, facts.late_actions),
      ...sample("odoo_pg_odoo_oldest_late_seconds", both, facts.oldest_late_seconds),
      ...sample("odoo_pg_odoo_failed_actions", both, facts.failed_actions),
      ...sample("odoo_pg_odoo_mail_outgoing", both, facts.mail_outgoing),
      ...sample("odoo_pg_odoo_mail_failed", both, facts.mail_failed),
      ...sample("odoo_pg_odoo_mail_oldest_seconds", both, facts.mail_oldest_seconds),
      ...sample("odoo_pg_odoo_bus_rows", both, facts.bus_rows),
      ...sample("odoo_pg_odoo_bus_oldest_seconds", both, facts.bus_oldest_seconds),
      ...sample("odoo_pg_odoo_attachments", both, facts.attachments),
      ...sample("odoo_pg_odoo_attachment_size_bytes", both, facts.attachment_bytes),
      ...sample("odoo_pg_odoo_attachment_filestore_bytes", both, facts.attachments_in_filestore_bytes),
      ...sample("odoo_pg_odoo_modules_in_transition", both, facts.modules_in_transition),
      ...Object.entries(facts.queue_jobs ?? {}).flatMap(([state, jobs]) =>
        sample("odoo_pg_odoo_queue_jobs", { ...both, state }, jobs),
      ),
      ...facts.hot_tables.flatMap(({ table, live_rows, dead_rows }) => {
        const table_labels = { ...labels.node, datname, schemaname: "public", relname: table };
        return [
          ...sample("pg_stat_user_tables_n_live_tup", table_labels, live_rows),
          ...sample("pg_stat_user_tables_n_dead_tup", table_labels, dead_rows),
        ];
      }),
    ];
  });
}
