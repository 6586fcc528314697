import { forwardingAddress } from "../config/values/addresses.ts";
import { isPooled, pooledEndpoints } from "../config/pooling.ts";
import { maxConnections } from "../config/settings/table.ts";
import type { HaproxyInput } from "../endpoints/render.ts";
import type { Backend } from "../endpoints/servers.ts";
import type { Runtime } from "../members/runtime.ts";
import { POOLED_CLIENTS } from "./pooler.ts";

/** What the endpoints need to know: of a host's cluster, or of nodes that others run. */
export type Served = Pick<Runtime, "config" | "machine" | "upstream" | "kept"> & {
  /** Whether the nodes are on other hosts: their pg_hba.conf knows this one by its own address. */
  readonly elsewhere?: boolean;
};

/** Clients that can wait at once: each is a socket, and the limit of open files is in the thousands. */
const WAITING_CLIENTS = 1000;

/**
 * Connections of a server that the endpoints leave to others: the three that PostgreSQL keeps for superusers, the agent,
 * a backup, the next question of the gate.
 */
const KEPT_FREE = 10;

/** What HAProxy's configuration is made from. Pure. */
export function haproxyInput({ config, machine, upstream, kept, elsewhere = false }: Served): HaproxyInput {
  const each = maxConnections(config, kept);
  const pooled = pooledEndpoints(config).length;
  const source = elsewhere ? undefined : forwardingAddress(config.nodes, machine.hasLoopbackNetwork);
  const listening = (endpoint: Backend): HaproxyInput["write"] => ({
    port: config.endpoints[endpoint].port,
    pooled: isPooled(config, endpoint),
  });
  return {
    nodes: [
      ...config.nodes.map(({ name, host, port }) => ({ name, host, port, source, own: !elsewhere })),
      ...(upstream ? [upstream.node] : []).map(({ name, host, port }) => ({ name, host, port })),
    ],
    read: { ...listening("read"), consistency: config.endpoints.read.consistency },
    write: listening("write"),
    listen: config.listen,
    networks: config.networks,
    elsewhere,
    hasIpv6: machine.hasIpv6,
    // Above what the servers take: a client that finds them full waits at the gate.
    maxSessions: config.nodes.length * each + WAITING_CLIENTS + pooled * POOLED_CLIENTS,
    gate: {
      waitSeconds: config.endpoints.wait_seconds,
      role: config.odoo.role,
      // What a server elsewhere takes is not known here: it says so when it is full.
      sessions: elsewhere
        ? {}
        : Object.fromEntries(config.nodes.map(({ name }) => [name, Math.max(1, each - KEPT_FREE)])),
    },
  };
}
