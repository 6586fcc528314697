/**
 * Quoting for the files that PostgreSQL reads. Each function is tested against the real parser.
 */

/** A value in postgresql.conf: single quotes; backslash escapes are read there (guc-file.l, DeescapeQuotedString). */
export function quoteSetting(value: string): string {
  if (value.includes("\0")) throw new RangeError("a setting cannot hold a NUL byte");
  const escaped = value
    .replaceAll("\\", "\\\\")
    .replaceAll("'", "''")
    .replaceAll("\n", "\\n")
    .replaceAll("\r", "\\r");
  return `'${escaped}'`;
}

/** A value in a libpq connection string (PQconninfoParse): single quotes, backslash before quote and backslash. */
function quoteConninfo(value: string): string {
  return `'${value.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}

/** A connection string from its parts, in the given order. */
export function conninfo(parts: Readonly<Record<string, string | number>>): string {
  return Object.entries(parts)
    .map(([key, value]) => `${key}=${quoteConninfo(String(value))}`)
    .join(" ");
}

/** A field of a password file (passwordFromFile): backslash before colon and backslash. */
export function quotePassfileField(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll(":", "\\:");
}

/**
 * A name or address in pg_hba.conf: double quotes, with a double quote doubled (hba.c, next_token).
 * @throws RangeError for a line break, which that file cannot hold.
 */
export function quoteHba(value: string): string {
  if (/[\r\n\0]/.test(value)) throw new RangeError("a word of pg_hba.conf cannot hold a line break");
  return `"${value.replaceAll('"', '""')}"`;
}

/** A name in synchronous_standby_names or SQL: double quotes. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
