import type { Host } from "./record.ts";

/** Ports of etcd's members among themselves, of Patroni's API and of the agents, on the host's address alone. */
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

/** Prefix of Patroni's keys in the store; the cluster's name follows. */
export const NAMESPACE = "/odoo-pg/";

export function patroniPrefix(cluster: string): string {
  return `${NAMESPACE}${cluster}/`;
}

/** Prefix of odoo-pg's own keys in the store. */
export function hostsPrefix(cluster: string): string {
  return `/odoo-pg-hosts/${cluster}/`;
}
