import path from "node:path";
import { odooPg, printCommand, type Command } from "../../next-step.ts";
import { conninfo } from "../../postgres/sql/quoting.ts";
import { now } from "../../system/clock.ts";
import { ensureDirectory, writeFileAtomic } from "../../system/files/files.ts";
import type { Contents, definitionKinds } from "../../backup/contents/contents.ts";
import { encodeDatabaseName } from "../../backup/naming.ts";
import { timeStamp } from "../../model/time-stamp.ts";
import type { DumpEntry } from "../reading/sql-reader.ts";

/** An object of a dump that could not be created: its SQL goes into a file, and the restore continues without it. */
export interface SetAside {
  /** What it is, where the dump says so. */
  readonly entry: DumpEntry | undefined;
  /** What it is, in one line. */
  readonly object: string;
  /** Whether it is rows: of a table that could not be made. */
  readonly rows: boolean;
  /** In UTF-8, with the settings that tell how to read it. */
  readonly sql: string;
  /** The server's message. */
  readonly reason: string;
}

/** What a dump says, in UTF-8: a statement, a COPY that is plain (`isPlainCopy`), or the rows that follow that. */
export interface AsidePart {
  readonly is: "statement" | "copy" | "rows";
  readonly text: string;
}

/**
 * SQL of a dump for a person's psql. Nothing of it may become a command or a variable of psql: so a statement is a text to
 * psql, which gives it on to the server as it is. Where a COPY cannot begin, psql would read its rows as commands: so it
 * stops there. Source: PostgreSQL manual, psql, \gexec and ON_ERROR_STOP.
 * @param escapes a backslash escapes in its strings
 */
export function asideSql(parts: readonly AsidePart[], escapes: boolean): string {
  const sql = parts.map(({ is, text }) => {
    if (is === "copy") return `\\set ON_ERROR_STOP on\n${text}\n`;
    return is === "rows" ? `${text}\\.\n\\set ON_ERROR_STOP off\n` : givenOn(text.trim());
  });
  return `SET standard_conforming_strings = ${escapes ? "off" : "on"};\n${sql.join("")}`;
}

function givenOn(sql: string): string {
  let quote = "$aside$";
  while (sql.includes(quote)) quote = `${quote.slice(0, -1)}_$`;
  return `SELECT ${quote}\n${sql}\n${quote} \\gexec\n`;
}

/** One line of each, for notes. */
export function asideNotes(setAside: readonly SetAside[]): string[] {
  return setAside.map(({ object, reason }) => `set aside: ${object} (${reason})`);
}

/** pg_dump's word for the object that a definition belongs to. */
const ENTRY_TYPES: Readonly<Record<(typeof definitionKinds)[number], readonly string[]>> = {
  default: ["DEFAULT"],
  "generated column": ["TABLE"],
  "view definition": ["VIEW", "MATERIALIZED VIEW"],
  policy: ["POLICY"],
  rule: ["RULE"],
  "partition key": ["TABLE"],
  "partition bound": ["TABLE", "TABLE ATTACH"],
  statistics: ["STATISTICS"],
  "domain constraint": ["DOMAIN", "CHECK CONSTRAINT"],
  "function body": ["FUNCTION", "PROCEDURE", "AGGREGATE"],
};

/** What was expected, without what was set aside: that is reported separately. */
export function withoutSetAside(contents: Contents, setAside: readonly SetAside[]): Contents {
  if (!setAside.length) return contents;
  const is = (types: readonly string[], schema: string | undefined, name: string): boolean =>
    setAside.some(
      ({ entry }) =>
        entry !== undefined && types.includes(entry.type) && entry.schema === schema && entry.name === name,
    );
  const isFunction = (schema: string, signature: string): boolean =>
    setAside.some(
      ({ entry }) =>
        entry !== undefined &&
        ENTRY_TYPES["function body"].includes(entry.type) &&
        entry.schema === schema &&
        sameFunction(signature, entry.name),
    );
  const constraints = ["CONSTRAINT", "FK CONSTRAINT", "CHECK CONSTRAINT"];
  const unaccent = is(["EXTENSION"], undefined, "unaccent") ? null : contents.unaccent;
  return {
    ...contents,
    unaccent,
    schemas: contents.schemas.filter(({ name }) => !is(["SCHEMA"], undefined, name)),
    tables: contents.tables.filter(({ schema, name }) => !is(["TABLE", "FOREIGN TABLE"], schema, name)),
    views: contents.views.filter(({ schema, name }) => !is(["VIEW", "MATERIALIZED VIEW"], schema, name)),
    indexes: contents.indexes.filter(
      ({ schema, table, name }) =>
        !is(["INDEX"], schema, name) && !is(constraints, schema, `${table} ${name}`),
    ),
    constraints: contents.constraints.filter(
      ({ schema, table, name }) => !is(constraints, schema, `${table} ${name}`),
    ),
    triggers: contents.triggers.filter(
      ({ schema, table, name }) => !is(["TRIGGER"], schema, `${table} ${name}`),
    ),
    functions: contents.functions.filter(({ schema, signature }) => !isFunction(schema, signature)),
    ...(contents.definitions
      ? {
          definitions: contents.definitions.filter(({ kind, schema, table, name }) => {
            const types = ENTRY_TYPES[kind];
            if (kind === "function body") return !isFunction(schema, name);
            return !is(types, schema, name) && !is(types, schema, `${table} ${name}`);
          }),
        }
      : {}),
    sequences: contents.sequences.filter(({ schema, name }) => !is(["SEQUENCE"], schema, name)),
    extensions: contents.extensions.filter(({ name }) => !is(["EXTENSION"], undefined, name)),
  };
}

/** `f(a integer, b text)`, as the catalogue has it, and `f(integer, text)`, as pg_dump names it. */
function sameFunction(signature: string, named: string): boolean {
  const partsOf = (text: string): readonly string[] => text.replace(/\)$/, "").split(/\(|, /);
  const [ours, theirs] = [partsOf(signature), partsOf(named)];
  return ours.length === theirs.length && ours.every((part, at) => ` ${part}`.endsWith(` ${theirs[at]}`));
}

/** What was set aside, where its SQL is, and the command that runs it. */
export interface AsideReport {
  readonly file: string;
  readonly next: Command;
  readonly objects: readonly { readonly object: string; readonly reason: string }[];
  /** Whether it includes rows. */
  readonly rows: boolean;
}

/**
 * Writes what was set aside into a file that no other user can read.
 * @param directory of such files; created when missing
 * @param database that it belongs to
 * @returns null where nothing was set aside
 */
export async function keepSetAside(
  directory: string,
  database: string,
  setAside: readonly SetAside[],
): Promise<AsideReport | null> {
  if (!setAside.length) return null;
  const file = path.join(directory, `${encodeDatabaseName(database)}_${timeStamp(now(), true)}.sql`);
  const named = /^[A-Za-z0-9_]+$/.test(database) ? database : conninfo({ dbname: database });
  const next = odooPg("psql", "--", "-X", "-d", named, "-f", file);
  const parts = setAside.map(
    ({ object, reason, sql }) => `-- ${oneLine(object)}: ${oneLine(reason)}\n${sql}`,
  );
  await ensureDirectory(directory, { mode: 0o700 });
  await writeFileAtomic(
    file,
    `-- What a restore could not make in database ${oneLine(database)}.
-- This SQL comes from what was restored, and nobody has read it. Read it, remove what you do not want, and run it as a
-- superuser, to whom it then belongs:
--   ${oneLine(printCommand(next))}
-- psql gives each statement on to the server (\\gexec): nothing in it is a command of psql.
SET client_encoding = 'UTF8';
SET check_function_bodies = false;
SELECT pg_catalog.set_config('search_path', '', false);

${parts.join("\n")}`,
  );
  const objects = setAside.map(({ object, reason }) => ({ object, reason }));
  return { file, next, objects, rows: setAside.some(({ rows }) => rows) };
}

function oneLine(text: string): string {
  // oxlint-disable-next-line no-control-regex -- a line's end would end the comment
  return text.replaceAll(/[\u0000-\u001f\u007f\u0085\u2028\u2029]+/g, " ");
}
