import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { factsOf, lagOf, type NodeObservation, type ServerFacts } from "../../src/model/observation.ts";
import { decidePool, lateAfter, type PoolInput, rememberMark } from "../../src/cluster/pool.ts";
import type { Consistency } from "../../src/config/schema.ts";
import {
  identified,
  MB,
  NOW,
  primaryFacts,
  replicaFacts,
  seen,
  silent,
  slot,
} from "../support/observations.ts";

const END = primaryFacts().current_lsn ?? 0n;
const gone = silent("pg1", "not_running");

function decide(changes: Partial<PoolInput>, facts: Parameters<typeof replicaFacts>[0] = {}) {
  const [eligibility] = decidePool({
    consistency: "bounded",
    maxLag: 16 * MB,
    maxLagSeconds: undefined,
    maxCommitWait: 3000,
    primary: seen("pg1", primaryFacts()),
    replicas: [seen("pg2", replicaFacts(facts))],
    members: new Set(["pg2"]),
    marks: [],
    now: NOW,
    ...changes,
  });
  if (eligibility === undefined) throw new Error("no standing");
  return eligibility;
}

const serves = { name: "pg2", eligible: true, reason: undefined };
const servesNot = (reason: string | RegExp) => ({
  name: "pg2",
  eligible: false,
  reason: typeof reason === "string" ? reason : expect.stringMatching(reason),
});
const nobody: ReadonlySet<string> = new Set();

describe.each(["bounded", "read-your-writes"] as const)("%s", (consistency) => {
  test("a replica that streams within the bound serves reads", () => {
    expect(decide({ consistency })).toEqual(serves);
    expect(decide({ consistency }, { behind: 16 * MB })).toEqual(serves);
  });

  test("one that is farther behind does not", () => {
    expect(decide({ consistency }, { behind: 16 * MB + 1 })).toEqual(servesNot(/\d MB behind/));
  });

  test("one that left comes back only below half the bound", () => {
    expect(decide({ consistency, members: nobody }, { behind: 8 * MB + 1 })).toEqual(servesNot(/MB behind/));
    expect(decide({ consistency, members: nobody }, { behind: 8 * MB })).toEqual(serves);
  });

  test("one that does not stream does not serve, however little it is behind", () => {
    for (const receiver_status of [null, "waiting", "stopping"])
      expect(decide({ consistency }, { receiver_status })).toEqual(servesNot("does not stream"));
  });

  test("one on another timeline does not", () => {
    expect(decide({ consistency }, { timeline: 3 })).toEqual(servesNot("is on timeline 3, the primary on 4"));
  });

  test("one whose slot is lost does not", () => {
    const primary = seen("pg1", primaryFacts({ slots: [slot("pg2", { wal_status: "lost" })] }));
    expect(decide({ consistency, primary })).toEqual(servesNot(/slot is lost/));
    const other = seen("pg1", primaryFacts({ slots: [slot("pg3", { wal_status: "lost" })] }));
    expect(decide({ consistency, primary: other })).toEqual(serves);
  });

  test("one that does not answer does not, for the reason that it gave", () => {
    expect(decide({ consistency, replicas: [silent("pg2", "not_running")] })).toEqual(
      servesNot("is not running"),
    );
  });

  test("one that somebody promoted does not, whether the primary answers or not", () => {
    for (const primary of [seen("pg1", primaryFacts()), gone])
      expect(decide({ consistency, primary }, { in_recovery: false })).toEqual(servesNot("is not a replica"));
  });

  test("one that has replayed nothing does not", () => {
    expect(decide({ consistency }, { replay_lsn: null })).toEqual(servesNot("its lag is unknown"));
  });

  test("one that is behind by more seconds than allowed does not, and comes back below half of them", () => {
    const marks = [{ at: NOW - 1200, lsn: END }];
    const late = { behind: 1 };
    expect(decide({ consistency, marks, maxLagSeconds: 1 }, late)).toEqual(
      servesNot(/more than 1.2 s behind/),
    );
    expect(decide({ consistency, marks, maxLagSeconds: 2 }, late)).toEqual(serves);
    expect(decide({ consistency, marks, maxLagSeconds: 2, members: nobody }, late)).toEqual(
      servesNot(/1.2 s/),
    );
    expect(decide({ consistency, marks, maxLagSeconds: 2.4, members: nobody }, late)).toEqual(serves);
    expect(decide({ consistency, marks, maxLagSeconds: 1 }, { behind: 0 })).toEqual(serves);
  });

  test("a member goes on serving without its primary", () => {
    expect(decide({ consistency, primary: gone })).toEqual(serves);
    expect(decide({ consistency, primary: gone }, { receiver_status: null })).toEqual(serves);
    expect(decide({ consistency, primary: undefined }, { receiver_status: null })).toEqual(serves);
  });
});

describe("of a primary that somebody else runs, a replica", () => {
  test("is measured by where that one's WAL ends and on which timeline", () => {
    const primary = identified("upstream");
    expect(decide({ primary }, { behind: 16 * MB })).toEqual(serves);
    expect(decide({ primary }, { behind: 16 * MB + 1 })).toEqual(servesNot(/MB behind/));
    expect(decide({ primary }, { timeline: 3 })).toEqual(servesNot("is on timeline 3, the primary on 4"));
  });

  test("is not judged by a slot that only has its name", () => {
    const facts = primaryFacts({ slots: [slot("pg2", { wal_status: "lost" })] });
    const primary = seen("pg1", facts);
    const answer = { kind: "facts", depth: "monitoring", facts } as const;
    expect(decide({ primary })).toEqual(servesNot(/slot is lost/));
    expect(decide({ primary: { ...primary, answer } })).toEqual(serves);
  });
});

test("bounded: without its primary a replica serves rather than that nobody does", () => {
  const facts = { receiver_status: null };
  expect(decide({ primary: gone, members: nobody }, facts)).toEqual(serves);
  const replicas = [seen("pg2", replicaFacts(facts)), seen("pg3", replicaFacts())];
  const eligibilities = decidePool({
    consistency: "bounded",
    maxLag: 16 * MB,
    maxLagSeconds: undefined,
    maxCommitWait: 3000,
    primary: gone,
    replicas,
    members: new Set(["pg3"]),
    marks: [],
    now: NOW,
  });
  expect(eligibilities.map(({ eligible }) => eligible)).toEqual([false, true]);
});

test("bounded: a paused or late replica serves as long as its bytes are within the bound", () => {
  const marks = [{ at: NOW - 60_000, lsn: END }];
  expect(decide({ marks }, { behind: 1, replay_paused: true })).toEqual(serves);
});

test("read-your-writes: without its primary a replica that was not in the pool stays out", () => {
  expect(decide({ consistency: "read-your-writes", primary: gone, members: nobody })).toEqual(
    servesNot("the primary does not answer"),
  );
});

test("read-your-writes: a replica that holds up commits is let go", () => {
  const consistency = "read-your-writes";
  expect(decide({ consistency }, { replay_paused: true })).toEqual(servesNot("its replay is paused"));
  const since = (age: number) => [{ at: NOW - age, lsn: END }];
  expect(decide({ consistency, marks: since(lateAfter(3000)) }, { behind: 1 })).toEqual(serves);
  expect(decide({ consistency, marks: since(lateAfter(3000) + 1) }, { behind: 1 })).toEqual(
    servesNot(/has not replayed/),
  );
  expect(decide({ consistency, marks: since(60_000) }, { behind: 0 })).toEqual(serves);
});

test("read-your-writes: how long that takes is a setting", () => {
  const given = {
    consistency: "read-your-writes",
    maxCommitWait: 10_000,
    marks: [{ at: NOW - 8000, lsn: END }],
  } as const;
  expect(decide(given, { behind: 1 })).toEqual(serves);
  expect(decide({ ...given, maxCommitWait: 9000 }, { behind: 1 })).toEqual(servesNot(/has not replayed/));
});

test("eventual: every replica that answers serves", () => {
  const consistency = "eventual";
  const far = { behind: 2 ** 40, receiver_status: null, timeline: 1, replay_paused: true };
  for (const primary of [seen("pg1", primaryFacts()), gone, undefined])
    expect(decide({ consistency, primary, members: nobody }, far)).toEqual(serves);
  expect(decide({ consistency }, { in_recovery: false })).toEqual(servesNot("is not a replica"));
});

test("looks at the primary are kept as long as they matter", () => {
  const marks = [0, 10, 20].map((at) => ({ at, lsn: BigInt(at) }));
  expect(rememberMark(marks, { at: 25, lsn: 25n }, 15)).toEqual([
    { at: 10, lsn: 10n },
    { at: 20, lsn: 20n },
    { at: 25, lsn: 25n },
  ]);
  // A new primary may be behind the old one: what the old one promised beyond is no more.
  expect(rememberMark(marks, { at: 25, lsn: 15n }, 100).map(({ at }) => at)).toEqual([0, 10, 25]);
});

const facts: fc.Arbitrary<ServerFacts> = fc
  .record({
    behind: fc.oneof(fc.integer({ min: -1000, max: 40 * MB }), fc.constant(0)),
    timeline: fc.constantFrom(4, 4, 4, 3),
    receiver_status: fc.constantFrom("streaming", "streaming", "waiting", null),
    replay_paused: fc.boolean(),
    in_recovery: fc.constantFrom(true, true, true, false),
  })
  .map((changes) => replicaFacts(changes));
const nodes = ["pg2", "pg3", "pg4"];
const replicas: fc.Arbitrary<NodeObservation[]> = fc
  .tuple(...nodes.map(() => fc.option(facts)))
  .map((each) =>
    each.map((found, index) =>
      found ? seen(nodes[index] ?? "", found) : silent(nodes[index] ?? "", "not_running"),
    ),
  );
const input = (
  consistency: fc.Arbitrary<Consistency>,
  primary: fc.Arbitrary<NodeObservation>,
): fc.Arbitrary<PoolInput> =>
  fc.record({
    consistency,
    maxLag: fc.integer({ min: 1, max: 32 * MB }),
    maxLagSeconds: fc.option(fc.integer({ min: 1, max: 10 }), { nil: undefined }),
    maxCommitWait: fc.constantFrom(2000, 3000, 10_000),
    primary,
    replicas,
    members: fc.subarray(nodes).map((names) => new Set(names)),
    marks: fc.array(
      fc.record({ at: fc.integer({ min: NOW - 5000, max: NOW }), lsn: fc.constantFrom(END, END - 1000n) }),
      { maxLength: 3 },
    ),
    now: fc.constant(NOW),
  });
const answering = fc.constantFrom(
  seen("pg1", primaryFacts()),
  seen("pg1", primaryFacts({ slots: [slot("pg3", { wal_status: "lost" })] })),
);

test("while the primary answers, whoever serves streams on its timeline and is within the bound", () => {
  const promised = fc.constantFrom<Consistency[]>("bounded", "read-your-writes");
  fc.assert(
    fc.property(input(promised, answering), (given) => {
      for (const { name, eligible } of decidePool(given)) {
        const replica = factsOf(given.replicas.find((each) => each.name === name));
        if (!eligible) continue;
        expect(replica).toMatchObject({ in_recovery: true, receiver_status: "streaming", timeline: 4 });
        if (replica) expect(lagOf(replica, factsOf(given.primary)).bytes).toBeLessThanOrEqual(given.maxLag);
      }
    }),
    { numRuns: 500 },
  );
});

test("while the primary is gone, somebody serves as long as any replica answers", () => {
  const without = fc.constantFrom<Consistency[]>("bounded", "eventual");
  fc.assert(
    fc.property(input(without, fc.constant(gone)), (given) => {
      const answers = given.replicas.some((replica) => factsOf(replica)?.in_recovery);
      expect(decidePool(given).some(({ eligible }) => eligible)).toBe(answers);
    }),
    { numRuns: 500 },
  );
});

test("read-your-writes: while the primary is gone, exactly the members that answer as replicas serve", () => {
  fc.assert(
    fc.property(input(fc.constant<Consistency>("read-your-writes"), fc.constant(gone)), (given) => {
      const serving = decidePool(given).filter(({ eligible }) => eligible);
      const expected = given.replicas.filter(
        (replica) => given.members.has(replica.name) && factsOf(replica)?.in_recovery,
      );
      expect(serving.map(({ name }) => name)).toEqual(expected.map(({ name }) => name));
    }),
    { numRuns: 500 },
  );
});

test("every standing is for one replica, with a reason exactly when it may not serve", () => {
  const any = fc.constantFrom<Consistency[]>("bounded", "read-your-writes", "eventual");
  fc.assert(
    fc.property(input(any, fc.oneof(answering, fc.constant(gone))), (given) => {
      const eligibilities = decidePool(given);
      expect(eligibilities.map(({ name }) => name)).toEqual(nodes);
      for (const { eligible, reason } of eligibilities) expect(reason === undefined).toBe(eligible);
      // The same observations always give the same answer.
      expect(decidePool(given)).toEqual(eligibilities);
    }),
  );
});
