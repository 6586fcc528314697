import * as z from "zod";
import { openConsole, type Console } from "../../system/sql/console.ts";
import type { PgbouncerFiles } from "./files.ts";
import { CONSOLE_DATABASE, CONSOLE_USER } from "./render.ts";

/** Milliseconds for one answer of PgBouncer. */
const ANSWER_TIMEOUT = 2000;

const count = z.coerce.number().int().nonnegative();

/** One pool: the clients and connections of one role in one database. Source: PgBouncer, "SHOW POOLS". */
const poolRow = z.object({
  database: z.string(),
  cl_active: count,
  cl_waiting: count,
  sv_active: count,
  sv_idle: count,
  sv_used: count,
  sv_tested: count,
  sv_login: count,
  maxwait: count,
  maxwait_us: count,
  pool_mode: z.string().nullable(),
});
export type PoolRow = z.output<typeof poolRow>;

/** PgBouncer's console: how it is, and orders to it. Source: PgBouncer, "Admin console". */
export class PoolerAdmin {
  readonly #files: PgbouncerFiles;
  readonly #port: number;

  constructor(files: PgbouncerFiles, port: number) {
    this.#files = files;
    this.#port = port;
  }

  /** A session that stays open. @param timeout milliseconds for one answer; none when 0 @throws SqlError */
  async open(timeout = ANSWER_TIMEOUT): Promise<Console> {
    return await openConsole({
      host: this.#files.runDir,
      port: this.#port,
      user: CONSOLE_USER,
      database: CONSOLE_DATABASE,
      timeout,
    });
  }

  /** @throws SqlError */
  async order(command: "RELOAD" | "RESUME" | "SHOW VERSION"): Promise<void> {
    await this.#use(async (console) => await console.ask(command));
  }

  /** The pools of clients: without PgBouncer's own. @throws SqlError */
  async pools(): Promise<PoolRow[]> {
    return await this.#use(poolsOf);
  }

  async #use<T>(act: (console: Console) => Promise<T>): Promise<T> {
    const console = await this.open();
    try {
      return await act(console);
    } finally {
      await console.close();
    }
  }
}

async function poolsOf(console: Console): Promise<PoolRow[]> {
  const rows = poolRow.array().parse(await console.ask("SHOW POOLS"));
  return rows.filter(({ database }) => database !== CONSOLE_DATABASE);
}

/** Transactions that are open now: sessions of `postgres` are not counted; they end when their clients end them. */
export function openTransactions(pools: readonly PoolRow[]): number {
  return pools
    .filter(({ pool_mode: mode }) => mode === "transaction")
    .reduce((sum, pool) => sum + pool.sv_active, 0);
}

/** What is reported of one pooler. */
export interface PoolerFigures {
  readonly clients: number;
  readonly waiting: number;
  /** Seconds that the first in the queue has waited. */
  readonly longest_wait: number;
  /** Connections to servers, in use and idle. */
  readonly servers_active: number;
  readonly servers_idle: number;
}

export function figuresOf(pools: readonly PoolRow[]): PoolerFigures {
  const sum = (count: (pool: PoolRow) => number): number => pools.reduce((all, pool) => all + count(pool), 0);
  return {
    clients: sum((pool) => pool.cl_active + pool.cl_waiting),
    waiting: sum((pool) => pool.cl_waiting),
    longest_wait: Math.max(0, ...pools.map((pool) => pool.maxwait + pool.maxwait_us / 1e6)),
    servers_active: sum((pool) => pool.sv_active + pool.sv_login),
    servers_idle: sum((pool) => pool.sv_idle + pool.sv_used + pool.sv_tested),
  };
}
