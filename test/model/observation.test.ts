import * as fc from "fast-check";
import { expect, test } from "vitest";
import { factsOf, lagOf, serverFactsSchema } from "../../src/model/observation.ts";
import { primaryFacts, replicaFacts, seen, silent } from "../support/observations.ts";

test("a replica that has replayed everything is 0 bytes and 0 seconds behind, however old the last write", () => {
  const replica = replicaFacts({ last_replay_at: 0 });
  expect(lagOf(replica, primaryFacts())).toEqual({ bytes: 0, seconds: 0 });
});

test("a replica that lacks something is behind by its bytes, and by the age of what it replayed last", () => {
  const replica = replicaFacts({ behind: 1000 });
  expect(lagOf({ ...replica, last_replay_at: replica.now - 2500 }, primaryFacts())).toEqual({
    bytes: 1000,
    seconds: 2.5,
  });
  expect(lagOf({ ...replica, last_replay_at: null }, primaryFacts())).toEqual({
    bytes: 1000,
    seconds: undefined,
  });
});

test("a clock that went back gives no negative lag", () => {
  const replica = replicaFacts({ behind: 1000 });
  expect(lagOf({ ...replica, last_replay_at: replica.now + 5000 }, primaryFacts()).seconds).toBe(0);
});

test("a replica that is looked at after its primary may be ahead of that look: it is not behind", () => {
  expect(lagOf(replicaFacts({ behind: -500 }), primaryFacts())).toEqual({ bytes: 0, seconds: 0 });
});

test("without its primary a replica is measured against what it was told last", () => {
  const replica = replicaFacts({ behind: 1000 });
  expect(lagOf(replica, undefined).bytes).toBe(1000);
  expect(lagOf({ ...replica, latest_end_lsn: null }, undefined).bytes).toBe(1000);
  expect(lagOf({ ...replica, latest_end_lsn: null, receive_lsn: null }, undefined)).toEqual({
    bytes: undefined,
    seconds: undefined,
  });
});

test("a replica that has replayed nothing yet has no known lag", () => {
  expect(lagOf(replicaFacts({ replay_lsn: null }), primaryFacts())).toEqual({
    bytes: undefined,
    seconds: undefined,
  });
});

test("lag is never negative, and 0 bytes always go with 0 seconds", () => {
  fc.assert(
    fc.property(fc.integer(), fc.option(fc.integer()), (behind, replayedAt) => {
      const lag = lagOf(replicaFacts({ behind, last_replay_at: replayedAt }), primaryFacts());
      expect(lag.bytes).toBe(Math.max(0, behind));
      if (lag.seconds !== undefined) expect(lag.seconds).toBeGreaterThanOrEqual(0);
      if (lag.bytes === 0) expect(lag.seconds).toBe(0);
    }),
  );
});

test("only a node that answers has facts", () => {
  const facts = primaryFacts();
  expect(factsOf(seen("pg1", facts))).toBe(facts);
  expect(factsOf(silent("pg1", "not_running"))).toBeUndefined();
  expect(factsOf(undefined)).toBeUndefined();
});

test("what a server answers is read with its units, and what is not understood is refused", () => {
  const answer = {
    ...primaryFacts(),
    now: 1_700_000_000.5,
    started_at: 1_699_999_999,
    current_lsn: "0/3000148",
    standbys: [],
    slots: [],
  };
  expect(serverFactsSchema.parse(answer)).toMatchObject({
    now: 1_700_000_000_500,
    started_at: 1_699_999_999_000,
    current_lsn: 0x300_0148n,
  });
  expect(serverFactsSchema.safeParse({ ...answer, timeline: "1" }).success).toBe(false);
});
