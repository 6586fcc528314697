import { expect, test } from "vitest";
import { planSwitchover } from "../../src/cluster/changes/switchover.ts";
import { undoOf } from "../../src/cluster/changes/undo.ts";
import { carryOutSteps } from "../../src/failover/carry-out.ts";
import type { PlanStep } from "../../src/model/plan.ts";
import { primaryFacts, replicaFacts, seen } from "../support/observations.ts";

function switchoverSteps(): readonly PlanStep[] {
  const planned = planSwitchover({
    primary: seen("pg1", primaryFacts()),
    replicas: [seen("pg2", replicaFacts())],
    to: "pg2",
    readYourWrites: true,
  });
  if (planned.kind === "refuse") throw new Error(planned.message);
  return planned.plan.steps;
}

/** Carries out a switchover whose effects only note what is asked of them. */
async function carriedOut(fails: (step: PlanStep, index: number) => boolean) {
  const acted: PlanStep[] = [];
  const told: string[] = [];
  const complaints: PlanStep["kind"][] = [];
  let recorded = "pg1";
  const outcome = await carryOutSteps(
    switchoverSteps(),
    {
      act: async (step) => {
        acted.push(step);
        if (fails(step, acted.length - 1)) throw new Error(`${step.kind} fails`);
        if (step.kind === "record_primary") recorded = step.node;
        await Promise.resolve();
      },
      recorded: () => recorded,
    },
    { step: (node, text) => told.push(`${node}: ${text}`), bytes: () => {}, note: () => {} },
    (step) => complaints.push(step.kind),
  ).then(
    () => "done",
    (error: unknown) => String(error),
  );
  return { acted, told, complaints, outcome };
}

test("a plan is carried out step by step, and those that take their time are told", async () => {
  const { acted, told, outcome } = await carriedOut(() => false);
  expect(outcome).toBe("done");
  expect(acted).toEqual(switchoverSteps());
  expect(told).toEqual([
    "pg1: checkpoint",
    "pg2: checkpoint",
    "pg1: stop",
    "pg2: promote",
    "pg1: start as a replica of pg2",
  ]);
});

test("whichever step fails, its error is told, and what was begun is undone by whom the record names then", async () => {
  const steps = switchoverSteps();
  const record = steps.findIndex(({ kind }) => kind === "record_primary");
  for (const [index, step] of steps.entries()) {
    const { acted, outcome } = await carriedOut((_, at) => at === index);
    expect(outcome).toBe(`Error: ${step.kind} fails`);
    const begun = steps.slice(0, index + 1);
    expect(acted.slice(0, begun.length)).toEqual(begun);
    expect(acted.slice(begun.length)).toEqual(undoOf(begun, index > record ? "pg2" : "pg1"));
  }
});

test("before the record the old primary is what it was; after it, only what was held is let go", async () => {
  const { acted } = await carriedOut(({ kind }) => kind === "await_replay");
  expect(acted.slice(-8).map(({ kind }) => kind)).toEqual([
    "await_replay",
    "start",
    "reopen_writes",
    "reopen_pool",
    "let_in_new_clients",
    "release",
    "release",
    "drop_slots",
  ]);
  const { acted: later } = await carriedOut(({ kind }) => kind === "promote");
  expect(later.slice(-5).map(({ kind }) => kind)).toEqual([
    "promote",
    "reopen_pool",
    "let_in_new_clients",
    "release",
    "release",
  ]);
});

test("an undo that fails is told and keeps nothing else from being undone", async () => {
  const { acted, complaints, outcome } = await carriedOut(({ kind }) => kind === "stop" || kind === "start");
  expect(outcome).toBe("Error: stop fails");
  expect(complaints).toEqual(["start"]);
  expect(acted.at(-1)?.kind).toBe("drop_slots");
});
