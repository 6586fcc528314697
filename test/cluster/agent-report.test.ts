import { expect, test } from "vitest";
import { agentReportSchema } from "../../src/cluster/documents/agent-report.ts";

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
