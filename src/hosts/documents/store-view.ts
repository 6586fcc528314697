import * as z from "zod";
import type { StoredValue } from "../../consensus/etcd.ts";
import { parseJson } from "../../system/files/json-file.ts";

const syncSchema = z.object({
  leader: z.string().nullish(),
  sync_standby: z.string().nullish(),
});

const dynamicSchema = z.looseObject({ pause: z.boolean().nullish() });

const memberSchema = z.object({
  xlog_location: z.int().nullish(),
  pending_restart_reason: z.record(z.string(), z.unknown()).nullish(),
});

/** A timeline that was left: which, where, why, when, and for which host. Older ones lack the end. */
const historySchema = z.tuple([z.int().positive(), z.number(), z.string()]).rest(z.unknown()).array();

const statusSchema = z.object({ optime: z.int().nullish() });

/** What the Patroni of one host says of it. */
export interface PatroniMember {
  /** How far its WAL goes, received or replayed: a position as a number of bytes. */
  readonly position: number | undefined;
  /** Settings that wait for a restart. */
  readonly pending: readonly string[];
}

/**
 * What Patroni has written into the store, as it was at one moment.
 * Source: Patroni 4.0, patroni/dcs/__init__.py: the keys and the classes Leader, SyncState, ClusterConfig, Member
 */
export interface StoreView {
  /** Whether there ever was a leader. */
  readonly founded: boolean;
  /** Who holds the leader's key; undefined while nobody does. */
  readonly leader: string | undefined;
  /** Whose replicas the next are: who was primary when they were last written. */
  readonly syncLeader: string | undefined;
  /** Replicas that may be promoted without a loss. */
  readonly synchronous: readonly string[];
  readonly paused: boolean;
  /** How far the primary's WAL went when it last said so, as a number of bytes. */
  readonly written: number | undefined;
  /** Patroni's configuration for all hosts; undefined before there is one. */
  readonly dynamic: StoredValue | undefined;
  readonly members: ReadonlyMap<string, PatroniMember>;
  /** When the cluster went on with which timeline, as far as Patroni knows. */
  readonly history: readonly { readonly at: string; readonly timeline: number }[];
}

/** @param keys below Patroni's prefix. What cannot be read counts as not there. */
export function viewOfStore(keys: ReadonlyMap<string, StoredValue>): StoreView {
  const read = <T>(key: string, schema: z.ZodType<T>): T | undefined => {
    const parsed = parseJson(keys.get(key)?.value ?? "", schema);
    return parsed.ok ? parsed.value : undefined;
  };
  const sync = read("sync", syncSchema);
  const leader = keys.get("leader")?.value;
  const members = [...keys.keys()].flatMap((key): [string, PatroniMember][] => {
    const name = /^members\/(.+)$/.exec(key)?.[1];
    const member = name === undefined ? undefined : read(key, memberSchema);
    if (name === undefined || !member) return [];
    const pending = Object.keys(member.pending_restart_reason ?? {});
    return [[name, { position: member.xlog_location ?? undefined, pending }]];
  });
  return {
    founded: keys.has("initialize"),
    leader: leader === "" ? undefined : leader,
    syncLeader: sync?.leader ?? undefined,
    synchronous: (sync?.sync_standby ?? "").split(",").filter((name) => name !== ""),
    paused: read("config", dynamicSchema)?.pause === true,
    written: read("status", statusSchema)?.optime ?? undefined,
    dynamic: keys.get("config"),
    members: new Map(members),
    history: changesIn(read("history", historySchema) ?? []),
  };
}

/** Each timeline but the last is left for the next one. Patroni says when, in its own way of writing ISO 8601. */
function changesIn(history: z.output<typeof historySchema>): StoreView["history"] {
  return history.flatMap(([left, , , at]) => {
    const time = typeof at === "string" ? Date.parse(at) : NaN;
    return Number.isNaN(time) ? [] : [{ at: new Date(time).toISOString(), timeline: left + 1 }];
  });
}
