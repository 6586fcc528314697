import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { planFinish } from "../../../src/cluster/changes/finish.ts";
import { planPromote } from "../../../src/cluster/changes/promote.ts";
import type { Planned } from "../../../src/cluster/changes/planned.ts";
import { planRejoin, planReseed } from "../../../src/cluster/changes/rebuild.ts";
import { planSwitchover } from "../../../src/cluster/changes/switchover.ts";
import { undoOf } from "../../../src/cluster/changes/undo.ts";
import { planWords } from "../../../src/cluster/changes/words.ts";
import type { PlanStep } from "../../../src/model/plan.ts";
import { identified, MB, primaryFacts, replicaFacts, seen, silent } from "../../support/observations.ts";
import { SimulatedCluster } from "./simulated-cluster.ts";

function stepsOf(planned: Planned): readonly PlanStep[] {
  if (planned.kind === "refuse") throw new Error(planned.message);
  return planned.plan.steps;
}

/** A change of the primary from pg1 to pg2, planned in a cluster to which nothing was done yet. */
interface Case {
  readonly cluster: SimulatedCluster;
  readonly steps: readonly PlanStep[];
}

const names = fc
  .integer({ min: 2, max: 5 })
  .map((count) => ["pg1", "pg2", "pg3", "pg4", "pg5"].slice(0, count));

const switchovers = fc
  .record({ names, readYourWrites: fc.boolean(), pooled: fc.boolean(), silentOthers: fc.boolean() })
  .map((input): Case => {
    const cluster = new SimulatedCluster(input.names);
    if (input.silentOthers)
      for (const name of input.names.slice(2))
        Object.assign(cluster.node(name), { running: false, lost: true });
    const [primary, ...replicas] = cluster.observations();
    if (!primary) throw new Error("no primary");
    const { readYourWrites, pooled } = input;
    const planned = planSwitchover({ primary, replicas, to: "pg2", readYourWrites, pooled });
    return { cluster, steps: stepsOf(planned) };
  });

const promotions = fc
  .record({ names, lost: fc.boolean(), fence: fc.constantFrom("fast" as const, "immediate" as const) })
  .map((input): Case => {
    const cluster = new SimulatedCluster(input.names);
    if (input.lost) Object.assign(cluster.node("pg1"), { running: false, lost: true });
    const [primary, ...replicas] = cluster.observations();
    if (!primary) throw new Error("no primary");
    return {
      cluster,
      steps: stepsOf(
        planPromote({
          node: "pg2",
          primary,
          primaryRuns: !input.lost,
          foreign: false,
          replicas,
          fence: input.lost ? undefined : input.fence,
          allowDataLoss: false,
        }),
      ),
    };
  });

const rebuilds = fc
  .record({ names, discardOld: fc.boolean(), rejoins: fc.boolean() })
  .map(({ names, discardOld, rejoins }): Case => {
    const cluster = new SimulatedCluster(names);
    const input = { node: "pg2", primary: "pg1", discardOld };
    // An old primary that waits: it would start as another one.
    if (rejoins) Object.assign(cluster.node("pg2"), { running: false, standby: false });
    const plan = rejoins ? planRejoin(input) : planReseed({ ...input, foreign: false });
    return { cluster, steps: plan.steps };
  });

const changes = fc.oneof(switchovers, promotions);
/** Where a plan ends early, as a share of its steps, and whether the last of them was done. */
const cuts = fc.record({
  at: fc.integer({ min: 0, max: 1000 }).map((thousandths) => thousandths / 1000),
  done: fc.boolean(),
});

/** Applies a part of a plan, with supervision at work between its steps. The step it ends at may have been done or not. */
function applyUntil({ cluster, steps }: Case, cut: { at: number; done: boolean }): PlanStep[] {
  const end = Math.round(cut.at * (steps.length - 1));
  const begun = steps.slice(0, end + 1);
  begun.forEach((step, index) => {
    if (index < end || cut.done) cluster.apply(step);
    onePrimary(cluster);
    cluster.supervise();
    onePrimary(cluster);
  });
  return [...begun];
}

function onePrimary(cluster: SimulatedCluster): void {
  expect(cluster.writable.length).toBeLessThanOrEqual(1);
}

/** What the agent does, and `up` too, with what it finds. */
function finish(cluster: SimulatedCluster, route: boolean, unfinished = false): void {
  const observed = cluster.observations();
  const primary = observed.find(({ name }) => name === cluster.record);
  if (!primary) throw new Error("no primary");
  const { steps } = planFinish({
    primary,
    replicas: observed.filter(({ name }) => name !== cluster.record),
    foreign: false,
    route: route && cluster.writes === undefined,
    unfinished,
    lastPrimary: "pg1",
  });
  for (const step of steps) {
    cluster.apply(step);
    onePrimary(cluster);
  }
}

/** Nothing is left to be done: one primary that has everything, writes lead there, and no replica keeps slots. */
function atRest(cluster: SimulatedCluster): void {
  const { record } = cluster;
  if (!cluster.node(record).lost) {
    expect(cluster.writable).toEqual([record]);
    expect(cluster.writes).toBe(record);
  }
  expect(cluster.node(record).complete).toBe(true);
  expect([...cluster.held]).toEqual([]);
  expect(cluster.poolOpen).toBe(true);
  expect(cluster.paused).toBe(false);
  expect(cluster.heldNew).toBeUndefined();
  for (const [name, { slots, lost }] of cluster.nodes)
    if (name !== record && !lost && cluster.node(name).running) expect([...slots], name).toEqual([]);
}

describe("A plan for another primary", () => {
  test("never lets two nodes take writes, and ends with the one that was recorded before it was promoted", () => {
    fc.assert(
      fc.property(changes, (change) => {
        const kinds = change.steps.map(({ kind }) => kind);
        const proof = Math.max(kinds.indexOf("await_replay"), kinds.indexOf("limit_loss"));
        expect(proof).toBeGreaterThan(Math.max(kinds.indexOf("stop"), kinds.indexOf("fence")));
        expect(kinds.indexOf("record_primary")).toBeGreaterThan(proof);
        expect(kinds.indexOf("promote")).toBeGreaterThan(kinds.indexOf("record_primary"));
        expect(kinds.indexOf("route")).toBeGreaterThan(kinds.indexOf("promote"));
        applyUntil(change, { at: 1, done: true });
        expect(change.cluster.record).toBe("pg2");
        change.cluster.supervise();
        finish(change.cluster, true);
        atRest(change.cluster);
      }),
    );
  });

  test("closes writes before the old primary goes, and has its slots on the next before that one follows", () => {
    fc.assert(
      fc.property(changes, ({ cluster, steps }) => {
        const pooled = steps.some(({ kind }) => kind === "pause_clients");
        for (const step of steps) {
          // Of pooled clients no session is cut that has a transaction.
          const cuts = ["leave_pool", "empty_pool", "close_writes"].includes(step.kind);
          if (pooled && cuts) expect(cluster.paused).toBe(true);
          if (step.kind === "stop" || step.kind === "fence") expect(cluster.writes).toBeUndefined();
          if (step.kind === "follow") expect(cluster.node(step.primary).slots).toContain(step.node);
          cluster.apply(step);
        }
      }),
    );
  });

  test("that fails at any step is undone, or is finished from the record", () => {
    fc.assert(
      fc.property(changes, cuts, (change, cut) => {
        const { cluster } = change;
        for (const step of undoOf(applyUntil(change, cut), cluster.record)) {
          cluster.apply(step);
          onePrimary(cluster);
        }
        cluster.supervise();
        onePrimary(cluster);
        finish(cluster, true, cluster.record === "pg2");
        cluster.supervise();
        atRest(cluster);
      }),
      { numRuns: 300 },
    );
  });

  test("whose agent dies at any step, also in the middle of the undo, is finished by the next one", () => {
    fc.assert(
      fc.property(changes, cuts, fc.option(fc.nat(8)), (change, cut, undone) => {
        const { cluster } = change;
        const begun = applyUntil(change, cut);
        if (undone !== null)
          for (const step of undoOf(begun, cluster.record).slice(0, undone)) {
            cluster.apply(step);
            onePrimary(cluster);
          }
        cluster.loseAgent();
        cluster.supervise();
        onePrimary(cluster);
        finish(cluster, false);
        cluster.supervise();
        finish(cluster, false);
        atRest(cluster);
      }),
      { numRuns: 300 },
    );
  });

  test("takes back what it took alone: what was released before is not released again", () => {
    fc.assert(
      fc.property(changes, cuts, (change, cut) => {
        const begun = applyUntil(change, cut);
        const undo = undoOf(begun, change.cluster.record);
        const count = (steps: readonly PlanStep[], kind: PlanStep["kind"]): number =>
          steps.filter((step) => step.kind === kind).length;
        // The last may have failed.
        const done = begun.slice(0, -1);
        expect(count(begun, "hold")).toBe(count(done, "release") + count(undo, "release"));
        expect(count(undo, "reopen_pool")).toBeLessThanOrEqual(1);
      }),
    );
  });
});

describe("A plan for a replica's data", () => {
  test("leaves the primary alone, and the node as a standby that runs, or gives it back where it fails", () => {
    fc.assert(
      fc.property(rebuilds, cuts, (change, cut) => {
        const { cluster } = change;
        const begun = applyUntil(change, cut);
        for (const step of undoOf(begun, cluster.record)) cluster.apply(step);
        cluster.supervise();
        expect(cluster.writable).toEqual(["pg1"]);
        expect(cluster.writes).toBe("pg1");
        expect([...cluster.held]).toEqual([]);
        expect(cluster.poolOpen).toBe(true);
        const done = begun.some(({ kind }) => kind === "follow");
        if (done && cut.done) expect(cluster.node("pg2")).toMatchObject({ running: true, standby: true });
      }),
    );
  });

  test("keeps the old data until the new streams", () => {
    fc.assert(
      fc.property(rebuilds, ({ steps }) => {
        const kinds = steps.map(({ kind }) => kind);
        const made = Math.max(kinds.indexOf("base_backup"), kinds.indexOf("rewind"));
        expect(kinds.indexOf("keep_aside")).toBeGreaterThan(made);
        const discarded = kinds.indexOf("discard_old");
        if (discarded !== -1) expect(discarded).toBeGreaterThan(kinds.indexOf("await_streaming"));
      }),
    );
  });
});

describe("A change that was cut off", () => {
  const standby = seen("pg2", replicaFacts());
  const other = seen("pg1", replicaFacts());
  const input = {
    primary: standby,
    replicas: [other],
    foreign: false,
    route: false,
    unfinished: false,
    lastPrimary: "pg1",
  };

  test("is finished by promoting whom the record names, and the history gets it once", () => {
    const kinds = planFinish(input).steps.map(({ kind }) => kind);
    expect(kinds).toEqual(["release_commits", "record_primary", "promote", "record_change", "settle"]);
    const again = planFinish({ ...input, lastPrimary: "pg2" }).steps.map(({ kind }) => kind);
    expect(again).not.toContain("record_change");
  });

  test("gets into the history also where all but that was done, as after a kill of the agent", () => {
    const done = { ...input, primary: seen("pg2", primaryFacts()) };
    expect(planFinish(done).steps).toEqual([
      expect.objectContaining({ kind: "record_change", change: "promote", from: "pg1", to: "pg2" }),
    ]);
    // Before its first launch is told.
    expect(planFinish({ ...done, lastPrimary: undefined }).steps).toEqual([]);
  });

  test("is left alone beside another node that answers as a primary, and while the recorded one is silent", () => {
    expect(planFinish({ ...input, replicas: [seen("pg1", primaryFacts())] }).steps).toEqual([]);
    expect(planFinish({ ...input, route: true, primary: silent("pg2", "not_running") }).steps).toEqual([]);
  });

  test("has nothing left where the recorded primary is one and writes lead there", () => {
    const done = { ...input, primary: seen("pg2", primaryFacts()), lastPrimary: "pg2" };
    expect(planFinish(done).steps).toEqual([]);
    const unfinished = planFinish({ ...done, unfinished: true }).steps;
    expect(unfinished.map(({ kind }) => kind)).toEqual(["prepare_start", "settle"]);
    expect(planFinish({ ...done, route: true }).steps.map(({ kind }) => kind)).toEqual([
      "route",
      "prepare_start",
      "settle",
    ]);
  });
});

describe("A switchover is refused", () => {
  const primary = seen("pg1", primaryFacts());
  const reasons: [string, Parameters<typeof replicaFacts>[0], RegExp][] = [
    ["far behind", { behind: 20 * MB }, /pg2 is 20 MB behind.*limit 16 MB/],
    ["not streaming", { receiver_status: null }, /pg2 does not stream/],
    ["on another timeline", { timeline: 3 }, /pg2 is on timeline 3, the primary on 4/],
    ["paused", { replay_paused: true }, /pg2 has its replay paused/],
  ];
  test.each(reasons)("to a replica that is %s", (_, facts, message) => {
    const replicas = [seen("pg2", replicaFacts(facts))];
    const planned = planSwitchover({ primary, replicas, to: undefined, readYourWrites: false });
    expect(planned).toMatchObject({ kind: "refuse", message: expect.stringMatching(message) });
  });

  test("without a primary that answers: it could not hand over", () => {
    const replicas = [seen("pg2", replicaFacts())];
    const down = { primary: silent("pg1", "not_running"), replicas, to: "pg2", readYourWrites: false };
    expect(planSwitchover(down)).toMatchObject({ kind: "refuse" });
  });
});

describe("Promoting instead of a primary that somebody else runs", () => {
  const input = {
    node: "pg1",
    primary: silent("upstream", "refused"),
    primaryRuns: false,
    foreign: true,
    replicas: [seen("pg1", replicaFacts())],
    fence: undefined,
    allowDataLoss: false,
  };

  test("holds nothing of it, and makes the replica a cluster of its own", () => {
    const steps = stepsOf(planPromote(input));
    expect(steps.filter(({ kind }) => kind === "hold" || kind === "release")).toEqual([
      { kind: "hold", node: "pg1", operation: "promote" },
      { kind: "release", node: "pg1" },
    ]);
    expect(steps.map(({ kind }) => kind)).toContain("take_over");
  });

  test("is refused while it answers", () => {
    const planned = planPromote({ ...input, primary: identified("upstream"), primaryRuns: true });
    expect(planned).toMatchObject({ kind: "refuse", message: expect.stringMatching(/follows answers/) });
  });
});

test("a plan reads as what is done, in its order", () => {
  const cluster = new SimulatedCluster(["pg1", "pg2"]);
  const [primary, ...replicas] = cluster.observations();
  if (!primary) throw new Error("no primary");
  const steps = stepsOf(planSwitchover({ primary, replicas, to: undefined, readYourWrites: true }));
  expect(planWords(steps)).toEqual([
    "checkpoint on pg1, so that its shutdown is short",
    "checkpoint on pg2, so that its promotion is short",
    "create slots on pg2 for pg1",
    "new clients wait instead of being led to pg1; those who are logging in finish",
    "reads leave the replicas, then commits wait for none of them",
    "new sessions wait at the write endpoint; sessions on pg1 end",
    "stop pg1 (fast) while its replicas are attached: it sends everything",
    "check that pg2 has replayed all that pg1 wrote",
    "from here on pg1 starts as a replica only",
    "record pg2 as the primary",
    "promote pg2",
    "the write endpoint leads to pg2",
    "start pg1 as a replica of pg2",
    "pg1: settings and slots for following pg2",
  ]);
});
