import { beforeAll, expect, test } from "vitest";
import { type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import { connect, type Session } from "../support/pg.ts";
import { waitFor } from "../support/wait.ts";

let cluster: ThrowawayCluster;
let admin: Session;
const passwords = new Map<string, string>();

beforeAll(async () => {
  cluster = await throwawayCluster({ nodes: 1 });
  await cluster.up();
  admin = await cluster.session("pg1");
  for (const name of ["anna", "bert"]) {
    const ran = await cluster.run(["role", "create", name]);
    expect(ran.exitCode, ran.stderr).toBe(0);
    passwords.set(name, ran.stdout.trim());
  }
  passwords.set("odoo", cluster.password("odoo"));
  for (const name of ["anna", "bert"]) await createAsOdooDoes(name, `db_${name}`);
});

async function as(user: string, database = "postgres"): Promise<Session> {
  return await connect({ port: cluster.ports.write, user, password: passwords.get(user) ?? "", database });
}

/** What Odoo's service/db.py runs, statement by statement, with `unaccent = True`. */
async function createAsOdooDoes(user: string, database: string): Promise<Session> {
  const outside = await as(user);
  await outside.rows(`CREATE DATABASE ${database} ENCODING 'unicode' TEMPLATE odoo_template`);
  const inside = await as(user, database);
  await inside.rows("CREATE EXTENSION IF NOT EXISTS pg_trgm");
  await inside.rows("CREATE EXTENSION IF NOT EXISTS unaccent");
  await inside.rows("ALTER FUNCTION unaccent(text) IMMUTABLE");
  await inside.rows("GRANT CREATE ON SCHEMA PUBLIC TO PUBLIC");
  await inside.rows("COMMENT ON EXTENSION pg_trgm IS 'text similarity'");
  await inside.rows("CREATE TABLE res_users (login text)");
  await inside.rows("INSERT INTO res_users VALUES ('secret of ' || current_user)");
  await inside.rows("CREATE INDEX ON res_users USING gin (unaccent(login) gin_trgm_ops)");
  return inside;
}

async function closed(database: string): Promise<void> {
  await waitFor(`${database} to be closed`, async () => {
    const open = await admin.value(
      "SELECT EXISTS (SELECT FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) WHERE datname = $1 AND grantee = 0)",
      [database],
    );
    return open === false;
  });
}

test("a tenant is a member of nothing that another one is, and what is in its database is its own", async () => {
  const shared = await admin.rows(
    `SELECT g.rolname FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles r ON r.oid = m.member
     WHERE r.rolname IN ('anna', 'bert', 'odoo') AND g.rolname !~ '^opg_'`,
  );
  expect(shared).toEqual([]);
  const inside = await connect({
    port: cluster.ports.nodes[0] ?? 0,
    user: "postgres",
    password: cluster.password("postgres"),
    database: "db_anna",
  });
  const owners = await inside.rows(
    `SELECT DISTINCT pg_get_userbyid(owner) AS owner FROM (SELECT proowner AS owner FROM pg_proc UNION ALL SELECT relowner FROM pg_class
       UNION ALL SELECT extowner FROM pg_extension UNION ALL SELECT oprowner FROM pg_operator UNION ALL SELECT nspowner FROM pg_namespace
       UNION ALL SELECT typowner FROM pg_type) o ORDER BY 1`,
  );
  expect(owners.map(({ owner }) => owner)).toEqual(["anna", "pg_database_owner", "postgres"]);
  // Whose one member is the owner of the database.
  expect(await inside.value("SELECT pg_has_role('anna', 'pg_database_owner', 'MEMBER')")).toBe(true);
  expect(await inside.value("SELECT pg_has_role('bert', 'pg_database_owner', 'MEMBER')")).toBe(false);
});

test("a database that Odoo makes at any time is closed to all others, and who had come in meanwhile is out", async () => {
  const own = await createAsOdooDoes("anna", "db_new");
  await closed("db_new");
  await expect(as("bert", "db_new")).rejects.toMatchObject({ code: "42501" });
  await expect(as("odoo", "db_new")).rejects.toMatchObject({ code: "42501" });
  expect(await own.value("SELECT login FROM res_users")).toBe("secret of anna");
  // As a database is just after it was made: bert is quicker than the agent.
  process.kill(cluster.agent(), "SIGSTOP");
  await admin.rows("GRANT CONNECT ON DATABASE db_new TO PUBLIC");
  const intruder = await as("bert", "db_new");
  process.kill(cluster.agent(), "SIGCONT");
  await waitFor("the intruder to be out", () => intruder.isCut());
  await expect(as("bert", "db_new")).rejects.toMatchObject({ code: "42501" });
  expect(own.isCut()).toBe(false);
});

test("one tenant can neither read, change nor disturb another, nor what all start from", async () => {
  await closed("db_anna");
  await closed("db_bert");
  const victim = await as("anna", "db_anna");
  const pid = await victim.value("SELECT pg_backend_pid()");
  const bert = await as("bert");
  for (const database of ["db_anna", "odoo_template", "template1"])
    await expect(as("bert", database)).rejects.toMatchObject({ code: expect.stringMatching(/42501|55000/) });
  for (const statement of [
    "DROP DATABASE db_anna",
    "ALTER DATABASE db_anna RENAME TO mine",
    "ALTER DATABASE db_anna OWNER TO bert",
    "ALTER DATABASE db_anna SET search_path = bert",
    "ALTER DATABASE db_anna CONNECTION LIMIT 0",
    "CREATE DATABASE copy TEMPLATE db_anna",
    "GRANT CONNECT ON DATABASE db_anna TO bert",
    "DROP DATABASE odoo_template",
    "ALTER DATABASE odoo_template RENAME TO mine",
    "ALTER DATABASE odoo_template IS_TEMPLATE false",
    "ALTER DATABASE odoo_template SET search_path = bert",
    "ALTER ROLE anna SET search_path = bert",
    "ALTER ROLE anna PASSWORD 'mine'",
    "ALTER ROLE ALL SET search_path = bert",
    "GRANT anna TO bert",
    "SET ROLE anna",
    "SET SESSION AUTHORIZATION anna",
    "GRANT openerp TO bert",
    "SET ROLE openerp",
    "REASSIGN OWNED BY anna TO bert",
    "DROP OWNED BY anna",
    "CREATE TABLE public.trap (x int)",
    "COMMENT ON ROLE anna IS 'x'",
  ])
    await expect(bert.rows(statement), statement).rejects.toMatchObject({ severity: "ERROR" });
  // GRANT of what one does not have is a warning, not an error.
  await bert.rows("GRANT CONNECT ON DATABASE db_anna TO PUBLIC").catch(() => {});
  await expect(bert.rows("SELECT pg_terminate_backend($1)", [pid])).rejects.toMatchObject({ code: "42501" });
  await expect(bert.rows("SELECT pg_cancel_backend($1)", [pid])).rejects.toMatchObject({ code: "42501" });
  expect(
    await bert.rows(
      "SELECT 1 FROM pg_stat_activity WHERE usename = 'anna' AND query <> '<insufficient privilege>'",
    ),
  ).toEqual([]);
  await expect(as("bert", "db_anna")).rejects.toMatchObject({ code: "42501" });
  expect(await victim.value("SELECT login FROM res_users")).toBe("secret of anna");
});

test("the template is the superuser's and holds nothing that another role may change", async () => {
  const row = await admin.rows(
    "SELECT pg_get_userbyid(datdba) AS owner, datistemplate AS is FROM pg_database WHERE datname = 'odoo_template'",
  );
  expect(row).toEqual([{ owner: "postgres", is: true }]);
  const owned = await admin.rows(
    "SELECT refobjid::regrole FROM pg_shdepend WHERE dbid = (SELECT oid FROM pg_database WHERE datname = 'odoo_template')",
  );
  expect(owned).toEqual([]);
});

test("copies and restores are their owner's from the first moment", async () => {
  const copied = await cluster.run(["db", "copy", "db_anna", "db_copy"]);
  expect(copied.exitCode, copied.stderr).toBe(0);
  const [row] = await admin.rows(
    "SELECT pg_get_userbyid(datdba) AS owner, has_database_privilege('bert', oid, 'CONNECT') AS open FROM pg_database WHERE datname = 'db_copy'",
  );
  expect(row).toEqual({ owner: "anna", open: false });
  expect(await (await as("anna", "db_copy")).value("SELECT login FROM res_users")).toBe("secret of anna");
});

test("a cluster of the version before is brought there by up, and nobody who worked goes without", async () => {
  const old = await throwawayCluster({ nodes: 1 });
  await old.up();
  const boss = await old.session("pg1");
  process.kill(old.agent(), "SIGSTOP");
  // As version 0.1.0 left it: the group owns the template and what is in it, tenants and Odoo's role are its members.
  const secret = "of-a-tenant";
  for (const statement of [
    "ALTER DATABASE odoo_template OWNER TO openerp",
    "GRANT openerp TO odoo",
    `CREATE ROLE tenant LOGIN CREATEDB PASSWORD '${secret}' IN ROLE openerp`,
    "CREATE ROLE report LOGIN PASSWORD 'secret'",
    "CREATE DATABASE shop OWNER odoo TEMPLATE odoo_template",
    "CREATE DATABASE rented OWNER tenant TEMPLATE odoo_template",
    "CREATE DATABASE of_group OWNER openerp TEMPLATE odoo_template",
  ])
    await boss.rows(statement);
  for (const database of ["shop", "rented", "of_group", "odoo_template"]) {
    const inside = await old.session("pg1", "postgres", database);
    await inside.rows("DROP EXTENSION pg_trgm, unaccent");
    await inside.rows(`GRANT CREATE ON DATABASE ${database} TO openerp`);
    await inside.rows("SET ROLE openerp");
    await inside.rows("CREATE EXTENSION pg_trgm SCHEMA public");
    await inside.rows("CREATE EXTENSION unaccent SCHEMA public");
    await inside.rows("RESET ROLE");
    await inside.rows(`REVOKE CREATE ON DATABASE ${database} FROM openerp`);
    await inside.rows("ALTER FUNCTION public.unaccent(text) IMMUTABLE");
    await inside.rows("ALTER FUNCTION public.unaccent(text) OWNER TO openerp");
    await inside.rows("GRANT CREATE ON SCHEMA public TO PUBLIC");
    await inside.close();
  }
  const shop = await old.session("pg1", "odoo", "shop");
  await shop.rows("CREATE TABLE sales (x int)");
  await shop.rows("GRANT SELECT ON sales TO report");
  await boss.rows("GRANT CONNECT, TEMPORARY ON DATABASE shop TO PUBLIC");
  process.kill(old.agent(), "SIGKILL");

  const { stderr, stdout } = await old.up();
  const told = stdout + stderr;
  expect(told).toContain("give what 2 databases shared to their owners");
  expect(told).toContain("the template odoo_template is recreated, owned by the superuser");
  expect(told).toMatch(/close \d databases to all but/);

  expect(await shop.value("SELECT count(*)::int FROM sales")).toBe(0);
  await shop.rows("ALTER FUNCTION public.unaccent(text) IMMUTABLE");
  await shop.rows("COMMENT ON EXTENSION pg_trgm IS 'x'");
  const port = old.ports.write;
  const tenant = await connect({ port, user: "tenant", password: secret, database: "rented" });
  await tenant.rows("COMMENT ON EXTENSION unaccent IS 'x'");
  await tenant.rows("CREATE OR REPLACE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'");
  await expect(connect({ port, user: "tenant", password: secret, database: "shop" })).rejects.toMatchObject({
    code: "42501",
  });
  const report = await connect({ port, user: "report", password: "secret", database: "shop" });
  expect(await report.value("SELECT count(*)::int FROM sales")).toBe(0);
  // The group's own database stays the group's.
  expect(await boss.value("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'of_group'")).toBe(
    "openerp",
  );
  expect(
    await boss.rows(
      "SELECT FROM pg_auth_members WHERE roleid = 'openerp'::regrole AND member IN ('tenant'::regrole, 'odoo'::regrole)",
    ),
  ).toEqual([]);
  // A second one has nothing to do.
  const again = await old.up();
  expect(again.stdout + again.stderr).not.toMatch(/close|give what|recreated|group/);
});
