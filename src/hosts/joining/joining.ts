import * as z from "zod";
import { isAddress } from "../../config/values/addresses.ts";
import {
  documentSchema,
  HOST_NAME,
  roleSchema,
  type ClusterDocument,
  type Host,
} from "../documents/record.ts";

/** Milliseconds by which the clocks of two hosts may differ. */
const MOST_APART = 1000;

/** A new host's request to join. */
export const joinRequestSchema = z.object({
  secret: z.string(),
  name: z.string(),
  role: roleSchema,
  address: z.string(),
  /** A request for a certificate (PEM). */
  request: z.string(),
  /** Milliseconds since the epoch, when it was sent. */
  clock: z.number(),
  /** Major version of PostgreSQL; null on a host without. */
  postgres: z.int().nullable(),
});
export type JoinRequest = z.output<typeof joinRequestSchema>;

/** The answer to it. Only hosts with a database get its secrets. */
export const joinGrantSchema = z.object({
  document: documentSchema,
  certificate: z.string(),
  authority: z.string(),
  /** Addresses of the store. */
  store: z.string().array(),
  database: z
    .object({
      authority_key: z.string(),
      endpoints_authority: z.string(),
      endpoints_authority_key: z.string(),
      postgres_authority: z.string(),
      postgres_authority_key: z.string(),
      passwords: z.object({
        postgres: z.string(),
        replicator: z.string(),
        odoo: z.string(),
        collectd: z.string(),
        openerp: z.string().optional(),
      }),
    })
    .nullable(),
  /** Of role collectd, by which a host without a database sees the servers. */
  collectd: z.string(),
  /** Of Odoo's role, on a host with endpoints alone: an Odoo runs there. */
  odoo: z.string().nullable(),
});
export type JoinGrant = z.output<typeof joinGrantSchema>;

export const joinAnswerSchema = z.union([
  joinGrantSchema,
  z.object({ refused: z.string(), next: z.string().optional() }),
]);

/** The first answer, which anybody gets. The new host checks it against the token's pin before it sends anything else. */
export const greetingSchema = z.object({
  authority: z.string(),
  cluster: z.string(),
  major: z.int(),
  port: z.int(),
});
export type Greeting = z.output<typeof greetingSchema>;

export interface JoinFacts {
  readonly document: ClusterDocument;
  /** Milliseconds since the epoch, when the request came. */
  readonly now: number;
  readonly storeAnswers: boolean;
  /** Ports of the new host that this one cannot reach. */
  readonly unreachable: readonly number[];
}

/** Why a host may not join, with the next step; undefined where it may. Pure. */
export function joinRefusal(
  request: Omit<JoinRequest, "secret" | "request">,
  { document, now, storeAnswers, unreachable }: JoinFacts,
): { readonly refused: string; readonly next?: string } | undefined {
  const { name, address, role, postgres, clock } = request;
  if (!HOST_NAME.test(name)) {
    return {
      refused: `"${name}" cannot be the name of a host: lower-case letters, digits and "_", at most 31, starting with a letter`,
      next: "Run the same command with --name NAME.",
    };
  }
  const known = document.hosts.find((host) => host.name === name);
  if (known && !isSame(known, { name, address, role }))
    return {
      refused: `there is a host ${name} already, at ${known.address}`,
      next: "Run the same command with another --name.",
    };
  if (!isAddress(address)) return { refused: `"${address}" is not an IP address` };
  const there = document.hosts.find((host) => host.address === address && host.name !== name);
  if (there) return { refused: `${address} is the address of host ${there.name}` };
  if (role === "database" && postgres !== document.major) {
    return {
      refused: `the cluster has PostgreSQL ${document.major}, and the new host ${postgres ?? "none"}`,
      next: `Install PostgreSQL ${document.major} there.`,
    };
  }
  const apart = Math.abs(now - clock);
  if (apart > MOST_APART) {
    return {
      refused: `the clocks of the two hosts are ${(apart / 1000).toFixed(1)} s apart`,
      next: "Have both follow a time server (systemd-timesyncd or chrony), then run the same command again.",
    };
  }
  if (unreachable.length) {
    return {
      refused: `ports ${unreachable.join(", ")} of ${address} are not reached from here: connections get no answer`,
      next: "Open them between the hosts of the cluster, in both directions.",
    };
  }
  if (!storeAnswers) return { refused: "the cluster's store has no majority now, so no host can be added" };
  return undefined;
}

function isSame(a: Host, b: Host): boolean {
  return a.address === b.address && a.role === b.role;
}

/**
 * The document with a host added. A host of the same name keeps its place and gets the new `id`: the machine that joined last
 * counts.
 */
export function withHost(document: ClusterDocument, host: Host): ClusterDocument {
  const isIn = document.hosts.some(({ name }) => name === host.name);
  const { id, certificates } = host;
  const hosts = document.hosts.map((known) =>
    known.name === host.name ? { ...known, id, ...(certificates ? { certificates } : {}) } : known,
  );
  return { ...document, hosts: isIn ? hosts : [...hosts, host] };
}

/** The document with one host fewer. */
export function withoutHost(document: ClusterDocument, name: string): ClusterDocument {
  return { ...document, hosts: document.hosts.filter((host) => host.name !== name) };
}

/** The name of a host, from that of the machine: characters that a slot's name may not have become "_". */
export function nameOfMachine(hostname: string): string {
  const name = (hostname.split(".")[0] ?? "").toLowerCase().replaceAll(/[^a-z0-9_]/g, "_");
  return (/^[a-z]/.test(name) ? name : `h${name}`).slice(0, 31);
}
