import { expect, test } from "vitest";
import { othersToTell } from "../../src/cluster/connections.ts";
import { primaryFacts, replicaFacts, seen, silent } from "../support/observations.ts";

const scarce = seen("pg1", primaryFacts({ connections: { used: 90, most: 97, others: 60 } }));
const plenty = seen("pg1", primaryFacts({ connections: { used: 12, most: 97, others: 4 } }));

test("HAProxy is told who else has scarce connections, and once more when they no longer are", () => {
  const first = othersToTell([scarce, seen("pg2", replicaFacts())], new Map());
  expect([...first]).toEqual([["pg1", { connections: 60, areScarce: true }]]);
  const last = othersToTell([plenty], first);
  expect(last.get("pg1")?.connections).toBe(4);
  expect(othersToTell([plenty], last).size).toBe(0);
});

test("nothing is told of a server that does not say who has them", () => {
  const unclear = seen("pg2", primaryFacts({ connections: { used: 90, most: 97 } }));
  expect(othersToTell([silent("pg1", "timeout"), unclear], new Map()).size).toBe(0);
});
