import { beforeAll, expect, test } from "vitest";
import { awaitStreaming, bringUpServers } from "../../src/agent/up-and-down/bring-up.ts";
import { carryOutSteps } from "../../src/failover/carry-out.ts";
import type { PrimaryChange } from "../../src/failover/failover.ts";
import { ManualEffects } from "../../src/failover/manual/effects.ts";
import { ManualFailover } from "../../src/failover/manual/manual-failover.ts";
import { planOf } from "../../src/failover/manual/planning.ts";
import { handleOf, replicasOf, type Runtime } from "../../src/members/runtime.ts";
import type { PlanStep } from "../../src/model/plan.ts";
import { factsOf } from "../../src/model/observation.ts";
import { ReadPool } from "../../src/services/read-pool.ts";
import { PostgresService } from "../../src/services/postgres.ts";
import { Supervisor } from "../../src/services/supervisor.ts";
import { throwawayRuntime } from "../members/throwaway-runtime.ts";
import { throwawayNodes } from "../postgres/throwaway-node.ts";
import { waitFor } from "../support/wait.ts";

/** No endpoints. */
const nothing = async (): Promise<void> => await Promise.resolve();
const clients = { pause: nothing, resume: nothing, holdNew: nothing, letInNew: nothing };
const progress = { step: () => {}, bytes: () => {}, note: () => {} };
let runtime: Runtime;
let pool: ReadPool;
let failover: ManualFailover;

beforeAll(async () => {
  runtime = throwawayRuntime(await throwawayNodes(2));
  // Nothing is in front of the servers here.
  pool = new ReadPool(runtime, async () => await Promise.resolve());
  failover = new ManualFailover(runtime, pool, clients);
  const { replicas } = await bringUpServers(runtime, failover, undefined, clients, progress, {
    ports: [],
    beforeChange: async () => {},
    beforeSeeding: async () => {},
  });
  await awaitStreaming(runtime, failover, replicas, progress);
});

async function steps(change: PrimaryChange, unfinished = false): Promise<readonly PlanStep[]> {
  return (await planOf(runtime, change, { unfinished, writes: pool.writes })).steps;
}

/** The primary, and the replica that a switchover would take. */
function sides(): { from: string; to: string } {
  const to = replicasOf(runtime)[0]?.node.name;
  if (to === undefined) throw new Error("no replica");
  return { from: runtime.state.primary, to };
}

/** One primary, where writes are led, and a replica that streams and is nobody's; what it keeps of slots is finished. */
async function atRest(primary: string, replica: string): Promise<void> {
  expect(failover.topology()).toMatchObject({ primary, writes: primary });
  const supervisor = new Supervisor(runtime.log);
  await waitFor(`${replica} to stream from ${primary}`, async () => {
    for (const handle of runtime.nodes.values()) {
      await handle.observe();
      await supervisor.check(new PostgresService(runtime, handle));
    }
    return factsOf(handleOf(runtime, replica).observation)?.receiver_status === "streaming";
  });
  const finish = await failover.plan({ kind: "finish", route: true });
  expect(failover.topology().unfinished).toBe(finish.steps.length > 0);
  await failover.carryOut(finish, progress);
  const facts = factsOf(await handleOf(runtime, primary).observe());
  expect(facts?.in_recovery).toBe(false);
  expect(facts?.standbys.map(({ application_name }) => application_name)).toEqual([replica]);
  expect(facts?.slots.map(({ slot_name }) => slot_name)).toEqual([replica]);
  expect(factsOf(await handleOf(runtime, replica).observe())?.slots).toEqual([]);
  for (const [name, { hold }] of runtime.nodes) {
    expect(hold.operation, name).toBeUndefined();
    expect(runtime.held.has(name), name).toBe(false);
  }
}

/** A switchover whose step of this kind fails, before it did anything or when it has done all. */
async function failedSwitchover(kind: PlanStep["kind"], done: boolean): Promise<void> {
  const real = new ManualEffects(runtime, pool, clients, progress);
  const act = async (step: PlanStep): Promise<void> => {
    if (step.kind === kind && !done) throw new Error("as wanted");
    await real.act(step);
    if (step.kind === kind) throw new Error("as wanted");
  };
  const complaints: unknown[] = [];
  const plan = await steps({ kind: "switchover", to: undefined });
  await expect(
    carryOutSteps(plan, { act, recorded: () => real.recorded() }, progress, (_, error) =>
      complaints.push(error),
    ),
  ).rejects.toThrow("as wanted");
  expect(complaints).toEqual([]);
}

test("a plan changes nothing", async () => {
  const before = JSON.stringify(runtime.state);
  const { from, to } = sides();
  await failover.plan({ kind: "switchover", to });
  await failover.plan({ kind: "promote", node: to, fence: "fast", allowDataLoss: false, confirm: undefined });
  await failover.plan({ kind: "reseed", node: to, discardOld: false });
  expect(JSON.stringify(runtime.state)).toBe(before);
  await atRest(from, to);
});

test("each step of a switchover may be done twice", async () => {
  const { from, to } = sides();
  const effects = new ManualEffects(runtime, pool, clients, progress);
  for (const step of await steps({ kind: "switchover", to })) {
    await effects.act(step);
    await effects.act(step);
  }
  await atRest(to, from);
});

test.each([
  ["make_slots", true],
  ["close_writes", true],
  ["stop", true],
  ["await_replay", false],
  ["become_standby", true],
  ["record_primary", false],
] as const)("a switchover that fails at %s (done: %s) is taken back", async (kind, done) => {
  const { from, to } = sides();
  await failedSwitchover(kind, done);
  await atRest(from, to);
});

test.each([
  ["record_primary", true],
  ["promote", true],
  ["route", false],
  ["follow", false],
  ["settle", false],
] as const)("a switchover that fails at %s (done: %s) is finished from the record", async (kind, done) => {
  const { from, to } = sides();
  await failedSwitchover(kind, done);
  expect(runtime.state.primary).toBe(to);
  await handleOf(runtime, to).observe();
  await failover.carryOut({ steps: await steps({ kind: "finish", route: true }, true), undo: "" }, progress);
  await atRest(to, from);
  expect(runtime.state.history.at(-1)?.to).toBe(to);
});
