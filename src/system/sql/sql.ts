import { Client, escapeIdentifier, escapeLiteral, Query, type QueryConfig } from "pg";
import { messageOf, OdooPgError } from "../../errors.ts";
import { nextStep, odooPg } from "../../next-step.ts";

/** Settings of a session, such as synchronous_commit. */
export type Settings = Readonly<Record<string, string | undefined>>;

/**
 * How to reach a server and as whom. The password is never logged nor part of an error. In src/ only
 * src/postgres/sql/access/superuser.ts and src/postgres/sql/access/role-access.ts open sessions with them.
 */
export interface Credentials {
  /** Host name, address, or the directory of a Unix socket. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Or what reads it, where the server asks for one. What it throws is what `connect` throws. */
  readonly password: string | (() => Promise<string>);
  readonly database: string;
  /** Shown in pg_stat_activity. */
  readonly applicationName?: string;
  /** Milliseconds to connect; default 2000. */
  readonly connectTimeout?: number;
  /** Milliseconds for each statement, on the client; default none. */
  readonly statementTimeout?: number;
  /** Settings that the session begins with: they go before those of the database and of the role. Undefined: as they are there. */
  readonly settings?: Settings;
  /** `prefer`: TLS where the server offers it, whatever its certificate, as libpq's sslmode=prefer. Default: none. */
  readonly encryption?: "prefer";
}

export type Row = Record<string, unknown>;

/** What a session is asked. */
interface Asking {
  readonly query: (text: string, values?: readonly unknown[]) => Promise<Row[]>;
  /** The same for what is asked again and again: the server parses and plans it once in a session, under this name. */
  readonly prepared: (name: string, text: string, values: readonly unknown[]) => Promise<Row[]>;
  /** Runs COPY … TO STDOUT in its text format; `onRow` is given each line as it comes, without its end. */
  readonly copyOut: (text: string, onRow: (row: string) => void) => Promise<void>;
  /** Runs statements that take no values, in one text and one transaction; returns how many rows each went over. */
  readonly counts: (statements: readonly string[]) => Promise<number[]>;
  readonly close: () => Promise<void>;
  /** Ends the connection without a word to a server that may not answer. */
  readonly abandon: () => void;
  /** True once the connection is known to be broken. */
  readonly broken: () => boolean;
  /** Calls `listener` when the other side ends the connection, as a server does that goes down. */
  readonly onEnd: (listener: () => void) => void;
}

/** A session of a role that may no more than its databases. */
export interface OrdinarySession extends Asking {
  readonly rights: "ordinary";
}

/** A session of the superuser: made by src/postgres/sql/access/superuser.ts alone. */
export interface SuperuserSession extends Asking {
  readonly rights: "superuser";
  /** Whether the server asked for a password, and did not let it in by who asks. */
  readonly byPassword: boolean;
  /** What the database or the role had set otherwise and was set back: names, and the server's own values. */
  readonly setBack: Readonly<Record<string, string>>;
}

/** One session on a server. With whose rights it runs is known by who made it: what a server tells can be set. */
export type Session = OrdinarySession | SuperuserSession;

/** An error that PostgreSQL answered with, or that kept it from answering. */
export class SqlError extends Error {
  /** SQLSTATE, or a system code such as ECONNREFUSED, or undefined. */
  readonly code: string | undefined;

  constructor(message: string, code: string | undefined) {
    super(message);
    this.name = "SqlError";
    this.code = code;
  }
}

export function toSqlError(error: unknown): SqlError {
  if (error instanceof SqlError) return error;
  const code = error instanceof Error && "code" in error ? String(error.code) : undefined;
  const detail =
    error instanceof Error && "detail" in error && typeof error.detail === "string"
      ? ` (${error.detail})`
      : "";
  return new SqlError(messageOf(error) + detail, code);
}

/** What node-postgres says where the server answers a request for TLS with no. */
const NO_TLS = "The server does not support SSL connections";

/** Opens a client, by TLS where that is preferred and offered. `make` gets what to say about TLS. @throws SqlError */
async function open(
  credentials: Credentials,
  make: (ssl: false | { rejectUnauthorized: false }) => Client,
): Promise<Client> {
  for (const encrypted of credentials.encryption === "prefer" ? [true, false] : [false]) {
    const client = make(encrypted ? { rejectUnauthorized: false } : false);
    try {
      await client.connect();
      return client;
    } catch (error) {
      await client.end().catch(() => {});
      if (error instanceof OdooPgError) throw error;
      if (!(encrypted && error instanceof Error && error.message === NO_TLS)) throw toSqlError(error);
    }
  }
  throw new SqlError(NO_TLS, undefined);
}

/** Settings as words of a command line: for the startup packet, and for PGOPTIONS. */
export function startupOptions(settings: Settings): string {
  return Object.entries(settings)
    .flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]))
    .map(([name, value]) => `-c ${name}=${value.replaceAll("\\", "\\\\").replaceAll(" ", "\\ ")}`)
    .join(" ");
}

/**
 * What node-postgres would take from PG* variables of our environment where it is not given: words of whoever calls
 * odoo-pg, meant for other programs.
 */
export const NOT_FROM_ENVIRONMENT = { replication: "false", sslnegotiation: "postgres" } as const;

/** Opens a session. @throws SqlError when the server does not answer, or refuses. */
export async function connect(credentials: Credentials): Promise<OrdinarySession> {
  // An empty text would not be given, and PGOPTIONS taken.
  const options = startupOptions({ ...credentials.settings }) || " ";
  let broken = false;
  const listeners: (() => void)[] = [];
  const client = await open(credentials, (ssl) => {
    broken = false;
    const made = new Client({
      ...NOT_FROM_ENVIRONMENT,
      host: credentials.host,
      port: credentials.port,
      user: credentials.user,
      password: credentials.password,
      database: credentials.database,
      application_name: credentials.applicationName ?? "odoo-pg",
      connectionTimeoutMillis: credentials.connectTimeout ?? 2000,
      ssl,
      ...(credentials.statementTimeout === undefined ? {} : { query_timeout: credentials.statementTimeout }),
      options,
    });
    // Without a listener the loss of an idle connection would end the whole process.
    made.on("error", () => {
      broken = true;
    });
    made.on("end", () => {
      broken = true;
      for (const listener of listeners) listener();
    });
    return made;
  });
  // The end of an attempt without TLS may be told late.
  broken = false;
  const asking = async (query: QueryConfig): Promise<Row[]> => {
    try {
      return (await client.query<Row>(query)).rows;
    } catch (error) {
      const sql = toSqlError(error);
      if (sql.message === "Query read timeout") {
        broken = true;
        // The statement may go on for ever (a stopped server): do not wait for a polite end.
        destroy(client);
        throw new SqlError("the server did not answer in time", "timeout");
      }
      throw sql;
    }
  };
  return {
    rights: "ordinary",
    // Statements without values go by the simple protocol: several may stand in one text.
    query: async (text, values = []) =>
      await asking(values.length ? { text, values: [...values] } : { text }),
    prepared: async (name, text, values) => await asking({ name, text, values: [...values] }),
    counts: async (statements) => {
      const results: unknown = await client.query(statements.join(";")).catch((error: unknown) => {
        throw toSqlError(error);
      });
      return (Array.isArray(results) ? results : [results]).map(({ rowCount }) => Number(rowCount));
    },
    copyOut: async (text, onRow) => await copyingOut(client, text, onRow),
    async close() {
      if (broken) destroy(client);
      else await client.end().catch(() => {});
    },
    abandon() {
      broken = true;
      destroy(client);
    },
    broken: () => broken,
    onEnd: (listener) => {
      listeners.push(listener);
    },
  };
}

/** pg's queries take no notice of what COPY sends, unless they are told to. The server sends one message for each row. */
async function copyingOut(client: Client, text: string, onRow: (row: string) => void): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const query = new Query({ text }, (error: Error | null | undefined) => {
      if (error) reject(toSqlError(error));
      else resolve();
    });
    const handleCopyData = ({ chunk }: { chunk: Buffer }): void =>
      onRow(chunk.toString("utf8", 0, chunk.length - 1));
    client.query(Object.assign(query, { handleCopyData }));
  });
}

function destroy(client: Client): void {
  // pg keeps the socket on its connection object, which its types do not show.
  const connection: unknown = Reflect.get(client, "connection");
  if (typeof connection === "object" && connection !== null) {
    const stream: unknown = Reflect.get(connection, "stream");
    if (
      typeof stream === "object" &&
      stream !== null &&
      "destroy" in stream &&
      typeof stream.destroy === "function"
    ) {
      Reflect.apply(stream.destroy, stream, []);
    }
  }
}

export const quoteSqlLiteral = (value: string): string => escapeLiteral(value);
export const quoteSqlIdentifier = (name: string): string => escapeIdentifier(name);

/** SQLSTATE of a statement that lock_timeout ended. */
const LOCK_NOT_AVAILABLE = "55P03";

/** What the reader can do about an error of SQL: the server's own words stay in front. */
export function explainSql(error: unknown, doing: string): OdooPgError {
  if (error instanceof OdooPgError) return error;
  const sql = toSqlError(error);
  if (sql.code === "53100") {
    return new OdooPgError("disk_full", {
      message: `${doing}: ${sql.message}`,
      safe: "PostgreSQL keeps what was committed.",
      next: "Make room, then run the same command again.",
    });
  }
  if (sql.code === LOCK_NOT_AVAILABLE) {
    return new OdooPgError("timed_out", {
      message: `${doing}: another session holds a lock that this needs, and did not let go of it in time.`,
      safe: "What was begun is undone.",
      next: nextStep`Look whose transaction stays open, end it, and run the same command again: ${odooPg("sessions", "list")}`,
      cause: error,
    });
  }
  return new OdooPgError("command_failed", {
    message: `${doing}: ${sql.message}${sql.code ? ` (${sql.code})` : ""}`,
    cause: error,
  });
}

/**
 * One command of the replication protocol. @throws SqlError
 * Source: PostgreSQL manual, "Streaming Replication Protocol": the startup parameter `replication`.
 */
export async function askReplication(credentials: Credentials, command: string): Promise<Row[]> {
  const { host, port, user, password } = credentials;
  const connectionTimeoutMillis = credentials.connectTimeout ?? 2000;
  const settings = {
    host,
    port,
    user,
    password,
    connectionTimeoutMillis,
    query_timeout: 5000,
    options: " ",
    ...NOT_FROM_ENVIRONMENT,
    replication: "true",
  };
  const client = await open(credentials, (ssl) => {
    const made = new Client({ ...settings, ssl });
    made.on("error", () => {});
    return made;
  });
  try {
    return (await client.query<Row>(command)).rows;
  } catch (error) {
    throw toSqlError(error);
  } finally {
    await client.end().catch(() => {});
  }
}
