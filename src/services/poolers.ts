import { isPooled } from "../config/pooling.ts";
import type { Config } from "../config/schema.ts";
import type { PgbouncerProgram } from "../endpoints/pgbouncer/program.ts";
import type { Backend } from "../endpoints/servers.ts";
import type { PoolersStatus, PoolerStatus } from "../model/pooler.ts";
import type { WaitingClients } from "../model/waiting.ts";
import { requireOwnPrimary, type Runtime } from "../members/runtime.ts";
import { passingRoles } from "../postgres/sql/access/pooled-roles.ts";
import type { Progress } from "../progress.ts";
import { monotonic } from "../system/clock.ts";
import { PAUSE_TIMEOUT, Pooler, type Elsewhere, type PassingRoles, type PoolerFacts } from "./pooler.ts";
import { messageOf } from "../errors.ts";
import type { Service } from "./service.ts";

/** Milliseconds between two reads of the roles that may log in. */
const ROLES_EVERY = 2000;

/** The session that reads the roles. With synchronous_commit local it waits for no replica. */
const ASKING = {
  applicationName: "odoo-pg agent",
  connectTimeout: 2000,
  statementTimeout: 5000,
  settings: { synchronous_commit: "local" },
};

/**
 * The PgBouncers of this host: one for each endpoint with `pooling: transaction`, on the endpoint's port, with HAProxy behind
 * it. They let in the roles that the primary would let in through an endpoint.
 */
export class Poolers {
  /** Searched for again at each `up`; undefined where no endpoint pools. */
  program: PgbouncerProgram | undefined;
  readonly #poolers: readonly Pooler[];
  readonly #log: Runtime["log"];
  #roles: PassingRoles;
  #rolesAt = 0;
  /** The failure that was logged last. */
  #complained = "";

  /** @param elsewhere where the servers are on several hosts */
  constructor(place: Pick<Runtime, "layout" | "owner" | "log">, elsewhere?: () => Elsewhere) {
    const facts = (): PoolerFacts => ({ program: this.program, roles: this.#roles });
    this.#poolers = [
      new Pooler(place, "write", facts, elsewhere),
      new Pooler(place, "read", facts, elsewhere),
    ];
    this.#log = place.log;
  }

  #wanted(config: Pick<Config, "endpoints">): Pooler[] {
    return this.#poolers.filter(({ endpoint }) => isPooled(config, endpoint));
  }

  /** Whether one of them listens on this port. */
  async hold(port: number): Promise<boolean> {
    const holding = await Promise.all(this.#poolers.map(async (pooler) => await pooler.holds(port)));
    return holding.includes(true);
  }

  /** Brings those that are wanted to their configuration. HAProxy may lead clients to them afterwards. */
  async ensure(runtime: Runtime, progress: Progress): Promise<void> {
    const wanted = this.#wanted(runtime.config);
    if (!wanted.length) return;
    await this.#readRoles(runtime).catch((error: unknown) => this.#complain(error));
    for (const pooler of wanted) await pooler.ensure(runtime, progress);
  }

  /** Ends those no longer wanted. HAProxy must send no one there before. */
  async retire(config: Config, progress: Progress): Promise<void> {
    for (const pooler of this.#poolers) if (!isPooled(config, pooler.endpoint)) await pooler.retire(progress);
  }

  /** Those that supervision keeps running. */
  get services(): readonly Service[] {
    return this.#poolers;
  }

  /** Takes up changed roles within some seconds. Called twice a second. Never throws: a failure is logged once. */
  async tick(runtime: Runtime): Promise<void> {
    const wanted = this.#wanted(runtime.config);
    if (!wanted.length || monotonic() - this.#rolesAt < ROLES_EVERY) return;
    try {
      await this.#readRoles(runtime);
      for (const pooler of wanted) await pooler.refresh(runtime);
    } catch (error) {
      this.#complain(error);
    }
  }

  async #readRoles(runtime: Runtime): Promise<void> {
    this.#rolesAt = monotonic();
    this.#roles = await requireOwnPrimary(runtime).superuser.use(passingRoles, ASKING);
    this.#complained = "";
  }

  /**
   * Logs a failure once. Status reports a primary that does not answer; meanwhile the roles that could log in still
   * can.
   */
  #complain(error: unknown): void {
    const text = messageOf(error);
    if (text !== this.#complained) this.#log("warn", `pgbouncer: ${text}`);
    this.#complained = text;
  }

  /**
   * Before a planned change: lets open transactions end, and has clients wait until `resume`. Transactions still open at
   * the timeout are reported; the change then cuts them.
   * @param which endpoint; else both
   */
  async pause(progress: Progress, which?: Backend): Promise<void> {
    const paused = this.#poolers.filter(({ endpoint }) => which === undefined || endpoint === which);
    const left = await Promise.all(paused.map(async (pooler) => await pooler.pause(PAUSE_TIMEOUT)));
    const open = left.reduce((sum, count) => sum + count, 0);
    if (open > 0)
      progress.note(
        `${open} ${open === 1 ? "transaction was" : "transactions were"} still open after ${PAUSE_TIMEOUT / 1000} s: cut`,
      );
  }

  /** Ends a `pause`, whether the change succeeded or not. */
  async resume(): Promise<void> {
    for (const pooler of this.#poolers) await pooler.resume();
  }

  /** Ends all with their sessions. */
  async stop(): Promise<void> {
    for (const pooler of this.#poolers) await pooler.takeDown();
  }

  /** As they were some seconds ago at most. */
  status(config: Pick<Config, "endpoints">): PoolersStatus {
    const of = (endpoint: Backend): PoolerStatus | null => {
      const pooler = this.#wanted(config).find((one) => one.endpoint === endpoint);
      if (!pooler) return null;
      const { figures } = pooler;
      return {
        answers: figures !== undefined,
        clients: figures?.clients ?? null,
        servers_active: figures?.servers_active ?? null,
        servers_idle: figures?.servers_idle ?? null,
      };
    };
    return { read: of("read"), write: of("write") };
  }

  /** The clients that wait for a server, at the endpoints that pool. */
  waiting(): Partial<WaitingClients> {
    return Object.fromEntries(
      this.#poolers.flatMap(({ endpoint, figures }) =>
        figures ? [[endpoint, { clients: figures.waiting, longest_seconds: figures.longest_wait }]] : [],
      ),
    );
  }
}
