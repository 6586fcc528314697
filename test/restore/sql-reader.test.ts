import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { withoutPlace } from "../../src/restore/reading/placement.ts";
import { SqlReader, type SqlPiece, type Statement } from "../../src/restore/reading/sql-reader.ts";
import { handlingOf, splitName } from "../../src/restore/reading/statement.ts";

interface Told {
  readonly escapes?: boolean;
  readonly encoding?: string;
}

/** Reads a dump in pieces of the given size. */
async function read(sql: string | Buffer, size = 7, told: Told = {}): Promise<SqlPiece[]> {
  const reader = new SqlReader("dump.sql");
  reader.escapes = told.escapes ?? false;
  reader.encoding = told.encoding ?? "UTF8";
  const bytes = Buffer.isBuffer(sql) ? sql : Buffer.from(sql);
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
  const pieces: SqlPiece[] = [];
  for await (const piece of reader.read(chunks)) pieces.push(piece);
  return pieces;
}

function statementsOf(pieces: readonly SqlPiece[]): Statement[] {
  return pieces.flatMap((piece) => (piece.kind === "statement" ? [piece.statement] : []));
}

async function texts(sql: string | Buffer, size?: number, told?: Told): Promise<string[]> {
  return statementsOf(await read(sql, size, told)).map(({ text }) => text.toString("utf8").trim());
}

/** Each is one statement. */
const single = [
  "CREATE TABLE a (b text DEFAULT 'it''s; \\! ls');",
  "SELECT E'it\\'s; \\\\! ls';",
  "SELECT E'a''b\\'; c', 'x\\';",
  "SELECT E'a'\n  'it\\'s; c';",
  "SELECT E'a' -- it's\n 'it\\'s; c';",
  "SELECT E'a'\r'it\\'s; c' -- ;\r, 1;",
  "SELECT e'\\\\', b'1', x'0f', N'a;\\', U&'\\0041;', U&\"a;\";",
  "SELECT 'x\\' AS e, namee'\\';",
  'CREATE TABLE "a;\\! ls""" (x int);',
  "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $_$ SELECT 1; -- \\! ls $$ \n$_$;",
  "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $é1$ SELECT $_$; $é1$;",
  "/* a /* nested; \\! */ comment\\! */ SELECT 1;",
  "-- a comment; \\! ls\nSELECT 2;",
  "SELECT a$b$c, 5 - 3, 6 / 2, $1, '$x$' FROM t;",
  "CREATE RULE r AS ON INSERT TO t DO ALSO (INSERT INTO u VALUES (1); DELETE FROM v);",
  "CREATE FUNCTION public.f() RETURNS int\n BEGIN ATOMIC\n SELECT CASE WHEN true THEN 1 ELSE 2 END;\n SELECT 2;\nEND;",
  "CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC SELECT 1; END;",
  'CREATE TABLE begin ("end" int);',
];

test("a statement is what psql takes for one, in pieces of any size", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.shuffledSubarray(single, { minLength: 1 }),
      fc.integer({ min: 1, max: 200 }),
      async (parts, size) => {
        expect(await texts(`${parts.join("\n")}\n`, size)).toEqual(parts);
      },
    ),
  );
});

test("a literal of any text is read to its end, as the server is told to read it", async () => {
  const text = fc.string({ unit: fc.constantFrom("'", "\\", ";", "a", "\n", "é", "$", "-", "*", "/") });
  await fc.assert(
    fc.asyncProperty(text, fc.boolean(), fc.integer({ min: 1, max: 9 }), async (value, escapes, size) => {
      const doubled = value.replaceAll("'", "''");
      const literal = escapes ? `'${doubled.replaceAll("\\", "\\\\")}'` : `'${doubled}'`;
      const always = `E'${doubled.replaceAll("\\", "\\\\")}'`;
      const parts = [
        `SELECT ${literal};`,
        `SELECT ${always};`,
        `SELECT "${value.replaceAll('"', '""')}x";`,
        "SELECT 1;",
      ];
      expect(await texts(parts.join("\n"), size, { escapes })).toEqual(parts);
    }),
  );
});

test("a letter of two bytes holds neither a quote nor a backslash", async () => {
  // 0x83 0x5c and 0x95 0x5c are letters in SJIS; in GB18030 a letter has four bytes where the second is a digit.
  const sjis = Buffer.concat([
    Buffer.from("SELECT E'"),
    Buffer.from([0x83, 0x5c]),
    Buffer.from("'; SELECT "),
    Buffer.from([0x95, 0x5c]),
    Buffer.from(";\n"),
  ]);
  for (const size of [1, 2, 100]) {
    expect(statementsOf(await read(sjis, size, { encoding: "SJIS" }))).toHaveLength(2);
    const gb = Buffer.concat([
      Buffer.from("SELECT E'"),
      Buffer.from([0x81, 0x30, 0x84, 0x5c]),
      Buffer.from("';"),
    ]);
    expect(statementsOf(await read(gb, size, { encoding: "GB18030" }))).toHaveLength(1);
  }
});

test("rows are handed on as they are, and counted", async () => {
  const rows = "\\\\!\tx\n\\.x\t2\n\\N\t;\n\\\\.\n";
  for (const size of [1, 3, 1000]) {
    const pieces = await read(
      `COPY public.t (a, b) FROM stdin;\n${rows}\\.\n\nCOPY "We ""ird"."T (x)" (a, "b;") FROM stdin;\r\n\\.\r\nSELECT 1;`,
      size,
    );
    const given = pieces.flatMap((piece) => (piece.kind === "rows" ? [piece.bytes] : []));
    expect(Buffer.concat(given).toString()).toBe(rows);
    expect(pieces.flatMap((piece) => (piece.kind === "rows end" ? [piece.rows] : []))).toEqual([4, 0]);
    expect(statementsOf(pieces).map(({ copies }) => copies)).toEqual([
      "public.t",
      '"We ""ird"."T (x)"',
      undefined,
    ]);
  }
  expect(splitName('"We ""ird"."T (x)"')).toEqual({ schema: 'We "ird', name: "T (x)" });
  expect(splitName("public.T")).toEqual({ schema: "public", name: "t" });
});

test("rows of several megabytes pass in parts, and are not taken for an end", async () => {
  const long = `${"x".repeat(3_000_000)}\n`;
  // What is left of a row begins like an end.
  const odd = `${"y".repeat(262_144)}\\.\n`;
  const pieces = await read(`COPY public.t (a) FROM stdin;\n${long}${odd}2\n\\.\nSELECT 1;\n`, 65_536);
  const given = pieces.flatMap((piece) => (piece.kind === "rows" ? [piece.bytes] : []));
  expect(Buffer.concat(given).toString() === `${long}${odd}2\n`).toBe(true);
  expect(Math.max(...given.map(({ length }) => length))).toBeLessThan(600_000);
  expect(pieces.find((piece) => piece.kind === "rows end")).toEqual({ kind: "rows end", rows: 3 });
});

test("what pg_dump says of an object in front of it is known", async () => {
  const [statement] = statementsOf(
    await read(
      "-- TOC entry 215 (class 1255 OID 1)\n-- Name: f(integer); Type: FUNCTION; Schema: public; Owner: odoo\n--\n\nSELECT 1;",
    ),
  );
  expect(statement).toMatchObject({
    entry: { type: "FUNCTION", schema: "public", name: "f(integer)" },
    entryId: 215,
  });
});

test.each([
  ["\\connect shop", "shop"],
  ['\\connect "My shop"', "My shop"],
  [`\\connect -reuse-previous=on "dbname='it\\'s ""a"" shop'"`, `it's "a" shop`],
  ["\\connect -reuse-previous=on dbname=shop", "shop"],
  ["\\c shop odoo", "shop"],
])("%s goes on in another database", async (line, database) => {
  const pieces = read(`SELECT 1;\n${line}\nSELECT 2;`);
  if (database === undefined) await expect(pieces).rejects.toMatchObject({ code: "dump_unusable" });
  else expect((await pieces)[1]).toEqual({ kind: "connect", database });
});

describe("is refused:", () => {
  test.each([
    ["a command at the start of a line", "SELECT 1;\n\\! touch /tmp/x\n", "\\!"],
    ["a command behind a statement", "SELECT 1; \\! touch /tmp/x\n", "\\!"],
    ["a command inside a statement", "SELECT 1\n  \\gexec\n", "\\gexec"],
    ["a connection inside a statement", "SELECT 1\n\\connect x\n", "\\connect"],
    [
      "a command where rows seem to follow behind what ended a comment",
      "-- x\rSELECT 1 /*\nCOPY t FROM stdin -- \r*/\n;\n\\! ls\n\\.\n",
      "\\!",
    ],
    ["a command behind what ended a comment", "SELECT 1 -- \r\\! ls\n;\n", "\\!"],
    ["a command behind a string that went on", "SELECT E'a'\r'\\' , '\\! ls\n';\n", "\\!"],
    ["a command behind a COPY", "COPY t FROM stdin; \\! ls\n1\n\\.\n", "follows a COPY"],
    ["a command right behind rows", "COPY t FROM stdin;\n1\n\\.\n\\copy t from program 'ls'\n", "\\copy"],
    ["a connection to another server", '\\connect "host=elsewhere" - x\n\\connect -\n', "\\connect"],
    ["a restriction that is something else", "\\restrict `ls`\n", "\\restrict"],
    ["an end inside rows", "COPY public.t (a) FROM stdin;\n1\n2\n", "in the rows of public.t"],
    ["an end inside a string", "SELECT 'abc", "inside a string"],
    ["an end inside a body", "CREATE FUNCTION f() BEGIN ATOMIC SELECT 1;", "inside a statement"],
    ["an end inside a statement", "CREATE TABLE t (", "inside a statement"],
    ["an end before the end", "-- PostgreSQL database dump\nSELECT 1;\n", "dump complete"],
  ])("%s", async (_what, sql, words) => {
    for (const size of [1, 5, 1000]) {
      await expect(read(sql, size)).rejects.toMatchObject({
        code: "dump_unusable",
        message: expect.stringContaining(words),
      });
    }
  });
});

describe("the place of an object", () => {
  test.each([
    [
      "CREATE TABLE t (id int, tablespace text) TABLESPACE fast;",
      "CREATE TABLE t (id int, tablespace text) ;",
    ],
    [
      'CREATE TABLE t (id int PRIMARY KEY USING INDEX TABLESPACE "f"";", n int DEFAULT 1)\nTABLESPACE "f x";',
      "CREATE TABLE t (id int PRIMARY KEY , n int DEFAULT 1)\n;",
    ],
    [
      "CREATE UNIQUE INDEX i ON t USING btree (id) TABLESPACE fast WHERE tablespace > 'TABLESPACE x';",
      "CREATE UNIQUE INDEX i ON t USING btree (id)  WHERE tablespace > 'TABLESPACE x';",
    ],
    [
      "CREATE MATERIALIZED VIEW v TABLESPACE fast AS SELECT tablespace x FROM t;",
      "CREATE MATERIALIZED VIEW v  AS SELECT tablespace x FROM t;",
    ],
    [
      "ALTER TABLE t ADD CONSTRAINT c UNIQUE (id) USING INDEX TABLESPACE fast;",
      "ALTER TABLE t ADD CONSTRAINT c UNIQUE (id) ;",
    ],
    ["CREATE TABLE tablespace (a text DEFAULT E'\\' TABLESPACE x');", undefined],
    ["CREATE INDEX tablespace ON tablespace USING gin (tablespace);", undefined],
    ["CREATE TABLE t (a text, tablespace text);", undefined],
    ["CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ TABLESPACE x $$;", undefined],
  ])("%s", async (sql, rest) => {
    const [statement] = statementsOf(await read(sql));
    const unplaced = statement && withoutPlace(statement, "tablespace");
    expect(unplaced?.statement.text.toString()).toBe(rest);
  });

  test.each([
    [
      "CREATE TABLE t (a int, EXCLUDE USING gist (a WITH =)) USING columnar WITH (x = 1);",
      "CREATE TABLE t (a int, EXCLUDE USING gist (a WITH =))  WITH (x = 1);",
    ],
    [
      "CREATE MATERIALIZED VIEW v USING columnar AS SELECT 1 FROM a JOIN b USING (c);",
      "CREATE MATERIALIZED VIEW v  AS SELECT 1 FROM a JOIN b USING (c);",
    ],
    ["CREATE INDEX i ON t USING bloom (a);", undefined],
  ])("%s is told from an access method", async (sql, rest) => {
    const [statement] = statementsOf(await read(sql));
    const unplaced = statement && withoutPlace(statement, "access method");
    expect(unplaced?.statement.text.toString()).toBe(rest);
  });
});

describe("what is done with a statement:", () => {
  test.each([
    ["CREATE TABLE public.t (a int);", "object"],
    ["ALTER TABLE public.t OWNER TO odoo;", "left out"],
    ['ALTER FUNCTION public.f(a text, "b" int) OWNER TO "Od""oo";', "left out"],
    ["COMMENT ON EXTENSION pg_trgm IS 'x; y';", "left out"],
    ["SET SESSION AUTHORIZATION 'odoo';", "left out"],
    ["SET default_tablespace = '';", "left out"],
    ["SET default_tablespace = fast;", "left out"],
    ["ALTER INDEX public.i SET TABLESPACE fast;", "left out"],
    ["CREATE SCHEMA public;", "left out"],
    ["CREATE SCHEMA public_shop;", "object"],
    ['CREATE SCHEMA "public.x";', "object"],
    ["DROP SCHEMA IF EXISTS public;", "left out"],
    ["CREATE DATABASE shop WITH TEMPLATE = template0;", "left out"],
    ["ALTER DATABASE shop OWNER TO odoo;", "left out"],
    ["ALTER DATABASE shop SET work_mem TO '5MB';", "database setting"],
    ["GRANT SELECT ON TABLE public.t TO reader;", "privilege"],
    ["ALTER DEFAULT PRIVILEGES FOR ROLE odoo GRANT SELECT ON TABLES TO reader;", "privilege"],
    ["SELECT 'ALTER TABLE x OWNER TO y;';", "other"],
    ["DO $$ BEGIN END $$;", "other"],
    ["CREATE ROLE odoo;", "other"],
    ["CREATE USER MAPPING FOR odoo SERVER s;", "object"],
    ["SET transaction_timeout = 0;", "setting"],
    ["SELECT pg_catalog.set_config('search_path', '', false);", "setting"],
    ["SELECT pg_catalog.setval('public.s', 3, true);", "rows"],
    ["SELECT pg_catalog.lo_create('16410');", "rows"],
    ["SELECT pg_catalog.lo_unlink('16410');", "drop"],
    ["INSERT INTO public.t VALUES (1);", "rows"],
    ["ALTER TABLE IF EXISTS ONLY public.t DROP CONSTRAINT IF EXISTS c;", "drop"],
    ["DROP TABLE public.t;", "drop"],
    ["CREATE EXTENSION IF NOT EXISTS unaccent WITH SCHEMA other;", "extension"],
    ["CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f();", "object"],
    ["COPY t FROM PROGRAM 'ls';", "refused"],
    ["copy (SELECT 1) to program 'sh';", "refused"],
    ["COPY t FROM '/etc/passwd';", "refused"],
    ["COPY t (a) TO STDOUT (DELIMITER ')FROM stdin');", "refused"],
  ])("%s %s", async (sql, how) => {
    const [statement] = statementsOf(await read(sql));
    expect(statement && handlingOf(statement).how).toBe(how);
  });
});
