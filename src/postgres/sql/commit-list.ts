import { quoteSqlIdentifier, quoteSqlLiteral, type Session } from "../../system/sql/sql.ts";

/**
 * The standbys in synchronous_standby_names, as the server has it in force, whichever file it comes from. Right only for a
 * list all of whose members are waited for, as odoo-pg and Patroni write it.
 */
export async function listedStandbys(session: Session): Promise<string[]> {
  const [row] = await session.query("SELECT current_setting('synchronous_standby_names') AS list");
  return namesIn(String(row?.["list"]));
}

/**
 * The names in a value of synchronous_standby_names; `*` is left out. Patroni writes a single name, or `2 ("h2","h3")`.
 */
export function namesIn(list: string): string[] {
  const inside = /^\s*(?:(?:first|any)\s+)?\d+\s*\((.*)\)\s*$/i.exec(list)?.[1] ?? list;
  return inside
    .split(",")
    .map((name) => name.trim().replace(/^"(.*)"$/, "$1"))
    .filter((name) => name !== "" && name !== "*");
}

/**
 * Has commits wait for all of these standbys, from the next reload on. Written to postgresql.auto.conf, which wins over the
 * files that Patroni writes. @throws SqlError
 */
export async function writeStandbys(session: Session, names: readonly string[]): Promise<void> {
  const list = names.length ? `${names.length} (${names.map(quoteSqlIdentifier).join(", ")})` : "";
  await session.query(`ALTER SYSTEM SET synchronous_standby_names = ${quoteSqlLiteral(list)}`);
}

/**
 * Removes the list from postgresql.auto.conf of a server that is not the primary: a base backup and pg_rewind bring along
 * another server's. @returns whether there was one
 */
export async function forgetStandbys(session: Session): Promise<boolean> {
  const rows = await session.query(
    `SELECT FROM pg_file_settings
     WHERE name = 'synchronous_standby_names' AND sourcefile LIKE '%/postgresql.auto.conf'`,
  );
  if (rows.length) await session.query("ALTER SYSTEM RESET synchronous_standby_names");
  return rows.length > 0;
}

/** Which of these standbys have a WAL sender now. */
export async function streamingOf(session: Session, names: readonly string[]): Promise<string[]> {
  const rows = await session.query(
    "SELECT DISTINCT application_name AS name FROM pg_stat_replication WHERE application_name = ANY($1::text[])",
    [names],
  );
  return rows.map((row) => String(row["name"]));
}
