import { expect, test } from "vitest";
import { OperationQueue } from "../../src/agent/operation-queue.ts";
import type { Outcome } from "../../src/cluster/documents/agent-report.ts";
import { OdooPgError } from "../../src/errors.ts";
import { deferred, notes } from "../support/notes.ts";

const OUTCOME: Outcome = { steps: ["promote pg2"], plan: [], undo: ["Switch back."], dry_run: false };
const SWITCHOVER = { operation: "switchover", to: "pg2", dry_run: false } as const;

test("orders are carried out one after another, in the order of their coming", async () => {
  const { log, progress } = notes();
  const queue = new OperationQueue(log);
  const first = deferred();
  const done: string[] = [];
  const up = queue.run("up", progress, async () => {
    await first.promise;
    done.push("up");
  });
  const down = queue.run("down", progress, async () => {
    done.push("down");
    await Promise.resolve();
  });
  await Promise.resolve();
  expect([queue.current, queue.empty, done]).toEqual(["up", false, []]);
  first.resolve();
  await Promise.all([up, down]);
  expect(done).toEqual(["up", "down"]);
  expect([queue.current, queue.empty]).toEqual([undefined, true]);
});

test("who waits is told for what, and the log has begin and end of each order", async () => {
  const { lines, log, progress } = notes();
  const queue = new OperationQueue(log);
  const first = deferred();
  const up = queue.run("up", progress, async () => await first.promise);
  await Promise.resolve();
  const down = queue.run("down", progress, async () => await Promise.resolve());
  first.resolve();
  await Promise.all([up, down]);
  expect(lines).toEqual([
    "info up: begins",
    'note waiting for another "up" to finish',
    "info up: done",
    "info down: begins",
    "info down: done",
  ]);
});

test("an order that fails says so in the log, and the next one is carried out", async () => {
  const { lines, log, progress } = notes();
  const queue = new OperationQueue(log);
  const fails = queue.run(
    "up",
    progress,
    async () => await Promise.reject(new OdooPgError("disk_full", { message: "no room" })),
  );
  const goes = queue.run("down", progress, async () => await Promise.resolve("done"));
  await expect(fails).rejects.toThrow("no room");
  expect(await goes).toBe("done");
  expect(lines).toContain("error up: no room");
  expect(queue.empty).toBe(true);
});

test("the same request, given again while it is under way, shares its end and is carried out once", async () => {
  const { lines, log, progress } = notes();
  const queue = new OperationQueue(log);
  const end = deferred();
  let times = 0;
  const act = async (): Promise<Outcome> => {
    times += 1;
    await end.promise;
    return OUTCOME;
  };
  const both = [queue.once(SWITCHOVER, progress, act), queue.once(SWITCHOVER, progress, act)];
  end.resolve();
  expect(await Promise.all(both)).toEqual([OUTCOME, OUTCOME]);
  expect(times).toBe(1);
  expect(lines).toContain("note the same switchover is under way already: waiting for its end");
  await queue.once(SWITCHOVER, progress, act);
  expect(times).toBe(2);
});

test("another request is an order of its own, and one that failed can be given again", async () => {
  const { log, progress } = notes();
  const queue = new OperationQueue(log);
  const asked: (string | undefined)[] = [];
  const order = async (to: string): Promise<Outcome> =>
    await queue.once({ ...SWITCHOVER, to }, progress, async () => {
      asked.push(to);
      if (asked.length === 1) throw new Error("pg2 is behind");
      return await Promise.resolve(OUTCOME);
    });
  const [first, second] = await Promise.allSettled([order("pg2"), order("pg3")]);
  expect([first.status, second.status]).toEqual(["rejected", "fulfilled"]);
  await order("pg2");
  expect(asked).toEqual(["pg2", "pg3", "pg2"]);
});

test("once closed it takes no order, and what was taken before is carried out", async () => {
  const { log, progress } = notes();
  const queue = new OperationQueue(log);
  const end = deferred();
  const taken = queue.run("down", progress, async () => await end.promise);
  queue.close();
  await expect(queue.run("up", progress, async () => await Promise.resolve())).rejects.toMatchObject({
    code: "not_running",
  });
  expect(queue.closed).toBe(true);
  end.resolve();
  await taken;
});
