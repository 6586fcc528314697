import { join } from "node:path";
import { execa } from "execa";
import { expect, test } from "vitest";
import { parameterProblem } from "../../src/config/parameters.ts";
import { MANAGED } from "../../src/config/settings/managed.ts";
import { DEFAULTS, REPLICA_SENSITIVE, stockOf } from "../../src/config/settings/table.ts";
import { installation, serverOwner } from "../postgres/throwaway-node.ts";

test("no setting stands in the table twice, and what is odoo-pg's alone is refused with what sets it", () => {
  const names = [...DEFAULTS, ...MANAGED].map(({ name }) => name);
  expect(names).toEqual([...new Set(names)]);
  for (const { name, instead } of MANAGED) expect(parameterProblem(name, "x")).toContain(instead);
  for (const { name } of DEFAULTS) expect(parameterProblem(name, "replica"), name).toBeUndefined();
});

test("what a replica must not have less of is PostgreSQL's own list, each with what PostgreSQL takes by itself", () => {
  expect([...REPLICA_SENSITIVE].sort()).toEqual([
    "max_connections",
    "max_locks_per_transaction",
    "max_prepared_transactions",
    "max_wal_senders",
    "max_worker_processes",
  ]);
  expect(stockOf("max_prepared_transactions")).toBe("0");
  expect(stockOf("max_worker_processes")).toBe("8");
});

test("the table knows of each setting whether a server takes it only when it starts, as PostgreSQL says", async () => {
  const [{ binDir }, owner] = await Promise.all([installation(), serverOwner()]);
  const { stdout } = await execa(join(binDir, "postgres"), ["--describe-config"], { ...owner });
  // Columns: name, context, group, type, reset value, least, most, description.
  const contexts = new Map(
    stdout.split("\n").map((line) => [line.split("\t")[0]?.toLowerCase(), line.split("\t")[1]]),
  );
  for (const { name, restart } of DEFAULTS) {
    expect(contexts.has(name), name).toBe(true);
    expect(contexts.get(name) === "postmaster", name).toBe(restart);
  }
});
