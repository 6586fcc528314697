import { OdooPgError } from "../../errors.ts";
import type { RawSession, Ran } from "../../system/sql/raw-session.ts";
import { explainSql, quoteSqlIdentifier as id, quoteSqlLiteral, SqlError } from "../../system/sql/sql.ts";
import { SEARCH_ALL, SEARCH_AS_BEFORE } from "../../backup/search-path.ts";
import type { Filling } from "./filling.ts";
import { loadSettings } from "../target/new-database.ts";
import { withoutPlace } from "../reading/placement.ts";
import { asideSql, type AsidePart, type SetAside } from "../target/set-aside.ts";
import { isPlainCopy, SqlReader, type Statement } from "../reading/sql-reader.ts";
import { handlingOf, inOneLine, saysHowToRead, setsEncoding, type Handling } from "../reading/statement.ts";

export interface SqlOrder {
  /** Name of the file, for messages. */
  readonly name: string;
  /** The database to load, where the file holds several. */
  readonly part: string | undefined;
  /** Whether the text was converted to UTF-8 on the way: its own statement of its encoding is then wrong. */
  readonly converted: () => boolean;
  /** Whether extensions that only a superuser may create are accepted from the dump. */
  readonly trusted: boolean;
  /** Whether unaccent(text) is made IMMUTABLE, as Odoo does and pg_dump does not record. */
  readonly immutableUnaccent: boolean;
  /** Whether the rights on new objects are known from elsewhere: the loader cannot act for other roles. */
  readonly rightsKnown?: boolean;
  /** These were tried before: a table that is there already was made then, but not quite as it says. */
  readonly again?: boolean;
  /** Creates objects that it may take for granted, before what failed is tried again. */
  readonly beforeRetry?: () => Promise<void>;
}

export interface SqlLoaded {
  /** Rows that were taken, by the table's name as the dump writes it. */
  readonly rows: ReadonlyMap<string, number>;
  readonly setAside: readonly SetAside[];
  /** What was left out, one line each. */
  readonly notes: readonly string[];
}

/** A statement that failed, to be tried again. */
interface Pending {
  readonly statement: Statement;
  readonly handling: Handling;
  readonly encoding: string;
  readonly escapes: boolean;
  error: SqlError;
}

/** Rows that are set aside with a table that cannot be made. */
interface RowsAside {
  readonly statement: Statement;
  readonly encoding: string;
  readonly escapes: boolean;
  /** The dump's statements, with their rows. */
  readonly parts: PartAside[];
  readonly error: SqlError;
}

/** As it came from the dump, in pieces. */
interface PartAside {
  readonly is: AsidePart["is"];
  readonly pieces: Buffer[];
}

/** The only letter of all client encodings that PostgreSQL makes a character of ASCII that means something to psql. */
const BACKSLASH = Buffer.from([0x81, 0x5f]);

/** Bytes of rows that are set aside: a person can still read a file of that size. */
const ASIDE_BYTES = 64 * 1024 * 1024;

/** Bytes and number of statements that are kept to be tried again. */
const PENDING_BYTES = 64 * 1024 * 1024;
const PENDING = 20_000;
/** Statements about privileges that are kept. */
const LATER = 100_000;
/** INSERTs that are sent to the server as one text. */
const TOGETHER = 100;
const TOGETHER_BYTES = 256 * 1024;
/** How often failed statements are tried again: an object may wait for another that waits too. */
const ROUNDS = 10;

/**
 * Classes of SQLSTATE that say nothing about the dump: connection, resources, operator, system, defect. Source:
 * PostgreSQL manual, "PostgreSQL Error Codes".
 */
const NOT_OF_THE_DUMP = /^(?:08|53|57|58|XX|timeout)/;
const DUPLICATE_TABLE = "42P07";
const UNDEFINED_TABLE = "42P01";
/** Also of an access method that is not there. */
const UNDEFINED_OBJECT = "42704";
/** Errors of a DROP in an empty database. */
const NOT_THERE = /^(?:42P01|42704|42883|3F000|42703)$/;

/**
 * Loads the SQL of a dump as the loader, statement by statement. All rows must arrive. An object that cannot be created
 * is tried again when everything else is there, then with a search_path, and is set aside at the end.
 */
export class SqlLoader {
  readonly #filling: Filling;
  readonly #order: SqlOrder;
  readonly #session: RawSession;
  readonly #reader: SqlReader;
  #part: string | undefined;
  #pending: Pending[] = [];
  #pendingBytes = 0;
  /** By table, and by how its bytes are to be read. */
  readonly #rowsAside = new Map<string, RowsAside>();
  #asideBytes = 0;
  /** Statements that switch row security on: after them no foreign key can be checked, including one that is tried again. */
  readonly #security: { statement: Statement; handling: Handling }[] = [];
  readonly #later: Buffer[] = [];
  #together: { statement: Statement; table: string | undefined }[] = [];
  #togetherBytes = 0;
  readonly #rows = new Map<string, number>();
  readonly #notes = new Set<string>();
  /** Whether rows are read with the search_path of SEARCH_ALL; undefined when the dump's own has to be asked for. */
  #searches: "as the dump" | "all" | undefined;
  #dumpSearchesNone = false;
  #described = false;
  /** The COPY whose rows are read; undefined when they are read over. */
  #copying: { statement: Statement; table: string } | undefined;
  /** The COPY whose rows are set aside. */
  #copyingAside: RowsAside | undefined;

  private constructor(filling: Filling, order: SqlOrder, session: RawSession) {
    this.#filling = filling;
    this.#order = order;
    this.#session = session;
    this.#reader = new SqlReader(order.name);
  }

  /** @throws OdooPgError dump_unusable, command_failed, disk_full. */
  static async load(filling: Filling, order: SqlOrder, sql: AsyncIterable<Buffer>): Promise<SqlLoaded> {
    const { source, target } = filling;
    const settings = loadSettings(source.processors);
    const session = await target.loading.rawSession({ applicationName: "odoo-pg restore", settings });
    const abort = (): void => session.abort();
    source.signal?.addEventListener("abort", abort, { once: true });
    try {
      return await new SqlLoader(filling, order, session).#load(sql);
    } catch (error) {
      source.signal?.throwIfAborted();
      throw error instanceof SqlError ? explainSql(error, `Loading ${order.name}`) : error;
    } finally {
      source.signal?.removeEventListener("abort", abort);
      await session.close();
    }
  }

  async #load(sql: AsyncIterable<Buffer>): Promise<SqlLoaded> {
    for await (const piece of this.#reader.read(sql)) {
      this.#filling.source.signal?.throwIfAborted();
      if (piece.kind === "connect") {
        await this.#flush();
        this.#part = piece.database;
      } else if (piece.kind === "statement") await this.#take(piece.statement);
      else if (piece.kind === "rows") await this.#takeRows(piece.bytes);
      else await this.#endRows();
      this.#reader.escapes = this.#session.parameter("standard_conforming_strings") === "off";
      this.#reader.encoding = this.#session.parameter("client_encoding");
    }
    await this.#flush();
    await this.#searchAsDump();
    await this.#retry();
    for (const { statement, handling } of this.#security) await this.#mayRun(statement, handling);
    await this.#runLater();
    return await this.#result();
  }

  async #take(written: Statement): Promise<void> {
    if (written.entry !== undefined) this.#described = true;
    const statement = this.#unplaced(written);
    const handling = handlingOf(statement);
    const { part } = this.#order;
    if (part !== undefined && part !== this.#part) {
      // How the bytes that follow are to be read has to be known all the same.
      if (handling.how === "setting" && saysHowToRead(statement)) await this.#set(statement);
      return;
    }
    if (handling.how === "rows" && statement.copies === undefined && /^INSERT\b/i.test(statement.words)) {
      this.#together.push({ statement, table: handling.table });
      this.#togetherBytes += statement.text.length;
      if (this.#together.length >= TOGETHER || this.#togetherBytes >= TOGETHER_BYTES) await this.#flush();
      return;
    }
    await this.#flush();
    if (statement.copies !== undefined) return await this.#beginRows(statement, statement.copies);
    await this.#searchAsDump();
    switch (handling.how) {
      case "left out":
        if (handling.told) this.#notes.add(`left out: ${inOneLine(statement.words)}`);
        return;
      case "refused":
        throw this.#reader.unusable(handling.problem, handling.next, statement.line);
      case "setting":
        return await this.#set(statement);
      case "privilege":
        if (this.#order.rightsKnown === true && /^ALTER\b/i.test(statement.words)) return;
        return this.#keepForLater(statement.text);
      case "database setting": {
        const words = Buffer.from(handling.words, "latin1");
        const target = id(this.#filling.target.name);
        return this.#keepForLater(Buffer.concat([Buffer.from(`ALTER DATABASE ${target} `), words]));
      }
      case "rows":
      case "other":
        await this.#mustRun(statement);
        return;
      case "drop":
      case "object":
      case "extension":
        if (statement.entry?.type === "ROW SECURITY") {
          if (this.#security.length >= PENDING)
            throw this.#reader.unusable("it switches row security on too often");
          this.#security.push({ statement, handling });
          return;
        }
        return await this.#mayRun(statement, handling);
    }
  }

  #unplaced(written: Statement): Statement {
    const unplaced = withoutPlace(written, "tablespace");
    if (!unplaced) return written;
    for (const clause of unplaced.left) this.#notes.add(`left out: ${inOneLine(clause)}`);
    return unplaced.statement;
  }

  async #set(statement: Statement): Promise<void> {
    if (setsEncoding(statement) && this.#order.converted()) return;
    const { error } = await this.#session.run(statement.text);
    if (/search_path|^RESET/i.test(statement.words)) this.#searches = undefined;
    if (!error) return;
    this.#assertOfDump(statement, error);
    this.#notes.add(`left out: ${inOneLine(statement.words)} (${error.message})`);
  }

  #keepForLater(text: Buffer): void {
    if (this.#later.length >= LATER) throw this.#reader.unusable("it holds too many GRANT");
    this.#later.push(text);
  }

  async #mayRun(statement: Statement, handling: Handling): Promise<void> {
    const error = await this.#try(statement, handling);
    if (!error) return;
    this.#assertOfDump(statement, error);
    if (handling.how === "drop" && NOT_THERE.test(error.code ?? "")) return;
    // pg_dump --clean: before a view is dropped, it is made one that depends on nothing.
    if (!this.#described && /^CREATE\s+OR\s+REPLACE\s+VIEW\b/i.test(statement.words)) return;
    const { encoding, escapes } = this.#reader;
    this.#pending.push({ statement, handling, encoding, escapes, error });
    this.#pendingBytes += statement.text.length;
    if (this.#pending.length > PENDING || this.#pendingBytes > PENDING_BYTES)
      throw this.#failure(statement, error);
  }

  async #try(statement: Statement, handling: Handling): Promise<SqlError | undefined> {
    if (handling.how !== "extension") {
      const { error } = await this.#session.run(statement.text);
      return error && (await this.#tryAsUsual(statement, error));
    }
    const { trusted, immutableUnaccent } = this.#order;
    return await this.#filling.target.createExtension(handling.extension, trusted, immutableUnaccent);
  }

  /** A table with an access method of another server gets the default one: its rows are what counts. */
  async #tryAsUsual(statement: Statement, error: SqlError): Promise<SqlError | undefined> {
    if (error.code === DUPLICATE_TABLE && this.#order.again === true) return undefined;
    if (error.code !== UNDEFINED_OBJECT || this.#session.transaction === "E") return error;
    const usual = withoutPlace(statement, "access method");
    if (!usual) return error;
    const again = await this.#session.run(usual.statement.text);
    if (again.error) return error;
    for (const clause of usual.left) this.#notes.add(`left out: ${inOneLine(clause)} (${error.message})`);
    return undefined;
  }

  /** Runs a statement that brings rows. What it needs may be among what failed. */
  async #mustRun(statement: Statement, table?: string): Promise<Ran | undefined> {
    const what = table ?? objectOf(statement);
    const known = this.#asideOf(what);
    if (known) {
      this.#putAside(known, "statement", statement.text);
      return undefined;
    }
    const ran = await this.#session.run(statement.text);
    if (!ran.error) return ran;
    this.#assertOfDump(statement, ran.error);
    await this.#retry();
    const again = await this.#searchingAll(async () => await this.#session.run(statement.text));
    if (!again.error) return again;
    if (!this.#lacksTable(again.error)) throw this.#failure(statement, ran.error);
    this.#putAside(this.#beginAside(what, statement, again.error), "statement", statement.text);
    return undefined;
  }

  async #flush(): Promise<void> {
    const together = this.#together;
    if (!together.length) return;
    this.#together = [];
    this.#togetherBytes = 0;
    await this.#searchAsDump();
    const ran = await this.#session.run(Buffer.concat(together.map(({ statement }) => statement.text)));
    if (!ran.error) {
      for (const [at, { table }] of together.entries()) this.#count(table, ran.tags[at]);
      return;
    }
    // The server accepted none of them.
    const [first] = together;
    if (first) this.#assertOfDump(first.statement, ran.error);
    for (const { statement, table } of together)
      this.#count(table, (await this.#mustRun(statement, table))?.tags[0]);
  }

  #count(table: string | undefined, tag = ""): void {
    const rows = Number(/ (\d+)$/.exec(tag)?.[1] ?? Number.NaN);
    if (table === undefined || Number.isNaN(rows)) return;
    this.#rows.set(table, (this.#rows.get(table) ?? 0) + rows);
  }

  async #beginRows(statement: Statement, table: string): Promise<void> {
    const known = this.#asideOf(table);
    if (known) return this.#copyAside(known, statement);
    await this.#searchForRows();
    let { copies, error } = await this.#session.run(statement.text);
    if (error) {
      this.#assertOfDump(statement, error);
      await this.#searchAsDump();
      await this.#retry();
      await this.#searchForRows();
      ({ copies, error } = await this.#session.run(statement.text));
    }
    if (error && this.#lacksTable(error))
      return this.#copyAside(this.#beginAside(table, statement, error), statement);
    if (error) throw this.#failure(statement, error);
    if (!copies)
      throw this.#reader.unusable("the server takes no rows for a COPY", undefined, statement.line);
    this.#copying = { statement, table };
  }

  /** Whether the rows' table could not be created, and the restore may continue without it. */
  #lacksTable({ code }: SqlError): boolean {
    return this.#filling.rowsMayLack === true && code === UNDEFINED_TABLE && this.#pending.length > 0;
  }

  #asideOf(table: string): RowsAside | undefined {
    return this.#rowsAside.get(this.#asideKey(table));
  }

  #asideKey(table: string): string {
    return JSON.stringify([table, this.#reader.encoding, this.#reader.escapes]);
  }

  #beginAside(table: string, statement: Statement, error: SqlError): RowsAside {
    const { encoding, escapes } = this.#reader;
    const aside = { statement, encoding, escapes, parts: [], error };
    this.#rowsAside.set(this.#asideKey(table), aside);
    return aside;
  }

  #putAside({ statement, error, parts }: RowsAside, is: AsidePart["is"], bytes: Buffer): void {
    this.#asideBytes += bytes.length;
    if (this.#asideBytes > ASIDE_BYTES) throw this.#failure(statement, error);
    const last = parts.at(-1);
    // A letter may lie in two pieces of the rows.
    if (is === "rows" && last?.is === "rows") last.pieces.push(Buffer.from(bytes));
    else parts.push({ is, pieces: [Buffer.from(bytes)] });
  }

  #copyAside(aside: RowsAside, statement: Statement): void {
    // Where anything kept its COPY from taking rows, psql would read them as commands.
    if (!isPlainCopy(statement)) throw this.#failure(statement, aside.error);
    this.#copyingAside = aside;
    this.#putAside(aside, "copy", Buffer.from(statement.words, "latin1"));
    this.#putAside(aside, "rows", Buffer.alloc(0));
  }

  async #takeRows(bytes: Buffer): Promise<void> {
    const aside = this.#copyingAside;
    if (!aside) return await this.#session.rows(bytes);
    this.#putAside(aside, "rows", bytes);
  }

  async #endRows(): Promise<void> {
    this.#copyingAside = undefined;
    const copying = this.#copying;
    if (!copying) return;
    this.#copying = undefined;
    const { error, tags } = await this.#session.endRows();
    if (error) {
      this.#assertOfDump(copying.statement, error);
      throw this.#failure(copying.statement, error);
    }
    this.#count(copying.table, tags[0]);
  }

  /** Functions of CHECKs and generated columns find what they name, as they did in the sessions of Odoo. */
  async #searchForRows(): Promise<void> {
    if (this.#searches === "all") return;
    if (this.#searches === undefined) {
      const { rows } = await this.#session.run("SELECT pg_catalog.current_setting('search_path')");
      this.#dumpSearchesNone = ["", '""'].includes(rows[0]?.[0] ?? "");
      this.#searches = "as the dump";
    }
    if (!this.#dumpSearchesNone) return;
    await this.#session.run(SEARCH_ALL);
    this.#searches = "all";
  }

  async #searchAsDump(): Promise<void> {
    if (this.#searches !== "all") return;
    await this.#session.run(SEARCH_AS_BEFORE);
    this.#searches = "as the dump";
  }

  async #searchingAll<T>(act: () => Promise<T>): Promise<T> {
    await this.#session.run(SEARCH_ALL);
    try {
      return await act();
    } finally {
      await this.#session.run(SEARCH_AS_BEFORE);
    }
  }

  /** Tries failed statements again, in their order, as long as that helps. */
  async #retry(): Promise<void> {
    if (this.#pending.length) await this.#order.beforeRetry?.();
    for (let round = 0; round < ROUNDS && this.#pending.length; round++) {
      const left: Pending[] = [];
      for (const pending of this.#pending) {
        const { statement, handling } = pending;
        const error =
          (await this.#try(statement, handling)) &&
          (await this.#searchingAll(async () => await this.#try(statement, handling)));
        if (!error) continue;
        this.#assertOfDump(statement, error);
        left.push(pending);
      }
      const helped = left.length < this.#pending.length;
      this.#pending = left;
      if (!helped) return;
    }
  }

  async #runLater(): Promise<void> {
    for (const text of this.#later) {
      const { error } = await this.#session.run(text);
      if (!error) continue;
      if (NOT_OF_THE_DUMP.test(error.code ?? "08")) throw error;
      const words = inOneLine(text.toString("utf8").replaceAll(/^--.*$/gm, ""), 500);
      const kind = words.startsWith("ALTER DATABASE") ? "not set" : "not granted";
      this.#notes.add(`${kind}: ${words} (${error.message})`);
    }
  }

  async #result(): Promise<SqlLoaded> {
    await this.#session.run("SET client_encoding = 'UTF8'");
    const rows = new Map<string, number>();
    for (const [table, count] of this.#rows)
      rows.set(await this.#decode(Buffer.from(table, "latin1"), this.#reader.encoding), count);
    const setAside: SetAside[] = [];
    const objects = this.#pending.map((one) => ({
      ...one,
      parts: [{ is: "statement" as const, pieces: [one.statement.text] }],
      rows: false,
    }));
    const ofTables = [...this.#rowsAside.values()].map((one) => ({ ...one, rows: true }));
    const inOrder = [...objects, ...ofTables].sort((a, b) => a.statement.line - b.statement.line);
    for (const { statement, encoding, escapes, parts, error, rows: areRows } of inOrder) {
      const decoded: AsidePart[] = [];
      for (const { is, pieces } of parts)
        decoded.push({ is, text: await this.#decode(Buffer.concat(pieces), encoding) });
      setAside.push({
        entry: statement.entry,
        object: objectOf(statement),
        rows: areRows,
        sql: asideSql(decoded, escapes),
        reason: error.message,
      });
    }
    const { madeFrom = 0 } = this.#reader;
    const { major } = this.#filling.source.installation;
    const newer = `it was made from PostgreSQL ${madeFrom}, and this server is PostgreSQL ${major}: what this one does not know is left out or set aside, and listed`;
    return { rows, setAside, notes: [...(madeFrom > major ? [newer] : []), ...this.#notes] };
  }

  /** Bytes of the dump as text. */
  async #decode(bytes: Buffer, encoding: string): Promise<string> {
    if (encoding === "UTF8" || bytes.every((byte) => byte < 0x80)) return bytes.toString("utf8");
    if (encoding === "SHIFT_JIS_2004" && bytes.includes(BACKSLASH))
      throw this.#reader.unusable("it holds a letter that becomes a backslash in UTF-8");
    const asked = `SELECT pg_catalog.convert_from('\\x${bytes.toString("hex")}'::pg_catalog.bytea, ${quoteSqlLiteral(encoding)})`;
    const { rows, error } = await this.#session.run(asked);
    return error ? bytes.toString("latin1") : (rows[0]?.[0] ?? "");
  }

  /** @throws an error that was not caused by the dump, or after which loading cannot continue */
  #assertOfDump(statement: Statement, error: SqlError): void {
    if (NOT_OF_THE_DUMP.test(error.code ?? "08")) throw this.#failure(statement, error);
    // Inside a transaction of the dump itself nothing can be tried again.
    if (this.#session.transaction === "E") throw this.#failure(statement, error);
  }

  /** Why the restore cannot continue: mostly because of what failed first. */
  #failure(statement: Statement, error: SqlError): OdooPgError {
    const failure = explainSql(error, `${this.#order.name}, line ${statement.line}: ${objectOf(statement)}`);
    const [first] = this.#pending;
    if (!first || first.statement === statement || failure.code === "disk_full") return failure;
    return new OdooPgError(failure.code, {
      message: `${failure.message}, after ${objectOf(first.statement)}: ${first.error.message}.`,
      ...(first.handling.how === "extension"
        ? { next: "Install the extension, or load the dump by hand as a superuser if you trust it." }
        : {}),
      cause: error,
    });
  }
}

/** The object that a statement creates, in one line; rows are never shown. */
function objectOf({ entry, words, copies }: Statement): string {
  if (copies !== undefined) return `rows of ${inOneLine(copies)}`;
  if (/^INSERT\b/i.test(words))
    return inOneLine(/^[^(]*?(?=\s*(?:\(|VALUES|$))/i.exec(words.slice(0, 1000))?.[0] ?? "INSERT");
  if (entry === undefined) return inOneLine(words);
  const { type, schema, name } = entry;
  return inOneLine(`${type.toLowerCase()} ${schema === undefined ? "" : `${schema}.`}${name}`, 200);
}
