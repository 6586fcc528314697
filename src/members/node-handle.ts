import type { NodeOperation, StartFailure, WaitingState } from "../model/node-state.ts";
import { silenceOf } from "../postgres/sql/silence.ts";
import { asStep, type NextStep, type NextText } from "../next-step.ts";
import type { NodeConfig, NodeLayout } from "../config/layout.ts";
import type { Lsn } from "../model/lsn.ts";
import type { NodeObservation } from "../model/observation.ts";
import type { TablespaceTrouble } from "../model/tablespaces.ts";
import { askServer, type Told } from "../postgres/sql/facts.ts";
import { OdooPgError } from "../errors.ts";
import { findPostmaster, StartError } from "../postgres/server.ts";
import { now } from "../system/clock.ts";
import { Hold } from "./hold.ts";
import type { RoleAccess } from "../postgres/sql/role-access.ts";
import { Superuser } from "../postgres/sql/superuser.ts";
import type { Session } from "../system/sql/sql.ts";

/** Milliseconds that a look at one node may take. A status with a dead node stays below 2 s. */
const LOOK_LIMIT = 1000;

/** Milliseconds to connect for the agent's own statements. */
const CONNECT_LIMIT = 2000;

/** A node that this agent looks after: its session for looking, and what was last seen. */
export class NodeHandle {
  readonly node: NodeConfig;
  readonly files: NodeLayout;
  observation: NodeObservation;
  /** Who works on its server. */
  readonly hold = new Hold();
  /** Why the node is not run: it waits for a decision of the user. */
  waiting: { state: WaitingState; reason: string; next: NextStep } | undefined;
  /** Why the last start failed, as a sentence, and what is to be done about it where that is known. */
  failure:
    | { readonly why: StartFailure; readonly text: string; readonly next: NextStep | undefined }
    | undefined;
  /** Where a replica that does not stream has been standing, since when (our clock), and when that was last looked into. */
  standing: { readonly lsn: Lsn; readonly since: number; lookedAt: number } | undefined;
  /** Whether the primary has no longer the WAL that this replica needs next. */
  stranded = false;
  /** In the primary's words, why it does not let a replica that does not stream replicate; undefined where it would. */
  refusal: string | undefined;
  /** Tablespaces of the primary for which this replica has no place of its own. */
  tablespaces: readonly TablespaceTrouble[] = [];
  /** The tablespace at whose making its last start ended. */
  refusedTablespace: string | undefined;
  /** What the server told at the last look; undefined where it did not answer. */
  told: Told | undefined;
  /** The look that is under way, and the one that begins when it has ended. */
  #looking: Promise<NodeObservation> | undefined;
  #next: Promise<NodeObservation> | undefined;
  #session: Session | undefined;
  readonly #access: Superuser | RoleAccess | undefined;

  /** @param access undefined for a node that is only asked by the replication protocol */
  constructor(node: NodeConfig, files: NodeLayout, access: Superuser | RoleAccess | undefined) {
    this.node = node;
    this.files = files;
    this.#access = access;
    this.observation = {
      name: node.name,
      at: 0,
      answer: { kind: "none", silence: { kind: "not_looked_at" } },
      lastSeen: undefined,
    };
  }

  /** Leaves the node alone until somebody has decided. */
  waitFor(state: WaitingState, reason: string, next: NextText): void {
    this.waiting = { state, reason, next: asStep(next) };
  }

  /** Takes its server for an operation. */
  async take(operation: NodeOperation): Promise<void> {
    await this.hold.take(operation);
  }

  startedWell(): void {
    this.failure = undefined;
    this.refusedTablespace = undefined;
  }

  startFailed(error: unknown): void {
    const { name } = this.node;
    const message = error instanceof Error ? error.message : String(error);
    const known = error instanceof OdooPgError ? error : undefined;
    this.failure = {
      why: error instanceof StartError ? error.why : "other",
      // Those about a server say themselves whose start it is.
      text: known?.code === "node_failed" ? message : `${name} does not start: ${message}`,
      next: known?.next,
    };
    this.refusedTablespace = error instanceof StartError ? error.tablespace : undefined;
  }

  /**
   * A look at the server that begins now: one that is under way may have begun before what the caller wants to see, so
   * it is waited for. Each takes LOOK_LIMIT at most. Never throws: that it does not answer is an answer.
   */
  async observe(): Promise<NodeObservation> {
    if (!this.#looking) return await this.#look();
    this.#next ??= this.#looking.then(async () => {
      this.#next = undefined;
      return await this.#look();
    });
    return await this.#next;
  }

  /** The look that is under way, else a new one: for who looks again soon. Never throws. */
  async glance(): Promise<NodeObservation> {
    return await (this.#looking ?? this.observe());
  }

  async #look(): Promise<NodeObservation> {
    const looking = this.#ask().finally(() => {
      this.#looking = undefined;
    });
    this.#looking = looking;
    return await looking;
  }

  async #ask(): Promise<NodeObservation> {
    try {
      // A session that the server ended says nothing of the server now.
      if (this.#session?.broken()) await this.disconnect();
      this.#session ??= await this.#way.session({
        applicationName: "odoo-pg agent",
        connectLimit: LOOK_LIMIT,
        statementLimit: LOOK_LIMIT,
        // Its own statements must never wait for a replica.
        settings: { synchronous_commit: "local", jit: "off" },
      });
      this.told = await askServer(this.#session, this.told);
      const { facts } = this.told;
      const at = now();
      this.observation = { name: this.node.name, at, answer: { kind: "facts", facts }, lastSeen: at };
    } catch (error) {
      this.told = undefined;
      await this.disconnect();
      this.observation = {
        name: this.node.name,
        at: now(),
        answer: { kind: "none", silence: silenceOf(error, LOOK_LIMIT) },
        lastSeen: this.observation.lastSeen,
      };
    }
    return this.observation;
  }

  /**
   * Opens a session for the agent's own statements and closes it afterwards.
   * @param statementLimit milliseconds for each statement; none when undefined
   * @throws SqlError
   */
  async use<T>(act: (session: Session) => Promise<T>, statementLimit?: number): Promise<T> {
    const session = await this.#way.session({
      applicationName: "odoo-pg agent",
      connectLimit: CONNECT_LIMIT,
      ...(statementLimit === undefined ? {} : { statementLimit }),
      settings: { synchronous_commit: "local" },
    });
    try {
      return await act(session);
    } finally {
      await session.close();
    }
  }

  get superuser(): Superuser {
    if (this.#access instanceof Superuser) return this.#access;
    throw new Error(`${this.node.name} is not run by odoo-pg`);
  }

  get #way(): Superuser | RoleAccess {
    if (this.#access) return this.#access;
    throw new Error(`${this.node.name} is not asked by SQL`);
  }

  /** A server whose configured port was changed is reached at the old one until its restart. */
  async port(): Promise<number> {
    return (await findPostmaster(this.files.dataDir))?.port ?? this.node.port;
  }

  async disconnect(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.close();
  }
}
