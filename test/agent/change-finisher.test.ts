import { expect, test } from "vitest";
import { ChangeFinisher } from "../../src/agent/change-finisher.ts";
import { OperationQueue } from "../../src/agent/operation-queue.ts";
import type { NewEvent } from "../../src/events/event.ts";
import { OdooPgError } from "../../src/errors.ts";
import type { PlanStep } from "../../src/model/plan.ts";
import { FakeFailover, planOf } from "../support/fake-failover.ts";
import { deferred, notes } from "../support/notes.ts";
import { waitFor } from "../support/wait.ts";

const ROUTE = { kind: "route", node: "pg1" } as const;
const SETTLE: PlanStep = { kind: "settle", primary: "pg1", replicas: [] };

function finisher(unfinished = true) {
  const { lines, log, progress } = notes();
  const failover = new FakeFailover();
  failover.now = { ...failover.now, unfinished };
  failover.plans = planOf(ROUTE);
  const queue = new OperationQueue(log);
  const events: NewEvent[] = [];
  const tested = new ChangeFinisher(queue, (event) => void events.push(event), log);
  const idle = async (): Promise<void> => await waitFor("the queue to be empty", () => queue.empty);
  return { lines, progress, failover, queue, events, tested, idle };
}

test("finishes what a change has left, with its endpoints", async () => {
  const { failover, tested, lines, events } = finisher();
  tested.tick(failover, true);
  await waitFor("the plan to be carried out", () => failover.carriedOut.length === 1);
  expect(failover.planned[0]).toEqual({ kind: "finish", route: true });
  await waitFor("its end", () => lines.includes("info finish the change of the primary: done"));
  // Writes are led where they were before: the primary is the one that it was.
  expect(events).toEqual([]);
});

test("one that had yet to become the primary is an event", async () => {
  const { failover, tested, events } = finisher();
  failover.plans = planOf(ROUTE, SETTLE);
  tested.tick(failover, true);
  await waitFor("the event", () => events.length === 1);
  expect(events[0]).toMatchObject({ kind: "promote", by: "agent", node: "pg1" });
});

test.each([
  ["nothing is left", false, true],
  ["the primary does not answer", true, false],
])("does nothing where %s", async (_, unfinished, answers) => {
  const { failover, tested } = finisher(unfinished);
  tested.tick(failover, answers);
  await Promise.resolve();
  expect(failover.planned).toEqual([]);
});

test("leaves the turn to an order of people", async () => {
  const { failover, queue, tested, progress } = finisher();
  const order = deferred();
  const under = queue.run("switchover", progress, async () => await order.promise);
  tested.tick(failover, true);
  await Promise.resolve();
  expect(failover.planned).toEqual([]);
  order.resolve();
  await under;
  tested.tick(failover, true);
  await waitFor("the plan to be carried out", () => failover.carriedOut.length === 1);
});

test("what looks unfinished and needs no step is no order", async () => {
  const { failover, tested, lines } = finisher();
  failover.plans = planOf();
  tested.tick(failover, true);
  await waitFor("it to be planned", () => failover.planned.length === 1);
  expect([failover.carriedOut, lines]).toEqual([[], []]);
});

test("while it finishes it does not begin again, and one that fails is tried again", async () => {
  const { failover, tested, idle, lines } = finisher();
  const end = deferred();
  failover.acts = async () => await end.promise;
  tested.tick(failover, true);
  await waitFor("it to be under way", () => failover.carriedOut.length === 1);
  tested.tick(failover, true);
  end.reject(new OdooPgError("timed_out", { message: "HAProxy does not answer" }));
  await idle();
  expect(lines).toContain("error finish the change of the primary: HAProxy does not answer");
  failover.acts = async () => await Promise.resolve();
  await waitFor("the next try", () => {
    tested.tick(failover, true);
    return failover.carriedOut.length === 2;
  });
});
