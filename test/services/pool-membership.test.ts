import { expect, test } from "vitest";
import type { PrimaryMark } from "../../src/cluster/pool.ts";
import { PoolMembership } from "../../src/services/pool-membership.ts";
import { cluster, identified, primaryFacts, replicaFacts, seen, silent } from "../support/observations.ts";

const { read } = cluster().config.endpoints;
const primary = seen("pg1", primaryFacts());
const streaming = seen("pg2", replicaFacts());
const members: ReadonlySet<string> = new Set(["pg2"]);

test("who may serve reads is logged when that changes, and only then", () => {
  const lines: string[] = [];
  const eligibilities = new PoolMembership((level, line) => lines.push(`${level} ${line}`));
  const observations = [streaming, streaming, silent("pg2", "refused"), silent("pg2", "refused"), streaming];
  for (const replica of observations) eligibilities.decide(read, { primary, replicas: [replica], members });
  expect(lines).toEqual([
    "info pg2 may serve reads",
    expect.stringMatching(/^warn pg2 may not serve reads: ./),
    "info pg2 may serve reads",
  ]);
});

test("what the looks cannot say has the last word, in the log too", () => {
  const lines: string[] = [];
  const eligibilities = new PoolMembership((level, line) => lines.push(`${level} ${line}`));
  const held = eligibilities.decide(read, { primary, replicas: [streaming], members }, (eligibility) => ({
    ...eligibility,
    eligible: false,
    reason: "is being worked on",
  }));
  expect(held).toEqual([{ name: "pg2", eligible: false, reason: "is being worked on" }]);
  expect(eligibilities.now).toEqual(held);
  expect(lines).toEqual(["warn pg2 may not serve reads: is being worked on"]);
});

test("where the primary's WAL ends is kept at each look that told it, also of one that somebody else runs", () => {
  const kept: { marks: PrimaryMark[] } = { marks: [] };
  const eligibilities = new PoolMembership(() => {}, kept);
  const end = primaryFacts().current_lsn ?? 0n;
  eligibilities.decide(read, { primary: silent("pg1", "refused"), replicas: [], members });
  eligibilities.decide(read, { primary: undefined, replicas: [], members });
  expect(kept.marks).toEqual([]);
  const later = { ...identified("upstream", { current_lsn: end + 1n }), at: primary.at + 500 };
  for (const seenNow of [primary, later])
    eligibilities.decide(read, { primary: seenNow, replicas: [streaming], members });
  expect(kept.marks).toEqual([
    { at: primary.at, lsn: end },
    { at: primary.at + 500, lsn: end + 1n },
  ]);
});
