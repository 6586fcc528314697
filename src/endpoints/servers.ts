/** The backends of HAProxy's configuration: one for each endpoint. */
export type Backend = "read" | "write";

/**
 * A frontend must not be named like a backend from HAProxy 3.3 on.
 * Source: src/cfgparse-listen.c, "This is no longer supported as of 3.3".
 */
export function frontendOf(backend: Backend): string {
  return `${backend}_endpoint`;
}

/** The backend for the worker that has taken over at a reload. */
export function nextWorker(backend: Backend): string {
  return `${backend}_next_worker`;
}

/** Where PgBouncer, which listens on the endpoint's port, goes on to the servers of a backend. */
export function pooledFrontendOf(backend: Backend): string {
  return `${backend}_pooled`;
}

/**
 * The port in the name of the Unix socket on which PgBouncer goes on to the servers of a backend: one that no endpoint has,
 * as PgBouncer's console has a socket in the same directory by the endpoint's port.
 */
export const SERVERS_PORT: Readonly<Record<Backend, number>> = { write: 1, read: 2 };

/** Whether a frontend leads to servers of a backend, with PgBouncer before it or without. */
export function leadsTo(frontend: string, backend: Backend): boolean {
  return frontend === frontendOf(backend) || frontend === pooledFrontendOf(backend);
}

/** One server line of a backend. */
export interface ServerRef {
  readonly backend: Backend;
  readonly server: string;
}

/** What HAProxy was told: `ready` takes new sessions; `drain` keeps those it has; `maint` has none. */
export type AdminState = "ready" | "drain" | "maint";

/** What HAProxy knows of one server line. */
export interface ServerState extends ServerRef {
  readonly node: string;
  readonly admin: AdminState;
  /** Whether new sessions go there: it is ready and its health check, where it has one, passes. */
  readonly up: boolean;
  /** Sessions now, counted over all workers: those of before a reload stay with the worker that they began in. */
  readonly sessions: number;
  /** As HAProxy prints it, such as `127.0.0.1:5433`. Empty while a host name has no address. */
  readonly address: string;
}

/** Node names hold no "-", so none can be mistaken for one of the names below. */
const FALLBACK = "-fallback";

/**
 * The last server of each backend: always ready, never answers. A session that finds no other server is sent there,
 * fails, waits, and is sent to whichever server is ready by then, instead of being refused at once.
 */
export const WAITING_LINE = "waiting-line";

/** The server line of a node in the write backend. */
export function writeServer(node: string): ServerRef {
  return { backend: "write", server: node };
}

/** The server line of a node as a member of the pool. */
export function poolServer(node: string): ServerRef {
  return { backend: "read", server: node };
}

/** The server line of a node for reads while no pool member is up. */
export function fallbackServer(node: string): ServerRef {
  return { backend: "read", server: `${node}${FALLBACK}` };
}

export function isFallback(ref: ServerRef): boolean {
  return ref.backend === "read" && ref.server.endsWith(FALLBACK);
}

/** The node behind a server line. */
export function nodeOf(ref: ServerRef): string {
  return isFallback(ref) ? ref.server.slice(0, -FALLBACK.length) : ref.server;
}

export function nameOf(ref: ServerRef): string {
  return `${ref.backend}/${ref.server}`;
}

/** Where the endpoints lead: the nodes whose server lines are ready. */
export interface Membership {
  readonly write: readonly string[];
  readonly pool: readonly string[];
  readonly fallback: readonly string[];
}

export const NOBODY: Membership = { write: [], pool: [], fallback: [] };

/** The membership that HAProxy shows: servers that were set to ready and are not down. */
export function membershipOf(servers: readonly ServerState[]): Membership {
  const usable = servers.filter((server) => server.admin === "ready" && server.up);
  const nodes = (choose: (server: ServerState) => boolean): string[] =>
    usable.filter(choose).map(({ node }) => node);
  return {
    write: nodes((server) => server.backend === "write"),
    pool: nodes((server) => server.backend === "read" && !isFallback(server)),
    fallback: nodes((server) => isFallback(server)),
  };
}
