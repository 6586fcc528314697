import { expect, test } from "vitest";
import { carryOut, finishChange } from "../../src/agent/operations.ts";
import { operationSchema } from "../../src/cluster/documents/agent-report.ts";
import { FakeFailover, planOf } from "../support/fake-failover.ts";
import { notes } from "../support/notes.ts";

const PROMOTE = { kind: "promote", node: "pg2" } as const;

test.each([
  [{ operation: "switchover" }, { kind: "switchover", to: undefined }],
  [
    { operation: "promote", node: "pg2", fence: "fast", allow_data_loss: true, confirm: "odoo" },
    { kind: "promote", node: "pg2", fence: "fast", allowDataLoss: true, confirm: "odoo" },
  ],
  [
    { operation: "rejoin", node: "pg2" },
    { kind: "rejoin", node: "pg2", discardOld: false },
  ],
  [
    { operation: "rejoin", node: "pg2", reseed: true },
    { kind: "reseed", node: "pg2", discardOld: false },
  ],
  [
    { operation: "reseed", node: "pg2", discard_old: true },
    { kind: "reseed", node: "pg2", discardOld: true },
  ],
])("the request %o is planned as what it asks for", async (request, change) => {
  const failover = new FakeFailover();
  await carryOut(operationSchema.parse(request), failover, notes().progress);
  expect(failover.planned).toEqual([change]);
});

test("a dry run tells the plan and changes nothing", async () => {
  const failover = new FakeFailover();
  failover.plans = planOf(PROMOTE);
  const { lines, progress } = notes();
  const request = operationSchema.parse({ operation: "switchover", to: "pg2", dry_run: true });
  const outcome = await carryOut(request, failover, progress);
  expect(failover.carriedOut).toEqual([]);
  expect(lines).toEqual([`note plan 1. ${outcome.steps[0]}`]);
  expect(outcome).toMatchObject({ plan: [PROMOTE], undo: ["Switch back."], dry_run: true });
});

test("what is carried out is the plan that was told", async () => {
  const failover = new FakeFailover();
  failover.plans = planOf(PROMOTE);
  const outcome = await carryOut(
    operationSchema.parse({ operation: "switchover", to: "pg2" }),
    failover,
    notes().progress,
  );
  expect(failover.carriedOut).toEqual([failover.plans]);
  expect(outcome.dry_run).toBe(false);
});

test("why nothing is to be done is told", async () => {
  const failover = new FakeFailover();
  failover.plans = { ...planOf(), remark: "pg2 is the primary already" };
  const { lines, progress } = notes();
  await carryOut(operationSchema.parse({ operation: "switchover", to: "pg2" }), failover, progress);
  expect(lines).toEqual(["note pg2 is the primary already"]);
});

test("up finishes a change that was cut off, and leads the endpoints afterwards by itself", async () => {
  const failover = new FakeFailover();
  await finishChange(failover, notes().progress);
  expect(failover.planned).toEqual([{ kind: "finish", route: false }]);
});
