import { randomBytes } from "node:crypto";
import * as z from "zod";
import { printableLine } from "../printable.ts";
import { SUPERUSER } from "../postgres/initialise.ts";
import { renameInUse } from "../postgres/sql/rename-database.ts";
import { compressWithLz4 } from "../postgres/sql/wal-compression.ts";
import type { Superuser } from "../postgres/sql/access/superuser.ts";
import { timeStamp } from "../model/time-stamp.ts";
import { now } from "../system/clock.ts";
import { quoteSqlIdentifier as id, SqlError, type Session } from "../system/sql/sql.ts";
import { shut } from "./closing.ts";
import { dropOwn, othersByOurNames } from "./own-names.ts";
import { GROUP_ROLE } from "./roles.ts";

/**
 * Names of a template in the making, and of a replaced one that held nothing of its own: with eight random digits, so that
 * nobody can have taken the name before. Earlier versions made them without.
 */
const MADE = "odoo_pg_template";
const LEFT_OVER = `^${MADE}(_old)?(_[0-9a-f]{8})?$`;
const newMark = (): string => randomBytes(4).toString("hex");

/** Extensions that Odoo asks for, and one that its own may need; the last a superuser has to make. */
const TRUSTED = ["pg_trgm", "unaccent"];
const UNTRUSTED = ["vector"];

/**
 * Ensures the database from which Odoo copies new ones (`db_template`). It belongs to the superuser, and no other role may
 * connect: whoever could change it would change every new database.
 *
 * Odoo runs `CREATE EXTENSION pg_trgm` and, with `unaccent` on, `ALTER FUNCTION unaccent(text) IMMUTABLE` as its own
 * role; a dump of an Odoo database says `COMMENT ON EXTENSION pg_trgm`. Only owners may do this. So both extensions and that
 * function belong to pg_database_owner, whose one member in each database is its owner (PostgreSQL manual, "Predefined
 * Roles").
 * @param odooRole their owner on PostgreSQL 13, which has no pg_database_owner
 * @param tell reports what is done to a template that was there
 * @throws SqlError
 */
export async function ensureTemplate(
  superuser: Superuser,
  session: Session,
  template: string,
  odooRole: string,
  tell: (text: string) => void = () => {},
): Promise<void> {
  const place = { superuser, session, owner: await contentsOwner(session, odooRole) };
  await dropLeftOver(session, tell);
  const found = await findTemplate(session, template, odooRole);
  if (found && !(found.of === "superuser" && (await isFit(place, template)))) {
    // Until it is replaced no other role may copy it: its contents would be in each new database.
    if (found.of === "other") await session.query(`ALTER DATABASE ${id(template)} IS_TEMPLATE false`);
    const made = `${MADE}_${newMark()}`;
    await make(place, made);
    if (found.of === "other") {
      const to = await renameAside(place, template, made);
      tell(
        `database ${template} of role ${printableLine(found.owner)} has the template's name: it is called ${to} now`,
      );
      // Its owner may have closed it. An up of an earlier version that was killed here left it closed, too.
      if (!found.isOpen)
        tell(
          `${to} accepts no connections: where its owner did not close it, give it a name that lets its owner in again (odoo-pg db rename)`,
        );
    } else {
      const kept = await replace(place, template, made);
      if (kept !== undefined) tell(`what was added to the old template is kept in ${kept}`);
    }
    tell(`the template ${template} is recreated, owned by the superuser`);
    await dropLeftOver(session, tell);
  } else await make(place, template, found !== undefined);
  const after = await findTemplate(session, template, odooRole);
  if (after?.isTemplate !== true) await session.query(`ALTER DATABASE ${id(template)} IS_TEMPLATE true`);
}

/**
 * The same for a running cluster: whatever prevents it is reported, and stops nothing else. Odoo's new databases may
 * then lack extensions.
 */
export async function keepTemplate(
  superuser: Superuser,
  session: Session,
  { template, role }: { readonly template: string; readonly role: string },
  tell: (text: string) => void,
): Promise<void> {
  try {
    await ensureTemplate(superuser, session, template, role, tell);
    const others = await othersByOurNames(session);
    if (others !== undefined) tell(others);
  } catch (error) {
    if (!(error instanceof SqlError) || session.broken()) throw error;
    tell(`the template ${template} could not be made right, the next up tries again: ${error.message}`);
  }
}

interface Place {
  readonly superuser: Superuser;
  readonly session: Session;
  /** Of what a template holds. */
  readonly owner: string;
}

/** The first version with pg_database_owner. */
const HAS_DATABASE_OWNER = 140_000;

async function contentsOwner(session: Session, odooRole: string): Promise<string> {
  const [row] = await session.query("SELECT current_setting('server_version_num')::int AS version");
  return Number(row?.["version"]) >= HAS_DATABASE_OWNER ? "pg_database_owner" : odooRole;
}

async function findTemplate(
  session: Session,
  template: string,
  odooRole: string,
): Promise<FoundTemplate | undefined> {
  const [row] = await session.query(
    `SELECT pg_catalog.pg_get_userbyid(datdba) AS owner, datistemplate AS is, datallowconn AS open
     FROM pg_catalog.pg_database WHERE datname = $1`,
    [template],
  );
  if (!row) return undefined;
  const owner = String(row["owner"]);
  const before = owner === GROUP_ROLE || owner === odooRole;
  return {
    owner,
    of: owner === SUPERUSER ? "superuser" : before ? "before" : "other",
    isTemplate: row["is"] === true,
    isOpen: row["open"] === true,
  };
}

interface FoundTemplate {
  readonly owner: string;
  /** `before`: made by an earlier version, or by Odoo's role; `other`: another owner's database with that name. */
  readonly of: "superuser" | "before" | "other";
  readonly isTemplate: boolean;
  /** Whether it accepts connections. */
  readonly isOpen: boolean;
}

async function takesConnections(session: Session, database: string): Promise<boolean> {
  const rows = await session.query("SELECT FROM pg_catalog.pg_database WHERE datname = $1 AND datallowconn", [
    database,
  ]);
  return rows.length > 0;
}

/** Creates a template, or completes one: each step checks first. */
async function make({ superuser, session, owner }: Place, name: string, isThere = false): Promise<void> {
  if (!isThere) {
    await compressWithLz4(session);
    await session.query(
      `CREATE DATABASE ${id(name)} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' OWNER ${SUPERUSER} ALLOW_CONNECTIONS false`,
    );
  }
  // A session in the template prevents copies of it: no other role may open one.
  await shut(session, name);
  if (!(await takesConnections(session, name)))
    await session.query(`ALTER DATABASE ${id(name)} ALLOW_CONNECTIONS true`);
  const statements = await superuser.in(name).use(async (inside) => await missingIn(inside, name, owner));
  if (!statements.length) return;
  await superuser.in(name).use(async (inside) => {
    await inside.query(["SET client_min_messages = warning", ...statements].join("; "));
  });
  await shut(session, name);
}

/** The statements for what the template still lacks. */
async function missingIn(session: Session, name: string, owner: string): Promise<string[]> {
  const extensions = await session.query(
    `SELECT name FROM pg_catalog.pg_available_extensions
     WHERE name = ANY ($1::text[]) AND installed_version IS NULL ORDER BY 1`,
    [[...TRUSTED, ...UNTRUSTED]],
  );
  const statements = extensions.flatMap((row) => {
    const extension = String(row["name"]);
    const create = `CREATE EXTENSION ${id(extension)} SCHEMA public`;
    if (UNTRUSTED.includes(extension)) return [create];
    // A role that may create in a database may create trusted extensions, and then owns them.
    return [
      `GRANT CREATE ON DATABASE ${id(name)} TO ${id(owner)}`,
      `SET ROLE ${id(owner)}`,
      create,
      "RESET ROLE",
      `REVOKE CREATE ON DATABASE ${id(name)} FROM ${id(owner)}`,
    ];
  });
  const [rest] = await session.query(
    `SELECT EXISTS (SELECT FROM pg_catalog.pg_available_extensions WHERE name = 'unaccent') AS has_unaccent,
       EXISTS (SELECT FROM pg_catalog.pg_proc WHERE oid = to_regprocedure('public.unaccent(text)')
         AND provolatile = 'i' AND pg_catalog.pg_get_userbyid(proowner) = $1) AS unaccent_ready,
       current_setting('server_version_num')::int >= ${HAS_DATABASE_OWNER} AND (
         SELECT pg_catalog.pg_get_userbyid(nspowner) <> 'pg_database_owner'
           OR EXISTS (SELECT FROM pg_catalog.aclexplode(nspacl) WHERE grantee = 0 AND privilege_type = 'CREATE')
         FROM pg_catalog.pg_namespace WHERE nspname = 'public') AS public_open`,
    [owner],
  );
  if (rest?.["has_unaccent"] === true && rest["unaccent_ready"] !== true) {
    statements.push(
      "ALTER FUNCTION public.unaccent(text) IMMUTABLE",
      `ALTER FUNCTION public.unaccent(text) OWNER TO ${id(owner)}`,
    );
  }
  // Odoo grants PUBLIC the right to create in a new database. Until it does, access to the database must not be revoked
  // yet.
  if (rest?.["public_open"] === true) {
    statements.push(
      "ALTER SCHEMA public OWNER TO pg_database_owner",
      "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    );
  }
  return statements;
}

/** Whether what is there belongs to the right role. */
async function isFit({ superuser, session, owner }: Place, template: string): Promise<boolean> {
  if (!(await takesConnections(session, template))) return true;
  return await superuser.in(template).use(async (inside) => {
    const strangers = await inside.query(
      `SELECT FROM pg_catalog.pg_extension
       WHERE extname = ANY ($1::text[]) AND pg_catalog.pg_get_userbyid(extowner) <> $2`,
      [TRUSTED, owner],
    );
    return strangers.length === 0;
  });
}

/** Whether a template holds more than odoo-pg puts there. */
async function holdsMore({ superuser, session }: Place, template: string): Promise<boolean> {
  if (!(await takesConnections(session, template))) return true;
  const more = z.object({ more: z.boolean() });
  return await superuser.in(template).use(async (inside) => {
    const [found] = await inside.query(
      `SELECT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname <> ALL ($1::text[])) OR EXISTS (
         SELECT FROM (SELECT tableoid, oid FROM pg_catalog.pg_class UNION ALL SELECT tableoid, oid FROM pg_catalog.pg_proc
           UNION ALL SELECT tableoid, oid FROM pg_catalog.pg_type UNION ALL SELECT tableoid, oid FROM pg_catalog.pg_namespace) o
         WHERE o.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
           WHERE d.classid = o.tableoid AND d.objid = o.oid AND d.deptype IN ('e', 'i'))) AS more`,
      [["plpgsql", ...TRUSTED, ...UNTRUSTED]],
    );
    return more.parse(found).more;
  });
}

/**
 * Puts the template that was made in the place of the one that is there, in one transaction.
 * @returns the name under which the old one is kept, where it holds what odoo-pg did not put there
 */
async function replace(place: Place, template: string, made: string): Promise<string | undefined> {
  const { session } = place;
  // A database that cannot be inspected may contain anything.
  const more = await holdsMore(place, template).catch((error: unknown) => {
    if (error instanceof SqlError) return true;
    throw error;
  });
  const kept = more ? await asideName(session, template) : undefined;
  const old = kept ?? `${MADE}_old_${newMark()}`;
  await swap(place, { template, aside: old, made }, [
    `ALTER DATABASE ${id(old)} OWNER TO ${SUPERUSER}`,
    `ALTER DATABASE ${id(old)} ALLOW_CONNECTIONS false`,
  ]);
  if (kept !== undefined) await shut(session, kept);
  return kept;
}

/**
 * Takes the template's name from another owner's database, which stays theirs under another name. @returns that name
 */
async function renameAside(place: Place, template: string, made: string): Promise<string> {
  const aside = await asideName(place.session, template);
  await swap(place, { template, aside, made }, []);
  return aside;
}

interface Swap {
  readonly template: string;
  /** The name that the one that is there gets. */
  readonly aside: string;
  readonly made: string;
}

/** In one transaction: however it ends, nothing else is done to the existing database, which may be another owner's. */
async function swap(
  { superuser, session }: Place,
  { template, aside, made }: Swap,
  besides: readonly string[],
): Promise<void> {
  await session.query("BEGIN");
  try {
    await renameInUse(superuser, session, template, aside);
    await session.query(
      [...besides, `ALTER DATABASE ${id(made)} RENAME TO ${id(template)}`, "COMMIT"].join("; "),
    );
  } catch (error) {
    if (!session.broken()) await session.query("ROLLBACK");
    throw error;
  }
}

/** A name that is not taken. */
async function asideName(session: Session, template: string): Promise<string> {
  const name = `${template}_old_${timeStamp(now(), true)}`;
  const taken = await session.query("SELECT FROM pg_catalog.pg_database WHERE datname = $1", [name]);
  return taken.length ? `${name}_${newMark()}` : name;
}

/** Leftovers of a killed `up`. A failure to remove them now does not stop the `up`. */
async function dropLeftOver(session: Session, tell: (text: string) => void): Promise<void> {
  const left = await session.query("SELECT datname AS name FROM pg_catalog.pg_database WHERE datname ~ $1", [
    LEFT_OVER,
  ]);
  for (const row of left) {
    const name = String(row["name"]);
    try {
      await dropOwn(session, name);
    } catch (error) {
      if (!(error instanceof SqlError) || session.broken()) throw error;
      tell(`database ${name}, left by an up that was killed, cannot be removed: ${error.message}`);
    }
  }
}
