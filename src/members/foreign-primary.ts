import { silenceOf } from "../postgres/sql/observing/silence.ts";
import { foreignSlotName, UPSTREAM, type NodeConfig } from "../config/layout.ts";
import type { Identity, NodeObservation } from "../model/observation.ts";
import type { Config } from "../config/schema.ts";
import { messageOf, OdooPgError } from "../errors.ts";
import { ensureForeignSlot, foreignTablespaces, identifyPrimary } from "../postgres/foreign-primary.ts";
import { SUPERUSER } from "../postgres/initialise.ts";
import { RoleAccess } from "../postgres/sql/access/role-access.ts";
import { now } from "../system/clock.ts";
import type { Credentials } from "../system/sql/sql.ts";
import type { Member } from "./member.ts";

/** Milliseconds between two observations of someone else's primary: each is a new connection. */
const LOOK_EVERY = 2000;

/** The primary of this cluster where odoo-pg does not run it: it can be asked who and where it is, no more. */
export class ForeignPrimary implements Member {
  readonly node: NodeConfig;
  observation: NodeObservation = {
    name: UPSTREAM,
    at: 0,
    answer: { kind: "none", silence: { kind: "not_looked_at" } },
    lastSeen: undefined,
  };
  readonly #credentials: Credentials;

  constructor(upstream: NonNullable<Config["upstream"]>, password: string) {
    const { host, port, user } = upstream;
    this.node = { name: UPSTREAM, host, port };
    this.#credentials = {
      host,
      port,
      user,
      password,
      database: "replication",
      connectTimeout: 1000,
      encryption: "prefer",
    };
  }

  async observe(): Promise<NodeObservation> {
    if (this.observation.answer.kind === "identity" && now() - this.observation.at < LOOK_EVERY)
      return this.observation;
    try {
      const identity = await identifyPrimary(this.#credentials);
      const at = now();
      this.observation = {
        name: UPSTREAM,
        at,
        answer: { kind: "identity", identity },
        lastSeen: at,
      };
    } catch (error) {
      this.observation = {
        ...this.observation,
        at: now(),
        answer: { kind: "none", silence: silenceOf(error) },
      };
    }
    return this.observation;
  }

  async observeShared(): Promise<NodeObservation> {
    return await this.observe();
  }

  /** Makes the next `observe` ask again at once. */
  forget(): void {
    this.observation = { ...this.observation, at: 0 };
  }

  /** Each observation is a connection of its own: nothing is kept. */
  async disconnect(): Promise<void> {}

  async port(): Promise<number> {
    return await Promise.resolve(this.node.port);
  }

  /** @throws OdooPgError primary_unreachable with the server's words. */
  async identify(): Promise<Identity> {
    return await this.#asking(async () => await identifyPrimary(this.#credentials));
  }

  /** @throws OdooPgError primary_unreachable where it answers and does not let us in; one that does not answer says nothing */
  async assertLetsIn(): Promise<void> {
    const { answer } = await this.observe();
    if (answer.kind === "none" && answer.silence.kind === "refused") await this.identify();
  }

  async tablespacesThere(): Promise<ReadonlyMap<string, string>> {
    const { host, port, user, password } = this.#credentials;
    // A superuser is asked for nothing but the copy.
    if (user === SUPERUSER || typeof password !== "string") return new Map();
    const place = { host, port: async () => await Promise.resolve(port), encryption: "prefer" } as const;
    return await foreignTablespaces(new RoleAccess(place, user, password));
  }

  /** Creates the slot with which a node of this cluster follows it. @throws OdooPgError primary_unreachable */
  async ensureSlot(cluster: string, node: string): Promise<void> {
    await this.#asking(
      async () => await ensureForeignSlot(this.#credentials, foreignSlotName(cluster, node)),
    );
  }

  async #asking<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      const { host, port } = this.node;
      throw new OdooPgError("primary_unreachable", {
        message: `The primary ${host}:${port} does not let ${this.#credentials.user} replicate: ${messageOf(error)}`,
        safe: "Nothing was changed.",
        next: `On the primary: CREATE ROLE ${this.#credentials.user} LOGIN REPLICATION, a line "host replication ${this.#credentials.user} <this host>" in pg_hba.conf, max_wal_senders and max_replication_slots above 0. Here: upstream in odoo-pg.yaml, or SLAVEHOST and the variables beside it.`,
        cause: error,
      });
    }
  }
}
