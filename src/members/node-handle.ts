import type { StartFailure, WaitingState } from "../model/node-state.ts";
import { asStep, type NextStep, type NextText } from "../next-step.ts";
import type { NodeConfig, NodeLayout } from "../config/layout.ts";
import type { Lsn } from "../model/lsn.ts";
import type { TablespaceTrouble } from "../model/tablespaces.ts";
import { messageOf, OdooPgError } from "../errors.ts";
import { findPostmaster, StartError } from "../postgres/server.ts";
import { Hold } from "./hold.ts";
import { IdleSession } from "./idle-session.ts";
import type { Superuser } from "../postgres/sql/access/superuser.ts";
import type { Session } from "../system/sql/sql.ts";
import { SqlMember } from "./sql-member.ts";

/** Milliseconds to connect for the agent's own statements. */
const CONNECT_TIMEOUT = 2000;

const SESSION = {
  applicationName: "odoo-pg agent",
  connectTimeout: CONNECT_TIMEOUT,
  // Its own statements must never wait for a replica.
  settings: { synchronous_commit: "local" },
} as const;

/** A node of this host, which the agent starts, stops and looks after: its files, its superuser, and its state. */
export class NodeHandle extends SqlMember {
  readonly files: NodeLayout;
  readonly superuser: Superuser;
  readonly #idle = new IdleSession(CONNECT_TIMEOUT);
  /** Who works on its server. */
  readonly hold = new Hold();
  /** Why the node is not run: it waits for a decision of the user. */
  waiting: { state: WaitingState; reason: string; next: NextStep } | undefined;
  /** Why the last start failed, as a sentence, and what to do about it where that is known. */
  failure:
    | { readonly why: StartFailure; readonly text: string; readonly next: NextStep | undefined }
    | undefined;
  /** Where a replica that does not stream has stalled, since when (our clock), and when that was last checked. */
  stalled: { readonly lsn: Lsn; readonly since: number; askedAt: number } | undefined;
  /** Whether the primary no longer has the WAL that this replica needs next. */
  missingWal = false;
  /** In the primary's words, why it does not let a replica that does not stream replicate; undefined where it would. */
  refusal: string | undefined;
  /** Tablespaces of the primary for which this replica has no place of its own. */
  tablespaces: readonly TablespaceTrouble[] = [];
  /** The tablespace whose creation ended its last start. */
  refusedTablespace: string | undefined;

  constructor(node: NodeConfig, files: NodeLayout, superuser: Superuser) {
    super(node, superuser, "full");
    this.files = files;
    this.superuser = superuser;
  }

  /** Leaves the node alone until someone has decided. */
  waitFor(state: WaitingState, reason: string, next: NextText): void {
    this.waiting = { state, reason, next: asStep(next) };
  }

  startedWell(): void {
    this.failure = undefined;
    this.refusedTablespace = undefined;
  }

  startFailed(error: unknown): void {
    const { name } = this.node;
    const message = messageOf(error);
    const known = error instanceof OdooPgError ? error : undefined;
    this.failure = {
      why: error instanceof StartError ? error.why : "other",
      // Errors about a server already say whose start it is.
      text: known?.code === "node_failed" ? message : `${name} does not start: ${message}`,
      next: known?.next,
    };
    this.refusedTablespace = error instanceof StartError ? error.tablespace : undefined;
  }

  /**
   * A session for the agent's own statements. One without a timeout is kept for the next who asks: a new one costs the server a
   * process. None waits for another's end, and one that failed serves nobody again. Whoever sets something in it, or takes a
   * lock until its end, uses a new one.
   * @param statementTimeout milliseconds for each statement; none when undefined
   * @throws SqlError
   */
  async use<T>(act: (session: Session) => Promise<T>, statementTimeout?: number): Promise<T> {
    if (statementTimeout !== undefined) return await this.useNew(act, statementTimeout);
    const session = (await this.#idle.take()) ?? (await this.superuser.session(SESSION));
    let result: T;
    try {
      result = await act(session);
    } catch (error) {
      await session.close();
      throw error;
    }
    this.#idle.keep(session);
    return result;
  }

  /** The same in a session of its own: also whether there can be one is seen. */
  async useNew<T>(act: (session: Session) => Promise<T>, statementTimeout?: number): Promise<T> {
    const timeout = statementTimeout === undefined ? {} : { statementTimeout };
    return await this.superuser.use(act, { ...SESSION, ...timeout });
  }

  override async disconnect(): Promise<void> {
    this.#idle.end();
    await super.disconnect();
  }

  /** A server whose configured port was changed is reached at the old one until its restart. */
  async port(): Promise<number> {
    return (await findPostmaster(this.files.dataDir))?.port ?? this.node.port;
  }
}
