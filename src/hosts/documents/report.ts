import * as z from "zod";
import { windowSchema } from "../../cluster/backups/window.ts";
import { roleSchema } from "./record.ts";
import { removalSchema } from "./removal.ts";

/** Characters of what keeps a copy from being whole. */
export const LONGEST_PROBLEM = 1000;

/** How a host's copy of the primary's repository of any second is. */
const copyReportSchema = z.object({
  /** Up to when everything can be brought back from it, ISO 8601; null before the first whole round. */
  up_to: z.iso.datetime().nullable(),
  /** Bytes that were still to be fetched when the last round ended. */
  bytes_left: z.number(),
  /** What kept the last round from being whole; null where nothing did. */
  problem: z.string().max(LONGEST_PROBLEM).nullable(),
  /** Whether that lasts until somebody does something, as a disk without room does. Earlier versions do not say. */
  lasts: z.boolean().optional(),
});
export type CopyReport = z.output<typeof copyReportSchema>;

/**
 * What the agent of one host says of it, to the agents of the others. A host of another version may say what this one does
 * not know: then that alone counts as not said, and the host as one that answers.
 */
export const hostReportSchema = z.object({
  name: z.string(),
  role: roleSchema,
  address: z.string(),
  /** Of odoo-pg. */
  version: z.string(),
  /** Milliseconds since the epoch, by its own clock. */
  clock: z.number(),
  /** Its member of the store; null where it has none. */
  store: z.object({ answers: z.boolean(), votes: z.boolean(), leads: z.boolean() }).nullable().catch(null),
  /** Whether it gets answers from the majority of the store. */
  sees_store: z.boolean().catch(false),
  patroni: z.object({ running: z.boolean(), version: z.string() }).nullable().catch(null),
  postgres: z
    .object({
      state: z.enum(["primary", "replica", "silent"]),
      streaming: z.boolean(),
      timeline: z.number().nullable(),
      lag_bytes: z.number().nullable(),
      version: z.string().nullable(),
    })
    .nullable()
    .catch(null),
  /** Which configuration it applies, by its mark. */
  configuration: z.string().catch(""),
  /** Replicas that its read endpoint leads to, and where its write endpoint leads. */
  reads: z.string().array().catch([]),
  writes: z.string().nullable().catch(null),
  /** The host that it leads no new client to, as the server there is about to be stopped; earlier versions do not say. */
  holds: z.string().nullable().optional().catch(undefined),
  /** What it is doing, such as a copy; null where nothing. */
  working: z.string().nullable().catch(null),
  /** When its certificate between hosts ends, in milliseconds since the epoch. */
  certificate_ends: z.number().nullable().catch(null),
  /** The same of the authority that signs them. */
  authority_ends: z.number().nullable().catch(null),
  /** Folders with data that was replaced or taken back there, and that somebody may want to look at. */
  kept_aside: z.string().array().catch([]),
  /** Disks of its data, its WAL and its tablespaces that fill up. */
  filling_disks: z
    .object({ path: z.string(), total_bytes: z.number(), free_bytes: z.number() })
    .array()
    .catch([]),
  /** Backups that it makes while it is the primary's; null where it never is, or does not say. */
  backups: z
    .object({
      schedule: z.string().nullable(),
      directory: z.string(),
      /** Up to when all databases are backed up there, ISO 8601; null where nothing good lies there. */
      last_good_at: z.string().nullable().default(null),
    })
    .nullable()
    .catch(null),
  /** Any second: the window on the primary's host, the copy of it elsewhere; null where it is off, or not said. */
  any_second: z
    .object({
      window: windowSchema.nullable(),
      copy: copyReportSchema.nullable(),
      /** On the primary's host, what is wrong with archiving or with base backups; null where nothing is. */
      problem: z.string().max(LONGEST_PROBLEM).nullable().default(null),
    })
    .nullable()
    .catch(null),
  /** What the host gives its server; null where it has none. `disk` is what is taken for granted where nobody tells. */
  machine: z
    .object({ memory_bytes: z.number(), cpus: z.number(), disk: z.enum(["ssd", "hdd"]) })
    .nullable()
    .catch(null),
});
export type HostReport = z.output<typeof hostReportSchema>;

/** What keeps another host from taking over by itself; `unknown`: a host of a later version says something else. */
const obstacleSchema = z
  .enum([
    "one_database_host",
    "needs_three_hosts",
    "votes_not_settled",
    "no_majority",
    "paused",
    "no_primary",
    "no_synchronous_replica",
    "unknown",
  ])
  .catch("unknown");
export type Obstacle = z.output<typeof obstacleSchema>;

/** The whole cluster, as one host sees it: `odoo-pg status --json` where there are several hosts. */
export const hostsStatusSchema = z.object({
  version: z.literal(1),
  cluster: z.string(),
  /** The host that says so. */
  seen_from: z.string(),
  /** Whether the store answered, and seconds since it last did; null before it ever did. */
  store: z.object({ answers: z.boolean(), seconds_ago: z.number().nullable() }),
  primary: z.string().nullable(),
  synchronous: z.string().array(),
  paused: z.boolean(),
  failover: z.object({ ready: z.boolean(), obstacles: obstacleSchema.array(), away: z.string().array() }),
  endpoints: z.object({ write: z.int(), read: z.int() }),
  /** Where the host that says so is none of the cluster's any more: how it ceased to be one. Earlier versions do not say. */
  removed: removalSchema.nullable().default(null),
  /**
   * Serial numbers of certificates of the cluster's hosts that somebody has written into the store as revoked, in part where
   * there are many; they stay good.
   */
  revoked_by_nobody: z.string().array().default([]),
  /** Why the cluster's document in the store cannot be read; null where it can. */
  document_problem: z.string().nullable().default(null),
  hosts: z
    .object({
      name: z.string(),
      role: roleSchema,
      address: z.string(),
      /** Seconds since its agent last answered; null when it never did. */
      seconds_ago: z.number().nullable(),
      /** The last that it said; null when it never did. */
      report: hostReportSchema.nullable(),
    })
    .array(),
});
export type HostsStatus = z.output<typeof hostsStatusSchema>;
