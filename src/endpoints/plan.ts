import {
  fallbackServer,
  isFallback,
  nameOf,
  poolServer,
  writeServer,
  type AdminState,
  type ServerRef,
  type ServerState,
} from "./servers.ts";

/** Where the endpoints shall lead. */
export interface Wanted {
  /** The node of the write endpoint, and the fallback of the read endpoint. */
  readonly primary?: string | undefined;
  /** Nodes that serve reads. */
  readonly pool: readonly string[];
}

/** One order to HAProxy. */
export type Action =
  | { readonly kind: "set"; readonly server: ServerRef; readonly state: AdminState }
  /** Give clients that are just logging in on a draining server the time to finish. */
  | { readonly kind: "settle" }
  /** End the sessions of a server and wait until none is left. */
  | { readonly kind: "cut"; readonly server: ServerRef };

/**
 * The orders that bring HAProxy from what is seen to what is wanted, in the order that the promises need. Pure.
 *
 * 1. The fallback of the read endpoint becomes ready: it takes nothing while a member is up, so it can do no harm.
 * 2. Only where reads would have no server left after the next step: joining members become ready.
 * 3. Members that leave and still answer get no new sessions, and those who are logging in finish: a client that is cut
 *    while it logs in sees a refused connection, for which Odoo gives up the replicas for 20 minutes; one that is cut
 *    later only connects again. Writes go on meanwhile.
 * 4. What leaves goes into maintenance, and its sessions are cut.
 * 5. The new primary takes writes. At no moment do two nodes.
 * 6. Joining members become ready.
 *
 * Nodes that HAProxy does not know are left out: they need another configuration first.
 */
export function planEndpoints(wanted: Wanted, seen: readonly ServerState[]): Action[] {
  const shallBeReady = readyServers(wanted);
  const staying = seen.filter((server) => shallBeReady.has(nameOf(server)));
  const leaving = seen.filter((server) => !shallBeReady.has(nameOf(server)));
  const joining = staying.filter((server) => server.admin !== "ready");

  const fallbacks = joining.filter(isFallback);
  const members = joining.filter(isMember);
  const writers = joining.filter((server) => server.backend === "write");
  const draining = leaving.filter((server) => isMember(server) && server.admin === "ready" && server.up);
  const readsGoOn =
    fallbacks.length > 0 ||
    staying.some((server) => server.backend === "read" && server.admin === "ready" && server.up);

  return [
    ...fallbacks.map((server) => set(server, "ready")),
    ...(readsGoOn ? [] : members.map((server) => set(server, "ready"))),
    ...draining.map((server) => set(server, "drain")),
    ...(draining.length > 0 ? [{ kind: "settle" } as const] : []),
    ...leaving.filter((server) => server.admin !== "maint").map((server) => set(server, "maint")),
    ...leaving.filter((server) => server.admin !== "maint" || server.sessions > 0).map(cut),
    ...writers.map((server) => set(server, "ready")),
    ...(readsGoOn ? members.map((server) => set(server, "ready")) : []),
  ];
}

/**
 * The orders before a configuration that knows a node no more: whoever is still led to it is cut now, as the sessions of an
 * older worker on a server that the new one does not have could neither be counted nor cut. Pure.
 */
export function planRemoval(staying: readonly string[], seen: readonly ServerState[]): Action[] {
  const removed = seen.filter(({ node }) => !staying.includes(node));
  return [
    ...removed.filter((server) => server.admin !== "maint").map((server) => set(server, "maint")),
    ...removed.filter((server) => server.admin !== "maint" || server.sessions > 0).map(cut),
  ];
}

/** Names of the server lines that shall be ready. */
function readyServers(wanted: Wanted): ReadonlySet<string> {
  const { primary } = wanted;
  return new Set(
    [
      ...(primary === undefined ? [] : [writeServer(primary), fallbackServer(primary)]),
      ...wanted.pool.map(poolServer),
    ].map(nameOf),
  );
}

function isMember(server: ServerState): boolean {
  return server.backend === "read" && !isFallback(server);
}

function set(server: ServerState, state: AdminState): Action {
  return { kind: "set", server: refOf(server), state };
}

function cut(server: ServerState): Action {
  return { kind: "cut", server: refOf(server) };
}

function refOf({ backend, server }: ServerState): ServerRef {
  return { backend, server };
}
