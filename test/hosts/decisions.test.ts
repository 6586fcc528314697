import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Config } from "../../src/config/schema.ts";
import { dynamicChange } from "../../src/hosts/decisions/dynamic.ts";
import { joinRefusal, withHost, type JoinFacts } from "../../src/hosts/joining/joining.ts";
import { isAtLeast } from "../../src/hosts/programs/programs.ts";
import type { ClusterDocument, Host } from "../../src/hosts/documents/record.ts";
import { patroniDynamic } from "../../src/hosts/render/patroni.ts";
import { readsFrom, writesTo } from "../../src/hosts/decisions/routing.ts";
import { decideSwitchover } from "../../src/hosts/decisions/switchover.ts";
import { viewOfStore, type StoreView } from "../../src/hosts/documents/store-view.ts";
import { failoverVerdict } from "../../src/hosts/decisions/verdict.ts";
import { resolvedConfigSchema } from "../../src/config/schema.ts";
import { primaryFacts, replicaFacts, seen, silent } from "../support/observations.ts";

const config: Config = resolvedConfigSchema.parse({ state_dir: "/s", listen: ["127.0.0.1"] });
const database = (number: number): Host => ({
  name: `h${number}`,
  role: "database",
  address: `10.0.0.${number}`,
});
const witness: Host = { name: "w", role: "witness", address: "10.0.0.9" };
const documentOf = (hosts: Host[]): ClusterDocument => ({
  format: 1,
  cluster: "odoo",
  system_identifier: "1",
  major: 15,
  config,
  settings: {},
  shared: {},
  port: 5433,
  hosts,
});
const storeOf = (changes: Partial<StoreView> = {}): StoreView => ({
  founded: true,
  leader: "h1",
  syncLeader: "h1",
  synchronous: ["h2"],
  paused: false,
  dynamic: undefined,
  members: new Map(),
  ...changes,
});

describe("whether another host would take over", () => {
  const three = [database(1), database(2), witness];
  const names = three.map(({ name }) => name);
  const whole = {
    document: documentOf(three),
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
      document: documentOf(two),
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

describe("where writes go", () => {
  const primary = seen("h1", primaryFacts());
  const replica = seen("h2", replicaFacts());
  const input = { store: storeOf(), storeAnswers: true, observations: [primary, replica], last: "h1" };

  test("to who holds the leader's key", () => {
    expect(writesTo({ ...input, last: undefined })).toBe("h1");
  });

  test("nowhere before a new leader answers as a primary", () => {
    expect(writesTo({ ...input, store: storeOf({ leader: "h2" }) })).toBeUndefined();
  });

  test("nowhere while nobody holds the key, whoever says that it is a primary", () => {
    expect(writesTo({ ...input, store: storeOf({ leader: undefined }) })).toBeUndefined();
  });

  test("where they went while the store is silent and the primary is one still", () => {
    expect(writesTo({ ...input, storeAnswers: false })).toBe("h1");
    expect(
      writesTo({ ...input, storeAnswers: false, observations: [seen("h1", replicaFacts())] }),
    ).toBeUndefined();
  });

  test("a look that failed cuts nobody, and leads nobody anew", () => {
    const observations = [silent("h1", "timeout")];
    expect(writesTo({ ...input, observations })).toBe("h1");
    expect(writesTo({ ...input, observations, last: undefined })).toBeUndefined();
  });

  test("before Patroni has taken the server over it keeps them", () => {
    expect(writesTo({ ...input, store: storeOf({ founded: false, leader: undefined }) })).toBe("h1");
  });
});

describe("whom reads may go to", () => {
  test("only replicas that commits wait for", () => {
    expect(readsFrom(["h2", "h3"], new Set(["h3"]), { store: storeOf(), storeAnswers: true })).toEqual([
      "h2",
    ]);
  });

  test("while the store is silent nobody comes in", () => {
    expect(readsFrom(["h2", "h3"], new Set(["h3"]), { store: storeOf(), storeAnswers: false })).toEqual([
      "h3",
    ]);
  });
});

describe("whether a host may join", () => {
  const request = {
    name: "h2",
    role: "database",
    address: "10.0.0.2",
    clock: 1000,
    postgres: 15,
  } as const;
  const facts: JoinFacts = {
    document: documentOf([database(1)]),
    now: 1000,
    storeAnswers: true,
    unreachable: [],
  };

  test("one that fits may, and again after it was cut off", () => {
    expect(joinRefusal(request, facts)).toBeUndefined();
    const document = withHost(facts.document, database(2));
    expect(joinRefusal(request, { ...facts, document })).toBeUndefined();
    expect(withHost(document, database(2))).toEqual(document);
  });

  test.each([
    ["another major version", { postgres: 16 }, {}, /PostgreSQL 15/],
    ["no PostgreSQL", { postgres: null }, {}, /none/],
    ["a clock that is off", { clock: 3000 }, {}, /2\.0 s apart/],
    ["a name that is taken", { name: "h1" }, {}, /h1 already/],
    ["an address that is taken", { address: "10.0.0.1" }, {}, /address of host h1/],
    ["a name that cannot be a slot's", { name: "db-2" }, {}, /db-2/],
    ["ports that are not reached", {}, { unreachable: [2380] }, /2380/],
    ["a store without a majority", {}, { storeAnswers: false }, /majority/],
  ])("not one with %s", (_case, change, seenFacts, words) => {
    expect(joinRefusal({ ...request, ...change }, { ...facts, ...seenFacts })?.refused).toMatch(words);
  });

  test("a witness needs no PostgreSQL", () => {
    expect(joinRefusal({ ...request, role: "witness", postgres: null }, facts)).toBeUndefined();
  });
});

describe("what Patroni is told", () => {
  test("all replicas are waited for, and each has a slot that stays", () => {
    expect(patroniDynamic(["h1", "h2", "h3"], {})).toMatchObject({
      synchronous_mode: true,
      synchronous_node_count: 2,
      failsafe_mode: true,
      primary_start_timeout: 0,
      slots: { h1: {}, h2: {}, h3: {} },
    });
  });

  test("alone, a server that crashed is waited for", () => {
    expect(patroniDynamic(["h1"], {})).toMatchObject({
      synchronous_node_count: 1,
      primary_start_timeout: 300,
    });
  });

  test("a pause stays when something else is changed, and the same is written once", () => {
    const changed = dynamicChange('{"pause":true,"ttl":30}', { ttl: 20 });
    expect(JSON.parse(changed ?? "")).toEqual({ pause: true, ttl: 20 });
    expect(dynamicChange(changed, { ttl: 20 })).toBeUndefined();
  });

  test("the order of keys makes no change", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.stringMatching(/^[a-z_]{1,8}$/), fc.integer()), (wanted) => {
        const reversed = Object.fromEntries(Object.entries(wanted).toReversed());
        expect(dynamicChange(JSON.stringify(reversed), JSON.parse(JSON.stringify(wanted)))).toBeUndefined();
      }),
    );
  });
});

test("versions are compared number by number", () => {
  expect(isAtLeast([4, 0, 7], [4, 0, 7])).toBe(true);
  expect(isAtLeast([4, 0, 10], [4, 0, 7])).toBe(true);
  expect(isAtLeast([4, 1, 0], [4, 0, 7])).toBe(true);
  expect(isAtLeast([4, 0, 6], [4, 0, 7])).toBe(false);
  expect(isAtLeast([3, 3, 99], [4, 0, 7])).toBe(false);
});

test("what cannot be read in the store counts as not there", () => {
  const value = (text: string): { value: string; revision: bigint } => ({ value: text, revision: 1n });
  const view = viewOfStore(
    new Map([
      ["leader", value("h1")],
      ["sync", value("not json")],
      ["members/h1", value('{"role":"primary","state":"running"}')],
      ["members/h2", value("")],
      ["config", value('{"pause":true}')],
    ]),
  );
  expect(view).toMatchObject({ leader: "h1", synchronous: [], paused: true, founded: false });
  expect([...view.members.keys()]).toEqual(["h1"]);
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
