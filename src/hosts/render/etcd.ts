import { CLIENT_PORT } from "../../consensus/etcd.ts";
import type { HostFiles } from "../documents/files.ts";
import { hostPort, peerUrlOf } from "../documents/places.ts";
import type { Host } from "../documents/record.ts";

/** How a member of the store is started: as the first one, or beside the members that are named. */
export interface EtcdStart {
  readonly state: "new" | "existing";
  /** Members by name and URL. */
  readonly members: Readonly<Record<string, string>>;
}

/** Bytes that etcd's file may have. */
export const ETCD_QUOTA = 256 * 1024 * 1024;

/** How much history etcd keeps: nobody reads it, and all of it is in memory. Patroni writes several times a second. */
const ETCD_HISTORY = "10m";

/** Changes after which etcd drops all but 5000 earlier ones from memory; by etcd 3.5's default 100,000, half a day's. */
const ETCD_CHANGES = 5000;

/**
 * The arguments of this host's etcd. Each connection, also between members, needs a certificate of the cluster's
 * authority.
 */
export function etcdArguments(
  host: Pick<Host, "name" | "address">,
  cluster: string,
  files: HostFiles,
  start: EtcdStart,
): string[] {
  const client = `https://${hostPort(host.address, CLIENT_PORT)}`;
  const peer = peerUrlOf(host);
  const members = Object.entries(start.members)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, url]) => `${name}=${url}`);
  const options: readonly (readonly [string, string])[] = [
    ["name", host.name],
    ["data-dir", files.etcdDir],
    ["listen-client-urls", client],
    ["advertise-client-urls", client],
    ["listen-peer-urls", peer],
    ["initial-advertise-peer-urls", peer],
    ["initial-cluster", members.join(",")],
    ["initial-cluster-state", start.state],
    ["initial-cluster-token", cluster],
    ["client-cert-auth", "true"],
    ["trusted-ca-file", files.authority],
    ["client-crl-file", files.revocations],
    ["cert-file", files.certificate],
    ["key-file", files.key],
    ["peer-client-cert-auth", "true"],
    ["peer-trusted-ca-file", files.authority],
    ["peer-crl-file", files.revocations],
    ["peer-cert-file", files.certificate],
    ["peer-key-file", files.key],
    ["auto-compaction-mode", "periodic"],
    ["auto-compaction-retention", ETCD_HISTORY],
    ["snapshot-count", String(ETCD_CHANGES)],
    ["quota-backend-bytes", String(ETCD_QUOTA)],
    ["logger", "zap"],
    ["log-level", "warn"],
  ];
  return options.map(([name, value]) => `--${name}=${value}`);
}
