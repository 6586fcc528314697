import { Client } from "pg";
import { SqlError, toSqlError, type Row } from "./sql.ts";

/** A session with a program that speaks PostgreSQL's protocol and is no PostgreSQL, such as PgBouncer's console. */
export interface Console {
  /** Sends one command by the simple protocol. @throws SqlError */
  readonly ask: (command: string) => Promise<Row[]>;
  /** Ends it at once, also while a command waits for its answer. */
  readonly close: () => Promise<void>;
}

/**
 * Opens a session on a Unix socket that asks for no password.
 * @param place timeout: milliseconds to connect, and for one answer; 0 means that an answer may take for ever
 * @throws SqlError
 */
export async function openConsole(place: {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly timeout: number;
}): Promise<Console> {
  const { timeout, ...where } = place;
  const client = new Client({
    ...where,
    password: "",
    application_name: "odoo-pg agent",
    connectionTimeoutMillis: timeout === 0 ? 2000 : timeout,
    ...(timeout === 0 ? {} : { query_timeout: timeout }),
    ssl: false,
  });
  // What pg would take from PG* variables of our environment, and no console knows.
  Object.assign(Object(Reflect.get(client, "connectionParameters")), {
    options: undefined,
    replication: undefined,
  });
  client.on("error", () => {});
  try {
    await client.connect();
  } catch (error) {
    await client.end().catch(() => {});
    throw toSqlError(error);
  }
  return {
    ask: async (command) => {
      try {
        return (await client.query<Row>(command)).rows;
      } catch (error) {
        throw error instanceof SqlError ? error : toSqlError(error);
      }
    },
    close: async () => {
      const stream: unknown = Reflect.get(Object(Reflect.get(client, "connection")), "stream");
      const destroy: unknown = Reflect.get(Object(stream), "destroy");
      if (typeof destroy === "function") Reflect.apply(destroy, stream, []);
      await client.end().catch(() => {});
    },
  };
}
