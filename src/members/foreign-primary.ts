import { silenceOf } from "../postgres/sql/silence.ts";
import { foreignSlotName, nodeLayoutOf, UPSTREAM, type Layout } from "../config/layout.ts";
import type { NodeObservation, ServerFacts } from "../model/observation.ts";
import type { Config } from "../config/schema.ts";
import { OdooPgError } from "../errors.ts";
import {
  ensureForeignSlot,
  foreignTablespaces,
  identifyPrimary,
  type Identity,
} from "../postgres/foreign-primary.ts";
import { SUPERUSER } from "../postgres/initialise.ts";
import { RoleAccess } from "../postgres/sql/role-access.ts";
import { now } from "../system/clock.ts";
import type { Credentials, Session } from "../system/sql/sql.ts";
import { NodeHandle } from "./node-handle.ts";

/** Milliseconds between two looks at somebody else's primary: each is a connection of its own. */
const LOOK_EVERY = 2000;

/** The primary of this cluster where odoo-pg does not run it: it can be asked who and where it is, and no more. */
export class ForeignPrimary extends NodeHandle {
  readonly #credentials: Credentials;

  constructor(
    place: { readonly layout: Layout },
    upstream: NonNullable<Config["upstream"]>,
    password: string,
  ) {
    const { host, port, user } = upstream;
    const credentials: Credentials = {
      host,
      port,
      user,
      password,
      database: "replication",
      connectLimit: 1000,
      encryption: "prefer",
    };
    super({ name: UPSTREAM, host, port }, nodeLayoutOf(place.layout, { name: UPSTREAM }), undefined);
    this.#credentials = credentials;
  }

  override async observe(): Promise<NodeObservation> {
    if (this.observation.answer.kind === "facts" && now() - this.observation.at < LOOK_EVERY)
      return this.observation;
    try {
      const identity = await identifyPrimary(this.#credentials);
      const at = now();
      this.observation = {
        name: UPSTREAM,
        at,
        answer: { kind: "facts", facts: factsFrom(identity, at) },
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

  /** Has the next look be a new one. */
  forget(): void {
    this.observation = { ...this.observation, at: 0 };
  }

  override async use<T>(_act: (session: Session) => Promise<T>): Promise<T> {
    return await Promise.reject(
      new OdooPgError("refused", {
        message: `The primary ${this.node.host}:${this.node.port} is not run by odoo-pg: nothing is changed on it.`,
        next: "Do it on that host.",
      }),
    );
  }

  /** @throws OdooPgError primary_unreachable with the server's words. */
  async identify(): Promise<Identity> {
    return await this.#asking(async () => await identifyPrimary(this.#credentials));
  }

  async tablespacesThere(): Promise<ReadonlyMap<string, string>> {
    const { host, port, user, password } = this.#credentials;
    // A superuser is asked for nothing but the copy.
    if (user === SUPERUSER || typeof password !== "string") return new Map();
    const place = { host, port: async () => await Promise.resolve(port), encryption: "prefer" } as const;
    return await foreignTablespaces(new RoleAccess(place, user, password));
  }

  /** Makes the slot by which a node of this cluster follows it. @throws OdooPgError primary_unreachable */
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
        message: `The primary ${host}:${port} does not let ${this.#credentials.user} replicate: ${error instanceof Error ? error.message : String(error)}`,
        safe: "Nothing was changed.",
        next: `On the primary: CREATE ROLE ${this.#credentials.user} LOGIN REPLICATION, a line "host replication ${this.#credentials.user} <this host>" in pg_hba.conf, max_wal_senders and max_replication_slots above 0. Here: upstream in odoo-pg.yaml, or SLAVEHOST and its kin.`,
        cause: error,
      });
    }
  }
}

function factsFrom(identity: Identity, at: number): ServerFacts {
  return {
    now: at,
    started_at: 0,
    processes_since: null,
    configuration_read_at: 0,
    version: "?",
    system_identifier: identity.systemIdentifier,
    in_recovery: false,
    timeline: identity.timeline,
    wal_segment_bytes: 16 * 1024 * 1024,
    pending_restart: [],
    synchronous_standby_names: "",
    current_lsn: identity.lsn,
    standbys: [],
    slots: [],
    receive_lsn: null,
    replay_lsn: null,
    last_replay_at: null,
    receiver_status: null,
    latest_end_lsn: null,
    latest_end_at: null,
    replay_paused: false,
  };
}
