import { expect, test } from "vitest";
import { agentReportSchema, outcomeSchema } from "../../src/cluster/documents/agent-report.ts";

test("the report of an agent of version 0.1.0 is read: sentences are words of a next step, what it does not say is unknown", () => {
  const report = agentReportSchema.parse({
    pid: 4711,
    version: "0.1.0",
    keeping: true,
    operation: null,
    primary: "pg1",
    haproxy: true,
    pool: [],
    nodes: [
      {
        name: "pg2",
        pooled: false,
        out_of_pool: "is not running",
        operation: "reseed",
        waiting: { state: "needs rejoin", reason: "pg2 was a primary.", next: "odoo-pg rejoin pg2" },
        failure: "FATAL: x",
        failure_next: "Read the whole log: odoo-pg logs pg2",
        last_seen: null,
      },
    ],
  });
  expect(report.nodes[0]).toMatchObject({
    operation: "reseed",
    waiting: { state: "needs rejoin", next: ["odoo-pg rejoin pg2"] },
    failure_cause: null,
    failure_next: ["Read the whole log: odoo-pg logs pg2"],
  });
});

test("what an operation answers is read without the typed plan of an agent that has none, or other steps", () => {
  const outcome = { steps: ["promote pg2"], undo: "odoo-pg switchover", dry_run: true };
  expect(outcomeSchema.parse(outcome).plan).toEqual([]);
  expect(outcomeSchema.parse({ ...outcome, plan: [{ kind: "ask_patroni" }] }).plan).toEqual([]);
  const plan = [{ kind: "promote", node: "pg2" }];
  expect(outcomeSchema.parse({ ...outcome, plan }).plan).toEqual(plan);
});
