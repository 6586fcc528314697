import { describe, expect, test } from "vitest";
import type { RuleSettings } from "../../src/model/alarm-settings.ts";
import { conditionsOf, type Pressure } from "../../src/alarms/conditions.ts";
import type { StatusDocument } from "../../src/cluster/documents/status.ts";
import { statusOf } from "../../src/cluster/status.ts";
import {
  account,
  agentOf,
  cluster,
  GB,
  MB,
  primaryFacts,
  replicaFacts,
  seen,
  silent,
  slot,
} from "../support/observations.ts";

const calm: Pressure = {
  connections: 12,
  max_connections: 97,
  oldest_age: 150_000_000,
  oldest_database: "shop",
  blocked: null,
};

function statusWith(changes: Parameters<typeof cluster>[0] = {}): StatusDocument {
  return statusOf(cluster(changes));
}

/** What is found, in short: `rule about`, with a question mark where it is unclear. */
function found(status: StatusDocument, pressure: Pressure | null = calm, rules: RuleSettings = {}): string[] {
  return conditionsOf(status, pressure ?? undefined, rules)
    .map(({ rule, subject, is }) => `${rule} ${subject ?? "-"}${is === "unclear" ? "?" : ""}`)
    .sort();
}

test("a healthy cluster gives no alarm a reason", () => {
  expect(found(statusWith())).toEqual([]);
});

describe("what is found", () => {
  test("of a replica that does not answer is that alone: nobody can judge its lag and slot", () => {
    const status = statusWith({
      observations: [seen("pg1", primaryFacts()), silent("pg2", "not_running")],
      agent: agentOf(["pg1", "pg2"], { pool: [] }),
    });
    expect(found(status)).toEqual([
      "node_down pg2",
      "pool_empty -",
      "replica_behind pg2?",
      "replica_lost pg2?",
      "slot_filling pg2?",
    ]);
  });

  test("without a primary leaves open what only a primary tells", () => {
    const status = statusWith({
      observations: [silent("pg1", "not_running"), seen("pg2", replicaFacts())],
    });
    expect(found(status)).toEqual(
      expect.arrayContaining(["primary_down pg1", "replica_behind pg2?", "pool_empty -?"]),
    );
  });

  test("carries the words of the status and what to do next", () => {
    const status = statusWith({
      observations: [
        seen("pg1", primaryFacts({ slots: [slot("pg2", { behind: 20 * GB })] })),
        seen("pg2", replicaFacts({ behind: 300 * MB })),
      ],
    });
    const found = conditionsOf(status, calm, {});
    const behind = found.find(({ rule }) => rule === "replica_behind");
    const warned = status.warnings.find(({ code }) => code === "replica_behind");
    expect(behind).toEqual({
      rule: "replica_behind",
      subject: "pg2",
      is: "present",
      text: warned?.message,
      next: warned?.next_step,
    });
    expect(found.map(({ rule }) => rule)).toContain("slot_filling");
  });

  test("of a disk has two edges, and one disk of two nodes is told once", () => {
    const at = (pg1: number, pg2: number): string[] => found(statusWith({ disks: { pg1, pg2 } }));
    expect(at(0.81, 0.81)).toEqual([]);
    expect(at(0.83, 0.83)).toEqual(["disk_filling pg1?"]);
    expect(at(0.86, 0.86)).toEqual(["disk_filling pg1"]);
    expect(at(0.5, 0.96)).toEqual(["disk_filling pg2", "disk_nearly_full pg2"]);
    expect(at(0.86, 0.94)).toEqual(["disk_filling pg1", "disk_filling pg2", "disk_nearly_full pg2?"]);
  });

  test("of figures follows the thresholds of the configuration", () => {
    const connections = (used: number, rules: RuleSettings = {}): string[] =>
      found(statusWith(), { ...calm, connections: used }, rules);
    expect(connections(70)).toEqual([]);
    expect(connections(78)).toEqual(["connections_nearly_used -?"]);
    expect(connections(83)).toEqual(["connections_nearly_used -"]);
    expect(connections(83, { connections_nearly_used: { threshold: 95 } })).toEqual([
      "connections_nearly_used -?",
    ]);
    expect(connections(50, { connections: { threshold: 50 } })).toEqual(["connections_nearly_used -"]);
  });

  test("of transaction numbers names the database, and of a lock who waits for whom", () => {
    const found = conditionsOf(
      statusWith(),
      {
        ...calm,
        oldest_age: 1_200_000_000,
        blocked: {
          pid: 4711,
          database: "shop",
          seconds: 240,
          by: ["session 4712 (Odoo, idle in transaction)"],
        },
      },
      {},
    );
    expect(found.map(({ rule, text }) => [rule, text])).toEqual([
      ["wraparound_approaching", expect.stringMatching(/56 % of the way .* the oldest are in shop\./)],
      [
        "blocked",
        "Session 4711 in shop has waited 4 min for a lock that session 4712 (Odoo, idle in transaction) holds.",
      ],
    ]);
  });

  test("is unclear where the figures are not known", () => {
    expect(found(statusWith(), null)).toEqual(
      ["connections_nearly_used -?", "blocked -?", "wraparound_approaching -?"].sort(),
    );
  });

  test("of a replica that is being copied by order changes nothing", () => {
    const status = statusWith({
      observations: [seen("pg1", primaryFacts()), silent("pg2", "not_running")],
      agent: agentOf(["pg1", "pg2"], {
        pool: [],
        nodes: [account("pg1"), account("pg2", { operation: "seed" })],
      }),
    });
    expect(found(status).filter((line) => !line.endsWith("?"))).toEqual([]);
  });

  test("is an empty pool only where there is a replica", () => {
    const alone = statusWith({
      nodes: ["pg1"],
      observations: [seen("pg1", primaryFacts({ standbys: [], slots: [] }))],
      agent: agentOf(["pg1"], { pool: [] }),
    });
    expect(found(alone)).toEqual([]);
  });
});
