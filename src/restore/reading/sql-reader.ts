import { OdooPgError } from "../../errors.ts";
import { ByteQueue } from "./byte-queue.ts";
import { FunctionBody } from "./function-body.ts";

/** What pg_dump says about an object in the comment before it: `-- Name: …; Type: …; Schema: …; Owner: …`. */
export interface DumpEntry {
  /** Such as `VIEW` or `FK CONSTRAINT`. */
  readonly type: string;
  /** Undefined for objects without a schema. */
  readonly schema: string | undefined;
  /** As pg_dump names it: `f(integer)`, or `table constraint`. */
  readonly name: string;
}

export interface Statement {
  /** As the dump has it, with the comments before it, without what is psql's own. */
  readonly text: Buffer;
  /** Without comments, its beginning, byte by byte (latin1). */
  readonly words: string;
  readonly line: number;
  readonly entry: DumpEntry | undefined;
  /** The number that pg_restore gives it, where it says so (--verbose). */
  readonly entryId: number | undefined;
  /** The table of a COPY whose rows follow, as it is written. */
  readonly copies: string | undefined;
}

export type SqlPiece =
  | { readonly kind: "statement"; readonly statement: Statement }
  | { readonly kind: "rows"; readonly bytes: Buffer }
  | { readonly kind: "rows end"; readonly rows: number }
  /** psql connects to another database. */
  | { readonly kind: "connect"; readonly database: string };

/** Maximum bytes of a statement: PostgreSQL's own limit (memutils.h, MaxAllocSize). */
const LONGEST = 1024 ** 3 - 1024;
/** Bytes of a statement's beginning that tell what it is. */
const WORDS = 256 * 1024;
/** Bytes of a line of psql, or of a comment that tells something. */
const LINE = 64 * 1024;
/** Bytes of rows that are passed on at once. */
const ROWS = 256 * 1024;

/** What the server takes for a blank; others are part of a name. */
const BLANK = String.raw`[\t-\r ]`;
/** A name, quoted or not, and one with or without its schema. */
const PART = String.raw`(?:"(?:[^"]|"")+"|[\w$\u0080-\u00ff]+)`;
const NAME = String.raw`${PART}(?:\.${PART})?`;
/** Nothing but names comes before its STDIN: then the server takes rows for it, or answers with an error. */
const COPY = String.raw`COPY${BLANK}+(${NAME})${BLANK}*(?:\(${BLANK}*${PART}(?:${BLANK}*,${BLANK}*${PART})*${BLANK}*\)${BLANK}*)?FROM${BLANK}+stdin`;
const COPIED = new RegExp(String.raw`^${COPY}(?![\w$\u0080-\u00ff])`, "i");
const ONLY_COPIED = new RegExp(String.raw`^${COPY}${BLANK}*;$`, "i");

const NEWLINE = 10;
const RETURN = 13;
const QUOTE = 39;
const DOUBLE_QUOTE = 34;
const BACKSLASH = 92;
const DOLLAR = 36;
const OPEN = 40;
const CLOSE = 41;
const STAR = 42;
const DASH = 45;
const SLASH = 47;
const SEMICOLON = 59;
/** Bytes of a dollar quote's tag: a name has 63. */
const LONGEST_TAG = 70;

type Inside = "plain" | "line comment" | "block comment" | "string" | "escape string" | "name" | "dollar";

/**
 * Bytes of a letter in the encodings in which its second byte may be a quote or a backslash; in all others every byte of
 * a letter of several has its high bit set. Source: PostgreSQL, src/common/wchar.c.
 */
const LETTERS: Readonly<Record<string, (first: number, second: number) => number>> = {
  SJIS: (first) => (first >= 0xa1 && first <= 0xdf ? 1 : 2),
  SHIFT_JIS_2004: (first) => (first >= 0xa1 && first <= 0xdf ? 1 : 2),
  BIG5: () => 2,
  GBK: () => 2,
  UHC: () => 2,
  JOHAB: (first) => (first === 0x8f ? 3 : 2),
  GB18030: (_, second) => (second >= 0x30 && second <= 0x39 ? 4 : 2),
};

/**
 * Reads the SQL of pg_dump as psql does (psqlscan.l), piece by piece, holding no more than one statement. The caller
 * that runs the pieces reports how the server interprets them: `escapes` and `encoding` change the meaning of the next
 * bytes.
 *
 * Of psql's own commands, `\connect` becomes a piece, the others that pg_dump writes are left out, and all the rest are
 * refused: nothing but SQL ever leaves this reader.
 */
export class SqlReader {
  /** standard_conforming_strings is off: a backslash escapes in every string. */
  escapes = false;
  /** client_encoding, in PostgreSQL's own spelling. */
  encoding = "UTF8";
  /** Major version of the dumped server, where the dump says so. */
  madeFrom: number | undefined;
  readonly #file: string;
  readonly #held = new ByteQueue(LONGEST);
  /** Position in the buffer up to which it was read. */
  #at = 0;
  #inside: Inside = "plain";
  #depth = 0;
  #tag = "";
  #parentheses = 0;
  /** A string with escapes ended, and only blanks followed: after a newline another quote continues it. */
  #ended: { newline: boolean } | undefined;
  readonly #words = Buffer.alloc(WORDS);
  #wordsLength = 0;
  #body = new FunctionBody();
  #entry: DumpEntry | undefined;
  #entryId: number | undefined;
  #copying: string | undefined;
  #copyRows = 0;
  #copyBegun = false;
  /** The row's beginning was passed on already. */
  #midRow = false;
  #line = 1;
  #begunDumps = 0;
  #wholeDumps = 0;

  /** @param file its name, for messages */
  constructor(file: string) {
    this.#file = file;
  }

  /**
   * The pieces of a dump. @throws OdooPgError dump_unusable when it is truncated, or contains what a dump must not
   * contain.
   */
  async *read(chunks: AsyncIterable<Buffer> | Iterable<Buffer>): AsyncGenerator<SqlPiece> {
    for await (const chunk of chunks) {
      this.#hold(chunk);
      for (let piece = this.#next(); piece !== undefined; piece = this.#next()) yield piece;
    }
    // The last line may lack a newline.
    this.#hold(Buffer.from("\n"));
    for (let piece = this.#next(); piece !== undefined; piece = this.#next()) yield piece;
    this.#end();
  }

  /** An error about this file, at this line. */
  unusable(
    problem: string,
    next = "Copy the file again, or create it again.",
    line = this.#line,
  ): OdooPgError {
    return new OdooPgError("dump_unusable", {
      message: `${this.#file} cannot be restored: ${problem} (line ${line}).`,
      safe: "Nothing that existed was changed.",
      next,
    });
  }

  #hold(chunk: Buffer): void {
    if (!this.#held.push(chunk)) throw this.unusable("one of its statements is longer than PostgreSQL takes");
  }

  #next(): SqlPiece | undefined {
    if (this.#copying !== undefined) return this.#readRows();
    for (;;) {
      const step = this.#readStatement();
      if (step === "more") return undefined;
      if (step !== "again") return step;
    }
  }

  #end(): void {
    const cut = (where: string): OdooPgError => this.unusable(`it is cut off ${where}`);
    if (this.#copying !== undefined) throw cut(`in the rows of ${this.#copying}`);
    if (!["plain", "line comment"].includes(this.#inside)) throw cut(`inside a ${this.#inside}`);
    if (this.#wordsLength > 0) throw cut("inside a statement");
    if (this.#begunDumps > this.#wholeDumps) throw cut('before "PostgreSQL database dump complete"');
  }

  /** Reads to the end of a statement, or of a line for psql. */
  #readStatement(): SqlPiece | "more" | "again" {
    const held = this.#held.bytes;
    const letters = LETTERS[this.encoding];
    while (this.#at < held.length) {
      const byte = held[this.#at] ?? 0;
      if (byte >= 0x80 && letters) {
        if (!this.#passLetter(held, letters)) return "more";
        continue;
      }
      const step = this.#inside === "plain" ? this.#readPlain(held, byte) : this.#readInside(held, byte);
      if (step !== "on") return step;
    }
    return "more";
  }

  /** False when more is needed. */
  #passLetter(held: Buffer, letters: (first: number, second: number) => number): boolean {
    if (this.#at + 1 >= held.length) return false;
    const end = this.#at + letters(held[this.#at] ?? 0, held[this.#at + 1] ?? 0);
    if (end > held.length) return false;
    this.#ended = undefined;
    if (["plain", "string", "escape string", "name"].includes(this.#inside)) this.#noteUpTo(held, end);
    else this.#at = end;
    return true;
  }

  #noteUpTo(held: Buffer, end: number): void {
    for (; this.#at < end; this.#at++) this.#note(held[this.#at] ?? 0);
  }

  /** One step inside a comment or a string. */
  #readInside(held: Buffer, byte: number): "on" | "more" {
    switch (this.#inside) {
      case "line comment":
        if (byte === NEWLINE || byte === RETURN) {
          this.#inside = "plain";
          if (this.#ended) this.#ended.newline = true;
          this.#note(32);
        }
        break;
      case "string":
        this.#note(byte);
        // A doubled quote ends one string and begins the next: the result is the same.
        if (byte === QUOTE) this.#inside = "plain";
        break;
      case "name":
        this.#note(byte);
        if (byte === DOUBLE_QUOTE) this.#inside = "plain";
        break;
      case "escape string":
        return this.#readEscapeString(held, byte);
      case "dollar":
        if (byte === DOLLAR) {
          const end = this.#at + this.#tag.length;
          if (end > held.length) return "more";
          if (held.toString("latin1", this.#at, end) === this.#tag) {
            this.#at = end;
            this.#inside = "plain";
            return "on";
          }
        }
        break;
      case "block comment":
        return this.#readBlockComment(held, byte);
      case "plain":
        break;
    }
    if (byte === NEWLINE) this.#line += 1;
    this.#at += 1;
    return "on";
  }

  #readEscapeString(held: Buffer, byte: number): "on" | "more" {
    const next = held[this.#at + 1];
    if ((byte === BACKSLASH || byte === QUOTE) && next === undefined) return "more";
    const pair = byte === BACKSLASH || (byte === QUOTE && next === QUOTE);
    if (byte === NEWLINE || (pair && next === NEWLINE)) this.#line += 1;
    this.#noteUpTo(held, this.#at + (pair ? 2 : 1));
    if (byte !== QUOTE || pair) return "on";
    this.#inside = "plain";
    this.#ended = { newline: false };
    return "on";
  }

  #readBlockComment(held: Buffer, byte: number): "on" | "more" {
    const next = held[this.#at + 1];
    if ((byte === STAR || byte === SLASH) && next === undefined) return "more";
    if (byte === NEWLINE) this.#line += 1;
    this.#at += 1;
    if (byte === STAR && next === SLASH) {
      this.#depth -= 1;
      this.#at += 1;
      if (this.#depth === 0) {
        this.#inside = "plain";
        this.#note(32);
      }
    } else if (byte === SLASH && next === STAR) {
      this.#depth += 1;
      this.#at += 1;
    }
    return "on";
  }

  /** One token outside comments and strings. */
  #readPlain(held: Buffer, byte: number): "on" | "more" | "again" | SqlPiece {
    if (isBlank(byte)) {
      if (byte === NEWLINE) this.#line += 1;
      if ((byte === NEWLINE || byte === RETURN) && this.#ended) this.#ended.newline = true;
      this.#note(byte);
      this.#at += 1;
      return "on";
    }
    if (byte === DASH || byte === SLASH) return this.#beginComment(held, byte);
    const goesOn = this.#ended?.newline === true;
    this.#ended = undefined;
    if (byte === QUOTE) return this.#begin(held, goesOn || this.escapes ? "escape string" : "string", 1);
    if (byte === DOUBLE_QUOTE) return this.#begin(held, "name", 1);
    if (byte === BACKSLASH) return this.#readCommand(held);
    if (byte === DOLLAR) return this.#beginDollar(held);
    if (isNameStart(byte)) return this.#readWord(held);
    this.#note(byte);
    this.#at += 1;
    if (byte === OPEN) this.#parentheses += 1;
    else if (byte === CLOSE) this.#parentheses = Math.max(0, this.#parentheses - 1);
    else if (byte === SEMICOLON && this.#parentheses === 0 && !this.#body.inside) return this.#endStatement();
    return "on";
  }

  #begin(held: Buffer, inside: "string" | "escape string" | "name", length: number): "on" {
    this.#noteUpTo(held, this.#at + length);
    this.#inside = inside;
    return "on";
  }

  /** A word, or the letter before a string that says of which kind it is: E'…', B'…', X'…'. */
  #readWord(held: Buffer): "on" | "more" {
    let end = this.#at + 1;
    const most = LETTERS[this.encoding] ? 0x80 : 0x100;
    while (end < held.length && isNamePart(held[end] ?? 0) && (held[end] ?? 0) < most) end += 1;
    // It may continue, and a quote may follow.
    if (end >= held.length) return "more";
    const word = end - this.#at <= 16 ? held.toString("latin1", this.#at, end) : "";
    if (held[end] === QUOTE && /^e$/i.test(word)) return this.#begin(held, "escape string", 2);
    if (held[end] === QUOTE && /^[bx]$/i.test(word)) return this.#begin(held, "string", 2);
    this.#body.add(word, this.#parentheses === 0);
    this.#noteUpTo(held, end);
    return "on";
  }

  #beginDollar(held: Buffer): "on" | "more" {
    const text = held.toString("latin1", this.#at, this.#at + LONGEST_TAG);
    const tag = /^\$(?:[A-Za-z_\u0080-\u00ff][A-Za-z0-9_\u0080-\u00ff]*)?\$/.exec(text)?.[0];
    if (tag !== undefined) {
      this.#tag = tag;
      this.#inside = "dollar";
      this.#at += tag.length;
      return "on";
    }
    if (/^\$[A-Za-z0-9_\u0080-\u00ff]*$/.test(text) && text.length < LONGEST_TAG) return "more";
    this.#note(DOLLAR);
    this.#at += 1;
    return "on";
  }

  #beginComment(held: Buffer, byte: number): "on" | "more" {
    const next = held[this.#at + 1];
    if (next === undefined) return "more";
    if (byte === DASH && next === DASH) {
      const end = held.indexOf(NEWLINE, this.#at);
      // Comments that describe the dump are short.
      if (end < 0 && held.length - this.#at < LINE) return "more";
      if (end >= 0 && end - this.#at < LINE) this.#readComment(held.toString("utf8", this.#at, end));
      this.#inside = "line comment";
      this.#at += 2;
      return "on";
    }
    this.#ended = undefined;
    if (byte === SLASH && next === STAR) {
      this.#inside = "block comment";
      this.#depth = 1;
      this.#at += 2;
      return "on";
    }
    this.#note(byte);
    this.#at += 1;
    return "on";
  }

  #readComment(line: string): void {
    const comment = line.trimEnd();
    if (comment === "-- PostgreSQL database dump") this.#begunDumps += 1;
    if (comment === "-- PostgreSQL database dump complete") this.#wholeDumps += 1;
    if (comment === "-- PostgreSQL database cluster dump") this.#begunDumps += 1;
    if (comment === "-- PostgreSQL database cluster dump complete") this.#wholeDumps += 1;
    const version = /^-- Dumped from database version (\d+)/.exec(comment)?.[1];
    if (version !== undefined) this.madeFrom = Number(version);
    const id = /^-- TOC entry (\d+) \(/.exec(comment)?.[1];
    if (id !== undefined) this.#entryId = Number(id);
    const entry = /^-- (?:Data for )?Name: (.*); Type: ([A-Z ]+); Schema: (.*); Owner: /.exec(comment);
    const [, name, type, schema] = entry ?? [];
    if (name === undefined || type === undefined) return;
    this.#entry = { name, type, schema: schema === "-" ? undefined : schema };
  }

  #note(byte: number): void {
    // A statement begins with its first word.
    if (this.#wordsLength >= WORDS || (this.#wordsLength === 0 && byte <= 32)) return;
    this.#words[this.#wordsLength] = byte;
    this.#wordsLength += 1;
  }

  #endStatement(): SqlPiece {
    const words = this.#words.toString("latin1", 0, this.#wordsLength);
    const copies = COPIED.exec(words)?.[1];
    const text = this.#held.take(this.#at);
    const statement = { text, words, line: this.#line, entry: this.#entry, entryId: this.#entryId, copies };
    this.#at = 0;
    this.#wordsLength = 0;
    this.#body = new FunctionBody();
    this.#copying = copies;
    this.#copyRows = 0;
    this.#copyBegun = false;
    return { kind: "statement", statement };
  }

  /** A line for psql. */
  #readCommand(held: Buffer): "more" | "again" | SqlPiece {
    const end = held.indexOf(NEWLINE, this.#at);
    if (end < 0 && held.length - this.#at < LINE) return "more";
    const line = held.toString("utf8", this.#at, end < 0 ? this.#at + LINE : end).trimEnd();
    const atStart = this.#wordsLength === 0 && (this.#at === 0 || held[this.#at - 1] === NEWLINE);
    const database = connectsTo(line);
    // pg_dump writes the second in front of a \connect whose name has more than letters.
    const harmless =
      database !== undefined || /^\\(?:(?:un)?restrict [A-Za-z0-9]+|encoding SQL_ASCII)$/.test(line);
    if (!atStart || end < 0 || !harmless) {
      const [command = "\\"] = /^\\\S*/.exec(line) ?? [];
      throw this.unusable(
        `it holds the command ${command.slice(0, 20)} for psql, and a dump must not run anything but SQL`,
        "Such a dump is not restored: remove the line if you trust the rest.",
      );
    }
    this.#line += 1;
    this.#held.take(end + 1);
    this.#at = 0;
    return database === undefined ? "again" : { kind: "connect", database };
  }

  /** Passes on the rows of a COPY up to its end; undefined when more of the dump is needed. */
  #readRows(): SqlPiece | undefined {
    if (!this.#copyBegun && !this.#beginRows()) return undefined;
    const held = this.#held.bytes;
    let at = 0;
    while (at < ROWS) {
      const end = held.indexOf(NEWLINE, at);
      if (end < 0) break;
      if (!this.#midRow && isEnd(held, at, end)) {
        if (at === 0) return this.#endRows(end + 1);
        break;
      }
      this.#midRow = false;
      this.#line += 1;
      this.#copyRows += 1;
      at = end + 1;
    }
    if (at === 0 && held.length > ROWS) {
      // A part of a long row; the next part is not its beginning.
      this.#midRow = true;
      at = held.length;
    }
    return at === 0 ? undefined : { kind: "rows", bytes: this.#held.take(at) };
  }

  /** psql reads the rows from the next line on, and the text after the statement after them. */
  #beginRows(): boolean {
    const held = this.#held.bytes;
    const end = held.indexOf(NEWLINE);
    if (end < 0) return false;
    if (held.subarray(0, end).some((byte) => byte > 32))
      throw this.unusable("something follows a COPY on its line");
    this.#line += 1;
    this.#held.take(end + 1);
    this.#copyBegun = true;
    return true;
  }

  #endRows(length: number): SqlPiece {
    this.#held.take(length);
    this.#line += 1;
    this.#copying = undefined;
    return { kind: "rows end", rows: this.#copyRows };
  }
}

/** Whether a statement is a COPY of rows that follow, as pg_dump writes it: without any option. */
export function isPlainCopy({ words }: Pick<Statement, "words">): boolean {
  return ONLY_COPIED.test(words);
}

/** The database that `\connect` names, as pg_dump and pg_dumpall write it (string_utils.c, appendPsqlMetaConnect). */
function connectsTo(line: string): string | undefined {
  const [, reused, quoted, plain] =
    /^\\c(?:onnect)? +(-reuse-previous=on +)?(?:"((?:[^"]|"")+)"|([^\s"'\\-][^\s"'\\]*))(?: .*)?$/.exec(
      line,
    ) ?? [];
  const name = quoted?.replaceAll('""', '"') ?? plain;
  if (reused === undefined || name === undefined) return name;
  const [, inQuotes, bare] = /^dbname=(?:'((?:[^'\\]|\\.)*)'|([^\s'\\]+))$/.exec(name) ?? [];
  return inQuotes?.replaceAll(/\\(.)/g, "$1") ?? bare;
}

function isBlank(byte: number): boolean {
  return byte === 32 || (byte >= 9 && byte <= 13);
}

function isNameStart(byte: number): boolean {
  return (byte >= 97 && byte <= 122) || (byte >= 65 && byte <= 90) || byte === 95 || byte >= 0x80;
}

function isNamePart(byte: number): boolean {
  return isNameStart(byte) || (byte >= 48 && byte <= 57) || byte === DOLLAR;
}

function isEnd(held: Buffer, start: number, end: number): boolean {
  const length = held[end - 1] === RETURN ? end - 1 - start : end - start;
  return length === 2 && held[start] === BACKSLASH && held[start + 1] === 46;
}
