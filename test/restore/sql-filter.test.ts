import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SqlFilter, splitName, type SqlContents } from "../../src/backup/restore/sql-filter.ts";

/** Reads a dump in pieces of the given size. */
function read(sql: string, size = 7): { text: string; contents: SqlContents } {
  const filter = new SqlFilter("dump.sql", 15);
  const bytes = Buffer.from(sql);
  const out: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) out.push(...filter.push(bytes.subarray(at, at + size)));
  const { rest, contents } = filter.end();
  return { text: Buffer.concat([...out, ...rest]).toString(), contents };
}

const tricky = [
  "CREATE TABLE a (b text DEFAULT 'it''s; \\! ls');",
  "SELECT E'it\\'s; \\\\! ls';",
  'CREATE TABLE "a;\\! ls" (x int);',
  "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $_$ SELECT 1; -- \\! ls $$ \n$_$;",
  "/* a /* nested; \\! */ comment\\! */ SELECT 1;",
  "-- a comment; \\! ls\nSELECT 2;",
  "SELECT a$b$c, 5 - 3, 6 / 2 FROM t;",
  "COPY public.t (a, b) FROM stdin;\n\\\\!\tx\n\\.x\t2\n\\N\t;\n\\.\n",
];

test("what a dump may hold goes through as it is, in pieces of any size", () => {
  fc.assert(
    fc.property(
      fc.shuffledSubarray(tricky, { minLength: 1 }),
      fc.integer({ min: 1, max: 200 }),
      (parts, size) => {
        const sql = `${parts.join("\n")}\n`;
        expect(read(sql, size).text.trimEnd()).toBe(sql.trimEnd());
      },
    ),
  );
});

test("rows are counted by table", () => {
  const { contents } = read(
    'COPY public.t (a) FROM stdin;\n1\n2\n\\.\n\nCOPY "We ""ird"."T (x)" (a, "b;") FROM stdin;\n\\.\nCOPY public.t (a) FROM stdin;\n3\n\\.\n',
  );
  expect(Object.fromEntries(contents.rows)).toEqual({ "public.t": 3, '"We ""ird"."T (x)"': 0 });
  expect(splitName('"We ""ird"."T (x)"')).toEqual({ schema: 'We "ird', name: "T (x)" });
  expect(splitName("public.t")).toEqual({ schema: "public", name: "t" });
});

test("rows of several megabytes pass, and are not taken for an end", () => {
  const long = `${"x".repeat(3_000_000)}\\\\.`;
  const sql = `COPY public.t (a) FROM stdin;\n${long}\n2\n\\.\nSELECT 1;\n`;
  const { text, contents } = read(sql, 65_536);
  expect(text === `${sql}\n`).toBe(true);
  expect(contents.rows.get("public.t")).toBe(2);
});

test("owners and comments on extensions are left out, privileges are kept for later", () => {
  const { text, contents } = read(
    [
      "\\restrict abcDEF123",
      "CREATE TABLE public.t (a int);",
      "ALTER TABLE public.t OWNER TO odoo;",
      'ALTER FUNCTION public.f(a text, "b" int) OWNER TO "Od""oo";',
      "COMMENT ON EXTENSION pg_trgm IS 'x; y';",
      "SET SESSION AUTHORIZATION 'odoo';",
      "GRANT SELECT ON TABLE public.t TO reader;",
      "ALTER DEFAULT PRIVILEGES FOR ROLE odoo GRANT SELECT ON TABLES TO reader;",
      "SELECT 'ALTER TABLE x OWNER TO y;';",
      "\\unrestrict abcDEF123",
      "",
    ].join("\n"),
  );
  expect(text.replaceAll(/\n+/g, "\n").trim()).toBe(
    "CREATE TABLE public.t (a int);\nSELECT 'ALTER TABLE x OWNER TO y;';",
  );
  expect(contents.grants).toEqual([
    "GRANT SELECT ON TABLE public.t TO reader;",
    "ALTER DEFAULT PRIVILEGES FOR ROLE odoo GRANT SELECT ON TABLES TO reader;",
  ]);
});

describe("is refused:", () => {
  test.each([
    ["a command at the start of a line", "SELECT 1;\n\\! touch /tmp/x\n", "\\!"],
    ["a command behind a statement", "SELECT 1; \\! touch /tmp/x\n", "\\!"],
    ["a command inside a statement", "SELECT 1\n  \\gexec\n", "\\gexec"],
    ["a command behind a COPY", "COPY t FROM stdin; \\! ls\n1\n\\.\n", "behind a COPY"],
    ["a command right behind rows", "COPY t FROM stdin;\n1\n\\.\n\\copy t from program 'ls'\n", "\\copy"],
    ["a connection to another database", '\\connect "other"\n', "\\connect"],
    ["a restriction that is something else", "\\restrict `ls`\n", "\\restrict"],
    ["a program as a source", "COPY t FROM PROGRAM 'ls';", "program"],
    ["a program as a target", "copy (SELECT 1) to program 'sh';", "program"],
    ["a file of the server", "COPY t FROM '/etc/passwd';", "file of the server"],
    ["strings in which backslashes escape", "SET standard_conforming_strings = off;", "standard_conforming"],
    ["an encoding with backslashes in letters", "SET client_encoding = 'SJIS';", "client_encoding"],
    ["a database of its own", "CREATE DATABASE x;", "database itself"],
    ["a newer PostgreSQL", "--\n-- Dumped from database version 17.2 (Debian)\nSELECT 1;", "PostgreSQL 17"],
    ["a whole cluster", "-- PostgreSQL database cluster dump\n", "pg_dumpall"],
    ["an end inside rows", "COPY public.t (a) FROM stdin;\n1\n2\n", "in the rows of public.t"],
    ["an end inside a string", "SELECT 'abc", "inside a string"],
    ["an end inside a statement", "CREATE TABLE t (", "inside a statement"],
    ["an end before the end", "-- PostgreSQL database dump\nSELECT 1;\n", "dump complete"],
  ])("%s", (_what, sql, words) => {
    for (const size of [1, 5, 1000]) {
      let refused: unknown;
      try {
        read(sql, size);
      } catch (error) {
        refused = error;
      }
      expect(refused).toMatchObject({ code: "dump_unusable", message: expect.stringContaining(words) });
    }
  });
});
