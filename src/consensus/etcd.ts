import * as z from "zod";
import { parseJson } from "../system/files/json-file.ts";
import { messageOf } from "../errors.ts";
import { askTls, type TlsIdentity } from "../system/network/mutual-tls.ts";

/** Milliseconds for one member to answer, before the next one is asked. */
const MEMBER_TIMEOUT = 1000;

/** etcd's client port on each host. */
export const CLIENT_PORT = 2379;

/** Why the store did not do what it was asked: no member answered in time, or it refused. */
export class EtcdError extends Error {
  readonly kind: "unreachable" | "refused";

  constructor(kind: "unreachable" | "refused", message: string, cause?: unknown) {
    super(message, { cause });
    this.kind = kind;
  }
}

/** 64-bit numbers are strings in JSON; fields that are zero, empty or false are left out. */
const number64 = z.coerce.bigint().default(0n);
const keyValue = z.object({
  key: z.string(),
  value: z.string().default(""),
  mod_revision: number64,
  lease: z.string().default("0"),
});
const headerSchema = z.object({ revision: number64, raft_term: number64 }).partial().default({});
const rangeSchema = z.object({ header: headerSchema, kvs: keyValue.array().default([]) });
const rangesSchema = z.object({ responses: z.object({ response_range: rangeSchema }).array() });
const txnSchema = z.object({ header: headerSchema, succeeded: z.boolean().default(false) });
const leaseSchema = z.object({ ID: z.string() });
const keptLeaseSchema = z.object({ result: z.object({ TTL: number64 }) });
const leaseTimeSchema = z.object({ TTL: number64 });
const memberSchema = z.object({
  ID: z.string(),
  name: z.string().default(""),
  peerURLs: z.string().array().default([]),
  clientURLs: z.string().array().default([]),
  isLearner: z.boolean().default(false),
});
const membersSchema = z.object({ members: memberSchema.array().default([]) });
const statusSchema = z.object({
  version: z.string().default(""),
  dbSize: number64,
  dbSizeInUse: number64,
  leader: z.string().default("0"),
  raftTerm: number64,
  raftIndex: number64,
  isLearner: z.boolean().default(false),
  header: z.object({ member_id: z.string().default("0") }).default({ member_id: "0" }),
});
const alarmsSchema = z.object({
  alarms: z
    .object({ memberID: z.string(), alarm: z.union([z.string(), z.number()]).default("NONE") })
    .array()
    .default([]),
});
const refusalSchema = z.object({ error: z.string().optional(), message: z.string().optional() });

/** A member of the store. One that was added and never started has no name yet. */
export interface EtcdMember {
  readonly id: string;
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly isLearner: boolean;
}

/** What one member reports about itself. */
export interface EtcdStatus {
  readonly memberId: string;
  readonly leader: string;
  readonly raftTerm: bigint;
  readonly isLearner: boolean;
  /** Bytes of its database file, and how many of them are in use. */
  readonly bytes: bigint;
  readonly bytesInUse: bigint;
}

export interface StoredValue {
  readonly value: string;
  /** The revision at which it was last changed. */
  readonly revision: bigint;
  /** The name of the lease that it goes with; undefined where it stays. */
  readonly lease: string | undefined;
}

/**
 * etcd through its own JSON gateway, with this host's certificate. Every read goes through the majority: a member that
 * was cut off decides nothing by its stale data.
 * Source: etcd 3.5, api/etcdserverpb/rpc.proto, and "gRPC gateway" of its documentation
 */
export class Etcd {
  readonly #identity: TlsIdentity;
  /** Addresses of hosts; the one that answered last comes first. */
  #hosts: readonly string[];

  constructor(hosts: readonly string[], identity: TlsIdentity) {
    this.#hosts = hosts;
    this.#identity = identity;
  }

  /** The hosts to ask from now on. */
  use(hosts: readonly string[]): void {
    const kept = this.#hosts.filter((host) => hosts.includes(host));
    this.#hosts = [...kept, ...hosts.filter((host) => !kept.includes(host))];
  }

  /** @throws EtcdError */
  async get(key: string): Promise<StoredValue | undefined> {
    const { kvs } = await this.#ask("/v3/kv/range", { key: encoded(key) }, rangeSchema);
    const [found] = kvs;
    return found && stored(found);
  }

  /** All that lies below each of two prefixes, as it was at one moment. @throws EtcdError */
  async list(one: string, other: string): Promise<[Map<string, StoredValue>, Map<string, StoredValue>]> {
    const success = [one, other].map((prefix) => ({ request_range: rangeOf(prefix) }));
    const { responses } = await this.#ask("/v3/kv/txn", { success }, rangesSchema);
    const [first, second] = responses;
    if (!first || !second) throw new EtcdError("unreachable", "the store answers less than it was asked");
    return [below(one, first.response_range), below(other, second.response_range)];
  }

  /**
   * Writes a value if the key still has the revision that was read; 0: if there is no such key.
   * @returns whether it was written
   * @throws EtcdError
   */
  async swap(key: string, revision: bigint, value: string): Promise<boolean> {
    const { succeeded } = await this.#ask(
      "/v3/kv/txn",
      {
        compare: [{ key: encoded(key), target: "MOD", result: "EQUAL", mod_revision: revision.toString() }],
        success: [{ request_put: { key: encoded(key), value: encoded(value) } }],
      },
      txnSchema,
    );
    return succeeded;
  }

  /** Grants a lease; keys attached to it go when it ends. @returns its name @throws EtcdError */
  async grantLease(seconds: number): Promise<string> {
    const { ID: id } = await this.#ask("/v3/lease/grant", { TTL: String(seconds) }, leaseSchema);
    return id;
  }

  /** Renews a lease. @returns false where it had already expired @throws EtcdError */
  async keepAlive(lease: string): Promise<boolean> {
    const { result } = await this.#ask("/v3/lease/keepalive", { ID: lease }, keptLeaseSchema);
    return result.TTL > 0n;
  }

  /** Whole seconds left of a lease; less than 1 where it has expired. @throws EtcdError */
  async secondsLeft(lease: string): Promise<number> {
    const { TTL: left } = await this.#ask("/v3/lease/timetolive", { ID: lease }, leaseTimeSchema);
    return Number(left);
  }

  /** Revokes a lease; its keys go. @throws EtcdError */
  async revoke(lease: string): Promise<void> {
    await this.#ask("/v3/lease/revoke", { ID: lease }, z.unknown());
  }

  /**
   * Makes a key that is not there, for as long as a lease lasts, and only while another key has a certain value.
   * @returns the revision of this change; undefined where nothing was made
   * @throws EtcdError
   */
  async create(
    key: string,
    value: string,
    lease: string,
    guard: { readonly key: string; readonly value: string },
  ): Promise<bigint | undefined> {
    const { succeeded, header } = await this.#ask(
      "/v3/kv/txn",
      {
        compare: [
          { key: encoded(key), target: "CREATE", result: "EQUAL", create_revision: "0" },
          { key: encoded(guard.key), target: "VALUE", result: "EQUAL", value: encoded(guard.value) },
        ],
        success: [{ request_put: { key: encoded(key), value: encoded(value), lease } }],
      },
      txnSchema,
    );
    return succeeded ? header.revision : undefined;
  }

  /** @throws EtcdError */
  async members(): Promise<EtcdMember[]> {
    const { members } = await this.#ask("/v3/cluster/member/list", { linearizable: true }, membersSchema);
    return members.map(({ ID: id, name, peerURLs: peerUrls, isLearner }) => ({
      id,
      name,
      peerUrls,
      isLearner,
    }));
  }

  /** A new member that does not vote yet. @throws EtcdError */
  async addLearner(peerUrl: string): Promise<void> {
    await this.#ask("/v3/cluster/member/add", { peerURLs: [peerUrl], isLearner: true }, z.unknown());
  }

  /** Gives a member its vote. @throws EtcdError also while it has not caught up */
  async promote(id: string): Promise<void> {
    await this.#ask("/v3/cluster/member/promote", { ID: id }, z.unknown());
  }

  /** @throws EtcdError */
  async remove(id: string): Promise<void> {
    await this.#ask("/v3/cluster/member/remove", { ID: id }, z.unknown());
  }

  /** What the member on one host reports about itself. @throws EtcdError */
  async status(host: string): Promise<EtcdStatus> {
    const status = await this.#askOne(host, "/v3/maintenance/status", {}, statusSchema, MEMBER_TIMEOUT);
    return {
      memberId: status.header.member_id,
      leader: status.leader,
      raftTerm: status.raftTerm,
      isLearner: status.isLearner,
      bytes: status.dbSize,
      bytesInUse: status.dbSizeInUse,
    };
  }

  /** Defragments: gives space back to one host's disk. Its member answers nothing meanwhile. @throws EtcdError */
  async defragment(host: string): Promise<void> {
    await this.#askOne(host, "/v3/maintenance/defragment", {}, z.unknown(), DEFRAGMENT_TIMEOUT);
  }

  /** Members that take no more writes because their space quota was used up. @throws EtcdError */
  async fullMembers(): Promise<string[]> {
    const { alarms } = await this.#ask("/v3/maintenance/alarm", { action: "GET" }, alarmsSchema);
    return alarms.filter(({ alarm }) => alarm === "NOSPACE" || alarm === 1).map(({ memberID }) => memberID);
  }

  /** Has a member take writes again. @throws EtcdError */
  async disarm(memberId: string): Promise<void> {
    const body = { action: "DEACTIVATE", memberID: memberId, alarm: "NOSPACE" };
    await this.#ask("/v3/maintenance/alarm", body, z.unknown());
  }

  /** Makes another member the store's leader. Only the leader can do it. @throws EtcdError */
  async moveLeader(leaderHost: string, id: string): Promise<void> {
    await this.#askOne(
      leaderHost,
      "/v3/maintenance/transfer-leadership",
      { targetID: id },
      z.unknown(),
      5000,
    );
  }

  async #ask<T>(path: string, body: unknown, schema: z.ZodType<T>): Promise<T> {
    let last = new EtcdError("unreachable", "no host of the store is known");
    for (const host of this.#hosts) {
      try {
        const answer = await this.#askOne(host, path, body, schema, MEMBER_TIMEOUT);
        this.#hosts = [host, ...this.#hosts.filter((other) => other !== host)];
        return answer;
      } catch (error) {
        if (!(error instanceof EtcdError) || error.kind === "refused") throw error;
        last = error;
      }
    }
    throw last;
  }

  async #askOne<T>(
    host: string,
    path: string,
    body: unknown,
    schema: z.ZodType<T>,
    timeout: number,
  ): Promise<T> {
    const answered = await askTls({
      host,
      port: CLIENT_PORT,
      method: "POST",
      path,
      body,
      trust: this.#identity,
      timeout,
    }).catch((error: unknown) => {
      const why = messageOf(error);
      throw new EtcdError("unreachable", `the store on ${host} does not answer: ${why}`, error);
    });
    if (answered.status === 200) {
      const parsed = parseJson(answered.text, schema);
      if (parsed.ok) return parsed.value;
      throw new EtcdError(
        "unreachable",
        `the store on ${host} gives an unexpected answer: ${parsed.problem}`,
      );
    }
    const refusal = parseJson(answered.text, refusalSchema);
    const words = refusal.ok ? (refusal.value.message ?? refusal.value.error ?? "") : "";
    // 503: no leader, no majority; a learner answers no reads. Another member may know better.
    const another = answered.status >= 500 || answered.status === 408 || /learner/.test(words);
    throw new EtcdError(
      another ? "unreachable" : "refused",
      `the store on ${host}: ${words || answered.status}`,
    );
  }
}

/** Milliseconds for a member to give space back. */
const DEFRAGMENT_TIMEOUT = 30_000;

function stored({ value, mod_revision: revision, lease }: z.output<typeof keyValue>): StoredValue {
  return { value: decoded(value), revision, lease: lease === "0" ? undefined : lease };
}

function rangeOf(prefix: string): { readonly key: string; readonly range_end: string } {
  return { key: encoded(prefix), range_end: encoded(afterPrefix(prefix)) };
}

/** Values by key, without the prefix. */
function below(prefix: string, { kvs }: z.output<typeof rangeSchema>): Map<string, StoredValue> {
  return new Map(kvs.map((found) => [decoded(found.key).slice(prefix.length), stored(found)]));
}

function encoded(text: string): string {
  return Buffer.from(text, "utf8").toString("base64");
}

function decoded(text: string): string {
  return Buffer.from(text, "base64").toString("utf8");
}

/** The end of the range that holds all keys of a prefix: the prefix, its last byte one higher. Ours end with "/". */
function afterPrefix(prefix: string): string {
  const last = prefix.charCodeAt(prefix.length - 1);
  return prefix.slice(0, -1) + String.fromCharCode(last + 1);
}
