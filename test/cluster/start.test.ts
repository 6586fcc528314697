import * as fc from "fast-check";
import { expect, test } from "vitest";
import { odooPg } from "../../src/next-step.ts";
import { type DataSeen, decideStart, type StartDecision, type StartInput } from "../../src/cluster/start.ts";

const ours = "7300000000000000001";

function decide(changes: Partial<StartInput>): StartDecision {
  return decideStart({
    node: "pg1",
    primary: "pg1",
    data: { kind: "absent" },
    systemIdentifier: ours,
    othersWithData: [],
    cluster: "prod",
    ...changes,
  });
}

const whole = (standby: boolean, systemIdentifier = ours): DataSeen => ({
  kind: "whole",
  systemIdentifier,
  standby,
});

test("a first launch makes the primary's data and copies it to the replicas", () => {
  const first = { systemIdentifier: undefined };
  expect(decide({ ...first })).toEqual({ action: "initialise" });
  expect(decide({ ...first, data: { kind: "empty" } })).toEqual({ action: "initialise" });
  expect(decide({ ...first, node: "pg2" })).toEqual({ action: "seed" });
});

test("a first launch that was interrupted after initdb goes on with the data that it made", () => {
  expect(decide({ systemIdentifier: undefined, data: whole(false) })).toEqual({ action: "start" });
});

test("nodes whose data is whole start in their roles", () => {
  expect(decide({ data: whole(false) })).toEqual({ action: "start" });
  expect(decide({ node: "pg2", data: whole(true) })).toEqual({ action: "start" });
  // A promotion that was recorded but not finished.
  expect(decide({ data: whole(true) })).toEqual({ action: "start" });
});

test("a replica without data is copied from the primary", () => {
  expect(decide({ node: "pg2", data: { kind: "empty" }, othersWithData: ["pg1"] })).toEqual({
    action: "seed",
  });
});

test("a primary whose data is gone is not made anew", () => {
  const missing = decide({ othersWithData: ["pg2"] });
  expect(missing).toMatchObject({ action: "refuse", reason: expect.stringContaining("is absent") });
  expect(missing).toMatchObject({
    next: [expect.stringContaining("is its disk mounted?"), odooPg("promote", "pg2")],
  });
  expect(decide({ data: { kind: "empty" } })).toMatchObject({
    action: "refuse",
    next: expect.stringContaining("restore a backup"),
  });
  // The record is gone too, but a replica tells that there was a cluster.
  expect(decide({ systemIdentifier: undefined, othersWithData: ["pg2"] })).toMatchObject({
    action: "refuse",
  });
});

test("an old primary waits for its rejoin instead of starting as a second one", () => {
  expect(decide({ node: "pg1", primary: "pg2", data: whole(false) })).toMatchObject({
    action: "wait",
    state: "needs rejoin",
    next: odooPg("rejoin", "pg1"),
  });
});

test("data of another cluster is refused with both identifiers", () => {
  expect(decide({ data: whole(false, "42") })).toMatchObject({
    action: "refuse",
    reason: expect.stringMatching(/identifier 42, .*7300000000000000001/),
    safe: "It was left as it is.",
  });
});

test("what cannot be used is refused for its reason", () => {
  expect(decide({ data: { kind: "unusable", reason: "it is a cake", next: "Eat it." } })).toEqual({
    action: "refuse",
    reason: "Node pg1: it is a cake.",
    safe: "It was left as it is.",
    next: "Eat it.",
  });
});

const node = fc.constantFrom("pg1", "pg2", "pg3");
const data: fc.Arbitrary<DataSeen> = fc.oneof(
  fc.constantFrom<DataSeen>(
    { kind: "absent" },
    { kind: "empty" },
    { kind: "unusable", reason: "no", next: "no" },
  ),
  fc.record({
    kind: fc.constant("whole" as const),
    systemIdentifier: fc.constantFrom(ours, "42"),
    standby: fc.boolean(),
  }),
);
const input: fc.Arbitrary<StartInput> = fc.record({
  node,
  primary: node,
  data,
  systemIdentifier: fc.constantFrom(ours, undefined),
  othersWithData: fc.uniqueArray(node),
  cluster: fc.constant("prod"),
});

test("nothing existing is ever made anew, and there is never a second primary", () => {
  fc.assert(
    fc.property(input, (given) => {
      const { action } = decideStart(given);
      const nothingThere = given.data.kind === "absent" || given.data.kind === "empty";
      if (action === "initialise" || action === "seed") expect(nothingThere).toBe(true);
      if (action === "initialise") {
        expect(given.node).toBe(given.primary);
        expect(given.systemIdentifier).toBeUndefined();
        expect(given.othersWithData).toEqual([]);
      }
      if (action === "seed") expect(given.node).not.toBe(given.primary);
      if (action === "start" && given.data.kind === "whole") {
        expect(given.data.standby || given.node === given.primary).toBe(true);
        expect([given.data.systemIdentifier, undefined]).toContain(given.systemIdentifier);
      }
    }),
  );
});
