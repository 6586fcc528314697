import { silenceOf } from "../postgres/sql/observing/silence.ts";
import type { NodeConfig } from "../config/layout.ts";
import type { Depth, NodeObservation } from "../model/observation.ts";
import { readServerFacts, type ServerReply } from "../postgres/sql/observing/facts.ts";
import { now } from "../system/clock.ts";
import type { RoleAccess } from "../postgres/sql/access/role-access.ts";
import type { Superuser } from "../postgres/sql/access/superuser.ts";
import type { Session } from "../system/sql/sql.ts";
import type { Member } from "./member.ts";

/** Milliseconds that an observation may take. A status with a dead node stays below 2 s. */
const OBSERVE_TIMEOUT = 1000;

/** A member that is asked by SQL, in a session that is kept for it. */
export abstract class SqlMember implements Member {
  readonly node: NodeConfig;
  observation: NodeObservation;
  /** The server's last reply; undefined where it did not answer. */
  reply: ServerReply | undefined;
  readonly #access: Superuser | RoleAccess;
  readonly #depth: Exclude<Depth, "identity">;
  /** The observation that is under way, and the one that begins when it has ended. */
  #underWay: Promise<NodeObservation> | undefined;
  #next: Promise<NodeObservation> | undefined;
  #session: Session | undefined;
  /** Called when the server ends the session: it goes down, or someone ended it. The next observation says which. */
  onLost: (() => void) | undefined;

  constructor(node: NodeConfig, access: Superuser | RoleAccess, depth: Exclude<Depth, "identity">) {
    this.node = node;
    this.#access = access;
    this.#depth = depth;
    this.observation = {
      name: node.name,
      at: 0,
      answer: { kind: "none", silence: { kind: "not_looked_at" } },
      lastSeen: undefined,
    };
  }

  /**
   * Observes the server from now on: an observation that is under way may have begun before what the caller wants to see,
   * so its end is waited for first. Each takes OBSERVE_TIMEOUT at most.
   */
  async observe(): Promise<NodeObservation> {
    if (!this.#underWay) return await this.#observeOnce();
    this.#next ??= this.#underWay.then(async () => {
      this.#next = undefined;
      return await this.#observeOnce();
    });
    return await this.#next;
  }

  async observeShared(): Promise<NodeObservation> {
    return await (this.#underWay ?? this.observe());
  }

  async disconnect(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.close();
  }

  async #observeOnce(): Promise<NodeObservation> {
    const underWay = this.#ask().finally(() => {
      this.#underWay = undefined;
    });
    this.#underWay = underWay;
    return await underWay;
  }

  async #connect(): Promise<Session> {
    const session = await this.#access.session({
      applicationName: "odoo-pg agent",
      connectTimeout: OBSERVE_TIMEOUT,
      statementTimeout: OBSERVE_TIMEOUT,
      // Its own statements must never wait for a replica.
      settings: { synchronous_commit: "local", jit: "off" },
    });
    session.onEnd(() => {
      if (this.#session === session) this.onLost?.();
    });
    return session;
  }

  async #ask(): Promise<NodeObservation> {
    const { name } = this.node;
    try {
      // A session that the server ended says nothing of the server now.
      if (this.#session?.broken()) await this.disconnect();
      this.#session ??= await this.#connect();
      this.reply = await readServerFacts(this.#session, this.reply);
      const { facts } = this.reply;
      const at = now();
      this.observation = { name, at, answer: { kind: "facts", depth: this.#depth, facts }, lastSeen: at };
    } catch (error) {
      this.reply = undefined;
      await this.disconnect();
      this.observation = {
        name,
        at: now(),
        answer: { kind: "none", silence: silenceOf(error, OBSERVE_TIMEOUT) },
        lastSeen: this.observation.lastSeen,
      };
    }
    return this.observation;
  }
}
