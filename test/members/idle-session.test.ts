import { describe, expect, test } from "vitest";
import { IdleSession } from "../../src/members/idle-session.ts";
import type { OrdinarySession } from "../../src/system/sql/sql.ts";

/** A session that answers as `query` does, and notes its end. */
function sessionWith(query: () => Promise<never[]>): OrdinarySession & { readonly ends: string[] } {
  const ends: string[] = [];
  let broken = false;
  return {
    ends,
    rights: "ordinary",
    query,
    prepared: query,
    counts: async () => [],
    copyOut: async () => {},
    close: async () => void ends.push("closed"),
    abandon: () => void ends.push("abandoned"),
    broken: () => broken,
    onEnd: () => (broken = true),
  };
}

const answering = async (): Promise<never[]> => [];

describe("a session that is kept for the next who needs one", () => {
  test("serves one at a time, and again once it is given back", async () => {
    const idle = new IdleSession(1000);
    expect(await idle.take()).toBeUndefined();
    const session = sessionWith(answering);
    idle.keep(session);
    expect(await idle.take()).toBe(session);
    expect(await idle.take()).toBeUndefined();
    idle.keep(session);
    expect(await idle.take()).toBe(session);
    expect(session.ends).toEqual([]);
  });

  test("is one, and its end waits for no answer of a server that may hang", async () => {
    const idle = new IdleSession(1000);
    const [first, second] = [sessionWith(answering), sessionWith(answering)];
    idle.keep(first);
    idle.keep(second);
    expect([first.ends, second.ends]).toEqual([[], ["abandoned"]]);
    idle.end();
    expect(first.ends).toEqual(["abandoned"]);
    expect(await idle.take()).toBeUndefined();
  });

  test("is left where its server hangs, has ended it, or answers with an error", async () => {
    const hanging = sessionWith(async () => await new Promise<never[]>(() => {}));
    const failing = sessionWith(async () => {
      throw new Error("terminating connection");
    });
    const ended = sessionWith(answering);
    for (const session of [hanging, failing, ended]) {
      const idle = new IdleSession(50);
      idle.keep(session);
      if (session === ended) session.onEnd(() => {});
      expect(await idle.take()).toBeUndefined();
      expect(session.ends).toEqual(["abandoned"]);
    }
  });
});
