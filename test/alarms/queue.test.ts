import { expect, test } from "vitest";
import type { Channel } from "../../src/alarms/channels.ts";
import type { AlarmMessage } from "../../src/alarms/message.ts";
import { ChannelQueue, queueStateSchema, waitAfter } from "../../src/alarms/queue.ts";
import { waitFor } from "../support/wait.ts";

function message(id: string, at = new Date().toISOString()): AlarmMessage {
  return {
    version: 1,
    id,
    event: "begins",
    cluster: "prod",
    host: "db1",
    rule: "node_down",
    severity: "warning",
    subject: "pg2",
    text: "pg2, a replica, is not running.",
    next: null,
    next_step: null,
    more: "odoo-pg status --full",
    at,
    since: at,
    on: { critical: 0, warning: 1 },
  };
}

/** A queue whose channel does what `deliver` does; with what it logged. */
function queue(deliver: Channel["deliver"], before?: ChannelQueue["state"]) {
  const lines: string[] = [];
  const made = new ChannelQueue(
    { name: "webhook", deliver },
    before,
    (level, text) => lines.push(`${level} ${text}`),
    () => {},
  );
  return { queue: made, lines };
}

test("messages arrive in order, one at a time, and are then forgotten", async () => {
  const arrived: string[] = [];
  let atOnce = 0;
  const { queue: tested } = queue(async ({ id }) => {
    atOnce += 1;
    expect(atOnce).toBe(1);
    await new Promise(setImmediate);
    atOnce -= 1;
    arrived.push(id);
    return undefined;
  });
  tested.add([message("a"), message("b")]);
  tested.work();
  tested.add([message("c")]);
  tested.work();
  await waitFor("all to arrive", () => arrived.length === 3);
  expect(arrived).toEqual(["a", "b", "c"]);
  expect(tested.state).toEqual({ waiting: [], failing: null });
});

test("the waits between two attempts grow up to ten minutes", () => {
  expect([1, 2, 3, 4, 8, 100].map(waitAfter)).toEqual([5000, 10_000, 20_000, 40_000, 600_000, 600_000]);
});

test("a message that does not arrive waits, is told of once in the log, and arrives later", async () => {
  let healthy = false;
  const arrived: string[] = [];
  const { queue: tested, lines } = queue(async ({ id }) => {
    if (!healthy) throw new Error("the address does not answer (ECONNREFUSED)");
    arrived.push(id);
    return undefined;
  });
  tested.add([message("a")]);
  tested.work();
  await waitFor("the first failure", () => tested.state.failing !== null);
  expect(tested.state).toMatchObject({
    waiting: [{ id: "a" }],
    failing: { error: "the address does not answer (ECONNREFUSED)" },
  });
  healthy = true;
  await waitFor("the second attempt", () => arrived.length === 1);
  await waitFor("the queue to be well", () => tested.state.failing === null);
  expect(lines).toEqual([
    "warn alarms by webhook do not arrive: the address does not answer (ECONNREFUSED)",
    "info alarms by webhook arrive again",
  ]);
});

test("what still waits at the end is for the next agent", async () => {
  const { queue: first } = queue(async () => await Promise.reject(new Error("no")));
  first.add([message("a"), message("b")]);
  first.work();
  await waitFor("the first failure", () => first.state.failing !== null);
  first.close();
  const arrived: string[] = [];
  const { queue: second } = queue(
    async ({ id }) => {
      arrived.push(id);
      return await Promise.resolve(undefined);
    },
    queueStateSchema.parse(JSON.parse(JSON.stringify(first.state))),
  );
  second.work();
  await waitFor("both to arrive", () => arrived.length === 2);
  expect(arrived).toEqual(["a", "b"]);
});

test("with too many waiting the oldest goes, and one of yesterday is not sent any more", async () => {
  const arrived: string[] = [];
  const { queue: tested, lines } = queue(async ({ id }) => {
    arrived.push(id);
    return await Promise.resolve(undefined);
  });
  const yesterday = new Date(Date.now() - 25 * 3_600_000).toISOString();
  tested.add([
    ...Array.from({ length: 101 }, (_, index) => message(String(index), yesterday)),
    message("new"),
  ]);
  expect(tested.state.waiting).toHaveLength(100);
  expect(lines).toEqual([
    "error alarm by webhook dropped (node_down begins): too many wait",
    "error alarm by webhook dropped (node_down begins): too many wait",
  ]);
  tested.work();
  await waitFor("the new one to arrive", () => arrived.length > 0);
  expect(arrived).toEqual(["new"]);
  expect(lines.at(-1)).toContain("it could not be delivered for a day");
});

test("a sign of life never goes before an alarm, and its failure is a failing channel", async () => {
  const told: string[] = [];
  const made = new ChannelQueue(
    {
      name: "healthchecks",
      deliver: async ({ id }) => {
        told.push(id);
        return await Promise.resolve(undefined);
      },
      alive: async (text) => {
        told.push(text);
        return await Promise.reject(new Error('it answers "OK (not found)"'));
      },
    },
    undefined,
    () => {},
    () => {},
  );
  made.add([message("a")]);
  made.alive("well");
  expect(told).toEqual([]);
  made.work();
  await waitFor("the alarm to arrive", () => told.length === 1);
  await waitFor("nothing to wait", () => made.state.waiting.length === 0);
  await waitFor("the sign of life", () => {
    made.alive("well");
    return told.includes("well");
  });
  expect(told.slice(0, 2)).toEqual(["a", "well"]);
  await waitFor("the failure to be known", () => made.state.failing !== null);
});
