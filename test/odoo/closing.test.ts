import { beforeAll, expect, test } from "vitest";
import { closeOpen } from "../../src/odoo/closing.ts";
import { quoteSqlIdentifier as id, type Session } from "../../src/system/sql/sql.ts";
import { withSession } from "../support/with-session.ts";
import { nodeWithRoles, type ThrowawayNode } from "../postgres/throwaway-node.ts";

let node: ThrowawayNode;
let session: Session;

beforeAll(async () => {
  ({ node, session } = await nodeWithRoles());
  for (const role of ["first", "second", "third", "report"])
    await session.query(`CREATE ROLE ${role} LOGIN CREATEDB PASSWORD '${role}'`);
});

async function as(role: string, database: string, ...statements: readonly string[]): Promise<void> {
  const password = role === "odoo" ? node.passwords.odoo : role;
  await withSession({ ...node.superuser, user: role, password, database }, async (own) => {
    for (const statement of statements) await own.query(statement);
  });
}

/** Whoever may connect to a database, of the roles of this test. */
async function admitted(database: string): Promise<unknown[]> {
  const rows = await session.query(
    `SELECT r.rolname AS name FROM pg_roles r, pg_database d
     WHERE d.datname = $1 AND has_database_privilege(r.oid, d.oid, 'CONNECT')
       AND r.rolname IN ('odoo', 'first', 'second', 'third', 'report') ORDER BY 1`,
    [database],
  );
  return rows.map(({ name }) => name);
}

/** As Odoo makes one: open to everybody until the next look. */
async function open(database: string): Promise<void> {
  await as("odoo", "postgres", `CREATE DATABASE ${id(database)} TEMPLATE template0`);
}

test.each([
  ["a temporary table", ["CREATE TEMPORARY TABLE trap (x int)", "GRANT SELECT ON trap TO second"]],
  ["its column", ["CREATE TEMPORARY TABLE trap (x int)", "GRANT SELECT (x) ON trap TO second"]],
  ["a large object", ["SELECT lo_create(4711)", "GRANT SELECT ON LARGE OBJECT 4711 TO second"]],
  ["what is still to be made", ["ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO second"]],
  [
    "what it owns, with the right to give it on",
    ["CREATE TEMPORARY TABLE trap (x int)", "GRANT SELECT ON trap TO second WITH GRANT OPTION"],
  ],
])("who comes in while a database is open lets nobody in by a grant on %s", async (on, statements) => {
  const database = `shop of ${on}`;
  await open(database);
  await withSession({ ...node.superuser, user: "first", password: "first", database }, async (intruder) => {
    for (const statement of statements) await intruder.query(statement);
    expect((await closeOpen(session)).closed).toContain(database);
    expect(await admitted(database)).toEqual(["odoo"]);
  }).catch((error: unknown) => {
    // The look has cut it.
    if (!(error instanceof Error && "code" in error)) throw error;
  });
  expect(await admitted(database)).toEqual(["odoo"]);
});

test("a role that gives itself to the owner lets nobody in by it", async () => {
  await open("joined");
  await session.query("GRANT first TO odoo");
  await as("first", "joined", "SELECT lo_create(4711)", "GRANT SELECT ON LARGE OBJECT 4711 TO second");
  await closeOpen(session);
  await session.query("REVOKE first FROM odoo");
  expect(await admitted("joined")).toEqual(["odoo"]);
});

test("whom the owner or a superuser has given something goes on coming in", async () => {
  await open("guests");
  await as(
    "odoo",
    "guests",
    "CREATE TABLE public.sale (x int)",
    "GRANT SELECT ON public.sale TO report",
    "GRANT USAGE ON SCHEMA public TO second",
  ).catch(async () => {
    // Before PostgreSQL 15 the schema is a superuser's.
    await as("odoo", "guests", "GRANT SELECT ON public.sale TO report");
    await withSession({ ...node.superuser, database: "guests" }, (boss) =>
      boss.query("GRANT USAGE ON SCHEMA public TO second"),
    );
  });
  await as("odoo", "postgres", "GRANT CONNECT ON DATABASE guests TO third");
  await closeOpen(session);
  expect(await admitted("guests")).toEqual(["odoo", "report", "second", "third"]);
});

test("one that somebody holds keeps no other one open", async () => {
  await open("a held one");
  await open("behind it");
  await withSession(
    { ...node.superuser, user: "odoo", password: node.passwords.odoo, database: "postgres" },
    async (holder) => {
      await holder.query('BEGIN; ALTER DATABASE "a held one" CONNECTION LIMIT 5');
      expect(await closeOpen(session)).toEqual({ closed: ["behind it"], busy: ["a held one"] });
      await holder.query("ROLLBACK");
    },
  );
  expect((await closeOpen(session)).closed).toEqual(["a held one"]);
});
