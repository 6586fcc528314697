import type { Host } from "./record.ts";

/** etcd's port for its own members, Patroni's API, and the agents: on the host's address alone. */
export const PEER_PORT = 2380;
export const API_PORT = 8008;
export const AGENT_PORT = 5051;

/** An address in a URL. */
export function hostPort(address: string, port: number): string {
  return `${address.includes(":") ? `[${address}]` : address}:${port}`;
}

export function peerUrlOf({ address }: Pick<Host, "address">): string {
  return `https://${hostPort(address, PEER_PORT)}`;
}

/** Where Patroni keeps its keys: all of them below this and the cluster's name. */
export const NAMESPACE = "/odoo-pg/";

export function patroniPrefix(cluster: string): string {
  return `${NAMESPACE}${cluster}/`;
}

/** Where odoo-pg keeps its own. */
export function hostsPrefix(cluster: string): string {
  return `/odoo-pg-hosts/${cluster}/`;
}
