import type { OdooOption } from "../odoo/conf.ts";

/** Options that must match the servers, whatever else the file's owner wrote. */
const KEPT_RIGHT: readonly string[] = ["db_user", "db_password"];
/** Options that an older file may lack and needs: without this one, Odoo takes `admin`. */
const NEVER_MISSING: readonly string[] = ["admin_passwd"];

/**
 * Odoo's odoo.conf: created once with all options; after that it is its owner's, and only role and password are kept up
 * to date. Pure. Odoo refuses a file in which an option appears twice.
 */
export function renderOdooConf(present: string | undefined, options: readonly OdooOption[]): string {
  if (present === undefined) {
    return `${["[options]", ...options.flatMap(({ name, value, reason }) => [`; ${reason}`, `${name} = ${value}`])].join("\n")}\n`;
  }
  const wanted = new Map(options.map(({ name, value }) => [name, `${name} = ${value}`]));
  const found = new Set<string>();
  let section = "";
  let end = -1;
  const lines = present.replace(/\n$/, "").split("\n");
  const result = lines.map((line, index) => {
    section = /^\[([^\]]+)\]/.exec(line)?.[1] ?? section;
    if (section !== "options") return line;
    if (line.trim() !== "") end = index;
    const name = /^([^\s#;=:][^=:]*?)\s*[=:]/.exec(line)?.[1]?.toLowerCase() ?? "";
    found.add(name);
    return KEPT_RIGHT.includes(name) ? (wanted.get(name) ?? line) : line;
  });
  const missing = [...KEPT_RIGHT, ...NEVER_MISSING].flatMap((name) => {
    const line = wanted.get(name);
    return line === undefined || found.has(name) ? [] : [line];
  });
  if (end === -1) return `${["[options]", ...missing, ...result].join("\n")}\n`;
  return `${[...result.slice(0, end + 1), ...missing, ...result.slice(end + 1)].join("\n")}\n`;
}
