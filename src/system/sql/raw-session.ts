import { Client, type Connection } from "pg";
import { NOT_FROM_ENVIRONMENT, SqlError, startupOptions, toSqlError, type Credentials } from "./sql.ts";

/** What a statement came to. */
export interface Ran {
  /** The server's error; undefined when it was done. */
  readonly error: SqlError | undefined;
  /** The server waits for the rows of a COPY. */
  readonly copies: boolean;
  /** Rows that it answered with. */
  readonly rows: readonly (readonly (string | null)[])[];
  /** Such as `COPY 3`, one for each statement of the text. */
  readonly tags: readonly string[];
}

/** Rows of an answer that are kept: statements of a dump answer with few, and none is read. */
const ROWS_KEPT = 10;

/**
 * A session that is given SQL as bytes, in whatever encoding it says, as psql would send it: statements go by the simple
 * protocol as they are, and the server's answer decides what follows.
 * Source: PostgreSQL manual, "Message Flow", "COPY Operations".
 */
export class RawSession {
  readonly #client: Client;
  readonly #connection: Connection;
  readonly #parameters = new Map<string, string>();
  #running: Running | undefined;
  #broken: Error | undefined;
  /** Whether the session is inside of a transaction: `I` no, `T` yes, `E` in one that failed. */
  transaction = "I";

  private constructor(client: Client, connection: Connection) {
    this.#client = client;
    this.#connection = connection;
  }

  /** @throws SqlError */
  static async open(credentials: Credentials): Promise<RawSession> {
    const { host, port, user, password, database } = credentials;
    const client = new Client({
      ...NOT_FROM_ENVIRONMENT,
      host,
      port,
      user,
      password,
      database,
      application_name: credentials.applicationName ?? "odoo-pg",
      connectionTimeoutMillis: credentials.connectTimeout ?? 10_000,
      options: startupOptions({ ...credentials.settings }) || " ",
    });
    // pg keeps it there, and its types do not show it.
    const connection: unknown = Reflect.get(client, "connection");
    if (!isConnection(connection)) throw new Error("pg without a connection");
    const session = new RawSession(client, connection);
    session.#listen();
    try {
      await client.connect();
    } catch (error) {
      await client.end().catch(() => {});
      throw toSqlError(error);
    }
    return session;
  }

  #listen(): void {
    const end = (error?: Error): void => {
      this.#broken ??= error ?? new Error("Connection terminated");
      this.#running?.end(this.#broken);
    };
    this.#client.on("error", end);
    this.#client.on("end", () => end());
    this.#connection.on("parameterStatus", (message: unknown) => {
      const [name, value] = [textOf(message, "parameterName"), textOf(message, "parameterValue")];
      this.#parameters.set(name, value);
    });
    this.#connection.on("readyForQuery", (message: unknown) => {
      this.transaction = textOf(message, "status");
      this.#running?.end();
    });
  }

  /** What the server says of a setting that it reports, such as client_encoding. */
  parameter(name: string): string {
    return this.#parameters.get(name) ?? "";
  }

  /** Runs a text; an error of the server is a result. @throws SqlError when the connection is lost. */
  async run(text: Buffer | string): Promise<Ran> {
    return await this.#submit(Buffer.isBuffer(text) ? text : Buffer.from(text));
  }

  async #submit(text: Buffer): Promise<Ran> {
    if (this.#broken) throw toSqlError(this.#broken);
    return await new Promise<Ran>((resolve, reject) => {
      const running = new Running(text, resolve, (error) => reject(toSqlError(error)));
      this.#running = running;
      this.#client.query(running);
    });
  }

  /** Gives rows to a COPY that waits for them; returns when there is room for more. */
  async rows(bytes: Buffer): Promise<void> {
    // Once it failed, the server reads over what still comes.
    if (!this.#running?.copying || this.#broken) return;
    const head = Buffer.alloc(5);
    head.write("d");
    head.writeUInt32BE(bytes.length + 4, 1);
    const { stream } = this.#connection;
    stream.write(head);
    if (stream.write(bytes)) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        stream.off("drain", done);
        stream.off("close", done);
        this.#running?.whenEnded(undefined);
        resolve();
      };
      stream.once("drain", done);
      stream.once("close", done);
      // A server that failed reads on, but does not have to.
      this.#running?.whenEnded(done);
    });
  }

  /** Ends a COPY. @throws SqlError when the connection is lost. */
  async endRows(): Promise<Ran> {
    const running = this.#running;
    if (!running) throw new Error("no COPY");
    return await new Promise<Ran>((resolve, reject) => {
      running.go(resolve, (error) => reject(toSqlError(error)));
      if (running.copying && !this.#broken)
        this.#connection.stream.write(Buffer.from("c\0\0\0\u0004", "latin1"));
    });
  }

  /** Takes leave without waiting for what the server works on. */
  abort(): void {
    this.#connection.stream.destroy();
  }

  async close(): Promise<void> {
    if (this.#broken) this.abort();
    else await this.#client.end().catch(() => {});
  }
}

/** One text that the server works on. */
class Running {
  /** The server waits for rows. */
  copying = false;
  readonly #text: Buffer;
  #resolve: ((ran: Ran) => void) | undefined;
  #reject: ((error: Error) => void) | undefined;
  #error: Error | undefined;
  #lost: Error | undefined;
  #ended = false;
  readonly #tags: string[] = [];
  readonly #rows: (string | null)[][] = [];
  #onEnd: (() => void) | undefined;

  constructor(text: Buffer, resolve: (ran: Ran) => void, reject: (error: Error) => void) {
    this.#text = text;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Called by pg when the session is free. */
  submit({ stream }: Connection): void {
    const head = Buffer.alloc(5);
    head.write("Q");
    head.writeUInt32BE(this.#text.length + 5, 1);
    stream.write(head);
    stream.write(this.#text);
    stream.write(Buffer.alloc(1));
  }

  /** Waits for the end, after rows were given. */
  go(resolve: (ran: Ran) => void, reject: (error: Error) => void): void {
    this.#resolve = resolve;
    this.#reject = reject;
    if (this.#ended) this.#settle();
  }

  whenEnded(done: (() => void) | undefined): void {
    this.#onEnd = done;
    if (this.#ended) done?.();
  }

  /** The server is done with it, or gone. */
  end(lost?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.copying = false;
    this.#lost = lost;
    this.#onEnd?.();
    this.#settle();
  }

  #settle(): void {
    const [resolve, reject] = [this.#resolve, this.#reject];
    this.#resolve = undefined;
    this.#reject = undefined;
    // What the server said before it went tells more.
    if (this.#lost) return reject?.(this.#error ?? this.#lost);
    const error = this.#error && toSqlError(this.#error);
    resolve?.({ error, copies: this.copying, rows: this.#rows, tags: this.#tags });
  }

  handleCopyInResponse(): void {
    this.copying = true;
    this.#settle();
  }

  handleError(error: Error): void {
    this.#error ??= error;
    this.copying = false;
  }

  handleDataRow(message: unknown): void {
    const fields: unknown = Reflect.get(Object(message), "fields");
    if (this.#rows.length >= ROWS_KEPT || !Array.isArray(fields)) return;
    this.#rows.push(fields.map((field: unknown) => (typeof field === "string" ? field : null)));
  }

  handleCommandComplete(message: unknown): void {
    this.#tags.push(textOf(message, "text"));
  }

  // The end is told by the connection: pg forgets a text that failed.
  handleReadyForQuery(): void {}
  handleRowDescription(): void {}
  handleEmptyQuery(): void {}
  handleCopyData(): void {}
  handlePortalSuspended(): void {}
}

function isConnection(thing: unknown): thing is Connection {
  return typeof thing === "object" && thing !== null && "stream" in thing && "on" in thing;
}

function textOf(message: unknown, name: string): string {
  const value: unknown = Reflect.get(Object(message), name);
  return typeof value === "string" ? value : "";
}
