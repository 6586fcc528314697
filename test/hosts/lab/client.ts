import { Client, type ClientConfig } from "pg";

/** Milliseconds that a client waits for anything, until it connects anew. */
const PATIENCE = 40_000;

/** Where a row was committed. */
export interface Placed {
  /** Address of the server's host; null where the client came by its socket. */
  readonly node: string;
  readonly timeline: number;
}

/** Inserts a number into a table, and says where that was. */
export function insertInto(table: string): string {
  return `INSERT INTO ${table} VALUES ($1) RETURNING host(inet_server_addr()) AS node,
    ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int AS timeline`;
}

/** @param config a connection limit in it stays */
export async function open(config: ClientConfig): Promise<Client> {
  const client = new Client({ connectionTimeoutMillis: PATIENCE, query_timeout: PATIENCE, ...config });
  client.on("error", () => {});
  try {
    await client.connect();
    return client;
  } catch (error) {
    close(client);
    throw error;
  }
}

/** Without waiting for a server that may be gone. */
export function close(client: Client | undefined): void {
  void client?.end().catch(() => {});
  client?.connection.stream.destroy();
}
