import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  asked,
  closed,
  decided,
  isUnread,
  type Keeper,
  type KeeperLook,
  newKeeper,
  serving,
  SETTLED,
} from "../../../src/cluster/freshness/keeper.ts";
import { CUT, LEASE, leased, renewed } from "../../../src/cluster/freshness/lease.ts";
import { type Happening, World } from "./world.ts";

const FOREVER = Number.MAX_SAFE_INTEGER;

const look = (changes: Partial<KeeperLook> = {}): KeeperLook => ({
  eligible: new Set(["h2"]),
  inForce: new Map([["h2", 10n]]),
  replayed: new Map([["h2", 10n]]),
  silentSince: new Map(),
  sync: { members: new Set(["h2"]), at: 0 },
  ...changes,
});

/** h2 serves, and "app" was told so at a moment. */
function served(at: number): Keeper {
  const joining = decided(newKeeper(7, []), look(), at).keeper;
  const { keeper } = decided(joining, look(), at);
  return asked(keeper, { from: "app", applied: undefined }, at, FOREVER).keeper;
}

describe("a replica joins", () => {
  test("the list first, and the pool only when it has all that was acknowledged before", () => {
    const fresh = look({ inForce: new Map() });
    const first = decided(newKeeper(7, []), fresh, 0);
    expect(first.orders.list).toEqual(["h2"]);
    expect(serving(decided(first.keeper, fresh, 0).keeper)).toEqual([]);
    const behind = look({ replayed: new Map([["h2", 9n]]) });
    expect(serving(decided(first.keeper, behind, 0).keeper)).toEqual([]);
    expect(serving(decided(first.keeper, look(), 0).keeper)).toEqual(["h2"]);
  });
});

describe("a replica leaves", () => {
  const gone = (changes: Partial<KeeperLook> = {}): KeeperLook =>
    look({ eligible: new Set(), silentSince: new Map([["h2", 1000]]), ...changes });
  const withoutIt = { members: new Set<string>(), at: 1000 + SETTLED };

  test("its replication is refused, and it stays on the list", () => {
    const { orders, keeper } = decided(served(1000), gone({ silentSince: new Map() }), 1000);
    expect(orders).toEqual({ list: ["h2"], refused: ["h2"] });
    expect(serving(keeper)).toEqual([]);
  });

  test("commits are released when all that were told of it have cut it", () => {
    const leaving = decided(served(1000), gone(), 1000).keeper;
    const early = decided(leaving, gone({ sync: withoutIt }), 1001);
    expect(early.orders.list).toEqual(["h2"]);
    const question = { from: "app", applied: { term: 7, version: leaving.version } };
    const told = asked(leaving, question, 1001, FOREVER).keeper;
    expect(decided(told, gone({ sync: withoutIt }), 1002).orders.list).toEqual([]);
  });

  test("or when what they were told is over, and they were cut wherever they are", () => {
    const leaving = decided(served(1000), gone(), 1000).keeper;
    const almost = decided(leaving, gone({ sync: withoutIt }), 1000 + LEASE + CUT - 1);
    expect(almost.orders.list).toEqual(["h2"]);
    expect(decided(leaving, gone({ sync: withoutIt }), 1000 + LEASE + CUT).orders.list).toEqual([]);
  });

  test("not before a majority of the store has told that Patroni would not promote it", () => {
    const leaving = decided(served(1000), gone(), 1000).keeper;
    const late = 1000 + LEASE + CUT;
    for (const sync of [
      undefined,
      { members: new Set(["h2"]), at: late },
      { members: new Set<string>(), at: 1000 + SETTLED - 1 },
    ])
      expect(decided(leaving, gone({ sync }), late).orders.list).toEqual(["h2"]);
    expect(decided(leaving, gone({ sync: withoutIt, silentSince: new Map() }), late).orders.list).toEqual([
      "h2",
    ]);
  });

  test("a confirmation of another reign does not count", () => {
    const leaving = decided(served(1000), gone(), 1000).keeper;
    const question = { from: "app", applied: { term: 6, version: 99 } };
    const told = asked(leaving, question, 1001, FOREVER).keeper;
    expect(decided(told, gone({ sync: withoutIt }), 1002).orders.list).toEqual(["h2"]);
  });
});

test("a reign that is closed is over when all have told, or what they were told is over", () => {
  const closing = closed(served(1000));
  expect(serving(closing)).toEqual([]);
  expect(isUnread(closing, 1000 + LEASE + CUT - 1)).toBe(false);
  expect(isUnread(closing, 1000 + LEASE + CUT)).toBe(true);
  const question = { from: "app", applied: { term: 7, version: closing.version } };
  expect(isUnread(asked(closing, question, 1001, FOREVER).keeper, 1001)).toBe(true);
  const earlier = { from: "app", applied: { term: 7, version: closing.version - 1 } };
  expect(isUnread(asked(closing, earlier, 1001, FOREVER).keeper, 1001)).toBe(false);
});

describe("a lease", () => {
  test("runs from the question, however late the answer is", () => {
    const grant = { term: 1, version: 1, pool: ["h2"] };
    const held = renewed(undefined, grant, 1000);
    expect(leased(held, 1000 + LEASE - 1)).toEqual(["h2"]);
    expect(leased(held, 1000 + LEASE)).toEqual([]);
  });

  test("of an answer that was overtaken is none", () => {
    const held = renewed(undefined, { term: 2, version: 5, pool: [] }, 1000);
    expect(leased(renewed(held, { term: 2, version: 4, pool: ["h2"] }, 1100), 1100)).toEqual([]);
    expect(leased(renewed(held, { term: 1, version: 9, pool: ["h2"] }, 1100), 1100)).toEqual([]);
    expect(leased(renewed(held, { term: 3, version: 1, pool: ["h2"] }, 1100), 1100)).toEqual(["h2"]);
  });

  test("is given only where it and the cut end before anybody else may reign", () => {
    const keeper = served(1000);
    const question = { from: "app", applied: undefined };
    expect(asked(keeper, question, 1000, 1000 + LEASE + CUT).grant.pool).toEqual(["h2"]);
    expect(asked(keeper, question, 1001, 1000 + LEASE + CUT).grant.pool).toEqual([]);
  });
});

describe("whatever happens in whatever order", () => {
  /** Often what makes a pool come to be, seldom what breaks it. */
  const weights: readonly (readonly [number, Happening])[] = [
    [40, "round"],
    [3, "upset"],
    [6, "commit"],
    [6, "receive"],
    [6, "replay"],
    [5, "look"],
    [8, "decide"],
    [8, "enforce"],
    [4, "renew"],
    [4, "read sync"],
    [3, "patroni sees"],
    [3, "patroni writes"],
    [6, "ask"],
    [6, "question arrives"],
    [6, "answer arrives"],
    [5, "lead"],
    [3, "time"],
    [2, "hang"],
    [2, "recover"],
    [1, "freeze"],
    [1, "thaw"],
    [1, "failover"],
    [2, "take over"],
  ];
  const happening = fc.oneof(
    ...weights.map(([weight, what]) => ({ weight, arbitrary: fc.constant<Happening>(what) })),
  );
  const event = fc.record({
    what: happening,
    which: fc.nat(59),
    time: fc.oneof(
      { weight: 12, arbitrary: fc.nat(40) },
      { weight: 3, arbitrary: fc.nat(500) },
      { weight: 1, arbitrary: fc.nat(4000) },
    ),
  });
  const events = fc.array(event, { minLength: 100, maxLength: 250, size: "max" });

  test("no replica is read from that an acknowledged commit did not wait for, and none is promoted", () => {
    const seen = { reads: 0, failovers: 0, releases: 0, acknowledged: 0n };
    fc.assert(
      fc.property(events, (list) => {
        const world = new World();
        for (const { what, which, time } of list) expect(world.happens(what, which, time)).toBeUndefined();
        seen.reads += world.readsPossible;
        seen.failovers += world.failovers;
        seen.releases += world.releases;
        seen.acknowledged += world.acknowledged;
      }),
      { numRuns: 300 },
    );
    // The worlds are such that something could go wrong in them.
    expect(seen.reads).toBeGreaterThan(1000);
    expect(seen.failovers).toBeGreaterThan(20);
    expect(seen.releases).toBeGreaterThan(20);
  });
});
