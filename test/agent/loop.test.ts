import { describe, expect, test } from "vitest";
import { Complaints } from "../../src/agent/complaints.ts";
import { Loop, type Part } from "../../src/agent/loop.ts";

function complaints(clock?: () => number): { readonly lines: string[]; readonly complaints: Complaints } {
  const lines: string[] = [];
  return { lines, complaints: new Complaints((level, line) => lines.push(`${level} ${line}`), clock) };
}

describe("a loop", () => {
  test("does its parts one after the other, each when the one before has come to its end", async () => {
    const done: string[] = [];
    const slow = async (): Promise<void> => {
      done.push("a begins");
      await Promise.resolve();
      done.push("a ends");
    };
    const parts: Part[] = [
      { name: "a", run: slow },
      { name: "b", run: () => void done.push("b") },
    ];
    await new Loop(parts, complaints().complaints).once();
    expect(done).toEqual(["a begins", "a ends", "b"]);
  });

  test("looks at once again when it is woken, also while it looks", { timeout: 8000 }, async () => {
    let runs = 0;
    const parts: Part[] = [
      {
        name: "a",
        run: () => {
          runs += 1;
          if (runs < 20) loop.wake();
        },
      },
    ];
    const loop = new Loop(parts, complaints().complaints);
    // Without being woken twenty looks take ten seconds.
    await loop.run(() => runs === 20);
    expect(runs).toBe(20);
  });

  test("does not wait for a part that is done aside, and complains when that fails later", async () => {
    const { lines, complaints: told } = complaints();
    const done: string[] = [];
    let fail: ((why: Error) => void) | undefined;
    const hangs = async (): Promise<void> =>
      await new Promise((_resolve, reject) => {
        fail = reject;
      });
    const parts: Part[] = [
      { name: "a", run: hangs, aside: true },
      { name: "b", run: () => void done.push("b") },
    ];
    await new Loop(parts, told).once();
    expect(done).toEqual(["b"]);
    fail?.(new Error("no answer"));
    await new Promise((resolve) => setImmediate(resolve));
    expect(lines).toEqual(["error a: no answer"]);
  });

  test("goes on with the next part after one that fails, whether it throws or rejects", async () => {
    const { lines, complaints: told } = complaints();
    const done: string[] = [];
    const parts: Part[] = [
      {
        name: "a",
        run: () => {
          throw new Error("thrown");
        },
      },
      { name: "b", run: async () => await Promise.reject(new Error("rejected")) },
      { name: "c", run: () => void done.push("c") },
    ];
    await new Loop(parts, told).once();
    expect(done).toEqual(["c"]);
    expect(lines).toEqual(["error a: thrown", "error b: rejected"]);
  });

  test("looks again and again until it is told to end, and then no more", async () => {
    let runs = 0;
    await new Loop([{ name: "a", run: () => void (runs += 1) }], complaints().complaints).run(
      () => runs === 2,
    );
    expect(runs).toBe(2);
  });
});

describe("a complaint", () => {
  test("that is the same is written once a minute, another one at once", () => {
    let at = 0;
    const { lines, complaints: told } = complaints(() => at);
    for (; at < 60_000; at += 500) told.of("haproxy", new Error("no answer"));
    expect(lines).toEqual(["error haproxy: no answer"]);
    told.of("haproxy", new Error("no answer"));
    expect(lines).toHaveLength(2);
    told.of("haproxy", "refused");
    expect(lines.at(-1)).toBe("error haproxy: refused");
  });

  test("about one thing keeps none about another from being written", () => {
    const { lines, complaints: told } = complaints(() => 0);
    told.of("pg1", new Error("no answer"));
    told.of("pg2", new Error("no answer"));
    expect(lines).toEqual(["error pg1: no answer", "error pg2: no answer"]);
  });
});
