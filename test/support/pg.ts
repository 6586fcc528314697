import { Socket } from "node:net";
import { Client, type QueryResultRow } from "pg";
import { atEnd } from "./scope.ts";
import { holdsWithin } from "./wait.ts";

/** Milliseconds that a server may take to say goodbye; one that is stopped never does. */
const farewell = 1_000;

export interface Target {
  readonly port: number;
  readonly user: string;
  /** Default "postgres". */
  readonly database?: string;
  readonly password?: string;
  /** Default 127.0.0.1; a folder for a Unix socket. */
  readonly host?: string;
  /** Milliseconds; default 10 000. */
  readonly connectTimeout?: number;
}

/** A session with a server; closed by itself at the end of the present test (or, in beforeAll, the test file). */
export interface Session {
  /** Runs one statement and returns its rows. */
  rows<Row extends QueryResultRow = QueryResultRow>(
    statement: string,
    values?: readonly unknown[],
  ): Promise<readonly Row[]>;
  /** Runs a statement and returns the first column of its first row. */
  value(statement: string, values?: readonly unknown[]): Promise<unknown>;
  /** Whether the session has ended: cut by the server or by something between, or closed. */
  readonly isCut: () => boolean;
  close(): Promise<void>;
}

/** @throws Error of the driver when no connection can be made */
export async function connect(target: Target): Promise<Session> {
  const socket = new Socket();
  const client = new Client({
    stream: () => socket,
    host: target.host ?? "127.0.0.1",
    port: target.port,
    user: target.user,
    database: target.database ?? "postgres",
    password: target.password ?? "",
    connectionTimeoutMillis: target.connectTimeout ?? 10_000,
  });
  let cut = false;
  // A session that is cut while it idles is an event without a query to report it.
  client.on("error", () => {
    cut = true;
  });
  client.on("end", () => {
    cut = true;
  });
  await client.connect();
  const close = async (): Promise<void> => {
    if (cut) return;
    void client.end().catch(() => {});
    if (!(await holdsWithin(farewell, () => cut))) socket.destroy();
  };
  atEnd(close);
  return {
    async rows<Row extends QueryResultRow>(statement: string, values: readonly unknown[] = []) {
      return (await client.query<Row>(statement, [...values])).rows;
    },
    async value(statement, values = []) {
      const { rows } = await client.query<unknown[]>({
        text: statement,
        values: [...values],
        rowMode: "array",
      });
      return rows[0]?.[0];
    },
    isCut: () => cut,
    close,
  };
}
