import type { OdooFacts } from "../../odoo/facts.ts";
import type { OdooDatabase } from "../../cluster/documents/console.ts";

interface DatabasesInput {
  /** Those that accept connections, without templates. */
  readonly names: readonly string[];
  readonly sizes: ReadonlyMap<string, number> | undefined;
  /** Those that were read; undefined in it: not Odoo's. */
  readonly facts: ReadonlyMap<string, { readonly facts: OdooFacts | undefined }>;
  readonly lastBackups: ReadonlyMap<string, string>;
}

/** The database that every server has, and that holds no data. */
const MAINTENANCE = "postgres";

export function databasesOf({ names, sizes, facts, lastBackups }: DatabasesInput): OdooDatabase[] {
  return names
    .filter((name) => name !== MAINTENANCE || facts.get(name)?.facts !== undefined)
    .map((name): OdooDatabase => {
      const known = facts.get(name)?.facts;
      return {
        name,
        odoo_version: known?.odoo_version ?? null,
        size_bytes: sizes?.get(name) ?? null,
        filestore_bytes: known?.attachments_in_filestore_bytes ?? null,
        last_backup_at: lastBackups.get(name) ?? null,
        late_actions: known?.late_actions ?? null,
        failed_actions: known?.failed_actions ?? null,
        mail_waiting: known?.mail_outgoing ?? null,
      };
    });
}
