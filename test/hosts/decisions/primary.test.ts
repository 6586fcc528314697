import { odooPg } from "../../../src/next-step.ts";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isPrimarys, mayGoAside } from "../../../src/hosts/decisions/primary/aside.ts";
import type { DataDirectory } from "../../../src/postgres/data-directory.ts";
import { decideFailover } from "../../../src/hosts/decisions/primary/failover.ts";
import { decideSwitchover } from "../../../src/hosts/decisions/primary/switchover.ts";
import { failoverVerdict } from "../../../src/hosts/decisions/primary/verdict.ts";
import { primaryFacts, replicaFacts, seen, silent } from "../../support/observations.ts";
import { database, documentOf, storeOf, witness } from "../standins.ts";

describe("whether another host would take over", () => {
  const three = [database(1), database(2), witness];
  const names = three.map(({ name }) => name);
  const whole = {
    document: documentOf(...three),
    store: storeOf(),
    storeAnswers: true,
    voters: names,
    answering: names,
  };

  test("two hosts with a database and a witness are ready", () => {
    expect(failoverVerdict(whole)).toEqual({ obstacles: [], away: [] });
  });

  test("two hosts are not, and what is missing is a third", () => {
    const two = [database(1), database(2)];
    const verdict = failoverVerdict({
      ...whole,
      document: documentOf(...two),
      voters: ["h1"],
      answering: ["h1", "h2"],
    });
    expect(verdict.obstacles).toEqual(["needs_three_hosts"]);
  });

  test.each([
    ["the store is silent", { storeAnswers: false }, "no_majority"],
    ["it is paused", { store: storeOf({ paused: true }) }, "paused"],
    ["there is no primary", { store: storeOf({ leader: undefined }) }, "no_primary"],
    ["no replica has everything", { store: storeOf({ synchronous: [] }) }, "no_synchronous_replica"],
    ["a vote is missing", { voters: ["h1"] }, "votes_not_settled"],
    [
      "the witness is away, and the primary's host would be the second",
      { answering: ["h1", "h2"] },
      "no_majority",
    ],
  ] as const)("not when %s", (_case, change, obstacle) => {
    expect(failoverVerdict({ ...whole, ...change }).obstacles).toContain(obstacle);
  });
});

describe("a planned change of the primary", () => {
  const input = {
    store: storeOf({ synchronous: ["h2", "h3"] }),
    storeAnswers: true,
    databases: ["h1", "h2", "h3"],
    lags: new Map([
      ["h2", 100],
      ["h3", 0],
    ]),
    to: undefined,
  };

  test("goes to the replica that lacks least, or to whom it was asked for", () => {
    expect(decideSwitchover(input)).toEqual({ kind: "to", host: "h3" });
    expect(decideSwitchover({ ...input, to: "h2" })).toEqual({ kind: "to", host: "h2" });
  });

  test("to the primary itself is nothing to do", () => {
    expect(decideSwitchover({ ...input, to: "h1" })).toEqual({ kind: "nothing", host: "h1" });
  });

  test("never goes to a replica that commits do not wait for", () => {
    fc.assert(
      fc.property(
        fc.subarray(["h2", "h3"]),
        fc.option(fc.constantFrom("h1", "h2", "h3", "h4"), { nil: undefined }),
        fc.boolean(),
        (synchronous, to, storeAnswers) => {
          const decision = decideSwitchover({ ...input, store: storeOf({ synchronous }), to, storeAnswers });
          if (decision.kind === "to") expect(synchronous).toContain(decision.host);
        },
      ),
    );
  });
});

describe("a failover by force", () => {
  const store = storeOf({
    leader: undefined,
    synchronous: ["h2"],
    written: 5000,
    members: new Map([
      ["h2", { position: 5000, pending: [] }],
      ["h3", { position: 4000, pending: [] }],
    ]),
  });
  const input = { store, storeAnswers: true, databases: ["h1", "h2", "h3"] };

  test("says what a replica lacks that commits did not wait for", () => {
    expect(decideFailover({ ...input, to: "h3" })).toEqual({ kind: "to", loses: true, lacks: 1000 });
    expect(decideFailover({ ...input, to: "h2" })).toEqual({ kind: "to", loses: false, lacks: 0 });
  });

  test("is none where a switchover does it", () => {
    const led = { ...store, leader: "h1" };
    expect(decideFailover({ ...input, store: led, to: "h2" })).toMatchObject({
      kind: "refuse",
      next: odooPg("switchover", "--to", "h2"),
    });
    expect(decideFailover({ ...input, store: led, to: "h1" })).toEqual({ kind: "nothing" });
  });

  test("needs a majority, a host with a database, and its Patroni", () => {
    for (const [changes, why] of [
      [{ to: "h2", storeAnswers: false }, /majority/],
      [{ to: "w" }, /no host/],
      [{ to: "h1" }, /does not answer/],
    ] as const)
      expect(decideFailover({ ...input, ...changes })).toMatchObject({
        kind: "refuse",
        why: expect.stringMatching(why),
      });
  });
});

describe("data of a host goes aside", () => {
  const data = (state: string, timeline = 3): DataDirectory => ({
    kind: "whole",
    systemIdentifier: "1",
    standby: true,
    state,
    timeline,
    floor: {},
  });
  const running = { runs: true, data: data("in archive recovery") };

  test("where the host is the primary neither by the store nor by its own word", () => {
    expect(isPrimarys("h2", "h1", seen("h2", replicaFacts()))).toBe(false);
    expect(isPrimarys("h2", "h1", silent("h2", "not_running"))).toBe(false);
    expect(isPrimarys("h2", "h2", seen("h2", replicaFacts()))).toBe(true);
    expect(isPrimarys("h2", "h1", seen("h2", primaryFacts()))).toBe(true);
  });

  test("where its server stopped as a replica, and not where it was promoted before the stop", () => {
    expect(mayGoAside(running, data("shut down in recovery"))).toBe(true);
    expect(mayGoAside(running, data("in archive recovery"))).toBe(true);
    for (const state of ["shut down", "in production", "shutting down", "in crash recovery"])
      expect(mayGoAside(running, data(state, 4))).toBe(false);
    expect(mayGoAside(running, { kind: "unusable", reason: "no control file", next: "look" })).toBe(false);
  });

  test("where no server ran on it, such as an old primary's that cannot follow, unless one began meanwhile", () => {
    const old = { runs: false, data: data("in production") };
    expect(mayGoAside(old, data("in production"))).toBe(true);
    expect(mayGoAside(old, data("shut down"))).toBe(false);
    expect(mayGoAside(old, data("in production", 4))).toBe(false);
    const damaged: DataDirectory = { kind: "unusable", reason: "no control file", next: "look" };
    expect(mayGoAside({ runs: false, data: damaged }, damaged)).toBe(true);
  });
});
