import * as z from "zod";
import type { Etcd } from "../../../consensus/etcd.ts";
import { Reign } from "../../../consensus/reign.ts";
import { reloadAndWait } from "../../../postgres/reload.ts";
import { forgetStandbys } from "../../../postgres/sql/commit-list.ts";
import { type HeldPool, PoolHolder } from "../../../services/pool-holder.ts";
import { PoolKeeper, type PoolSight } from "../../../services/pool-keeper.ts";
import { every, monotonic, waitUntil } from "../../../system/clock.ts";
import { parseJson } from "../../../system/files/json-file.ts";
import type { Log } from "../../../system/log.ts";
import { askTls, type TlsIdentity } from "../../../system/network/mutual-tls.ts";
import type { Session } from "../../../system/sql/sql.ts";
import type { Host } from "../../documents/record.ts";
import { AGENT_PORT, hostsPrefix, patroniPrefix } from "../../documents/places.ts";
import { viewOfStore } from "../../documents/store-view.ts";

/** Milliseconds between two questions to a host who may be read from, and for it to answer. */
const ASK_EVERY = 300;
const ASK_TIMEOUT = 1000;

/** The same for another host that said that it does not keep the pool: it may some day. */
const ASK_OTHERS_EVERY = 900;

/** Milliseconds until no replica is read from any more. */
const REST_TIMEOUT = 6000;

/** Milliseconds between two looks whether a replica has a list of its own. */
const FORGET_EVERY = 5000;

const appliedSchema = z.object({ term: z.number(), version: z.number() });
const questionSchema = z.object({ applied: appliedSchema.optional() });
const grantSchema = z.object({ term: z.number(), version: z.number(), pool: z.string().array() });
const answerSchema = z.object({ grant: grantSchema.optional() });

/** PostgreSQL of this host. */
export interface OwnServer {
  readonly dataDir: string;
  /** Runs something in a session of the superuser. @throws SqlError */
  readonly use: <T>(act: (session: Session) => Promise<T>) => Promise<T>;
  /** Has it let none of these hosts replicate; returns when it has read that. */
  readonly refuse: (names: readonly string[]) => Promise<void>;
}

export interface HostPoolParts {
  readonly name: string;
  readonly cluster: string;
  readonly identity: TlsIdentity;
  readonly etcd: Etcd;
  /** Hosts that may be the primary's. */
  readonly databases: () => readonly Host[];
  /** Undefined where there is no database. */
  readonly server: OwnServer | undefined;
  readonly log: Log;
  /** Makes the endpoints be routed soon: the pool has changed. */
  readonly wake: () => void;
}

/**
 * Who may be read from, over all hosts (read-your-writes): each agent asks who keeps the pool, and what it is told holds
 * for a moment; on the primary's host the agent keeps it, for as long as it has the right to by a key in the store.
 */
export class HostPool {
  readonly #parts: HostPoolParts;
  readonly #holder = new PoolHolder();
  readonly #keeper: PoolKeeper | undefined;
  readonly #reign: Reign;
  /** Hosts from which an answer is awaited. */
  readonly #asking = new Set<string>();
  /** Other hosts that said that they do not keep the pool, and when (monotonic clock). */
  readonly #denied = new Map<string, number>();
  #forgetAt = -Infinity;
  /** During a planned change of the primary nothing is granted; `done` as soon as no replica can be read from. */
  #rest: { done: boolean } | undefined;

  constructor(parts: HostPoolParts) {
    const { name, cluster, etcd, server, log } = parts;
    this.#parts = parts;
    this.#reign = new Reign(
      etcd,
      `${hostsPrefix(cluster)}${POOL_KEY}`,
      `${patroniPrefix(cluster)}leader`,
      name,
    );
    this.#keeper =
      server &&
      new PoolKeeper(
        {
          ...server,
          name,
          promotable: async () => {
            const sync = await etcd.get(`${patroniPrefix(cluster)}sync`);
            const { syncLeader, synchronous } = viewOfStore(new Map(sync ? [["sync", sync]] : []));
            // Of another primary it says nothing about who may take this one's place.
            if (syncLeader !== name)
              throw new Error(`${syncLeader ?? "nobody"} is the primary, says the store`);
            return new Set(synchronous);
          },
        },
        log,
      );
  }

  /** Begins to ask. @returns what ends it */
  start(): () => void {
    return every(ASK_EVERY, () => {
      for (const host of this.#parts.databases()) void this.#ask(host);
    });
  }

  /**
   * Has reads go to the primary, and gives up the right to keep the pool, which a new primary would have to wait for.
   * Returns when nobody can be read from any more. `resume` ends it.
   * @throws OdooPgError timed_out
   */
  async rest(): Promise<void> {
    const rest = { done: false };
    this.#rest = rest;
    await waitUntil(
      () => {
        this.#parts.wake();
        return rest.done;
      },
      { what: "the end of reads from replicas", timeout: REST_TIMEOUT, interval: 50 },
    );
  }

  resume(): void {
    this.#rest = undefined;
  }

  /** Whether a replica may be read from at this moment. */
  serves(name: string): boolean {
    return this.#holder.serves(name);
  }

  pool(): HeldPool {
    return this.#holder.pool();
  }

  /** HAProxy of this host has no session any more on a replica outside of this pool. */
  led(pool: HeldPool): void {
    this.#holder.led(pool);
  }

  /** What another host is answered that asks who may be read from. */
  answer(from: string, body: string): { readonly status: number; readonly body: unknown } {
    const parsed = parseJson(body, questionSchema);
    if (!parsed.ok) return { status: 400, body: { error: parsed.problem } };
    const grant = this.#keeper?.answer({ from, applied: parsed.value.applied });
    return { status: 200, body: { grant } };
  }

  async #ask({ name, address }: Host): Promise<void> {
    // One at a time: what is told of what was cut is not overtaken.
    if (this.#asking.has(name) || monotonic() - (this.#denied.get(name) ?? -Infinity) < ASK_OTHERS_EVERY)
      return;
    this.#asking.add(name);
    const askedAt = monotonic();
    try {
      const grant = name === this.#parts.name ? this.#askOneself() : await this.#askOther(address);
      if (grant) this.#denied.delete(name);
      else if (name !== this.#parts.name) this.#denied.set(name, monotonic());
      if (grant && this.#holder.take(grant, askedAt)) this.#parts.wake();
    } catch {
      // Whoever hears nothing lets go by itself.
    } finally {
      this.#asking.delete(name);
    }
  }

  #askOneself() {
    return this.#keeper?.answer({ from: this.#parts.name, ...this.#holder.question });
  }

  async #askOther(address: string) {
    const { text } = await askTls({
      host: address,
      port: AGENT_PORT,
      method: "POST",
      path: "/pool",
      body: this.#holder.question,
      trust: this.#parts.identity,
      timeout: ASK_TIMEOUT,
    });
    const parsed = parseJson(text, answerSchema);
    return parsed.ok ? parsed.value.grant : undefined;
  }

  /**
   * Keeps the pool while this host's server is the primary, and gives it up in good order when it is not.
   * @param sight undefined where the server is not the primary
   * @throws what the store or the server answer; the next look goes on
   */
  async keep(sight: PoolSight | undefined): Promise<void> {
    const keeper = this.#keeper;
    if (!keeper) return;
    const rest = this.#rest;
    // One that has begun to give up does so to the end, also where it is the primary again meanwhile.
    if (!sight || rest || keeper.isClosing) {
      if (keeper.term !== undefined) {
        if (!keeper.close()) return;
        keeper.end();
        await this.#reign.giveUp();
      }
      if (rest) rest.done = true;
      else if (!sight) await this.#forget();
      return;
    }
    const held = await this.#reign.hold();
    if (!held) {
      keeper.end();
      return;
    }
    if (keeper.term !== held.term) {
      keeper.end();
      await keeper.begin(held.term);
    }
    keeper.mayReign(held.until);
    await keeper.step(sight);
  }

  /** A copy and a rewind bring the primary's list along: once promoted, the server would wait for absent replicas. */
  async #forget(): Promise<void> {
    const { server, name } = this.#parts;
    if (!server || monotonic() - this.#forgetAt < FORGET_EVERY) return;
    this.#forgetAt = monotonic();
    await server.use(async (session) => {
      const [row] = await session.query("SELECT pg_is_in_recovery() AS replica");
      if (row?.["replica"] === true && (await forgetStandbys(session)))
        await reloadAndWait(session, server.dataDir, name);
    });
  }
}

/** The key by which one host keeps the pool, below the prefix of odoo-pg's own. */
export const POOL_KEY = "pool";
