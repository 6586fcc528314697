import { CONSOLE_USER } from "./render.ts";

/** A role that may log in, with its secret as the primary has it. */
export interface PooledRole {
  readonly name: string;
  /** A SCRAM-SHA-256 secret: it proves a password, and is none. */
  readonly secret: string;
}

/** Source: PostgreSQL, scram-common.c, scram_build_secret; RFC 5803. */
const SECRET = /^SCRAM-SHA-256\$\d{1,9}:[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+:[A-Za-z0-9+/=]+$/;

/**
 * The file of roles that may log in at PgBouncer. A name that would break the file is left out: it would shut out
 * the roles after it.
 */
export function renderUsers(roles: readonly PooledRole[]): string {
  const lines = roles
    .filter(({ name, secret }) => isWritable(name) && name !== CONSOLE_USER && SECRET.test(secret))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, secret }) => `${quoted(name)} ${quoted(secret)}`);
  return [`${quoted(CONSOLE_USER)} ""`, ...lines, ""].join("\n");
}

/** Bytes of a role's name. Source: PostgreSQL, NAMEDATALEN. */
const LONGEST = 63;

function isWritable(name: string): boolean {
  return name !== "" && Buffer.byteLength(name) <= LONGEST && !/\p{Cc}/u.test(name);
}

function quoted(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}
