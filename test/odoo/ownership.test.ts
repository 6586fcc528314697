import { beforeAll, expect, test } from "vitest";
import { giveToOwners } from "../../src/odoo/ownership.ts";
import { ensureRoles } from "../../src/odoo/roles.ts";
import { type Row, type Session, withSession } from "../../src/system/sql/sql.ts";
import { runningNode, type ThrowawayNode } from "../postgres/throwaway-node.ts";

let node: ThrowawayNode;
let session: Session;

beforeAll(async () => {
  node = await runningNode();
  session = await node.session();
  await ensureRoles(session, "odoo", node.passwords);
  await session.query("CREATE ROLE tenant LOGIN CREATEDB");
  await session.query("CREATE DATABASE of_odoo OWNER odoo");
  await session.query("CREATE DATABASE of_group OWNER openerp");
  await session.query("GRANT CONNECT ON DATABASE of_odoo TO tenant");
});

const databases = async (): Promise<Row[]> =>
  await session.query(
    "SELECT datname AS name, pg_get_userbyid(datdba) AS owner, datacl::text AS acl FROM pg_database ORDER BY 1",
  );

/** A tenant's database as a copy of PostgreSQL 13's template: its extensions are another role's. */
async function stray(name: string, holder: string): Promise<void> {
  await session.query(`CREATE DATABASE ${name} OWNER tenant`);
  await session.query(`GRANT CREATE ON DATABASE ${name} TO ${holder}`);
  await withSession({ ...node.superuser, database: name }, async (inside) => {
    await inside.query("GRANT CREATE ON SCHEMA public TO PUBLIC");
    await inside.query(`SET ROLE ${holder}; CREATE EXTENSION pg_trgm SCHEMA public; RESET ROLE`);
    await inside.query(`CREATE FUNCTION public.unaccented() RETURNS int LANGUAGE sql AS 'SELECT 1'`);
    await inside.query(`ALTER FUNCTION public.unaccented() OWNER TO ${holder}`);
  });
  await session.query(`REVOKE CREATE ON DATABASE ${name} FROM ${holder}`);
}

async function ownersIn(name: string): Promise<unknown[]> {
  const rows = await withSession({ ...node.superuser, database: name }, (inside) =>
    inside.query(
      `SELECT pg_get_userbyid(extowner) AS owner FROM pg_extension WHERE extname = 'pg_trgm'
       UNION ALL SELECT pg_get_userbyid(proowner) FROM pg_proc WHERE proname = 'unaccented'
       UNION ALL SELECT DISTINCT refobjid::regrole::text FROM pg_shdepend s JOIN pg_database d ON d.oid = s.dbid
         WHERE d.datname = current_database() AND s.deptype = 'o'`,
    ),
  );
  return rows.map(({ owner }) => owner);
}

test("extensions of another role are given to the database's owner, and no database changes hands or rights", async () => {
  await stray("copied", "odoo");
  const before = await databases();
  expect(await giveToOwners(node.access, session)).toEqual({ given: ["copied"], busy: [] });
  expect(await ownersIn("copied")).toEqual(["tenant", "tenant", "tenant"]);
  expect(await databases()).toEqual(before);
  // It is whole: its owner may drop it, and the role that had it has nothing there.
  await withSession({ ...node.superuser, database: "copied" }, (inside) =>
    inside.query("SET ROLE tenant; DROP EXTENSION pg_trgm"),
  );
  expect(await giveToOwners(node.access, session)).toEqual({ given: [], busy: [] });
});

test("what the group has is given to the owner, and its databases stay its own", async () => {
  await stray("shared", "openerp");
  await withSession({ ...node.superuser, database: "shared" }, (inside) =>
    inside.query("CREATE TABLE public.shared (x int); ALTER TABLE public.shared OWNER TO openerp"),
  );
  const before = await databases();
  expect(await giveToOwners(node.access, session)).toEqual({ given: ["shared"], busy: [] });
  expect(await ownersIn("shared")).toEqual(["tenant", "tenant", "tenant"]);
  expect(await databases()).toEqual(before);
});

test("while somebody makes a database nothing is given away: it waits for the next look", async () => {
  await stray("waiting", "openerp");
  await withSession({ ...node.superuser, database: "waiting" }, (inside) =>
    inside.query("CREATE TABLE public.shared (x int); ALTER TABLE public.shared OWNER TO openerp"),
  );
  await withSession(node.superuser, async (making) => {
    // The lock that CREATE DATABASE holds to its end.
    await making.query("BEGIN; LOCK TABLE pg_database IN ROW EXCLUSIVE MODE");
    expect(await giveToOwners(node.access, session)).toEqual({ given: [], busy: ["waiting"] });
    await making.query("ROLLBACK");
  });
  expect(await giveToOwners(node.access, session)).toEqual({ given: ["waiting"], busy: [] });
});
