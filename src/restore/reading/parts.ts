import { shellWord } from "../../shell-word.ts";
import { OdooPgError } from "../../errors.ts";
import { SqlReader } from "./sql-reader.ts";
import type { SqlText } from "./text.ts";

/** Bytes at a dump's beginning that tell whether it makes databases itself. */
const HEAD = 1024 * 1024;

/** Databases that every cluster has. */
const EVERYWHERE = new Set(["postgres", "template0", "template1"]);

export interface Part {
  /** The database whose part is loaded; undefined where the dump makes none itself. */
  readonly database: string | undefined;
  readonly notes: readonly string[];
}

/**
 * Which database of a dump to restore: pg_dump --create writes one, pg_dumpall all of a cluster.
 * @param wanted by name
 * @throws OdooPgError usage when it must be named, or is not there; dump_unusable when the dump is truncated
 */
export async function choosePart(text: SqlText, wanted: string | undefined): Promise<Part> {
  const databases = (await makesDatabases(text)) ? await databasesIn(text) : [];
  const own = databases.filter((name) => !EVERYWHERE.has(name));
  const [only] = own;
  if (wanted === undefined && databases.length === 0) return { database: undefined, notes: [] };
  const others = databases.filter((name) => name !== (wanted ?? only));
  if (wanted !== undefined && databases.includes(wanted)) return { database: wanted, notes: [] };
  if (wanted === undefined && only !== undefined && own.length === 1) {
    const notes = others.length
      ? [`restored is database "${only}" of ${databases.length} that the file holds`]
      : [];
    return { database: only, notes };
  }
  throw new OdooPgError("usage", {
    message:
      databases.length === 0
        ? `${text.name} does not say of which database it is, and "${wanted}" was asked for.`
        : `${text.name} holds ${databases.length} databases: ${databases.map((name) => JSON.stringify(name)).join(", ")}.`,
    safe: "Nothing was changed.",
    next:
      databases.length === 0
        ? "Run the same command without --database."
        : `Run the same command with one of them: --database ${shellWord(own[0] ?? databases[0] ?? "")}`,
  });
}

async function makesDatabases({ open }: SqlText): Promise<boolean> {
  let head = "";
  for await (const piece of open()) {
    head += piece.toString("latin1");
    if (head.length >= HEAD) break;
  }
  return /^\\c(?:onnect)? |^-- PostgreSQL database cluster dump/m.test(head);
}

/** All databases that it connects to, in its order. */
async function databasesIn({ name, open }: SqlText): Promise<string[]> {
  const reader = new SqlReader(name);
  const databases = new Set<string>();
  for await (const piece of reader.read(open())) {
    if (piece.kind === "connect") databases.add(piece.database);
    if (piece.kind !== "statement") continue;
    // What the server would say about them.
    const [, setting = "", value = ""] = READ_AS.exec(piece.statement.words) ?? [];
    if (setting.toLowerCase() === "client_encoding")
      reader.encoding = value.toUpperCase().replaceAll(/[^A-Z0-9_]/g, "");
    else if (setting !== "") reader.escapes = /^(?:off|false|no|0)$/i.test(value);
  }
  return [...databases];
}

const READ_AS = /^SET\s+(client_encoding|standard_conforming_strings)\s*(?:=|TO)\s*'?([\w-]+)/i;
