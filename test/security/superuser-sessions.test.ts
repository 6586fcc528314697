import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { programOf } from "../../src/postgres/installation.ts";
import { renderHba } from "../../src/postgres/render.ts";
import { type Superuser } from "../../src/postgres/sql/access/superuser.ts";
import { withSession } from "../support/with-session.ts";
import { runningNode, type ThrowawayNode } from "../postgres/throwaway-node.ts";
import { type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import { waitFor } from "../support/wait.ts";

/** Of a database's owner: whoever runs `seize` as a superuser, by whatever role he works now, makes one of the owner. */
const SEIZE = `CREATE FUNCTION public.seize() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) session_user) THEN
    EXECUTE 'SET ROLE NONE';
    EXECUTE 'ALTER ROLE odoo SUPERUSER';
  END IF;
  RETURN true;
END $$`;

/** An index whose condition the planner works out for every query of its table. */
const PLANNED = [
  "CREATE FUNCTION public.quietly(integer) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN public.seize(); END$$",
  "CREATE TABLE public.counted (a integer)",
  "INSERT INTO public.counted VALUES (1)",
  "CREATE INDEX ON public.counted (a) WHERE public.quietly(1)",
];

/** What the owner of a database can set for it, and what would be amiss for whoever works by it. */
const HOSTILE: Readonly<Record<string, string>> = {
  search_path: "public, pg_catalog",
  role: "odoo",
  local_preload_libraries: "'there_is_no_such_library'",
  statement_timeout: "1",
  lock_timeout: "1",
  idle_in_transaction_session_timeout: "1",
  idle_session_timeout: "1",
  default_transaction_read_only: "on",
  default_transaction_isolation: "serializable",
  default_transaction_deferrable: "on",
  row_security: "on",
  client_encoding: "latin1",
  datestyle: "'German, DMY'",
  intervalstyle: "iso_8601",
  timezone: "'Asia/Kathmandu'",
  timezone_abbreviations: "'Australia'",
  bytea_output: "escape",
  extra_float_digits: "-15",
  xmlbinary: "hex",
  xmloption: "document",
  quote_all_identifiers: "on",
  standard_conforming_strings: "off",
  backslash_quote: "on",
  transform_null_equals: "on",
  array_nulls: "off",
  check_function_bodies: "off",
  client_min_messages: "debug5",
  // None of these is in the list of the program.
  work_mem: "'64kB'",
  enable_seqscan: "off",
  synchronous_commit: "off",
  default_text_search_config: "'pg_catalog.german'",
  lc_monetary: "'C.UTF-8'",
  temp_buffers: "'800kB'",
};

describe("a session of the superuser in a database of somebody else", () => {
  let node: ThrowawayNode;
  let evil: Superuser;

  beforeAll(async () => {
    node = await runningNode({ synchronous_commit: "remote_write", log_min_messages: "fatal" });
    evil = node.access.in("evil");
    await withSession(node.superuser, async (session) => {
      await session.query(`CREATE ROLE odoo LOGIN CREATEDB PASSWORD 'only for this test'`);
      await session.query("CREATE DATABASE evil OWNER odoo");
    });
    const major = node.installation.major;
    await asOdoo(
      SEIZE,
      ...Object.entries(HOSTILE)
        .filter(([name]) => name !== "idle_session_timeout" || major >= 14)
        .map(([name, value]) => `ALTER DATABASE evil SET ${name} = ${value}`),
    );
  });

  /** By a session that the hostile settings leave alone. */
  async function asOdoo(...statements: readonly string[]): Promise<void> {
    const settings = { idle_session_timeout: "0", local_preload_libraries: "", statement_timeout: "0" };
    await node.access
      .as("odoo", "only for this test")
      .in("evil")
      .use(
        async (session) => {
          for (const statement of statements) await session.query(statement);
        },
        { settings: { ...settings, default_transaction_read_only: "off", check_function_bodies: "on" } },
      );
  }

  async function expectOdooIsNoMore(): Promise<void> {
    const rows = await withSession(node.superuser, (session) =>
      session.query("SELECT rolname FROM pg_catalog.pg_roles WHERE rolsuper"),
    );
    expect(rows).toEqual([{ rolname: "postgres" }]);
  }

  const SETTINGS = "SELECT name, setting FROM pg_catalog.pg_settings ORDER BY name";

  test("has every setting as it is in a database that nobody set anything for", async () => {
    const [there, here] = await Promise.all(
      [evil, node.access].map((superuser) => superuser.use((session) => session.query(SETTINGS))),
    );
    expect(there).toEqual(here);
    expect(there).toContainEqual({ name: "search_path", setting: "pg_catalog, pg_temp" });
    expect(there).toContainEqual({ name: "synchronous_commit", setting: "remote_write" });
    await evil.use(async (session) => {
      expect(Object.keys(session.setBack)).toEqual(
        expect.arrayContaining(["enable_seqscan", "synchronous_commit", "work_mem"]),
      );
      expect(await session.query("SHOW server_encoding")).toEqual([{ server_encoding: "UTF8" }]);
    });
  });

  test("has them too where they are set for the superuser, everywhere or there", async () => {
    const roles = ["ROLE postgres", "ROLE postgres IN DATABASE evil"];
    const words = [
      "search_path = public, pg_catalog",
      "role = odoo",
      "session_preload_libraries = 'nothing'",
    ];
    for (const whom of roles) for (const word of words) await asAdmin(`ALTER ${whom} SET ${word}`);
    const rows = await evil.use((session) => session.query(SETTINGS));
    expect(rows).toEqual(await node.access.use((session) => session.query(SETTINGS)));
    expect(rows).toContainEqual({ name: "session_preload_libraries", setting: "" });
    for (const whom of roles) await asAdmin(`ALTER ${whom} RESET ALL`);
  });

  async function asAdmin(statement: string): Promise<void> {
    await node.access.use((session) => session.query(statement));
  }

  test("is not made where it would work as another role", async () => {
    await expect(evil.session({ settings: { role: "odoo" } })).rejects.toMatchObject({
      code: "refused",
      message: expect.stringContaining('"evil"'),
    });
    await expect(evil.session({ settings: { search_path: "public" } })).rejects.toMatchObject({
      code: "refused",
    });
  });

  test("takes names and operators from the system, however well others fit", async () => {
    await asOdoo(
      "CREATE FUNCTION public.to_regclass(varchar) RETURNS regclass LANGUAGE sql AS $$SELECT CASE WHEN public.seize() THEN NULL::regclass END$$",
      "CREATE FUNCTION public.count_it(bigint, name) RETURNS bigint LANGUAGE sql AS 'SELECT $1 + public.seize()::int'",
      "CREATE AGGREGATE public.count(name) (sfunc = public.count_it, stype = bigint, initcond = '0')",
      "CREATE FUNCTION public.same(oid, integer) RETURNS boolean LANGUAGE sql AS 'SELECT public.seize()'",
      "CREATE OPERATOR public.= (leftarg = oid, rightarg = integer, function = public.same)",
      "CREATE VIEW public.pg_class AS SELECT 1 AS oid WHERE public.seize()",
      "CREATE DOMAIN public.text AS pg_catalog.text CHECK (public.seize())",
    );
    await evil.use(async (session) => {
      const [row] = await session.query(
        "SELECT to_regclass('pg_class'::varchar)::text AS class, count(datname)::text AS databases, 1::oid = 1 AS same FROM pg_database",
      );
      expect(row).toEqual({ class: "pg_class", databases: "4", same: true });
    });
    await expectOdooIsNoMore();
  });

  test("runs no trigger for events whose function is the owner's", async () => {
    await asOdoo(
      "CREATE FUNCTION public.seize_event() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM public.seize(); END'",
    );
    await evil.use(async (session) => {
      await session.query(
        "CREATE EVENT TRIGGER seizing ON ddl_command_start EXECUTE FUNCTION public.seize_event()",
      );
      await session.query("CREATE SCHEMA made; DROP SCHEMA made");
      if (node.installation.major < 17) {
        await session.query("ALTER EVENT TRIGGER seizing ENABLE ALWAYS");
        await expect(evil.session()).rejects.toMatchObject({ code: "refused", message: /seizing/ });
      }
      await session.query("DROP EVENT TRIGGER seizing");
    });
    await expectOdooIsNoMore();
  });

  test("and a client program beside it have the same settings", async () => {
    await evil.use(async (session) => {
      const { connection, environment } = await evil.client("test", session);
      // A program says itself for how long it waits for a lock.
      const compared = "name NOT IN ('application_name', 'lock_timeout')";
      const query = `SELECT pg_catalog.json_object_agg(name, setting) FROM pg_catalog.pg_settings WHERE ${compared}`;
      const text = execFileSync(
        programOf(node.installation, "psql"),
        ["-XAtq", "-d", connection, "-c", query],
        {
          env: { ...environment },
          encoding: "utf8",
        },
      );
      const rows = await session.query(`SELECT name, setting FROM pg_catalog.pg_settings WHERE ${compared}`);
      const own = Object.fromEntries(rows.map(({ name, setting }) => [name, setting]));
      expect(JSON.parse(text)).toEqual(own);
    });
  });

  test("is not led by variables of whoever calls the program", async () => {
    for (const [name, value] of Object.entries({
      PGOPTIONS: "-c search_path=public -c role=odoo",
      PGREPLICATION: "database",
      PGSSLNEGOTIATION: "direct",
      PGPASSWORD: "wrong",
      PGHOST: "nowhere.invalid",
      PGDATABASE: "nothing",
      PGTZ: "Asia/Kathmandu",
      PGDATESTYLE: "German",
      PGCLIENTENCODING: "latin1",
    }))
      vi.stubEnv(name, value);
    try {
      const rows = await node.access.use((session) => session.query(SETTINGS));
      const other = await evil.use((session) => session.query(SETTINGS));
      expect(rows).toEqual(other);
      const [row] = await node.access
        .as("odoo", "only for this test")
        .use((session) => session.query("SHOW search_path"));
      expect(row).toEqual({ search_path: '"$user", public' });
    } finally {
      vi.unstubAllEnvs();
    }
  });

  const passwordFile = (): string => join(node.layout.secretsDir, "postgres.password");

  test.each([
    ["empty", ""],
    ["a line break alone", "\n"],
    ["two lines", "one\ntwo\n"],
    ["bytes that no password has", "\0\x01\n"],
  ])("names a password file that is damaged (%s), and asks nobody with it", async (_, text) => {
    const before = readFileSync(passwordFile());
    await askForPassword("scram-sha-256");
    writeFileSync(passwordFile(), text);
    try {
      await expect(node.access.session()).rejects.toMatchObject({
        code: "state_dir_unusable",
        message: expect.stringContaining(passwordFile()),
      });
    } finally {
      writeFileSync(passwordFile(), before);
    }
    await node.access.use((session) => session.query("SELECT 1"));
  });

  test("does not need its password where the server asks for none", async () => {
    const before = readFileSync(passwordFile());
    await askForPassword("trust");
    rmSync(passwordFile());
    try {
      expect(await node.access.use((session) => session.query("SELECT 1 AS one"))).toEqual([{ one: 1 }]);
    } finally {
      writeFileSync(passwordFile(), before, { mode: 0o600 });
      await askForPassword("scram-sha-256");
    }
  });

  /** Has the server ask whoever comes by the socket in this way. */
  async function askForPassword(method: "scram-sha-256" | "trust"): Promise<void> {
    const session = await node.access.session();
    await node.writeHba(`local all all ${method}\n${renderHba({ networks: [], source: undefined })}`);
    await session.query("SELECT pg_reload_conf()");
    await waitFor("the server has read its rules", async () => {
      const [row] = await session.query(
        "SELECT auth_method FROM pg_hba_file_rules ORDER BY line_number LIMIT 1",
      );
      const [read] = await session.query("SELECT pg_conf_load_time() > now() - interval '1 hour' AS so");
      return row?.["auth_method"] === method && read?.["so"] === true;
    });
    await session.close();
  }
});

describe("the ways by which Odoo's role became a superuser are closed", () => {
  let cluster: ThrowawayCluster;

  beforeAll(async () => {
    cluster = await throwawayCluster({ nodes: 1 });
    cluster.configure({ backup: { enabled: false, dir: join(cluster.folder, "backups") } });
    await cluster.up();
  });

  async function asOdoo(database: string, ...statements: readonly string[]): Promise<void> {
    const session = await cluster.session("pg1", "odoo", database);
    for (const statement of statements) await session.rows(statement);
    await session.close();
  }

  async function expectOdooIsNoMore(): Promise<void> {
    const session = await cluster.session("pg1", "collectd");
    expect(await session.rows("SELECT rolname FROM pg_roles WHERE rolsuper")).toEqual([
      { rolname: "postgres" },
    ]);
    await session.close();
  }

  test("functions that a database searches before the system's: doctor", async () => {
    await asOdoo("postgres", "CREATE DATABASE searched TEMPLATE odoo_template");
    await asOdoo(
      "searched",
      SEIZE,
      "CREATE FUNCTION public.to_regclass(text) RETURNS regclass LANGUAGE sql AS $$SELECT CASE WHEN public.seize() THEN NULL::regclass END$$",
      "ALTER DATABASE searched SET search_path = public, pg_catalog",
    );
    expect((await cluster.run(["doctor"])).stdout).toContain("checked pg1");
    await expectOdooIsNoMore();
  });

  test("a database whose sessions begin as its owner: backup, and copy beside a session", async () => {
    await asOdoo("postgres", "CREATE DATABASE played TEMPLATE odoo_template");
    await asOdoo("played", SEIZE, ...PLANNED, "ALTER DATABASE played SET role = 'odoo'");
    expect(await cluster.run(["backup", "create", "played"])).toMatchObject({ exitCode: 0 });
    await expectOdooIsNoMore();
    const held = await cluster.session("pg1", "odoo", "played");
    expect(await cluster.run(["db", "copy", "played", "copied"])).toMatchObject({ exitCode: 0 });
    await held.close();
    await expectOdooIsNoMore();
  });

  test("operators in the template: up", async () => {
    // As an earlier version left it: what is in it now, its user cannot change.
    const opening = "GRANT CONNECT ON DATABASE odoo_template TO odoo; GRANT CREATE ON SCHEMA public TO odoo";
    const psql = ["psql", "pg1", "--", "-q", "-d", "odoo_template", "-c", opening];
    expect(await cluster.run(psql)).toMatchObject({ exitCode: 0 });
    await asOdoo(
      "odoo_template",
      SEIZE,
      "CREATE FUNCTION public.same(oid, integer) RETURNS boolean LANGUAGE sql AS 'SELECT public.seize()'",
      "CREATE OPERATOR public.= (leftarg = oid, rightarg = integer, function = public.same)",
    );
    await cluster.up();
    await expectOdooIsNoMore();
  });

  test("schema public of database postgres, which is open up to PostgreSQL 14: up closes it", async () => {
    const open = ["psql", "pg1", "--", "-qc", "GRANT CREATE ON SCHEMA public TO PUBLIC"];
    expect(await cluster.run(open)).toMatchObject({ exitCode: 0 });
    await cluster.up();
    await expect(asOdoo("postgres", SEIZE)).rejects.toThrow(/permission denied for schema public/);
  });

  test("psql searches the system's schema alone, whatever its caller and the database say", async () => {
    const ran = await cluster.run(
      ["psql", "pg1", "--", "-XAtq", "-d", "searched", "-c", "SHOW search_path"],
      {
        env: { PGOPTIONS: "-c search_path=public", PGTZ: "Asia/Kathmandu" },
      },
    );
    expect(ran.stdout.trim()).toBe("pg_catalog, pg_temp");
  });
});

test("nothing but the two constructors opens sessions, and nothing else names the superuser's files", () => {
  const root = join(import.meta.dirname, "../../src");
  const sources = readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && statSync(join(root, name)).isFile())
    .map((name) => ({ name, text: readFileSync(join(root, name), "utf8") }));
  const holding = (pattern: RegExp): string[] =>
    sources
      .filter(({ text }) => pattern.test(text))
      .map(({ name }) => name)
      .sort();
  expect(holding(/\bconnect\b[^;]*from "[./]*system\/sql\/sql\.ts"/)).toEqual([
    "postgres/sql/access/role-access.ts",
    "postgres/sql/access/superuser.ts",
  ]);
  expect(holding(/postgres\.pgpass|SUPERUSER\}\.(?:password|pgpass)/)).toEqual([
    "postgres/sql/access/superuser.ts",
  ]);
});
