import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { Lack } from "../../src/model/backups/lack.ts";
import type { RestoreReport } from "../../src/restore/restore.ts";
import { programOf } from "../../src/postgres/installation.ts";
import { conninfo } from "../../src/postgres/sql/quoting.ts";
import { withSession } from "../support/with-session.ts";
import { runningNode } from "../postgres/throwaway-node.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { restoring, type Restoring } from "./restoring.ts";

let it: Restoring;
let names = 0;

beforeAll(async () => {
  it = await restoring(await runningNode());
});

async function rows(database: string, sql: string) {
  const settings = { search_path: "public, helpers" };
  return await withSession({ ...it.node.superuser, database, settings }, (session) => session.query(sql));
}

/** As pg_dump 15 begins and ends; `set` are settings of other versions. */
function dumpOf(body: string, { set = "", client = "15.6" } = {}): string {
  return `--
-- PostgreSQL database dump
--

-- Dumped from database version 13.14
-- Dumped by pg_dump version ${client}

SET statement_timeout = 0;
SET lock_timeout = 0;
${set}
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET client_min_messages = warning;
SET row_security = off;

${body}
--
-- PostgreSQL database dump complete
--
`;
}

const TABLE = `CREATE TABLE public.t (id integer NOT NULL, name text);
ALTER TABLE public.t OWNER TO somebody;
COPY public.t (id, name) FROM stdin;
1	Zoë
2	b
\\.
`;

/** Restores a text as a new database, whose name it tells. */
async function restored(sql: string | Buffer): Promise<{ report: RestoreReport; database: string }> {
  const file = join(temporaryFolder(), "d.sql");
  writeFileSync(file, sql);
  names += 1;
  const database = `strange ${names}`;
  const report = await it.as(file, database);
  return { report, database };
}

describe("a preamble of another client:", () => {
  test.each([
    ["9.6", "SET default_with_oids = false;\nSELECT pg_catalog.set_config('search_path', '', false);", []],
    [
      "12",
      "SET default_tablespace = '';\nSET default_table_access_method = heap;\nSET xmloption = content;",
      [],
    ],
    [
      "17.5",
      "SET idle_in_transaction_session_timeout = 0;\nSET transaction_timeout = 0;",
      ["transaction_timeout"],
    ],
    [
      "99.1",
      "SELECT pg_catalog.set_config('no_such_setting', 'off', false);\nSET client_min_messages = 'nonsense';\nSET default_table_access_method = columnar;",
      ["no_such_setting", "nonsense", "columnar"],
    ],
  ])("of pg_dump %s", async (client, set, unknown) => {
    const body = `\\restrict abcDEF123\n${TABLE}\\unrestrict abcDEF123\n`;
    const { report, database } = await restored(dumpOf(body, { set, client }));
    expect(report.notes).toEqual(unknown.map((name) => expect.stringMatching(`^left out: .*${name}`)));
    expect(report.set_aside).toBeNull();
    expect(await rows(database, "SELECT name FROM public.t ORDER BY id")).toEqual([
      { name: "Zoë" },
      { name: "b" },
    ]);
  });
});

test("a foreign key that has to be tried again is checked before row security hides the rows from who loads", async () => {
  const { report, database } = await restored(
    dumpOf(`CREATE TABLE public.line (t integer);
ALTER TABLE ONLY public.line FORCE ROW LEVEL SECURITY;
COPY public.line (t) FROM stdin;
1
\\.

--
-- Name: line line_t; Type: FK CONSTRAINT; Schema: public; Owner: somebody
--

ALTER TABLE ONLY public.line ADD CONSTRAINT line_t FOREIGN KEY (t) REFERENCES public.t(id);

--
-- Name: line; Type: ROW SECURITY; Schema: public; Owner: somebody
--

ALTER TABLE public.line ENABLE ROW LEVEL SECURITY;

--
-- Name: t; Type: TABLE; Schema: public; Owner: somebody
--

${TABLE}
ALTER TABLE ONLY public.t ADD CONSTRAINT t_pkey PRIMARY KEY (id);
`),
  );
  expect(report).toMatchObject({ set_aside: null, rows: 3 });
  const state = `SELECT relrowsecurity AND relforcerowsecurity AS secured,
    (SELECT convalidated FROM pg_constraint WHERE conname = 'line_t') AS checked FROM pg_class WHERE relname = 'line'`;
  expect(await rows(database, state)).toEqual([{ secured: true, checked: true }]);
});

describe("a table that needs what is not here", () => {
  const VECTOR = `CREATE EXTENSION IF NOT EXISTS no_such_vector WITH SCHEMA public;
CREATE TABLE public.embedding (id integer NOT NULL, of integer, v public.no_such_vector);
CREATE VIEW public.embedded AS SELECT e.id, t.name FROM public.embedding e JOIN public.t ON t.id = e.of;
COPY public.embedding (id, of, v) FROM stdin;
1	1	[1,2,3]
2	1	é\\tb
\\.
INSERT INTO public.embedding VALUES (3, 2, '[7,8,9]');
${TABLE}ALTER TABLE ONLY public.t ADD CONSTRAINT t_pkey PRIMARY KEY (id);
CREATE INDEX embedding_v ON public.embedding USING no_such_method (v);
ALTER TABLE ONLY public.embedding ADD CONSTRAINT embedding_t FOREIGN KEY (of) REFERENCES public.t(id);
`;
  // The server that it was made from is newer, too.
  const dump = dumpOf(VECTOR).replace("version 13.14", "version 99.1");

  test("is set aside with its rows, in the dump's order, and the rest comes back", async () => {
    const { report, database } = await restored(dump);
    expect(report.notes).toContainEqual(expect.stringContaining("it was made from PostgreSQL 99"));
    expect(await rows(database, "SELECT count(*)::int AS n FROM public.t")).toEqual([{ n: 2 }]);
    const objects = report.set_aside?.objects.map(({ object }) => object) ?? [];
    expect(objects).toEqual([
      expect.stringContaining("EXTENSION"),
      expect.stringContaining("CREATE TABLE public.embedding"),
      expect.stringContaining("CREATE VIEW public.embedded"),
      "rows of public.embedding",
      expect.stringContaining("CREATE INDEX embedding_v"),
      expect.stringContaining("embedding_t"),
    ]);
    // Once what was not here is here, the file makes it all.
    const file = readFileSync(report.set_aside?.file ?? "", "utf8")
      .replace(/^CREATE EXTENSION.*$/m, "CREATE DOMAIN public.no_such_vector AS text;")
      .replaceAll("no_such_method", "btree");
    const repaired = join(temporaryFolder(), "aside.sql");
    writeFileSync(repaired, file);
    const { host, port, user } = it.node.superuser;
    const target = conninfo({ host, port, user, dbname: database });
    execFileSync(
      programOf(it.node.installation, "psql"),
      ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", repaired, "-d", target],
      { env: { PGPASSWORD: it.node.passwords.postgres }, stdio: "pipe" },
    );
    expect(await rows(database, "SELECT id, v FROM public.embedding ORDER BY id")).toEqual([
      { id: 1, v: "[1,2,3]" },
      { id: 2, v: "é\tb" },
      { id: 3, v: "[7,8,9]" },
    ]);
  });

  test("has rows that psql never takes for commands, as long as the table is not there", async () => {
    const mark = join(temporaryFolder(), "mark");
    const { report, database } = await restored(
      dumpOf(`CREATE TABLE public.x (a public.no_such_type);
COPY public.x (a) FROM stdin;
\\! touch ${mark}
\\.
INSERT INTO public.x VALUES ('1');
INSERT INTO public.x VALUES ('2');
COPY public.x (a) FROM stdin;
\\! touch ${mark}
\\.
`),
    );
    expect(report.set_aside?.objects).toHaveLength(2);
    const { host, port, user } = it.node.superuser;
    const ran = spawnSync(
      programOf(it.node.installation, "psql"),
      [
        "-X",
        "-q",
        "-f",
        report.set_aside?.file ?? "",
        "-d",
        conninfo({ host, port, user, dbname: database }),
      ],
      { env: { PGPASSWORD: it.node.passwords.postgres, PATH: process.env["PATH"] ?? "" }, encoding: "utf8" },
    );
    expect(ran.stderr).toMatch(/no_such_type[\s\S]*"public\.x" does not exist/);
    expect(ran.status).toBe(3);
    expect(existsSync(mark)).toBe(false);
  });

  test("is not set aside with rows of another form than pg_dump's, which psql could read as commands", async () => {
    const csv = dumpOf(`CREATE TABLE public.x (a public.no_such_type);
COPY public.x (a) FROM stdin WITH (FORMAT csv);
1
\\.
`);
    await expect(restored(csv)).rejects.toMatchObject({ message: expect.stringContaining("no_such_type") });
    await it.nothingLeft();
  });

  test("is refused where its letters would become backslashes for psql", async () => {
    const sql = dumpOf(`CREATE TABLE public.x (a public.no_such_type);
COPY public.x (a) FROM stdin;
LETTER.
\\! touch /tmp/x
\\.
`).replace("client_encoding = 'UTF8'", "client_encoding = 'SHIFT_JIS_2004'");
    const bytes = Buffer.from(sql.replace("LETTER", "\u0081_"), "latin1");
    await expect(restored(bytes)).rejects.toMatchObject({
      code: "dump_unusable",
      message: expect.stringContaining("backslash"),
    });
    await it.nothingLeft();
  });

  test("keeps a database from being replaced by one that lacks rows", async () => {
    const { database } = await restored(dumpOf(TABLE));
    const file = join(temporaryFolder(), "d.sql");
    writeFileSync(file, dump);
    await expect(it.replace(file, database)).rejects.toMatchObject({
      message: expect.stringMatching(/public.embedding.*no_such_vector/s),
      next: [expect.stringContaining("Install the extension")],
    });
    expect(await it.databases()).toContain(database);
    expect(await rows(database, "SELECT count(*)::int AS n FROM public.t")).toEqual([{ n: 2 }]);
  });
});

describe("the database is prepared from what the dump says:", () => {
  const INDEX = (schema: string) =>
    `${TABLE}CREATE INDEX t_name ON public.t USING btree (${schema}.unaccent(name));\nCREATE INDEX t_trgm ON public.t USING gin (name ${schema}.gin_trgm_ops);\n`;
  test.each([
    [
      "unaccent in another schema, with a function of its name in public",
      `CREATE SCHEMA unaccent_schema;
CREATE EXTENSION IF NOT EXISTS unaccent WITH SCHEMA unaccent_schema;
COMMENT ON EXTENSION unaccent IS 'text search dictionary that removes accents';
CREATE FUNCTION public.unaccent(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $_$ SELECT unaccent_schema.unaccent('unaccent_schema.unaccent', $1) $_$;
${TABLE}CREATE INDEX t_name ON public.t USING btree (public.unaccent(name));
`,
    ],
    [
      "both in a schema of extensions",
      `CREATE SCHEMA extensions;
CREATE EXTENSION unaccent WITH SCHEMA extensions;
CREATE EXTENSION pg_trgm SCHEMA extensions VERSION '1.6';
${INDEX("extensions")}`,
    ],
    [
      "dropped and made again",
      `DROP EXTENSION IF EXISTS unaccent;
DROP EXTENSION pg_trgm;
DROP SCHEMA public;
CREATE SCHEMA public;
ALTER SCHEMA public OWNER TO pg_database_owner;
COMMENT ON SCHEMA public IS 'standard public schema';
CREATE EXTENSION unaccent WITH SCHEMA public;
CREATE EXTENSION pg_trgm WITH SCHEMA public;
${INDEX("public")}`,
    ],
    ["taken for granted, as in a dump of one schema", INDEX("public")],
    [
      "made where plpgsql is made too",
      `CREATE EXTENSION IF NOT EXISTS plpgsql WITH SCHEMA pg_catalog;\n${TABLE}`,
    ],
  ])("extensions %s", async (_what, body) => {
    const { report, database } = await restored(dumpOf(body));
    expect(report).toMatchObject({ set_aside: null, notes: [], rows: 2 });
    const indexes = await rows(database, "SELECT FROM pg_indexes WHERE schemaname = 'public'");
    expect(indexes).toHaveLength(body.match(/CREATE INDEX/g)?.length ?? 0);
  });
});

describe("what the other server laid elsewhere lies where the database does, and that is told:", () => {
  test("tablespaces and access methods that are not here, as pg_dump and as people write them", async () => {
    const body = `SET default_tablespace = fast;
SET default_table_access_method = columnar;
${TABLE}
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.u (id integer PRIMARY KEY USING INDEX TABLESPACE "f x") USING columnar TABLESPACE fast;
INSERT INTO public.u VALUES (1);
CREATE INDEX t_name ON public.t (name) TABLESPACE fast;
ALTER TABLE public.u SET TABLESPACE pg_default;
`;
    const { report, database } = await restored(dumpOf(body));
    expect(report).toMatchObject({ set_aside: null, rows: 3 });
    expect(report.notes).toEqual([
      "left out: SET default_tablespace = fast;",
      expect.stringMatching(/^left out: SET default_table_access_method = columnar; \(.*columnar/),
      'left out: USING INDEX TABLESPACE "f x"',
      "left out: TABLESPACE fast",
      expect.stringMatching(/^left out: USING columnar \(.*columnar/),
      "left out: ALTER TABLE public.u SET TABLESPACE pg_default;",
    ]);
    expect(
      await rows(
        database,
        "SELECT count(*)::int AS n FROM pg_class WHERE reltablespace <> 0 AND relnamespace = 'public'::regnamespace",
      ),
    ).toEqual([{ n: 0 }]);
    expect(
      await rows(database, "SELECT FROM pg_indexes WHERE indexname IN ('t_name', 'u_pkey')"),
    ).toHaveLength(2);
  });

  test.each(["-Fp", "-Fc", "-Fd", "-Ft"])("of a database that has them, dumped by %s", async (format) => {
    const database = `placed${format}`;
    await withSession(it.node.superuser, (session) =>
      session.query(`CREATE DATABASE "${database}" OWNER odoo`),
    );
    await rows(
      database,
      `CREATE ACCESS METHOD columnar TYPE TABLE HANDLER heap_tableam_handler;
       CREATE TABLE public.c (id integer) USING columnar; INSERT INTO public.c SELECT generate_series(1, 9);
       CREATE MATERIALIZED VIEW public.m USING columnar AS SELECT id FROM public.c;
       CREATE INDEX c_id ON public.c (id)`,
    );
    const word = it.dump(database, join(temporaryFolder(), "d"), format);
    const report = await it.as(word, `${database} again`);
    expect(report.set_aside?.objects.map(({ object }) => object)).toEqual(["access method columnar"]);
    expect(await rows(`${database} again`, "SELECT FROM public.m")).toHaveLength(9);
    expect(report.rows).toBe(9);
    expect(report.notes).toEqual([expect.stringMatching(/^left out: .*columnar/)]);
  });
});

const KIND_WORDS = new Set(
  `access aggregate as cast class configuration data dictionary event family foreign function in index language mapping method
   namespace on operator parser procedural publication schema search server shell subscription table tables template text trigger type
   user using btree view wrapper`.split(/\s+/),
);

/** What an ordinary role cannot make, and what needs a search_path that a dump does not set. */
const ODDITIES = `
CREATE SCHEMA helpers;
CREATE FUNCTION helpers.base(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';
CREATE FUNCTION public.public_part(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT base($1)';
CREATE FUNCTION public.calls(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT public_part($1)';
CREATE TABLE public.t (id serial PRIMARY KEY, name text CHECK (public.calls(name) <> ''));
INSERT INTO public.t (name) SELECT 'Name ' || n FROM generate_series(1, 200) n;
CREATE INDEX t_calls ON public.t (public.calls(name));
CREATE MATERIALIZED VIEW public.m AS SELECT public.calls(name) AS name FROM public.t;
CREATE INDEX m_name ON public.m (name);
CREATE TABLE public.u (t_id integer REFERENCES public.t);
INSERT INTO public.u VALUES (1), (2);
CREATE FUNCTION public.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN NULL; END';
CREATE EVENT TRIGGER audit ON ddl_command_end EXECUTE FUNCTION public.on_ddl();
COMMENT ON EVENT TRIGGER audit IS 'sees; all';
CREATE PUBLICATION everything FOR ALL TABLES;
CREATE PUBLICATION few FOR TABLE public.t;
CREATE SUBSCRIPTION follows CONNECTION 'dbname=nowhere' PUBLICATION x WITH (connect = false, slot_name = NONE);
CREATE FUNCTION public.in_c() RETURNS integer LANGUAGE internal AS 'int4um';
CREATE VIEW public.uses_c AS SELECT public.in_c() AS c;
CREATE EXTENSION postgres_fdw;
CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw;
CREATE FOREIGN TABLE public.far (a integer) SERVER other;
CREATE CAST (bigint AS bytea) WITH FUNCTION public.in_c2(bigint);
CREATE PUBLICATION schema_wide FOR TABLES IN SCHEMA helpers;
CREATE USER MAPPING FOR odoo SERVER other;
CREATE FOREIGN DATA WRAPPER wrapped;
CREATE FUNCTION public.leak(integer) RETURNS boolean LANGUAGE sql LEAKPROOF AS 'SELECT true';
CREATE FUNCTION public.quiet() RETURNS integer LANGUAGE sql SET log_statement = 'none' AS 'SELECT 1';
CREATE AGGREGATE public.agg_internal(numeric) (sfunc = numeric_avg_accum, stype = internal, finalfunc = numeric_avg);
CREATE OPERATOR FAMILY public.fam USING btree;
CREATE OPERATOR CLASS public.ops FOR TYPE int4 USING btree FAMILY public.fam AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =,
  OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint4cmp(int4, int4);
CREATE INDEX t_ops ON public.t (id public.ops);
CREATE ACCESS METHOD hold TYPE INDEX HANDLER bthandler;
CREATE TEXT SEARCH PARSER public.parse (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype);
CREATE TEXT SEARCH TEMPLATE public.templ (LEXIZE = dsimple_lexize, INIT = dsimple_init);
CREATE TEXT SEARCH DICTIONARY public.dict (TEMPLATE = public.templ);
CREATE TEXT SEARCH CONFIGURATION public.conf (PARSER = public.parse);
CREATE FUNCTION public.other_handler() RETURNS language_handler LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler';
CREATE LANGUAGE plother HANDLER public.other_handler;
CREATE TYPE public.shell;
CREATE FUNCTION public.shell_in(cstring) RETURNS public.shell LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
CREATE FUNCTION public.shell_out(public.shell) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
CREATE TYPE public.shell (input = public.shell_in, output = public.shell_out, like = int4);
-- As near to these as an ordinary role may come.
CREATE FUNCTION public.own_setting() RETURNS integer LANGUAGE sql SET work_mem = '1MB' AS 'SELECT 1';
CREATE AGGREGATE public.mean(float8) (sfunc = float8_accum, stype = float8[], finalfunc = float8_avg, initcond = '{0,0,0}');
CREATE TYPE public.span AS RANGE (subtype = float8);
CREATE TYPE public.own AS (a integer);
CREATE FUNCTION public.own_number(public.own) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE CAST (public.own AS integer) WITH FUNCTION public.own_number(public.own);
CREATE CAST (public.own AS text) WITH INOUT;
CREATE FUNCTION public.follows_own() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE TRIGGER own BEFORE INSERT ON public.u FOR EACH ROW EXECUTE FUNCTION public.follows_own();
ALTER DATABASE odd SET search_path = public, helpers;
`.replace(
  "CREATE CAST",
  "CREATE FUNCTION public.in_c2(bigint) RETURNS bytea LANGUAGE sql IMMUTABLE AS 'SELECT NULL::bytea';\nCREATE CAST",
);

describe("what a restore cannot make does not keep a database from coming back:", () => {
  beforeAll(async () => {
    await withSession(it.node.superuser, (session) => session.query("CREATE DATABASE odd OWNER odoo"));
    await withSession(
      { ...it.node.superuser, database: "odd", settings: { search_path: "public, helpers" } },
      async (session) => {
        await session.query(ODDITIES);
      },
    );
    const { warnings, lacks = [] } = await it.backUpOne("odd");
    odd = { warnings, lacks };
  });

  /** What a thing is called, whether the restore or the backup names it. */
  function called(text: string): string {
    const words = text
      .toLowerCase()
      .split(/[^a-z0-9_.]+/)
      .map((word) => word.replace(/^(?:public|helpers)\./, ""));
    return words
      .filter((word) => word !== "" && !KIND_WORDS.has(word))
      .toSorted((a, b) => (a < b ? -1 : 1))
      .join(" ");
  }

  test("what the backup warned of is what the restore sets aside, and nothing else", async () => {
    const report = await it.as((await it.newest()).id, "odd as warned");
    // A comment goes with what it is on.
    const aside = report.set_aside?.objects
      .map(({ object }) => object)
      .filter((object) => !object.startsWith("comment"));
    const warned = odd.lacks
      .filter(({ code }) => code === "superuser_only" || code === "depends")
      .flatMap(({ of, objects }) => objects.map((object) => `${of} ${object}`));
    expect(new Set(warned.map(called))).toEqual(new Set(aside?.map(called)));
    expect(odd.lacks.filter(({ code }) => code === "extension")).toEqual([
      { code: "extension", of: "extension", count: 1, objects: ["postgres_fdw"] },
    ]);
    expect(odd.warnings).toHaveLength(odd.lacks.length);
    expect(odd.warnings).toContain("a restore sets aside event trigger audit: only a superuser may make it");
  });

  let odd: { warnings: readonly string[]; lacks: readonly Lack[] };
  const aside = [
    "event trigger audit",
    "publication everything",
    "subscription follows",
    "function public.in_c()",
  ];

  test.each([
    ["plain", ["-Fp"]],
    ["plain LATIN1", ["-Fp", "--encoding=LATIN1", "--no-owner", "--no-acl"]],
    ["plain with --clean", ["-Fp", "--clean", "--if-exists"]],
    ["custom", ["-Fc"]],
    ["directory", ["-Fd"]],
    ["tar", ["-Ft"]],
    ["backup", undefined],
  ])("a %s dump", async (kind, args) => {
    const word =
      args === undefined ? (await it.newest()).id : it.dump("odd", join(temporaryFolder(), "d"), ...args);
    const database = `odd from ${kind}`;
    const report = await it.as(word, database);
    const objects = report.set_aside?.objects.map(({ object }) => object) ?? [];
    expect(objects).toEqual(expect.arrayContaining(aside.map((name) => expect.stringContaining(name))));
    // What depends on these, and nothing else.
    for (const object of objects)
      expect(object).toMatch(
        /audit|everything|schema_wide|follows|in_c|uses_c|postgres_fdw|wrapped|other|far|cast|leak|quiet|internal|fam|ops|hold|parse|templ|dict|conf|shell/i,
      );
    expect(
      await rows(
        database,
        `SELECT (SELECT count(*)::int FROM public.t) AS t, (SELECT count(*)::int FROM public.u) AS u,
           (SELECT count(*)::int FROM public.m) AS m, to_regclass('public.t_calls')::text AS calls,
           to_regclass('public.m_name')::text AS name, (SELECT string_agg(pubname, ',' ORDER BY pubname) FROM pg_publication) AS publications`,
      ),
    ).toEqual([{ t: 200, u: 2, m: 200, calls: "t_calls", name: "m_name", publications: "few,schema_wide" }]);
    await it.nothingLeft();

    const { file = "", next } = report.set_aside ?? {};
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(next?.arguments).toContain(file);
    // What was set aside is what a superuser makes of it.
    const { host, port, user } = it.node.superuser;
    execFileSync(
      programOf(it.node.installation, "psql"),
      [
        "-X",
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        "-f",
        file,
        "-d",
        conninfo({ host, port, user, dbname: database }),
      ],
      { env: { PGPASSWORD: it.node.passwords.postgres }, stdio: "pipe" },
    );
    expect(
      await rows(
        database,
        `SELECT (SELECT count(*)::int FROM pg_event_trigger) AS e, (SELECT count(*)::int FROM pg_foreign_table) AS f,
           (SELECT count(*)::int FROM pg_publication) AS p, (SELECT count(*)::int FROM pg_subscription WHERE subdbid =
             (SELECT oid FROM pg_database WHERE datname = current_database())) AS s, to_regclass('uses_c')::text AS v`,
      ),
    ).toEqual([{ e: 1, f: 1, p: 3, s: 1, v: "uses_c" }]);
    await rows(database, "DROP SUBSCRIPTION follows");
  });

  test("no part of what is set aside is a command or a variable of psql, wherever a text ends for psql", async () => {
    const marks = temporaryFolder();
    const broken = "CREATE VIEW public.v AS SELECT nope";
    const encoded = (encoding: string, sql: string): string =>
      `SET client_encoding = '${encoding}';\n${sql}SET client_encoding = 'UTF8';\n`;
    const escaping = (sql: string): string =>
      `SET standard_conforming_strings = off;\n${sql}SET standard_conforming_strings = on;\n`;
    const parts = [
      (act: string) => escaping(`${broken}, U&'\\'; ${act}\n--';\n`),
      (act: string) => escaping(`${broken}, B'0'\n'\\'; ${act}\n--';\n`),
      (act: string) => encoded("GBK", `${broken}, '\u0095'; ${act}\n';\n`),
      (act: string) => encoded("SJIS", `${broken} \u0095${act}\n, '\u00fd\u00fd';\n`),
      (act: string) => `${broken} $aside$;\n${act}\n$aside$;\n`,
      (act: string) => `CREATE FUNCTION public.says() RETURNS int LANGUAGE plpgsql
  AS $$ BEGIN RAISE EXCEPTION '${act}'; END $$;
CREATE MATERIALIZED VIEW public.m AS SELECT public.says();\n${broken} :LAST_ERROR_MESSAGE\n;\n`,
    ];
    const body = parts.map((part, at) => part(`\\! touch ${join(marks, String(at))}`)).join("");
    const { report, database } = await restored(Buffer.from(dumpOf(body), "latin1"));
    expect(report.set_aside?.objects).toHaveLength(parts.length + 1);
    const { host, port, user } = it.node.superuser;
    const to = conninfo({ host, port, user, dbname: database });
    const ran = spawnSync(
      programOf(it.node.installation, "psql"),
      ["-X", "-q", "-f", report.set_aside?.file ?? "", "-d", to],
      { env: { PGPASSWORD: it.node.passwords.postgres, PATH: process.env["PATH"] ?? "" }, encoding: "utf8" },
    );
    expect(ran.stderr.match(/ERROR: /g)).toHaveLength(parts.length + 1);
    expect(readdirSync(marks)).toEqual([]);
  });

  test("the reasons and names of a hostile dump stay in their comment", async () => {
    const { report } = await restored(
      dumpOf(`CREATE EVENT TRIGGER "a\n\\! touch /tmp/x" ON ddl_command_end EXECUTE FUNCTION public.f();\n`),
    );
    const text = readFileSync(report.set_aside?.file ?? "", "utf8");
    expect(text.split("\n").filter((line) => line.startsWith("\\"))).toEqual([
      `\\! touch /tmp/x" ON ddl_command_end EXECUTE FUNCTION public.f();`,
    ]);
  });
});
