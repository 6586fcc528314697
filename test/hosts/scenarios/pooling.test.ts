import { join } from "node:path";
import type { Client, ClientConfig } from "pg";
import { setTimeout as pause } from "node:timers/promises";
import { beforeAll, expect, test } from "vitest";
import { figure, seconds } from "../../faults/figures.ts";
import { waitFor } from "../../support/wait.ts";
import { close, open } from "../lab/client.ts";
import { describeOnHosts } from "../on-hosts.ts";
import { Stage } from "./scene.ts";

const POOLED = { write: { pooling: "transaction" }, read: { pooling: "transaction" } };
/** Clients of each host, and switchovers. */
const CLIENTS = 4;
const SWITCHOVERS = 5;

/** Clients that work in transactions, without a pause; `stop` says what came of them. */
class Workers {
  done = 0;
  readonly failures: string[] = [];
  /** Milliseconds of the longest transaction. */
  longest = 0;
  readonly #loops: Promise<void>[];
  #ending = false;

  constructor(endpoints: readonly ClientConfig[]) {
    this.#loops = endpoints.flatMap((endpoint, host) =>
      Array.from(
        { length: CLIENTS },
        async (_, client) => await this.#work(endpoint, host * CLIENTS + client),
      ),
    );
  }

  async stop(): Promise<void> {
    this.#ending = true;
    await Promise.all(this.#loops);
  }

  async #work(endpoint: ClientConfig, client: number): Promise<void> {
    let session: Client | undefined;
    for (let n = 1; !this.#ending; n += 1) {
      const begin = performance.now();
      try {
        session ??= await open(endpoint);
        await session.query("BEGIN");
        await session.query("INSERT INTO work VALUES ($1, $2)", [client, n]);
        await session.query("SELECT count(*) FROM work WHERE client = $1 AND n > $2", [client, n - 10]);
        await session.query("COMMIT");
        this.done += 1;
      } catch (error) {
        this.failures.push(String(error));
        close(session);
        session = undefined;
      }
      this.longest = Math.max(this.longest, performance.now() - begin);
      await pause(20);
    }
    close(session);
  }
}

describeOnHosts("three hosts whose endpoints pool", () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await Stage.of();
  }, 240_000);

  test("pooling is turned on for all hosts, and a planned switchover fails no transaction on any", async () => {
    const { several, lab } = stage;
    const [first] = lab.hosts;
    if (!first) throw new Error("a lab without hosts");
    several.configure(first, { endpoints: POOLED });
    await several.do(first, "up");
    for (const host of lab.hosts)
      await waitFor(
        `PgBouncer on ${host.name}`,
        () => host.processes(/pgbouncer .*write\.ini/).length === 1,
      ).catch((error: unknown) => {
        several.keepLogs(join("test-output/hosts", "pooling"));
        throw error;
      });
    await several.ready();
    const endpoints = await Promise.all(lab.hosts.map(async (host) => await several.endpoint(host, "write")));
    const [endpoint] = endpoints;
    if (!endpoint) throw new Error("no endpoint");
    const maker = await open(endpoint);
    await maker.query("CREATE TABLE work (client int, n int, PRIMARY KEY (client, n))");
    const workers = new Workers(endpoints);
    try {
      for (let time = 0; time < SWITCHOVERS; time += 1) {
        await pause(1500);
        await several.switchover();
        await several.ready();
      }
      await pause(1500);
    } finally {
      await workers.stop();
    }
    const { rows } = await maker.query<{ count: number }>("SELECT count(*)::int AS count FROM work");
    close(maker);
    if (workers.failures.length || workers.longest > 2500)
      several.keepLogs(join("test-output/hosts", "pooling"));
    figure(
      "Hosts: with pooling: switchover by plan, five times",
      "0 transactions fail on any host; none waits longer than 2.5 s, on a busy machine twice that",
      `${workers.failures.length} of ${workers.done + workers.failures.length} transactions failed; the longest took ${seconds(workers.longest)}`,
    );
    expect(workers.failures).toEqual([]);
    expect(rows[0]?.count).toBe(workers.done);
    expect(workers.done).toBeGreaterThan(500);
    expect(workers.longest).toBeLessThan(2 * 2500);
  }, 240_000);

  test("pooling is turned off again, and clients go on", async () => {
    const { several, lab } = stage;
    const [first] = lab.hosts;
    if (!first) throw new Error("a lab without hosts");
    several.configure(first, { endpoints: { write: { pooling: "none" }, read: { pooling: "none" } } });
    await several.do(first, "up");
    for (const host of lab.hosts) {
      await waitFor(`the end of PgBouncer on ${host.name}`, () => host.processes(/pgbouncer /).length === 0);
      const session = await open(await several.endpoint(host, "write"));
      await session.query("INSERT INTO work VALUES (1000, $1)", [Number(host.name.slice(1))]);
      close(session);
    }
  }, 120_000);
});
