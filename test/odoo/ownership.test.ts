import { beforeAll, expect, test } from "vitest";
import { giveToOwners } from "../../src/odoo/ownership.ts";
import { type Row, type Session } from "../../src/system/sql/sql.ts";
import { withSession } from "../support/with-session.ts";
import { waitFor } from "../support/wait.ts";
import { nodeWithRoles, type ThrowawayNode } from "../postgres/throwaway-node.ts";

let node: ThrowawayNode;
let session: Session;

beforeAll(async () => {
  ({ node, session } = await nodeWithRoles());
  await session.query("CREATE ROLE tenant LOGIN CREATEDB");
  await session.query("CREATE DATABASE of_odoo OWNER odoo");
  await session.query("CREATE DATABASE of_group OWNER openerp");
  await session.query("GRANT CONNECT ON DATABASE of_odoo TO tenant");
});

const databases = async (): Promise<Row[]> =>
  await session.query(
    "SELECT datname AS name, pg_get_userbyid(datdba) AS owner, datacl::text AS acl FROM pg_database ORDER BY 1",
  );

/** A tenant's database as a copy of PostgreSQL 13's template: its extensions, and unaccent(text), are another role's. */
async function stray(name: string, holder: string): Promise<void> {
  await session.query(`CREATE DATABASE ${name} OWNER tenant`);
  await session.query(`GRANT CREATE ON DATABASE ${name} TO ${holder}`);
  await withSession({ ...node.superuser, database: name }, async (inside) => {
    await inside.query("GRANT CREATE ON SCHEMA public TO PUBLIC");
    await inside.query(`SET ROLE ${holder}; CREATE EXTENSION pg_trgm SCHEMA public; RESET ROLE`);
    await inside.query(`SET ROLE ${holder}; CREATE EXTENSION unaccent SCHEMA public; RESET ROLE`);
    await inside.query(`ALTER FUNCTION public.unaccent(text) OWNER TO ${holder}`);
  });
  await session.query(`REVOKE CREATE ON DATABASE ${name} FROM ${holder}`);
}

async function ownersIn(name: string): Promise<unknown[]> {
  const rows = await withSession({ ...node.superuser, database: name }, (inside) =>
    inside.query(
      `SELECT pg_get_userbyid(extowner) AS owner FROM pg_extension WHERE extname = 'pg_trgm'
       UNION ALL SELECT pg_get_userbyid(proowner) FROM pg_proc WHERE oid = 'public.unaccent(text)'::regprocedure
       UNION ALL SELECT DISTINCT refobjid::regrole::text FROM pg_shdepend s JOIN pg_database d ON d.oid = s.dbid
         WHERE d.datname = current_database() AND s.deptype = 'o'`,
    ),
  );
  return rows.map(({ owner }) => owner);
}

test("extensions of another role are given to the database's owner, and no database changes hands or rights", async () => {
  await stray("copied", "odoo");
  const before = await databases();
  expect(await giveToOwners(node.access, session)).toEqual({ failed: [], given: ["copied"], busy: [] });
  expect(await ownersIn("copied")).toEqual(["tenant", "tenant", "tenant"]);
  expect(await databases()).toEqual(before);
  // It is whole: its owner may drop it, and the role that had it has nothing there.
  await withSession({ ...node.superuser, database: "copied" }, (inside) =>
    inside.query("SET ROLE tenant; DROP EXTENSION pg_trgm"),
  );
  expect(await giveToOwners(node.access, session)).toEqual({ failed: [], given: [], busy: [] });
});

test("what the group has is given to the owner, and its databases stay its own", async () => {
  await stray("shared", "openerp");
  await withSession({ ...node.superuser, database: "shared" }, (inside) =>
    inside.query("CREATE TABLE public.shared (x int); ALTER TABLE public.shared OWNER TO openerp"),
  );
  const before = await databases();
  expect(await giveToOwners(node.access, session)).toEqual({ failed: [], given: ["shared"], busy: [] });
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
    expect(await giveToOwners(node.access, session)).toEqual({ failed: [], given: [], busy: ["waiting"] });
    await making.query("ROLLBACK");
  });
  expect(await giveToOwners(node.access, session)).toEqual({ failed: [], given: ["waiting"], busy: [] });
});

/** Functions by which their owner's rights would be anybody's, as a role that may create in a database can make them. */
async function seizures(database: string, maker: string): Promise<void> {
  await session.query(`GRANT CREATE, CONNECT ON DATABASE ${database} TO ${maker}`);
  await withSession({ ...node.superuser, database }, async (inside) => {
    await inside.query("GRANT CREATE ON SCHEMA public TO PUBLIC");
    await inside.query(`SET ROLE ${maker}`);
    await inside.query("CREATE EXTENSION pg_trgm SCHEMA public");
    const body = "LANGUAGE plpgsql SECURITY DEFINER AS $f$ BEGIN EXECUTE $1; END $f$";
    await inside.query(`CREATE FUNCTION public.bare(text) RETURNS void ${body}`);
    await inside.query(`CREATE FUNCTION public.member(text) RETURNS void ${body}`);
    await inside.query("ALTER EXTENSION pg_trgm ADD FUNCTION public.member(text)");
    await inside.query("CREATE FUNCTION public.plain() RETURNS int LANGUAGE sql AS 'SELECT 1'");
    await inside.query("ALTER EXTENSION pg_trgm ADD FUNCTION public.plain()");
  });
}

const holders = async (database: string): Promise<unknown> => {
  const [row] = await withSession({ ...node.superuser, database }, (inside) =>
    inside.query(
      `SELECT (SELECT pg_get_userbyid(extowner) FROM pg_extension WHERE extname = 'pg_trgm') AS extension,
         (SELECT array_agg(DISTINCT pg_get_userbyid(proowner)) FROM pg_proc
          WHERE pronamespace = 'public'::regnamespace AND proname IN ('bare', 'member', 'plain'))::text AS functions`,
    ),
  );
  return row;
};

test("a function that another role wrote is given to nobody, in an extension or not", async () => {
  await session.query("CREATE ROLE analyst LOGIN");
  await session.query("CREATE DATABASE bi OWNER tenant");
  await seizures("bi", "analyst");
  expect(await giveToOwners(node.access, session)).toEqual({ given: ["bi"], busy: [], failed: [] });
  expect(await holders("bi")).toEqual({ extension: "tenant", functions: "{analyst}" });
  expect(await giveToOwners(node.access, session)).toEqual({ given: [], busy: [], failed: [] });
});

test.each(["postgres", "other_superuser", "writer"])(
  "%s, whose rights reach further than his databases, is given nothing",
  async (owner) => {
    const maker = `maker_for_${owner}`;
    await session.query(`CREATE ROLE ${maker} LOGIN`);
    if (owner === "other_superuser") await session.query("CREATE ROLE other_superuser SUPERUSER");
    if (owner === "writer") await session.query("CREATE ROLE writer IN ROLE pg_write_server_files");
    await session.query(`CREATE DATABASE of_${owner} OWNER ${owner}`);
    await seizures(`of_${owner}`, maker);
    expect(await giveToOwners(node.access, session)).toEqual({ given: [], busy: [], failed: [] });
    expect(await holders(`of_${owner}`)).toEqual({ extension: maker, functions: `{${maker}}` });
  },
);

test("an extension of a superuser's stays his: it may hold functions that nobody else may call", async () => {
  await session.query("CREATE ROLE admin SUPERUSER");
  await session.query("CREATE DATABASE administered OWNER tenant");
  await withSession({ ...node.superuser, database: "administered" }, (inside) =>
    inside.query("SET ROLE admin; CREATE EXTENSION pg_trgm SCHEMA public"),
  );
  expect(await giveToOwners(node.access, session)).toEqual({ given: [], busy: [], failed: [] });
});

test("of the group's things those are given that run with nobody's rights but the caller's", async () => {
  await session.query("CREATE DATABASE of_members OWNER tenant");
  await seizures("of_members", "openerp");
  expect(await giveToOwners(node.access, session)).toEqual({ given: ["of_members"], busy: [], failed: [] });
  const rows = await withSession({ ...node.superuser, database: "of_members" }, (inside) =>
    inside.query(
      `SELECT proname AS name, pg_get_userbyid(proowner) AS owner FROM pg_proc
       WHERE proname IN ('bare', 'member', 'plain') AND pronamespace = 'public'::regnamespace ORDER BY 1`,
    ),
  );
  expect(rows).toEqual([
    { name: "bare", owner: "openerp" },
    { name: "member", owner: "openerp" },
    { name: "plain", owner: "tenant" },
  ]);
  expect(await giveToOwners(node.access, session)).toEqual({ given: [], busy: [], failed: [] });
});

/** What the holder does to unaccent(text), in a transaction that is open when the extensions are given away. */
async function givenWhile(database: string, change: string): Promise<unknown> {
  await stray(database, "odoo");
  return await withSession({ ...node.superuser, database }, async (changing) => {
    await changing.query(`SET ROLE odoo; BEGIN; ${change}`);
    const giving = giveToOwners(node.access, session);
    await waitFor("the change to be waited for", async () => {
      const rows = await session.query("SELECT FROM pg_locks WHERE NOT granted");
      return rows.length > 0;
    });
    await changing.query("COMMIT");
    return await giving;
  });
}

test("a function that is made to run with its owner's rights meanwhile is not given", async () => {
  const change = "ALTER FUNCTION public.unaccent(text) SECURITY DEFINER";
  expect(await givenWhile("changing", change)).toEqual({ given: ["changing"], busy: [], failed: [] });
  expect(await ownersIn("changing")).toEqual(["tenant", "odoo", "odoo", "tenant"]);
});

test("nor is one that is replaced meanwhile: that is told, and not called busy", async () => {
  const change = `CREATE OR REPLACE FUNCTION public.unaccent(text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER
    AS $f$ BEGIN EXECUTE $1; RETURN $1; END $f$`;
  expect(await givenWhile("replacing", change)).toEqual({
    given: [],
    busy: [],
    failed: [{ database: "replacing", message: "tuple concurrently updated" }],
  });
  expect(await ownersIn("replacing")).toEqual(["odoo", "odoo", "odoo"]);
  // What runs with its owner's rights by now stays with who made it so.
  expect(await giveToOwners(node.access, session)).toEqual({ given: ["replacing"], busy: [], failed: [] });
  expect(await ownersIn("replacing")).toEqual(["tenant", "odoo", "odoo", "tenant"]);
});
