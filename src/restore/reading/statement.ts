import { oneLine } from "../../printable.ts";
import type { Statement } from "./sql-reader.ts";

/** How a statement of a dump is handled. */
export type Handling =
  /** Creates or describes an object: if it cannot be created, it is set aside. */
  | { readonly how: "object" }
  /** Run as it is, and must succeed: pg_dump writes none. */
  | { readonly how: "other" }
  /** Run as it is; it brings rows, without which there is no restore. */
  | { readonly how: "rows"; readonly table: string | undefined }
  /** A setting of the session that made the dump, or of the program that did. */
  | { readonly how: "setting" }
  /** Removes what the new database may not have. */
  | { readonly how: "drop" }
  /** Run when everything is there, because the roles that it names may not exist here. */
  | { readonly how: "privilege" }
  | { readonly how: "extension"; readonly extension: WantedExtension }
  /** ALTER DATABASE … SET: the text after the name. */
  | { readonly how: "database setting"; readonly words: string }
  /**
   * Handled separately: the database itself, owners, roles, comments on extensions. Reported where something is lost by
   * it.
   */
  | { readonly how: "left out"; readonly told: boolean }
  | { readonly how: "refused"; readonly problem: string; readonly next: string };

export interface WantedExtension {
  readonly name: string;
  /** Undefined where the dump leaves it to the server. */
  readonly schema: string | undefined;
}

const WORD = String.raw`[\w$\u0080-\u00ff]+`;
const NAME = String.raw`(?:"(?:[^"]|"")+"|${WORD})`;
const QUALIFIED = String.raw`${NAME}(?:\.${NAME})*`;

const EXTENSION = new RegExp(
  String.raw`^CREATE\s+EXTENSION\s+(?:IF\s+NOT\s+EXISTS\s+)?(${NAME})(?:\s+WITH)?(?:\s+SCHEMA\s+(${NAME}))?(?:\s+VERSION\s+\S+)?(?:\s+CASCADE)?\s*;$`,
  "i",
);
const DATABASE_SETTING = new RegExp(String.raw`^ALTER\s+DATABASE\s+${NAME}\s+((?:SET|RESET)\s.*)$`, "is");
const INSERTED = new RegExp(String.raw`^INSERT\s+INTO\s+(?:ONLY\s+)?(${QUALIFIED})`, "i");
const OWNER = new RegExp(String.raw`^ALTER\s[^;']+\sOWNER\s+TO\s+(?:"(?:[^"]|"")+"|${WORD})\s*;$`, "is");

const LEFT_OUT = [
  OWNER,
  /^SET\s+(?:SESSION\s+AUTHORIZATION|ROLE)\b/i,
  /^SET\s+(?:SESSION\s+|LOCAL\s+)?default_tablespace\s*(?:=|TO)\s*(?:''|""|DEFAULT)\s*;$/i,
  /^COMMENT\s+ON\s+(?:EXTENSION|DATABASE)\b/i,
  /^(?:CREATE|DROP|ALTER)\s+DATABASE\b/i,
  // The new database has it, and it is empty.
  /^(?:CREATE|DROP)\s+SCHEMA\s+(?:IF\s+(?:NOT\s+)?EXISTS\s+)?(?:public|"public")(?![\w$."])/i,
  /^COMMENT\s+ON\s+SCHEMA\s+(?:public|"public")\s+IS\s+(?:'standard public schema'|''|NULL)\s*;$/i,
  // It is in every database (before PostgreSQL 9.1 dumps made it themselves).
  /^CREATE\s+(?:OR\s+REPLACE\s+)?(?:PROCEDURAL\s+)?LANGUAGE\s+(?:plpgsql|"plpgsql")\s*;$/i,
  /^(?:DROP|COMMENT\s+ON)\s+(?:PROCEDURAL\s+)?LANGUAGE\s+(?:IF\s+EXISTS\s+)?plpgsql\b/i,
  /^DROP\s+EXTENSION\s+(?:IF\s+EXISTS\s+)?plpgsql\b/i,
];

/** It belongs to the dumped server; here everything is stored where the database is. */
const TOLD = [/^SET\s+(?:SESSION\s+|LOCAL\s+)?default_tablespace\b/i, /^ALTER\s[^;']+\sSET\s+TABLESPACE\s/is];

/** Functions by which pg_dump restores values and large objects. */
const GIVES_ROWS = /^SELECT\s+(?:pg_catalog\s*\.\s*)?(?:setval|lo_(?!unlink)\w+|lowrite|loread)\s*\(/i;

const DROPS = [
  /^DROP\b/i,
  /^ALTER\s[^;']+\s(?:DROP|DETACH\s+PARTITION)\s/is,
  /^SELECT\s+(?:pg_catalog\s*\.\s*)?lo_unlink\s*\(/i,
];

/** Statements about objects of the whole cluster, which lie in no database. */
const OUTSIDE = /^(?:CREATE|ALTER|COMMENT\s+ON)\s+(?:ROLE|USER(?!\s+MAPPING\b)|GROUP|TABLESPACE|SYSTEM)\b/i;

/** The kind of a statement of a dump, told from its words. Pure; an unknown statement is run as it is. */
export function handlingOf({ words: written, copies }: Pick<Statement, "words" | "copies">): Handling {
  const words = written.trimEnd();
  if (/^COPY\b/i.test(words)) {
    if (copies !== undefined) return { how: "rows", table: copies };
    return {
      how: "refused",
      problem: "it copies from or to a program or a file of the server",
      next: "Such a dump is not restored: remove the statement if you trust the rest.",
    };
  }
  const setting = DATABASE_SETTING.exec(words)?.[1];
  if (setting !== undefined) return { how: "database setting", words: setting };
  if (LEFT_OUT.some((pattern) => pattern.test(words))) return { how: "left out", told: false };
  if (TOLD.some((pattern) => pattern.test(words))) return { how: "left out", told: true };
  if (/^(?:GRANT|REVOKE|ALTER\s+DEFAULT\s+PRIVILEGES)\b/i.test(words)) return { how: "privilege" };
  const [, name, schema] = EXTENSION.exec(words) ?? [];
  if (name !== undefined)
    return { how: "extension", extension: { name: unquoted(name), schema: schema && unquoted(schema) } };
  if (/^(?:SET|RESET)\s/i.test(words) || /^SELECT\s+(?:pg_catalog\s*\.\s*)?set_config\s*\(/i.test(words))
    return { how: "setting" };
  if (/^INSERT\b/i.test(words)) return { how: "rows", table: INSERTED.exec(words)?.[1] };
  if (/^(?:UPDATE|DELETE|TRUNCATE)\b/i.test(words) || GIVES_ROWS.test(words))
    return { how: "rows", table: undefined };
  if (DROPS.some((pattern) => pattern.test(words))) return { how: "drop" };
  if (OUTSIDE.test(words)) return { how: "other" };
  return { how: /^(?:CREATE|ALTER|COMMENT|REFRESH|SECURITY\s+LABEL)\b/i.test(words) ? "object" : "other" };
}

/** Whether it determines how the bytes of the dump are read. */
export function saysHowToRead({ words }: Pick<Statement, "words">): boolean {
  return /\b(?:client_encoding|standard_conforming_strings|NAMES)\b/i.test(words);
}

/** Whether it determines the encoding of the dump. */
export function setsEncoding({ words }: Pick<Statement, "words">): boolean {
  return /^(?:SET\s+(?:SESSION\s+)?(?:client_encoding|NAMES)\b|SELECT\s+(?:pg_catalog\s*\.\s*)?set_config\s*\(\s*'client_encoding')/i.test(
    words,
  );
}

/** A name as the server stores it. */
function unquoted(name: string): string {
  if (name.startsWith('"')) return name.slice(1, -1).replaceAll('""', '"');
  return name.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** The schema and name of a table as COPY and INSERT name it: `public."We ird"`; in public where they name no schema. */
export function splitName(written: string): { schema: string; name: string } | undefined {
  const parts = [...written.matchAll(/"(?:[^"]|"")+"|[^".]+/g)].map(([part]) => unquoted(part));
  const [schema, name] = parts.length === 1 ? ["public", parts[0]] : parts;
  return schema === undefined || name === undefined || parts.length > 2 ? undefined : { schema, name };
}

/** The beginning of a statement, for messages. */
export function inOneLine(words: string, most = 120): string {
  return oneLine(words, most);
}
