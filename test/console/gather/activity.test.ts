import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  blockingOf,
  holdsScheduledAction,
  longTransactionsOf,
} from "../../../src/console/gather/activity.ts";
import { ago, lastingFor } from "../../../src/console/gather/durations.ts";
import type { ActiveSession } from "../../../src/postgres/sql/observing/activity.ts";

function session(pid: number, changes: Partial<ActiveSession> = {}): ActiveSession {
  return {
    pid,
    database: "sales",
    user: "odoo",
    application: "",
    backend_type: "client backend",
    state: "active",
    transaction_seconds: 5,
    state_seconds: 5,
    query: "SELECT 1",
    blocked_by: [],
    wanted: null,
    ...changes,
  };
}

const waiter = (pid: number, by: readonly number[], seconds: number, kind = "transactionid"): ActiveSession =>
  session(pid, { blocked_by: [...by], wanted: { kind, relation: 16_400, seconds } });

const tables = (_database: string, oid: number): string | undefined =>
  oid === 16_400 ? "res_partner" : undefined;

describe("who blocks whom", () => {
  test("is said in one sentence with what the one in front does and what the others wait for", () => {
    const idle = session(12, { state: "idle in transaction", state_seconds: 200 });
    expect(blockingOf([waiter(20, [12], 170), waiter(21, [12], 30, "tuple"), idle], tables)).toEqual([
      {
        blocker: 12,
        waiting: [20, 21],
        seconds: 170,
        sentence:
          "odoo (pid 12, idle in transaction for 3 min, database sales) keeps 2 others waiting for a row of res_partner",
      },
    ]);
  });

  test("of a chain names who stands at its end, and counts all who wait", () => {
    const [found] = blockingOf([waiter(30, [20], 5), waiter(20, [12], 9, "relation"), session(12)], tables);
    expect(found).toMatchObject({ blocker: 12, waiting: [20, 30], seconds: 9 });
    expect(found?.sentence).toBe(
      "odoo (pid 12, running a statement for 5 s, database sales) keeps 2 others waiting for a row of res_partner and the table res_partner",
    );
  });

  test("knows processes of the server and prepared transactions, and says less where no table is known", () => {
    const vacuum = session(7, { backend_type: "autovacuum worker", user: "", state: "" });
    expect(blockingOf([waiter(20, [7], 1, "relation"), vacuum], () => undefined)[0]?.sentence).toBe(
      "autovacuum worker (pid 7, database sales) keeps 1 other waiting for a table",
    );
    expect(blockingOf([waiter(20, [0], 1)], () => undefined)[0]?.sentence).toBe(
      "A prepared transaction keeps 1 other waiting for a row",
    );
  });

  test("also of a deadlock, before PostgreSQL ends it, something is said", () => {
    expect(blockingOf([waiter(1, [2], 1), waiter(2, [1], 1)], tables)).toMatchObject([
      { blocker: 1, waiting: [2] },
    ]);
  });

  test("whatever waits for whatever, each sentence has a blocker who is not among those it keeps waiting", () => {
    const pid = fc.integer({ min: 0, max: 12 });
    const waits = fc.record({ pid, by: fc.uniqueArray(pid, { maxLength: 3 }), seconds: fc.nat(1000) });
    fc.assert(
      fc.property(fc.uniqueArray(waits, { selector: (one) => one.pid }), (all) => {
        const sessions = all.map(({ pid, by, seconds }) =>
          waiter(
            pid,
            by.filter((other) => other !== pid),
            seconds,
          ),
        );
        for (const { blocker, waiting, sentence } of blockingOf(sessions, tables)) {
          expect(waiting).not.toContain(blocker);
          expect(waiting.length).toBeGreaterThan(0);
          expect(sentence).toContain("waiting for");
        }
      }),
    );
  });
});

describe("long transactions", () => {
  test("are those of clients, the longest first, without odoo-pg's own", () => {
    const long = longTransactionsOf([
      session(1, { transaction_seconds: 40 }),
      session(2, { transaction_seconds: 400 }),
      session(3, { transaction_seconds: 29 }),
      session(4, { transaction_seconds: null }),
      session(5, { transaction_seconds: 500, application: "odoo-pg backup" }),
      session(6, { transaction_seconds: 500, backend_type: "walsender" }),
    ]);
    expect(long.map(({ pid }) => pid)).toEqual([2, 1]);
  });

  test("tell the cursor of a scheduled action, which stands in its transaction while the action runs", () => {
    const acquire = "SELECT * FROM ir_cron WHERE id = 7 FOR NO KEY UPDATE SKIP LOCKED";
    expect(holdsScheduledAction({ state: "idle in transaction", query: acquire })).toBe(true);
    expect(
      holdsScheduledAction({ state: "idle in transaction", query: 'UPDATE "ir_cron" SET "lastcall"=now()' }),
    ).toBe(true);
    expect(holdsScheduledAction({ state: "active", query: acquire })).toBe(false);
    expect(holdsScheduledAction({ state: "idle in transaction", query: "SELECT FROM my_ir_cron_log" })).toBe(
      false,
    );
  });
});

test("durations are said as people do, and change seldom", () => {
  expect([0, 41.4, 119, 120, 7199, 7200, 172_799, 172_800].map(lastingFor)).toEqual([
    "0 s",
    "41 s",
    "119 s",
    "2 min",
    "119 min",
    "2 hours",
    "47 hours",
    "2 days",
  ]);
  expect(ago(119_000)).toBe("just now");
  expect(ago(12 * 60_000)).toBe("12 min ago");
});
