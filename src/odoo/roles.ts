import { keepPassing } from "../postgres/sql/access/passing.ts";
import { scramVerifier, verifierFits } from "../postgres/sql/access/scram.ts";
import { BEGIN_UNRECORDED } from "../postgres/sql/access/unrecorded.ts";
import { quoteSqlIdentifier as id, quoteSqlLiteral as literal, type Session } from "../system/sql/sql.ts";

/** Passwords of the cluster's roles; openerp has one only when one was given. */
export interface RolePasswords {
  readonly postgres: string;
  readonly replicator: string;
  readonly odoo: string;
  readonly collectd: string;
  readonly openerp: string | undefined;
}

/** A role to which older versions gave what Odoo's roles shared. It stays: it may own databases, and log in. */
export const GROUP_ROLE = "openerp";

/** Attributes of a role: their columns in pg_authid, and their words in SQL. */
const ATTRIBUTES = [
  ["rolcanlogin", "LOGIN"],
  ["rolsuper", "SUPERUSER"],
  ["rolcreatedb", "CREATEDB"],
  ["rolcreaterole", "CREATEROLE"],
  ["rolreplication", "REPLICATION"],
  ["rolbypassrls", "BYPASSRLS"],
  ["rolinherit", "INHERIT"],
] as const;
type Attribute = (typeof ATTRIBUTES)[number][0];

interface RoleOptions {
  readonly name: string;
  /** Those that are not named are left as they are. */
  readonly attributes: Readonly<Partial<Record<Attribute, boolean>>>;
  readonly password: string | undefined;
  readonly memberOf: readonly string[];
  readonly settings: Readonly<Record<string, string>>;
}

/** Attributes that no role but postgres has: COPY FROM PROGRAM would be a hole. */
const PLAIN = {
  rolcanlogin: true,
  rolsuper: false,
  rolcreatedb: false,
  rolcreaterole: false,
  rolreplication: false,
  rolbypassrls: false,
  rolinherit: true,
};

/** The roles that a cluster has. */
function wantedRoles(odooRole: string, passwords: RolePasswords): RoleOptions[] {
  return [
    {
      name: "postgres",
      attributes: { rolcanlogin: true, rolsuper: true, rolreplication: true },
      password: passwords.postgres,
      memberOf: [],
      settings: {},
    },
    {
      name: "replicator",
      attributes: { ...PLAIN, rolreplication: true },
      password: passwords.replicator,
      memberOf: [],
      settings: {},
    },
    {
      name: GROUP_ROLE,
      attributes: { ...PLAIN, rolcanlogin: passwords.openerp !== undefined, rolcreatedb: true },
      password: passwords.openerp,
      memberOf: [],
      settings: {},
    },
    {
      name: odooRole,
      attributes: { ...PLAIN, rolcreatedb: true },
      password: passwords.odoo,
      memberOf: [],
      settings: {},
    },
    {
      name: "collectd",
      attributes: PLAIN,
      password: passwords.collectd,
      memberOf: ["pg_monitor"],
      settings: { default_transaction_read_only: "on" },
    },
  ];
}

/** A role as the server has it. */
interface RoleSeen {
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly verifier: string | null;
  readonly memberOf: readonly string[];
  /** As pg_db_role_setting has them: name=value. */
  readonly settings: readonly string[];
}

async function readRoles(session: Session): Promise<Map<string, RoleSeen>> {
  const rows = await session.query(
    `SELECT a.*,
       ARRAY(SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = a.oid) AS groups,
       coalesce((SELECT setconfig FROM pg_db_role_setting WHERE setrole = a.oid AND setdatabase = 0), '{}') AS settings
     FROM pg_authid a`,
  );
  const texts = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);
  return new Map(
    rows.map((row) => [
      String(row["rolname"]),
      {
        attributes: row,
        verifier: typeof row["rolpassword"] === "string" ? row["rolpassword"] : null,
        memberOf: texts(row["groups"]),
        settings: texts(row["settings"]),
      },
    ]),
  );
}

/** The statements that bring one role from its present state to the wanted one; none where there is no difference. */
function statementsFor(options: RoleOptions, seen: RoleSeen | undefined): string[] {
  const role = id(options.name);
  const words = ATTRIBUTES.flatMap(([column, word]) => {
    const wanted = options.attributes[column];
    return wanted === undefined || seen?.attributes[column] === wanted ? [] : [wanted ? word : `NO${word}`];
  });
  const statements: string[] = [];
  if (!seen) statements.push(`CREATE ROLE ${role} ${words.join(" ")}`);
  else if (words.length) statements.push(`ALTER ROLE ${role} ${words.join(" ")}`);
  const verifier = seen?.verifier ?? null;
  if (options.password === undefined) {
    if (verifier !== null) statements.push(`ALTER ROLE ${role} PASSWORD NULL`);
  } else if (!verifierFits(verifier, options.password)) {
    statements.push(`ALTER ROLE ${role} PASSWORD ${literal(scramVerifier(options.password))}`);
  }
  for (const group of options.memberOf) {
    if (!seen?.memberOf.includes(group)) statements.push(`GRANT ${id(group)} TO ${role}`);
  }
  for (const [name, value] of Object.entries(options.settings)) {
    if (!seen?.settings.includes(`${name}=${value}`))
      statements.push(`ALTER ROLE ${role} SET ${id(name)} = ${literal(value)}`);
  }
  return statements;
}

/**
 * Brings the roles of the cluster to the wanted state; a second run writes nothing. Passwords are sent as SCRAM
 * verifiers, and even these are kept out of the server's log.
 */
export async function ensureRoles(
  session: Session,
  odooRole: string,
  passwords: RolePasswords,
): Promise<void> {
  const seen = await readRoles(session);
  const statements = wantedRoles(odooRole, passwords).flatMap((options) =>
    statementsFor(options, seen.get(options.name)),
  );
  if (statements.length) await inSilence(session, statements);
  await keepPassing(session);
}

/** Runs statements that hold passwords: in one transaction, and without logging them. */
export async function inSilence(session: Session, statements: readonly string[]): Promise<void> {
  // One transaction, so that no other session sees half of it.
  await session.query(BEGIN_UNRECORDED);
  try {
    await session.query(statements.join("; "));
    await session.query("COMMIT");
  } catch (error) {
    await session.query("ROLLBACK").catch(() => {});
    throw error;
  }
}
