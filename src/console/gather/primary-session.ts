import type { NodeHandle } from "../../members/node-handle.ts";
import { ownPrimary, type Runtime } from "../../members/runtime.ts";
import type { SuperuserSession } from "../../system/sql/sql.ts";

/** Timeout of a connection and of each statement, in milliseconds: what takes longer is not shown. */
const TIMEOUT = 2000;

const SETTINGS = {
  jit: "off",
  statement_timeout: String(TIMEOUT),
  max_parallel_workers_per_gather: "0",
} as const;

const OPTIONS = {
  applicationName: "odoo-pg console",
  connectTimeout: TIMEOUT,
  statementTimeout: TIMEOUT,
  settings: SETTINGS,
};

/** A session on the current primary, kept while a page is open. */
export class PrimarySession {
  readonly #runtime: () => Runtime | undefined;
  /** Two concurrent requests wait for the same one. */
  #session: Promise<SuperuserSession> | undefined;
  /** The node of the session. */
  #node = "";

  constructor(runtime: () => Runtime | undefined) {
    this.#runtime = runtime;
  }

  /** Queries the kept session. @throws SqlError; Error where there is no primary that may be asked */
  async ask<T>(question: (session: SuperuserSession) => Promise<T>): Promise<T> {
    const { node, superuser } = this.#primary();
    if (this.#node !== node.name || (await this.#isBroken())) await this.close();
    this.#node = node.name;
    this.#session ??= superuser.session(OPTIONS);
    return await question(await this.#session);
  }

  /** Queries another database, by a session of its own. @throws as `ask` */
  async askIn<T>(database: string, question: (session: SuperuserSession) => Promise<T>): Promise<T> {
    return await this.#primary().superuser.in(database).use(question, OPTIONS);
  }

  async close(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    // One that never opened needs no end.
    await (await session?.catch(() => undefined))?.close();
  }

  async #isBroken(): Promise<boolean> {
    const session = this.#session;
    if (!session) return false;
    const broken = await session.then(
      (made) => made.broken(),
      () => true,
    );
    // Another call has opened a new one meanwhile.
    return broken && session === this.#session;
  }

  #primary(): NodeHandle {
    const runtime = this.#runtime();
    const primary = runtime && ownPrimary(runtime);
    if (primary) return primary;
    throw new Error("there is no primary that may be asked");
  }
}
