import { expect, test } from "vitest";
import { odooPg } from "../../src/next-step.ts";
import { every, monotonic, now, pause, waitUntil, within } from "../../src/system/clock.ts";

test("a wait returns the first answer that is not undefined, false or null", async () => {
  const answers = [undefined, false, null, 0];
  expect(await waitUntil(() => answers.shift(), { what: "an answer", timeout: 5000, interval: 1 })).toBe(0);
});

test("a wait that reaches its limit says for what, and what to do next", async () => {
  const wait = waitUntil(() => false, { what: "pg1 to answer", timeout: 20, next: odooPg("logs", "pg1") });
  await expect(wait).rejects.toMatchObject({
    code: "timed_out",
    message: expect.stringContaining("Still waiting for pg1 to answer"),
    next: [odooPg("logs", "pg1")],
  });
});

test("a wait looks at least once, and hands an error of its look on", async () => {
  expect(await waitUntil(() => "at once", { what: "it", timeout: 0 })).toBe("at once");
  await expect(
    waitUntil(() => Promise.reject(new Error("broken")), { what: "it", timeout: 5000 }),
  ).rejects.toThrow("broken");
});

test("a wait can be interrupted", async () => {
  const abort = new AbortController();
  const wait = waitUntil(() => false, {
    what: "it",
    timeout: 60_000,
    interval: 60_000,
    signal: abort.signal,
  });
  abort.abort();
  await expect(wait).rejects.toThrow();
});

test("what answers in time is passed on, and what does not is named", async () => {
  expect(await within(5000, "it", Promise.resolve(1))).toBe(1);
  await expect(within(5000, "it", Promise.reject(new Error("broken")))).rejects.toThrow("broken");
  await expect(within(10, "pg2", new Promise(() => {}))).rejects.toThrow("no answer within 10 ms from pg2");
});

test("what is done again and again ends when it is told to", async () => {
  let times = 0;
  const end = every(1, () => {
    times += 1;
  });
  await waitUntil(() => times >= 3, { what: "three times", timeout: 5000, interval: 1 });
  end();
  const seen = times;
  const start = monotonic();
  await pause(20);
  expect(times).toBe(seen);
  expect(monotonic()).toBeGreaterThan(start);
  expect(now()).toBeGreaterThan(Date.UTC(2024));
});
