import type { ConsoleDocument, OdooDatabase } from "../../../cluster/documents/console.ts";
import { ago, bytes, count, many, NOTHING, UNKNOWN } from "./show.ts";
import type { Level } from "./verdict.ts";

export interface DatabaseRow {
  readonly name: string;
  readonly odoo: string;
  readonly size: string;
  readonly filestore: string;
  readonly backup: string;
  readonly backupLevel: Level;
  readonly actions: string;
  readonly actionsLevel: Level;
  readonly mail: string;
  /** Whether it can be copied to staging: only Odoo databases can be neutralised. */
  readonly odooDatabase: boolean;
}

/** Databases that need attention first, then by name. `now` in milliseconds. */
export function databaseRows({ databases }: ConsoleDocument, now: number): readonly DatabaseRow[] {
  return databases
    .map((database) => rowOf(database, now))
    .toSorted((a, b) => troubles(b) - troubles(a) || a.name.localeCompare(b.name, "en"));
}

function rowOf(database: OdooDatabase, now: number): DatabaseRow {
  const odoo = database.odoo_version !== null;
  return {
    name: database.name,
    odoo: database.odoo_version ?? NOTHING,
    size: bytes(database.size_bytes),
    filestore: odoo ? bytes(database.filestore_bytes) : NOTHING,
    backup: database.last_backup_at === null ? "never" : ago(database.last_backup_at, now),
    backupLevel: database.last_backup_at === null ? "warning" : "ok",
    ...actionsOf(database),
    mail: odoo ? count(database.mail_waiting) : NOTHING,
    odooDatabase: odoo,
  };
}

function actionsOf({
  odoo_version,
  late_actions,
  failed_actions,
}: OdooDatabase): Pick<DatabaseRow, "actions" | "actionsLevel"> {
  if (odoo_version === null) return { actions: NOTHING, actionsLevel: "ok" };
  if (late_actions === null && failed_actions === null) return { actions: UNKNOWN, actionsLevel: "unknown" };
  const said = [
    ...(late_actions ? [`${count(late_actions)} late`] : []),
    ...(failed_actions ? [`${count(failed_actions)} failed`] : []),
  ];
  return said.length > 0
    ? { actions: said.join(", "), actionsLevel: "warning" }
    : { actions: "on time", actionsLevel: "ok" };
}

function troubles({ backupLevel, actionsLevel }: DatabaseRow): number {
  return (actionsLevel === "warning" ? 2 : 0) + (backupLevel === "warning" ? 1 : 0);
}

/** Rows whose name contains all the words that were typed. */
export function matching(rows: readonly DatabaseRow[], typed: string): readonly DatabaseRow[] {
  const words = typed.toLowerCase().split(/\s+/);
  return rows.filter(({ name }) => words.every((word) => name.toLowerCase().includes(word)));
}

export function databasesSummary({ databases }: ConsoleDocument): string {
  if (databases.length === 0) return "There is no database yet.";
  const sizes = databases.flatMap(({ size_bytes }) => size_bytes ?? []);
  const counted = many(databases.length, "database");
  if (sizes.length < databases.length) return `${counted}.`;
  return `${counted}, ${bytes(sizes.reduce((sum, size) => sum + size, 0))}.`;
}
