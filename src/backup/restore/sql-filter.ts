import { OdooPgError } from "../../errors.ts";

/** What a plain dump turned out to hold, when it was read to its end. */
export interface SqlContents {
  /** Rows of each COPY, by the table's name as it is written there. */
  readonly rows: ReadonlyMap<string, number>;
  /** GRANT, REVOKE, ALTER DEFAULT PRIVILEGES: run afterwards, because the roles that they name may not exist here. */
  readonly grants: readonly string[];
}

/** Bytes of a statement that are held; a longer one goes on in pieces. */
const HELD = 1024 * 1024;
/** Statements about privileges that are held. */
const GRANTS = 100_000;

/** Encodings in which a backslash or a quote may be the second byte of a letter. */
const UNSAFE_ENCODINGS = /\b(?:BIG5|WIN950|GBK|WIN936|GB18030|SJIS|SHIFT_JIS|JOHAB|UHC|WIN949|MSKANJI)/i;

/** A name with or without its schema, quoted or not. */
const COPIED =
  /^COPY\s+((?:"(?:[^"]|"")+"|[^\s(".]+)(?:\.(?:"(?:[^"]|"")+"|[^\s(".]+))?)\s*(?:\(.*\)\s*)?FROM\s+stdin\b/is;

const NEWLINE = 10;
const BACKSLASH = 92;
const END_OF_COPY = Buffer.from("\\.");

type Inside = "plain" | "line comment" | "block comment" | "string" | "escape string" | "name" | "dollar";

/**
 * Reads the SQL of pg_dump as a stream, and lets through what psql may be given.
 *
 * - psql's own commands (`\!`, `\connect`, `\copy` …) are refused, except `\.` and `\restrict`, `\unrestrict`, which
 *   are left out; so are COPY from or to anything but the dump itself.
 * - Owners and comments on extensions are left out: everything is given to one role afterwards.
 * - What sets privileges is collected, and rows are counted.
 *
 * That psql and this reader could disagree about where a string ends is why psql is told to refuse its commands too,
 * where it can (`\restrict`).
 */
export class SqlFilter {
  readonly #file: string;
  readonly #serverMajor: number;
  #held: Buffer = Buffer.alloc(0);
  /** Position in #held up to which it was read. */
  #at = 0;
  #inside: Inside = "plain";
  #depth = 0;
  #tag = "";
  /** Without comments, as far as it is needed to tell what it is. */
  #statement = "";
  /** A part of this statement was handed on already. */
  #partly = false;
  #copying: string | undefined;
  #copyRows = 0;
  #line = 1;
  #isDump = false;
  #isWhole = false;
  readonly #rows = new Map<string, number>();
  readonly #grants: string[] = [];

  /** @param file its name, for messages */
  constructor(file: string, serverMajor: number) {
    this.#file = file;
    this.#serverMajor = serverMajor;
  }

  /** What of it may be handed on. @throws OdooPgError dump_unusable. */
  push(chunk: Buffer): Buffer[] {
    this.#held = this.#held.length ? Buffer.concat([this.#held, chunk]) : chunk;
    const out: Buffer[] = [];
    for (;;) {
      const more = this.#copying === undefined ? this.#readStatement(out) : this.#readRows(out);
      if (!more) return out;
    }
  }

  /** To be called at the end of the dump. @throws OdooPgError dump_unusable when it is not whole. */
  end(): { readonly rest: readonly Buffer[]; readonly contents: SqlContents } {
    // The last line may have no end.
    const rest = this.push(Buffer.from("\n"));
    if (this.#copying !== undefined) throw this.#cut(`in the rows of ${this.#copying}`);
    if (!["plain", "line comment"].includes(this.#inside)) throw this.#cut(`inside a ${this.#inside}`);
    if (/\S/.test(this.#statement)) throw this.#cut("inside a statement");
    if (this.#isDump && !this.#isWhole) throw this.#cut('before "PostgreSQL database dump complete"');
    return { rest: [...rest, this.#held], contents: { rows: this.#rows, grants: this.#grants } };
  }

  #cut(where: string): OdooPgError {
    return this.#unusable(`it is cut off ${where}`);
  }

  #unusable(problem: string, next = "Take another copy of the file, or make it anew."): OdooPgError {
    return new OdooPgError("dump_unusable", {
      message: `${this.#file} cannot be restored: ${problem} (line ${this.#line}).`,
      safe: "Nothing that existed was changed.",
      next,
    });
  }

  /** Reads to the end of a statement; false when more of the dump is needed. */
  #readStatement(out: Buffer[]): boolean {
    const held = this.#held;
    while (this.#at < held.length) {
      const byte = held[this.#at] ?? 0;
      if (byte === NEWLINE) this.#line += 1;
      switch (this.#inside) {
        case "line comment":
          if (byte === NEWLINE) this.#endLineComment();
          this.#at += 1;
          continue;
        case "string":
        case "name":
          this.#note(byte);
          // A doubled quote ends one and begins the next: the same in the end.
          if (byte === (this.#inside === "string" ? 39 : 34)) this.#inside = "plain";
          this.#at += 1;
          continue;
        case "escape string":
          if (byte === BACKSLASH) {
            if (this.#at + 1 >= held.length) return this.#hold(out);
            if (held[this.#at + 1] === NEWLINE) this.#line += 1;
            this.#at += 2;
            continue;
          }
          if (byte === 39) this.#inside = "plain";
          this.#at += 1;
          continue;
        case "block comment":
        case "dollar":
        case "plain":
          break;
      }
      if (this.#inside === "dollar") {
        if (byte === 36) {
          if (held.length - this.#at < this.#tag.length) return this.#hold(out);
          if (held.toString("latin1", this.#at, this.#at + this.#tag.length) === this.#tag) {
            this.#at += this.#tag.length;
            this.#inside = "plain";
            continue;
          }
        }
        this.#at += 1;
        continue;
      }
      if (this.#inside === "block comment") {
        if (this.#at + 1 >= held.length && (byte === 42 || byte === 47)) return this.#hold(out);
        const next = held[this.#at + 1];
        if (byte === 42 && next === 47) {
          this.#depth -= 1;
          this.#at += 2;
          if (this.#depth === 0) this.#inside = "plain";
        } else if (byte === 47 && next === 42) {
          this.#depth += 1;
          this.#at += 2;
        } else this.#at += 1;
        continue;
      }
      if (byte === BACKSLASH) {
        const end = held.indexOf(NEWLINE, this.#at);
        if (end < 0 && held.length - this.#at < 4096) return false;
        this.#refuseCommand(held.toString("latin1", this.#at, end < 0 ? this.#at + 4096 : end));
        // \restrict and \unrestrict: the line goes.
        if (this.#at > 0) out.push(held.subarray(0, this.#at));
        this.#held = held.subarray(end < 0 ? held.length : end);
        this.#at = 0;
        return true;
      }
      if (byte === 45 || byte === 47 || byte === 36) {
        const step = this.#beginOther(byte);
        if (step === undefined) return this.#hold(out);
        if (step) continue;
      }
      if (byte === 39) {
        const before = this.#statement.at(-1) ?? "";
        const alone = !/[A-Za-z0-9_$\u0080-\u00ff]/.test(this.#statement.at(-2) ?? "");
        this.#inside = /[eE]/.test(before) && alone ? "escape string" : "string";
      }
      if (byte === 34) this.#inside = "name";
      this.#note(byte);
      this.#at += 1;
      if (byte === 59) {
        this.#endStatement(out);
        return true;
      }
    }
    return this.#hold(out);
  }

  /** Comments and dollar quotes. Undefined when more is needed; false when it is none of them. */
  #beginOther(byte: number): boolean | undefined {
    const held = this.#held;
    const next = held[this.#at + 1];
    if (byte === 36) {
      // Part of a name, such as a$b.
      if (/[A-Za-z0-9_$\u0080-\u00ff]/.test(this.#statement.at(-1) ?? "")) return false;
      const text = held.toString("latin1", this.#at, this.#at + 70);
      const tag = /^\$(?:[A-Za-z_\u0080-\u00ff][A-Za-z0-9_\u0080-\u00ff]*)?\$/.exec(text)?.[0];
      if (tag === undefined)
        return /^\$[A-Za-z0-9_\u0080-\u00ff]*$/.test(text) && text.length < 70 ? undefined : false;
      this.#tag = tag;
      this.#inside = "dollar";
      this.#at += tag.length;
      return true;
    }
    if (next === undefined) return undefined;
    if (byte === 45 && next === 45) {
      const end = held.indexOf(NEWLINE, this.#at);
      if (end < 0) {
        // Comments that tell what the dump is are short.
        if (held.length - this.#at < 4096) return undefined;
      } else this.#readComment(held.toString("utf8", this.#at, end));
      this.#inside = "line comment";
      this.#at += 2;
      return true;
    }
    if (byte === 47 && next === 42) {
      this.#inside = "block comment";
      this.#depth = 1;
      this.#at += 2;
      return true;
    }
    return false;
  }

  #readComment(comment: string): void {
    if (comment === "-- PostgreSQL database dump") this.#isDump = true;
    if (comment === "-- PostgreSQL database dump complete") this.#isWhole = true;
    const version = /^-- Dumped from database version (\d+)/.exec(comment)?.[1];
    if (version !== undefined && Number(version) > this.#serverMajor) {
      throw this.#unusable(
        `it was made from PostgreSQL ${version}, and this server is PostgreSQL ${this.#serverMajor}`,
        "Restore it into a cluster of that version or later.",
      );
    }
    if (comment === "-- PostgreSQL database cluster dump") {
      throw this.#unusable(
        "it is a dump of a whole cluster (pg_dumpall)",
        "Restore dumps of single databases (pg_dump).",
      );
    }
  }

  #endLineComment(): void {
    this.#inside = "plain";
    this.#statement += " ";
  }

  #note(byte: number): void {
    if (this.#statement.length < HELD) {
      // A statement begins with its first word.
      if (this.#statement !== "" || byte > 32) this.#statement += String.fromCharCode(byte);
    }
  }

  /** All that is held was read. Too much of it goes on. */
  #hold(out: Buffer[]): false {
    if (this.#at > HELD && this.#held.length > HELD) {
      this.#refuseStatement();
      out.push(this.#held.subarray(0, this.#at));
      this.#held = this.#held.subarray(this.#at);
      this.#at = 0;
      this.#partly = true;
    }
    return false;
  }

  #endStatement(out: Buffer[]): void {
    const text = this.#held.subarray(0, this.#at);
    const statement = this.#statement.trimStart();
    this.#refuseStatement();
    const kind = this.#partly ? "kept" : kindOf(statement);
    if (kind === "privilege") {
      if (this.#grants.length >= GRANTS) throw this.#unusable("it holds too many GRANT");
      this.#grants.push(Buffer.from(statement, "latin1").toString("utf8"));
    }
    if (kind === "kept") out.push(text);
    this.#held = this.#held.subarray(this.#at);
    this.#at = 0;
    this.#statement = "";
    this.#partly = false;
    const copied = COPIED.exec(statement)?.[1];
    if (copied === undefined) return;
    // What stands behind the semicolon in its line is the line's end.
    this.#copying = Buffer.from(copied, "latin1").toString("utf8");
    this.#copyRows = -1;
  }

  #refuseStatement(): void {
    const statement = this.#statement.trimStart();
    if (/^COPY\b/i.test(statement) && !/^COPY\s+[^']+?\s+FROM\s+stdin\b/is.test(statement))
      throw this.#unusable(
        "it copies from or to a program or a file of the server",
        "Such a dump is not restored: remove the statement if you trust the rest.",
      );
    if (/^SET\s+(?:SESSION\s+|LOCAL\s+)?standard_conforming_strings\b(?!.*\bon\b)/is.test(statement))
      throw this.#unusable("it needs standard_conforming_strings = off");
    if (/client_encoding/i.test(statement) && UNSAFE_ENCODINGS.test(statement))
      throw this.#unusable(
        "its client_encoding is one in which letters may hold a backslash",
        "Make the dump with --encoding=UTF8.",
      );
    if (/^(?:CREATE|DROP|ALTER)\s+DATABASE\b/i.test(statement))
      throw this.#unusable(
        "it makes, drops or alters a database itself (pg_dump --create)",
        "Make the dump without --create and --clean.",
      );
  }

  #refuseCommand(line: string): void {
    const atStart = !/\S/.test(this.#statement) && (this.#at === 0 || this.#held[this.#at - 1] === NEWLINE);
    if (atStart && /^\\(?:un)?restrict [A-Za-z0-9]+\r?$/.test(line)) return;
    const [command = "\\"] = /^\\\S*/.exec(line) ?? [];
    throw this.#unusable(
      `it holds the command ${command.slice(0, 20)} for psql, and a dump must not run anything but SQL`,
      "Such a dump is not restored: remove the line if you trust the rest.",
    );
  }

  /** Counts the rows of a COPY up to its end; false when more of the dump is needed. */
  #readRows(out: Buffer[]): boolean {
    const held = this.#held;
    let start = 0;
    for (;;) {
      const end = held.indexOf(NEWLINE, start);
      if (end < 0) break;
      this.#line += 1;
      // psql reads the rows from the next line on, and what stands behind the statement after them.
      if (this.#copyRows < 0 && held.subarray(start, end).some((byte) => byte > 32))
        throw this.#unusable("something stands behind a COPY in its line");
      if (held[start] === BACKSLASH && isEnd(held, start, end)) {
        out.push(held.subarray(0, end + 1));
        this.#held = held.subarray(end + 1);
        const table = this.#copying ?? "";
        this.#rows.set(table, (this.#rows.get(table) ?? 0) + this.#copyRows);
        this.#copying = undefined;
        return true;
      }
      this.#copyRows += 1;
      start = end + 1;
    }
    if (start > 0) {
      out.push(held.subarray(0, start));
      this.#held = held.subarray(start);
    } else if (held.length > 3 && held.length > HELD) {
      // A long row: it is no end, because it is longer than one.
      return this.#passLongRow(out);
    }
    return false;
  }

  /** Hands on a part of a row that is not whole yet; its last bytes stay, so that it still has a beginning. */
  #passLongRow(out: Buffer[]): false {
    const held = this.#held;
    // A row that began with a backslash stays recognisable as no end: something other than a dot follows.
    out.push(held.subarray(0, held.length - 1));
    this.#held = held.subarray(held.length - 1);
    if (this.#held[0] === BACKSLASH) {
      out.pop();
      out.push(held.subarray(0, held.length - 2));
      this.#held = held.subarray(held.length - 2);
    }
    return false;
  }
}

function isEnd(held: Buffer, start: number, end: number): boolean {
  const length = held[end - 1] === 13 ? end - 1 - start : end - start;
  return length === 2 && held.compare(END_OF_COPY, 0, 2, start, start + 2) === 0;
}

function kindOf(statement: string): "kept" | "left out" | "privilege" {
  if (/^(?:GRANT|REVOKE|ALTER\s+DEFAULT\s+PRIVILEGES)\b/i.test(statement)) return "privilege";
  if (/^COMMENT\s+ON\s+EXTENSION\b/i.test(statement)) return "left out";
  if (/^ALTER\s[^;']+\sOWNER\s+TO\s+(?:"(?:[^"]|"")+"|[\w$\u0080-\u00ff]+)\s*;$/is.test(statement))
    return "left out";
  if (/^SET\s+(?:SESSION\s+AUTHORIZATION|ROLE)\b/i.test(statement)) return "left out";
  return "kept";
}

/** The schema and name of a table as COPY names it: `public."We ird"`. */
export function splitName(written: string): { schema: string; name: string } | undefined {
  const parts = [...written.matchAll(/"((?:[^"]|"")+)"|([^".]+)/g)].map(
    ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? "",
  );
  const [schema, name] = parts.length === 1 ? ["public", parts[0]] : parts;
  return schema === undefined || name === undefined || parts.length > 2 ? undefined : { schema, name };
}
