import {
  fallbackServer,
  isFallback,
  nameOf,
  poolServer,
  writeServer,
  type ServerRef,
  type ServerState,
} from "./servers.ts";

/** Where the endpoints shall lead. */
export interface Wanted {
  /** The node of the write endpoint, and the fallback of the read endpoint. */
  readonly primary?: string | undefined;
  /** Nodes that serve reads. */
  readonly pool: readonly string[];
  /** Nodes that may serve reads when there is neither primary nor pool. */
  readonly lastResort?: readonly string[];
}

/** One order to HAProxy. */
export type Action =
  | { readonly kind: "set"; readonly server: ServerRef; readonly state: "ready" | "maint" }
  /** End the sessions of a server and wait until none is left. */
  | { readonly kind: "cut"; readonly server: ServerRef };

/**
 * The orders that bring HAProxy from what is seen to what is wanted, in the order that the promises need. Pure.
 *
 * 1. The fallback of the read endpoint becomes ready: it takes nothing while a member is up, so it can do no harm.
 * 2. Only where reads would have nobody left after the next step: joining members become ready.
 * 3. What leaves goes into maintenance, and its sessions are cut.
 * 4. The new primary takes writes. At no moment do two nodes.
 * 5. Joining members become ready.
 *
 * Nodes that HAProxy does not know are left out: they need another configuration first.
 */
export function planEndpoints(wanted: Wanted, seen: readonly ServerState[]): Action[] {
  const shallBeReady = readyServers(wanted);
  const staying = seen.filter((server) => shallBeReady.has(nameOf(server)));
  const leaving = seen.filter((server) => !shallBeReady.has(nameOf(server)));
  const joining = staying.filter((server) => server.admin !== "ready");

  const fallbacks = joining.filter(isFallback);
  const members = joining.filter((server) => server.backend === "read" && !isFallback(server));
  const writers = joining.filter((server) => server.backend === "write");
  const readsGoOn =
    fallbacks.length > 0 ||
    staying.some((server) => server.backend === "read" && server.admin === "ready" && server.up);

  return [
    ...fallbacks.map((server) => set(server, "ready")),
    ...(readsGoOn ? [] : members.map((server) => set(server, "ready"))),
    ...leaving.filter((server) => server.admin !== "maint").map((server) => set(server, "maint")),
    ...leaving.filter((server) => server.admin !== "maint" || server.sessions > 0).map(cut),
    ...writers.map((server) => set(server, "ready")),
    ...(readsGoOn ? members.map((server) => set(server, "ready")) : []),
  ];
}

/** Names of the server lines that shall be ready. */
function readyServers(wanted: Wanted): ReadonlySet<string> {
  const { primary } = wanted;
  const fallbacks = primary === undefined ? (wanted.lastResort ?? []) : [primary];
  return new Set(
    [
      ...(primary === undefined ? [] : [writeServer(primary)]),
      ...fallbacks.map(fallbackServer),
      ...wanted.pool.map(poolServer),
    ].map(nameOf),
  );
}

function set(server: ServerState, state: "ready" | "maint"): Action {
  return { kind: "set", server: refOf(server), state };
}

function cut(server: ServerState): Action {
  return { kind: "cut", server: refOf(server) };
}

function refOf({ backend, server }: ServerState): ServerRef {
  return { backend, server };
}
