import { quoteSqlIdentifier as id, quoteSqlLiteral as literal } from "../system/sql/sql.ts";
import type { Role } from "./contents/contents.ts";

/**
 * `globals.sql` of a backup: the roles that the dump names, for psql. Roles that exist stay as they are, but for their
 * memberships. Superusers are made without that right: a backup must not hand it out.
 * @param verifiers password verifiers by role, where they are asked for
 */
export function renderGlobals(
  database: string,
  roles: readonly Role[],
  verifiers: ReadonlyMap<string, string>,
): string {
  const made = roles.filter(({ name }) => name !== "postgres" && !name.startsWith("pg_"));
  return [
    `-- Roles of database ${JSON.stringify(database)}. Run with psql, before pg_restore.`,
    ...made.map((role) => createRole(role, verifiers.get(role.name))),
    ...made.flatMap(({ name, member_of }) =>
      member_of.map((group) => whenRoleExists(group, `GRANT ${id(group)} TO ${id(name)};`)),
    ),
    "",
  ].join("\n");
}

function createRole(role: Role, verifier: string | undefined): string {
  const words = [
    role.login ? "LOGIN" : "NOLOGIN",
    role.inherit ? "INHERIT" : "NOINHERIT",
    role.createdb ? "CREATEDB" : "NOCREATEDB",
    role.createrole ? "CREATEROLE" : "NOCREATEROLE",
    role.connection_limit >= 0 ? `CONNECTION LIMIT ${role.connection_limit}` : "",
    verifier === undefined ? "" : `PASSWORD ${literal(verifier)}`,
  ];
  return inBlock(
    `IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = ${literal(role.name)}) THEN
    CREATE ROLE ${id(role.name)} ${words.filter(Boolean).join(" ")};
  END IF;`,
  );
}

/** A group that the backup does not hold, such as pg_monitor on an older server, is left out. */
function whenRoleExists(role: string, statement: string): string {
  return inBlock(`IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = ${literal(role)}) THEN
    ${statement}
  END IF;`);
}

function inBlock(body: string): string {
  const block = `BEGIN\n  ${body}\nEND`;
  // A role's name may contain anything, even the end of a dollar quote.
  return `DO ${literal(block)};`;
}
