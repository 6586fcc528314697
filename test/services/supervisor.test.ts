import { describe, expect, test } from "vitest";
import { Hold } from "../../src/members/hold.ts";
import type { Answer, Found, Service } from "../../src/services/service.ts";
import { ASK_EVERY, HUNG_AFTER, retryDelay, Supervisor } from "../../src/services/supervisor.ts";

/** A start that waits for a word. */
interface Start {
  readonly signal: AbortSignal;
  succeed(): void;
  fail(why: string): void;
}

/** A service without a process: what it answers is set, and what is done to it is noted. */
class FakeService implements Service {
  readonly name = "fake";
  readonly hold = new Hold();
  found: Found = "stopped";
  answer: Answer = "answers";
  /** Where set, a start fails at once with these words. */
  refuses: string | undefined;
  killed: readonly number[] = [7];
  readonly done: string[] = [];
  readonly starts: Start[] = [];

  find(): Promise<Found> {
    return Promise.resolve(this.found);
  }

  async start(signal: AbortSignal): Promise<void> {
    this.done.push("start");
    if (this.refuses !== undefined) throw new Error(this.refuses);
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener("abort", () => reject(new Error("aborted")));
      this.starts.push({
        signal,
        succeed: () => {
          this.found = "running";
          resolve();
        },
        fail: (why) => reject(new Error(why)),
      });
    });
  }

  reload(): Promise<void> {
    return Promise.resolve();
  }

  stop(mode: "fast" | "immediate"): Promise<readonly number[]> {
    this.done.push(`stop ${mode}`);
    this.found = "stopped";
    this.answer = "absent";
    return Promise.resolve(this.killed);
  }

  probe(): Promise<Answer> {
    this.done.push("probe");
    return Promise.resolve(this.answer);
  }
}

interface Stage {
  readonly service: FakeService;
  readonly supervisor: Supervisor;
  readonly lines: string[];
  /** Milliseconds of the clock that the supervisor sees. */
  at: number;
  /** Looks now, and returns when what the look began has come as far as it can. */
  check(): Promise<void>;
  starts(): number;
}

function stage(): Stage {
  const lines: string[] = [];
  const service = new FakeService();
  const made: Stage = {
    service,
    lines,
    at: 0,
    supervisor: new Supervisor(
      (_level, line) => lines.push(line),
      () => made.at,
    ),
    async check() {
      void made.supervisor.check(service);
      await settled();
    },
    starts: () => service.done.filter((deed) => deed === "start").length,
  };
  return made;
}

/** Everything that waits for nothing but promises has been done. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

describe("a service that is gone", () => {
  test("the wait before the next try grows from nothing to half a minute, and no further", () => {
    expect([0, 1, 2, 3, 4, 5, 6, 7, 1000, 1e6].map(retryDelay)).toEqual([
      0, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000, 30_000,
    ]);
  });

  test("is started at the first look, and told when it runs again", async () => {
    const made = stage();
    await made.check();
    expect(made.lines).toEqual(["fake is not running: starting it again"]);
    made.service.starts[0]?.succeed();
    await settled();
    expect(made.lines.at(-1)).toBe("fake runs again");
  });

  test("is tried again at once, then ever more slowly, and never given up", async () => {
    const made = stage();
    made.service.refuses = "no room";
    const tries: number[] = [];
    for (made.at = 0; made.at <= 125_000; made.at += 500) {
      const before = made.starts();
      await made.check();
      if (made.starts() > before) tries.push(made.at / 1000);
    }
    expect(tries).toEqual([0, 1, 3, 7, 15, 31, 61, 91, 121]);
    expect(made.lines).toContain("fake does not start (try 9): no room");
  });

  test("a look that cannot find out whether it runs counts as a try that failed", async () => {
    const made = stage();
    made.service.find = async () => await Promise.reject(new Error("its record is damaged"));
    await made.check();
    made.at = 999;
    await made.check();
    expect(made.lines).toEqual(["fake does not start (try 1): its record is damaged"]);
    expect(made.starts()).toBe(0);
  });

  test("is tried at once again after it came back, whoever has started it", async () => {
    const made = stage();
    made.service.refuses = "no room";
    for (made.at = 0; made.at <= 15_000; made.at += 1000) await made.check();
    expect(made.lines.at(-1)).toContain("(try 5)");
    made.at = 31_000;
    made.service.found = "running";
    await made.check();
    made.service.found = "stopped";
    await made.check();
    expect(made.lines.at(-1)).toBe("fake does not start (try 1): no room");
  });

  test("is not started a second time while its start is under way", async () => {
    const made = stage();
    for (made.at = 0; made.at <= 60_000; made.at += 500) await made.check();
    expect(made.starts()).toBe(1);
    expect(made.service.hold.operation).toBe("start");
  });

  test("is left alone while it waits for the decision of a person", async () => {
    const made = stage();
    made.service.found = "waiting";
    for (made.at = 0; made.at <= 5000; made.at += 500) await made.check();
    expect(made.starts()).toBe(0);
    expect(made.lines).toEqual([]);
    expect(made.service.hold.operation).toBeUndefined();
  });
});

describe("an operation", () => {
  test("that takes a service ends its start, and has it from the start's end on", async () => {
    const made = stage();
    await made.check();
    const taken = made.service.hold.take("stop");
    expect(made.service.starts[0]?.signal.aborted).toBe(true);
    await taken;
    expect(made.service.hold.operation).toBe("stop");
    expect(made.lines).toEqual(["fake is not running: starting it again"]);
  });

  test("that takes a service while it is looked for keeps it from being started", async () => {
    const made = stage();
    let tell: ((found: Found) => void) | undefined;
    made.service.find = async () =>
      await new Promise<Found>((resolve) => {
        tell = resolve;
      });
    await made.check();
    const taken = made.service.hold.take("stop");
    tell?.("stopped");
    await taken;
    await settled();
    expect(made.starts()).toBe(0);
    expect(made.service.hold.operation).toBe("stop");
  });

  test("keeps supervision away until it releases: nothing is started, nothing that is silent ended", async () => {
    const made = stage();
    made.service.answer = "silent";
    await made.service.hold.take("reseed");
    for (made.at = 0; made.at <= 4 * HUNG_AFTER; made.at += 500) await made.check();
    expect(made.service.done).toEqual([]);
    made.service.hold.release();
    await made.check();
    expect(made.starts()).toBe(1);
  });

  test("that wants it to run too lets its start come to its end", async () => {
    const made = stage();
    await made.check();
    made.service.hold.join("start");
    expect(made.service.starts[0]?.signal.aborted).toBe(false);
    made.service.starts[0]?.succeed();
    await settled();
    expect(made.lines.at(-1)).toBe("fake runs again");
    expect(made.service.hold.operation).toBe("start");
    made.service.hold.release();
    expect(made.service.hold.isFree).toBe(true);
  });

  test("that ends a start leaves no failure behind", async () => {
    const made = stage();
    await made.check();
    await made.service.hold.take("stop");
    made.service.hold.release();
    await made.check();
    expect(made.starts()).toBe(2);
  });
});

describe("a service that does not answer", () => {
  test("is ended after HUNG_AFTER of silence and not before, and then started", async () => {
    const made = stage();
    Object.assign(made.service, { found: "running", answer: "silent" });
    for (made.at = 0; made.at < HUNG_AFTER; made.at += 500) await made.check();
    expect(made.service.done).not.toContain("stop immediate");
    await made.check();
    expect(made.lines).toEqual(["fake did not answer for 10 s: killed process 7"]);
    made.at += 500;
    await made.check();
    expect(made.starts()).toBe(1);
  });

  test("is left alone where it answers now and then", async () => {
    const made = stage();
    made.service.found = "running";
    for (made.at = 0; made.at <= 60_000; made.at += 500) {
      made.service.answer = made.at % 10_000 < 2000 ? "answers" : "silent";
      await made.check();
    }
    expect(made.service.done).not.toContain("stop immediate");
  });

  test("is left alone where it is only busy", async () => {
    const made = stage();
    Object.assign(made.service, { found: "running", answer: "busy" });
    for (made.at = 0; made.at <= 60_000; made.at += 500) await made.check();
    expect(made.service.done).not.toContain("stop immediate");
  });

  test("is asked once at a time, however long it takes, and then every other second", async () => {
    const made = stage();
    made.service.found = "running";
    let asked = 0;
    let tell: ((answer: Answer) => void) | undefined;
    made.service.probe = async () => {
      asked += 1;
      return await new Promise<Answer>((resolve) => {
        tell = resolve;
      });
    };
    for (made.at = 0; made.at <= 9000; made.at += 500) await made.check();
    expect(asked).toBe(1);
    tell?.("answers");
    await settled();
    made.at += ASK_EVERY - 1000;
    await made.check();
    expect(asked).toBe(1);
    made.at += 1000;
    await made.check();
    expect(asked).toBe(2);
  });

  test("does not hold up the start of another that is gone, nor does a question that fails", async () => {
    const made = stage();
    made.service.probe = async () => await Promise.reject(new Error("no socket"));
    await made.check();
    expect(made.starts()).toBe(1);
    expect(made.lines).toContain("fake: no socket");
  });

  test("is not told of where all answer by the time it is to be ended", async () => {
    const made = stage();
    Object.assign(made.service, { found: "running", answer: "silent", killed: [] });
    for (made.at = 0; made.at <= HUNG_AFTER; made.at += 500) await made.check();
    expect(made.service.done).toContain("stop immediate");
    expect(made.lines).toEqual([]);
  });
});
