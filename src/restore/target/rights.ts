import { explainSql, quoteSqlIdentifier as id, SqlError, type Session } from "../../system/sql/sql.ts";
import { rolesThatMayOwn } from "../../odoo/may-own.ts";
import { contentsSchema, type Right } from "../../backup/contents/contents.ts";
import { rightsIn } from "../../backup/contents/read-contents.ts";
import type { NewDatabase } from "./new-database.ts";

/** Source: PostgreSQL manual, "Privileges". */
const PRIVILEGES = new Set(
  "SELECT INSERT UPDATE DELETE TRUNCATE REFERENCES TRIGGER MAINTAIN CREATE USAGE EXECUTE".split(" "),
);
const DEFAULTS = new Set(["TABLES", "SEQUENCES", "FUNCTIONS", "TYPES", "SCHEMAS"]);

const rightsSchema = contentsSchema.shape.rights.unwrap();

/** The objects that the rights are on. */
function objectOf({ kind, schema, table, name }: Right): string {
  return JSON.stringify([kind, schema, table, name]);
}

/** Whose right it is: an owner's rights stay the owner's, whichever role that is now. */
function holderOf({ own, to }: Right): string {
  return JSON.stringify(own || to);
}

function byObject(rights: readonly Right[]): Map<string, Right[]> {
  const objects = new Map<string, Right[]>();
  for (const right of rights) {
    const object = objectOf(right);
    const others = objects.get(object);
    if (others) others.push(right);
    else objects.set(object, [right]);
  }
  return objects;
}

/**
 * Rights that differ from the wanted ones, on existing objects. Pure.
 * @param found all present rights
 */
function otherRights(expected: readonly Right[], found: readonly Right[]): Right[] {
  const there = byObject(found);
  const differing: Right[] = [];
  for (const [object, wanted] of byObject(expected)) {
    const [first] = wanted;
    const present = there.get(object) ?? [];
    if (first === undefined || (present.length === 0 && first.kind !== "default")) continue;
    // Nothing was granted or revoked here: PUBLIC has PostgreSQL's default rights.
    if (
      first.kind === "default" &&
      first.schema === "" &&
      present.length === 0 &&
      !wanted.some(({ to }) => to === null)
    )
      differing.push({ ...first, to: null, own: false, privileges: "" });
    const owner = present.find(({ own }) => own)?.to;
    const of = (rights: readonly Right[], holder: string): string =>
      rights.find((right) => holderOf(right) === holder)?.privileges ?? "";
    const all = new Map([...present, ...wanted].map((right) => [holderOf(right), right]));
    for (const [holder, right] of all) {
      // A right that another role had is the owner's own where it owns the object now.
      if (!right.own && right.to !== null && right.to === owner) continue;
      const privileges = of(wanted, holder);
      if (privileges !== of(present, holder))
        differing.push({ ...right, privileges, to: right.own ? (owner ?? right.to) : right.to });
    }
  }
  return differing;
}

/**
 * Brings the rights to what they were, as far as the roles are here: the loader's GRANT could take nothing from an owner that
 * it is not, and speak for no other role.
 * @param owners of the whole: what was the first's is the second's now
 * @returns what is otherwise in the end, one line each
 */
export async function settleRights(
  target: NewDatabase,
  expected: readonly Right[],
  owners: { readonly before: string; readonly now: string },
): Promise<string[]> {
  return await target.superuser.use(async (session) => {
    const roles = await rolesOf(session);
    const wanted = expected.map((right) =>
      right.kind === "default" && right.table === owners.before
        ? { ...right, table: owners.now, to: right.own ? owners.now : right.to }
        : right,
    );
    const left = new Set<string>();
    // REVOKE on a table revokes from its columns as well.
    for (const columns of [false, true]) {
      for (const right of otherRights(wanted, await readRights(session))) {
        if ((right.kind === "column") !== columns) continue;
        const problem = await settle(session, right, roles);
        if (problem !== undefined) left.add(`rights not as before: ${wordsOf(right)} (${problem})`);
      }
    }
    return [...left];
  });
}

async function readRights(session: Session): Promise<Right[]> {
  await session.query("SET search_path = ''");
  return rightsSchema.parse(await session.query(rightsIn(true)));
}

interface Roles {
  readonly all: ReadonlySet<string>;
  /** The role whose new objects get rights. */
  readonly ordinary: ReadonlySet<string>;
}

async function rolesOf(session: Session): Promise<Roles> {
  const rows = await session.query("SELECT rolname AS name FROM pg_roles");
  return { all: new Set(rows.map((row) => String(row["name"]))), ordinary: await rolesThatMayOwn(session) };
}

/** @returns why it failed */
async function settle(session: Session, right: Right, roles: Roles): Promise<string | undefined> {
  const { kind, table, schema, to } = right;
  // Rights on a single object were reported when the dump's GRANT failed.
  if (to !== null && !roles.all.has(to)) return kind === "default" ? `role "${to}" is not here` : undefined;
  if (kind === "default" && !roles.ordinary.has(table)) return `"${table}" is no ordinary role here`;
  const on = await onWhat(session, right);
  if (on === undefined) return "it is not known";
  const whom = to === null ? "PUBLIC" : id(to);
  const before =
    kind === "default"
      ? `ALTER DEFAULT PRIVILEGES FOR ROLE ${id(table)}${schema === "" ? "" : ` IN SCHEMA ${id(schema)}`} `
      : "";
  const column = kind === "column" ? ` (${id(right.name)})` : "";
  const given = right.privileges.split(",").filter((privilege) => PRIVILEGES.has(privilege.replace("*", "")));
  const grant = (grantable: boolean): string[] => {
    const some = given.filter((privilege) => privilege.endsWith("*") === grantable);
    const words = some.map((privilege) => privilege.replace("*", "") + column).join(", ");
    return some.length
      ? [`${before}GRANT ${words} ON ${on} TO ${whom}${grantable ? " WITH GRANT OPTION" : ""}`]
      : [];
  };
  const statements = [`${before}REVOKE ALL${column} ON ${on} FROM ${whom}`, ...grant(false), ...grant(true)];
  try {
    await session.query(`BEGIN; ${statements.join("; ")}; COMMIT`);
    return undefined;
  } catch (error) {
    if (!(error instanceof SqlError) || session.broken()) throw explainSql(error, "The rights");
    await session.query("ROLLBACK");
    return error.message;
  }
}

/** The text after ON; undefined for unknown forms. Texts of a backup never become part of it as they are. */
async function onWhat(session: Session, { kind, schema, table, name }: Right): Promise<string | undefined> {
  const inSchema = `${id(schema)}.${id(name)}`;
  if (kind === "table" || kind === "sequence" || kind === "type") return `${kind.toUpperCase()} ${inSchema}`;
  if (kind === "column") return `TABLE ${id(schema)}.${id(table)}`;
  if (kind === "schema") return `SCHEMA ${id(name)}`;
  if (kind === "large object") return /^\d{1,10}$/.test(name) ? `LARGE OBJECT ${name}` : undefined;
  if (kind === "default") return DEFAULTS.has(name) ? name : undefined;
  const [row] = await session.query(
    `SELECT p.oid::regprocedure::text AS name FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
     WHERE n.nspname = $1 AND p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' = $2`,
    [schema, name],
  );
  return row && `ROUTINE ${String(row["name"])}`;
}

function wordsOf({ kind, schema, table, name, to, privileges }: Right): string {
  const named = [schema, table, name].filter((part) => part !== "").join(".");
  const on =
    kind === "default"
      ? `new ${name} of ${table}${schema === "" ? "" : ` in ${schema}`}`
      : `${kind} ${named}`;
  return `${privileges === "" ? "nothing" : privileges} on ${on} for ${to ?? "PUBLIC"}`;
}
