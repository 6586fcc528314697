import { scramVerifier, verifierFits } from "../postgres/scram.ts";
import { quoteSqlIdentifier as id, quoteSqlLiteral as literal, type Session } from "../system/sql.ts";

/** Passwords of the cluster's roles; openerp has one only when it was given. */
export interface RolePasswords {
  readonly postgres: string;
  readonly replicator: string;
  readonly odoo: string;
  readonly collectd: string;
  readonly openerp: string | undefined;
}

/** The role that owns what Odoo's roles share; Odoo's own role is a member of it. */
export const GROUP_ROLE = "openerp";

interface RoleWish {
  readonly name: string;
  readonly attributes: string;
  readonly password: string | undefined;
  readonly memberOf: readonly string[];
  readonly settings: Readonly<Record<string, string>>;
}

/** The roles that a cluster has. None but postgres is a superuser: COPY FROM PROGRAM would be a hole. */
export function wantedRoles(odooRole: string, passwords: RolePasswords): RoleWish[] {
  const plain = "NOSUPERUSER NOCREATEROLE NOBYPASSRLS INHERIT";
  return [
    {
      name: "postgres",
      attributes: "LOGIN SUPERUSER REPLICATION",
      password: passwords.postgres,
      memberOf: [],
      settings: {},
    },
    {
      name: "replicator",
      attributes: `LOGIN REPLICATION NOCREATEDB ${plain}`,
      password: passwords.replicator,
      memberOf: [],
      settings: {},
    },
    {
      name: GROUP_ROLE,
      attributes: `${passwords.openerp === undefined ? "NOLOGIN" : "LOGIN"} CREATEDB NOREPLICATION ${plain}`,
      password: passwords.openerp,
      memberOf: [],
      settings: {},
    },
    {
      name: odooRole,
      attributes: `LOGIN CREATEDB NOREPLICATION ${plain}`,
      password: passwords.odoo,
      memberOf: [GROUP_ROLE],
      settings: {},
    },
    {
      name: "collectd",
      attributes: `LOGIN NOCREATEDB NOREPLICATION ${plain}`,
      password: passwords.collectd,
      memberOf: ["pg_monitor"],
      settings: { default_transaction_read_only: "on" },
    },
  ];
}

/**
 * Brings the roles of the cluster to what they should be; run again it changes nothing.
 * Passwords travel as SCRAM verifiers, so that no log of the server can hold them.
 */
export async function ensureRoles(
  session: Session,
  odooRole: string,
  passwords: RolePasswords,
): Promise<void> {
  const statements: string[] = [];
  const existing = new Map<string, string | null>();
  for (const row of await session.query("SELECT rolname, rolpassword FROM pg_authid")) {
    existing.set(String(row["rolname"]), typeof row["rolpassword"] === "string" ? row["rolpassword"] : null);
  }
  for (const role of wantedRoles(odooRole, passwords)) {
    const stored = existing.get(role.name);
    statements.push(`${stored === undefined ? "CREATE" : "ALTER"} ROLE ${id(role.name)} ${role.attributes}`);
    if (role.password === undefined) {
      if (stored) statements.push(`ALTER ROLE ${id(role.name)} PASSWORD NULL`);
    } else if (!verifierFits(stored ?? null, role.password)) {
      statements.push(`ALTER ROLE ${id(role.name)} PASSWORD ${literal(scramVerifier(role.password))}`);
    }
    for (const group of role.memberOf) statements.push(`GRANT ${id(group)} TO ${id(role.name)}`);
    for (const [name, value] of Object.entries(role.settings)) {
      statements.push(`ALTER ROLE ${id(role.name)} SET ${id(name)} = ${literal(value)}`);
    }
  }
  // GRANT of a membership that exists is a NOTICE only; one transaction so that nobody sees half of it.
  await session.query(`BEGIN; SET LOCAL log_statement = 'none'; ${statements.join("; ")}; COMMIT`);
}
