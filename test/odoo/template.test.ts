import { chmodSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { ensureRoles } from "../../src/odoo/roles.ts";
import { ensureTemplate, keepTemplate } from "../../src/odoo/template.ts";
import { programOf } from "../../src/postgres/installation.ts";
import { conninfo } from "../../src/postgres/sql/quoting.ts";
import { type Ran, run } from "../../src/system/process/process.ts";
import { quoteSqlIdentifier, type Row, type Session } from "../../src/system/sql/sql.ts";
import { withSession } from "../support/with-session.ts";
import { nodeWithRoles, type ThrowawayNode } from "../postgres/throwaway-node.ts";
import { type OdooDump, odooDump, smallDump } from "../support/odoo-dump.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";

const template = "odoo_template";
let node: ThrowawayNode;
let session: Session;

beforeAll(async () => {
  ({ node, session } = await nodeWithRoles());
  await ensureTemplate(node.access, session, template, "odoo");
});

async function asOdoo(database: string, ...statements: readonly string[]): Promise<Row[]> {
  const target = { ...node.superuser, user: "odoo", password: node.passwords.odoo, database };
  return await withSession(target, async (own) => {
    let rows: Row[] = [];
    for (const statement of statements) rows = await own.query(statement);
    return rows;
  });
}

/** A new database as Odoo makes one; gone at the end of the test file with its server. */
async function copyAs(name: string): Promise<string> {
  await asOdoo(
    "postgres",
    `CREATE DATABASE ${quoteSqlIdentifier(name)} ENCODING 'unicode' TEMPLATE ${template}`,
  );
  return name;
}

test("a role with nothing but CREATEDB copies the template", async () => {
  const name = await copyAs("copied");
  const [row] = await session.query(
    `SELECT pg_encoding_to_char(encoding) AS encoding, datcollate, datctype, pg_get_userbyid(datdba) AS owner, datistemplate
     FROM pg_database WHERE datname = $1`,
    [name],
  );
  expect(row).toEqual({
    encoding: "UTF8",
    datcollate: "C",
    datctype: "C",
    owner: "odoo",
    datistemplate: false,
  });
});

test("Odoo does in a copy what it does in every new database, without an error", async () => {
  const name = await copyAs("installed");
  await asOdoo(
    name,
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    "CREATE EXTENSION IF NOT EXISTS unaccent",
    "ALTER FUNCTION unaccent(text) IMMUTABLE",
    "COMMENT ON EXTENSION pg_trgm IS 'text similarity measurement and index searching based on trigrams'",
    "GRANT CREATE ON SCHEMA PUBLIC TO PUBLIC",
    "CREATE TABLE res_partner (name varchar)",
    "CREATE INDEX ON res_partner USING gin (unaccent(name) gin_trgm_ops)",
    "CREATE INDEX ON res_partner (unaccent(name))",
    "INSERT INTO res_partner VALUES ('Zoé'), ('abc'), ('Zebra')",
  );
  expect(await asOdoo(name, "SELECT name FROM res_partner WHERE unaccent(name) = 'Zoe'")).toEqual([
    { name: "Zoé" },
  ]);
  // C collation: by code point, whatever the system's libraries say.
  expect(await asOdoo(name, "SELECT string_agg(name, ' ' ORDER BY name) AS all FROM res_partner")).toEqual([
    { all: "Zebra Zoé abc" },
  ]);
});

test("nobody but the superuser enters the template, so that it can be copied at any time", async () => {
  await ensureRoles(session, "odoo", { ...node.passwords, openerp: "given" });
  for (const [user, password] of [
    ["odoo", node.passwords.odoo],
    ["openerp", "given"],
    ["collectd", node.passwords.collectd],
  ] as const) {
    await expect(
      withSession({ ...node.superuser, user, password, database: template }, () => Promise.resolve()),
    ).rejects.toMatchObject({ code: "42501" });
  }
  await copyAs("while_nobody_is_in");
});

test("every role enters a copy of the template", async () => {
  const name = await copyAs("open");
  const monitoring = {
    ...node.superuser,
    user: "collectd",
    password: node.passwords.collectd,
    database: name,
  };
  expect(await withSession(monitoring, (own) => own.query("SELECT 1 AS one"))).toEqual([{ one: 1 }]);
});

test("the template cannot be dropped by Odoo's role", async () => {
  await expect(asOdoo("postgres", `DROP DATABASE ${template}`)).rejects.toThrow("must be owner of database");
});

test("a template that is as it should be is not written again", async () => {
  const stored = async (): Promise<Row[]> => {
    const inside = await withSession({ ...node.superuser, database: template }, (own) =>
      own.query(
        `SELECT 'p' AS catalogue, xmin::text, proname::text FROM pg_proc WHERE proname = 'unaccent'
         UNION ALL SELECT 'n', xmin::text, nspname::text FROM pg_namespace
         UNION ALL SELECT 'e', xmin::text, extname::text FROM pg_extension ORDER BY 1, 2, 3`,
      ),
    );
    return [
      ...inside,
      ...(await session.query("SELECT xmin::text, d::text FROM pg_database d WHERE datname = $1", [
        template,
      ])),
    ];
  };
  const before = await stored();
  await ensureTemplate(node.access, session, template, "odoo");
  expect(await stored()).toEqual(before);
});

test("a template whose making was interrupted is finished", async () => {
  // As an `up` leaves it that is killed right after CREATE DATABASE.
  await session.query(
    "CREATE DATABASE half TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' OWNER openerp",
  );
  await ensureTemplate(node.access, session, "half", "odoo");
  await asOdoo("postgres", "CREATE DATABASE of_half TEMPLATE half");
  await asOdoo("of_half", "ALTER FUNCTION unaccent(text) IMMUTABLE");
  const [row] = await session.query("SELECT datistemplate FROM pg_database WHERE datname = 'half'");
  expect(row).toEqual({ datistemplate: true });
});

describe("a database that a tenant has made by a name of odoo-pg's own stays, and keeps nothing from its work:", () => {
  const tenant = async (...statements: readonly string[]): Promise<void> => {
    const target = { ...node.superuser, user: "tenant", password: "tenant", database: "postgres" };
    await withSession(target, async (own) => {
      for (const statement of statements) await own.query(statement);
    });
  };
  const owned = async (): Promise<unknown[]> =>
    (
      await session.query(
        "SELECT datname AS name FROM pg_database WHERE pg_get_userbyid(datdba) = 'tenant' ORDER BY 1",
      )
    ).map(({ name }) => name);
  beforeAll(async () => {
    await session.query("CREATE ROLE tenant LOGIN CREATEDB PASSWORD 'tenant'");
  });

  test.each([
    ["as it is", ""],
    ["a template", "IS_TEMPLATE true"],
    ["closed", "ALLOW_CONNECTIONS false"],
    ["a closed template", "IS_TEMPLATE true ALLOW_CONNECTIONS false"],
    ["without connections", "CONNECTION LIMIT 0"],
  ])("%s", async (_how, words) => {
    const names = ["odoo_pg_template", "odoo_pg_template_old", "odoo_pg_template_old_0123abcd"];
    await tenant(...names.map((name) => `CREATE DATABASE ${name} ${words}`));
    await session.query(`ALTER DATABASE ${template} OWNER TO odoo`);
    const told: string[] = [];
    await keepTemplate(node.access, session, { template, role: "odoo" }, (text) => told.push(text));
    expect(told).toEqual([
      `the template ${template} is recreated, owned by the superuser`,
      expect.stringMatching(/^database odoo_pg_template of role tenant and 2 more: /),
    ]);
    expect(await owned()).toEqual(names);
    await tenant(
      ...names.flatMap((name) => [`ALTER DATABASE ${name} IS_TEMPLATE false`, `DROP DATABASE ${name}`]),
    );
  });

  test("what is left over of odoo-pg's own goes, even where it was marked as a template", async () => {
    for (const name of ["odoo_pg_template", "odoo_pg_template_0123abcd", "odoo_pg_template_old"])
      await session.query(`CREATE DATABASE ${name} IS_TEMPLATE true`);
    await ensureTemplate(node.access, session, template, "odoo");
    expect(
      await session.query("SELECT datname FROM pg_database WHERE starts_with(datname, 'odoo_pg_')"),
    ).toEqual([]);
  });

  test.each([
    ["a template", "IS_TEMPLATE true"],
    ["closed", "ALLOW_CONNECTIONS false"],
    ["without connections", "CONNECTION LIMIT 0"],
  ])("the template's own name, %s and in use", async (_how, words) => {
    const name = `wanted ${words}`;
    await tenant(`CREATE DATABASE ${quoteSqlIdentifier(name)}`);
    const target = { ...node.superuser, user: "tenant", password: "tenant", database: name };
    await withSession(target, async (inside) => {
      await inside.query("CREATE TABLE kept (x int)");
      await tenant(`ALTER DATABASE ${quoteSqlIdentifier(name)} ${words}`);
      const told: string[] = [];
      await ensureTemplate(node.access, session, name, "odoo", (text) => told.push(text));
      expect(told[0]).toMatch(
        / of role tenant has the template's name: it is called wanted .*_old_\d+_\d+ now$/,
      );
      expect(told.some((text) => / accepts no connections: .*odoo-pg db rename/.test(text))).toBe(
        words === "ALLOW_CONNECTIONS false",
      );
    });
    const [row] = await session.query(
      "SELECT pg_get_userbyid(datdba) AS owner, datistemplate AS is FROM pg_database WHERE datname = $1",
      [name],
    );
    expect(row).toEqual({ owner: "postgres", is: true });
    const [aside] = (await owned()).filter((each) => String(each).startsWith(name));
    expect(aside).toMatch(/_old_/);
    await session.query(`ALTER DATABASE ${quoteSqlIdentifier(String(aside))} ALLOW_CONNECTIONS true`);
    const rows = await withSession({ ...node.superuser, database: String(aside) }, (boss) =>
      boss.query("SELECT count(*)::int AS count FROM public.kept"),
    );
    expect(rows).toEqual([{ count: 0 }]);
  });
});

test("a swap that is killed leaves somebody's database of the template's name as it was, open to its users", async () => {
  await session.query("CREATE ROLE neighbour");
  await session.query("CREATE DATABASE held OWNER neighbour");
  const holder = await node.session();
  // The rename waits for its end.
  await holder.query("BEGIN");
  await holder.query("COMMENT ON DATABASE held IS 'in use'");
  const killed = ensureTemplate(node.access, await node.session(), "held", "nobody");
  killed.catch(() => {});
  await waitFor("the swap to wait", async () => {
    const rows = await session.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE wait_event_type = 'Lock' AND query LIKE '%RENAME TO%' AND pid <> pg_backend_pid()`,
    );
    return rows.length > 0;
  });
  await expect(killed).rejects.toThrow();
  await holder.query("ROLLBACK");
  const open =
    "SELECT datname AS name, datallowconn AS open FROM pg_database WHERE starts_with(datname, 'held')";
  expect(await session.query(open)).toEqual([{ name: "held", open: true }]);
  await ensureTemplate(node.access, session, "held", "nobody");
  expect(await session.query(`${open} ORDER BY 1`)).toEqual([
    { name: "held", open: true },
    { name: expect.stringMatching(/^held_old_/), open: true },
  ]);
});

async function load(name: string, dump: OdooDump): Promise<Ran> {
  chmodSync(dump.path, 0o644);
  const target = { host: node.layout.runDir, port: node.node.port, user: "odoo", dbname: name };
  return await run(
    programOf(node.installation, "psql"),
    ["-X", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-f", dump.path, conninfo(target)],
    { environment: { PGPASSWORD: node.passwords.odoo }, owner: node.owner },
  );
}

test("a dump of an Odoo database loads into a copy without one error, and every table is there", async () => {
  const folder = temporaryFolder();
  for (const [name, dump] of [
    ["loaded", await odooDump(folder)],
    ["loaded_small", await smallDump(folder)],
  ] as const) {
    expect(await load(await copyAs(name), dump)).toEqual({ exitCode: 0, stdout: "", stderr: "" });
    const rows = await asOdoo(
      name,
      "SELECT count(*)::int AS tables FROM pg_tables WHERE schemaname = 'public' AND tableowner = 'odoo'",
    );
    expect(rows).toEqual([{ tables: dump.tables }]);
  }
});

test("the same dump stops with an error in a copy of template0", async () => {
  const dump = await smallDump(temporaryFolder());
  await asOdoo(
    "postgres",
    "CREATE DATABASE plain TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'",
  );
  expect((await load("plain", dump)).stderr).toContain(
    "functions in index expression must be marked IMMUTABLE",
  );
});
