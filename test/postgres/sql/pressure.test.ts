import { expect, test } from "vitest";
import { readPressure } from "../../../src/postgres/sql/observing/pressure.ts";
import { waitFor } from "../../support/wait.ts";
import { runningNode } from "../throwaway-node.ts";

test("connections, the oldest transaction and the longest wait for a lock come from one query", async () => {
  const node = await runningNode();
  const session = await node.session();
  const calm = await readPressure(session);
  expect(calm).toMatchObject({ connections: 1, blocked: null });
  expect(calm.oldest_age).toBeGreaterThan(0);
  expect(calm.oldest_age).toBeLessThan(1_000_000);
  const [limits] = await session.query(
    "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS most",
  );
  expect(calm.max_connections).toBe(limits?.["most"]);

  const [holder, waiter, second] = [await node.session(), await node.session(), await node.session()];
  await session.query("CREATE TABLE stock (n int)");
  await holder.query("BEGIN");
  await holder.query("LOCK TABLE stock");
  const [held] = await holder.query("SELECT pg_backend_pid() AS pid");
  const [waits] = await waiter.query("SELECT pg_backend_pid() AS pid");
  const waiting = waiter.query("SELECT FROM stock");
  await waitFor("the first to wait", async () => (await readPressure(session)).blocked !== null);
  const later = second.query("SELECT FROM stock");
  await waitFor("the wait to last", async () => ((await readPressure(session)).blocked?.seconds ?? 0) > 0.2);
  expect(await readPressure(session)).toMatchObject({
    connections: 4,
    blocked: {
      pid: waits?.["pid"],
      database: "postgres",
      by: [`session ${String(held?.["pid"])} (odoo-pg, idle in transaction)`],
    },
  });
  await holder.query("COMMIT");
  await Promise.all([waiting, later]);
  expect((await readPressure(session)).blocked).toBeNull();
});
