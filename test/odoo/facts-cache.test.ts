import { beforeAll, expect, test, vi } from "vitest";
import { OdooFactsCache } from "../../src/odoo/facts-cache.ts";
import { ensureRoles } from "../../src/odoo/roles.ts";
import { type Session } from "../../src/system/sql/sql.ts";
import { runningNode, type ThrowawayNode } from "../postgres/throwaway-node.ts";
import { makeOdooDatabase } from "../support/odoo-database.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";

let node: ThrowawayNode;
let admin: Session;

beforeAll(async () => {
  node = await runningNode();
  admin = await node.session();
  await ensureRoles(admin, "odoo", node.passwords);
  const filestore = temporaryFolder();
  for (const database of ["one", "two"])
    await makeOdooDatabase({ superuser: node.superuser, database, filestore, attachments: 3 });
  for (let number = 0; number < 8; number++) await admin.query(`CREATE DATABASE plain_${number}`);
});

const keeperOf = (): OdooFactsCache => new OdooFactsCache(() => node.access.as("odoo", node.passwords.odoo));

test("who asks gets what is known at once, and finds what is new the next time", async () => {
  const keeper = keeperOf();
  expect([...keeper.ask(["one", "plain_0"])]).toEqual([]);
  await keeper.settled();
  const known = keeper.ask(["one", "plain_0"]);
  expect(known.get("one")?.facts).toMatchObject({ odoo_version: "19.0", attachments: 5 });
  expect(known.get("plain_0")).toMatchObject({ facts: undefined });
});

test("a database is looked at again after half a minute, when somebody asks, and not before", async () => {
  const keeper = keeperOf();
  keeper.ask(["one"]);
  await keeper.settled();
  const first = keeper.ask(["one"]).get("one")?.at ?? 0;
  keeper.ask(["one"]);
  await keeper.settled();
  expect(keeper.ask(["one"]).get("one")?.at).toBe(first);
  const clock = vi.spyOn(performance, "now");
  const { now: later } = { now: performance.now() + 31_000 };
  clock.mockReturnValue(later);
  keeper.ask(["one"]);
  await keeper.settled();
  clock.mockRestore();
  expect(keeper.ask(["one"]).get("one")?.at).toBeGreaterThan(first);
});

test("at most four databases are looked at at once", async () => {
  const names = Array.from({ length: 8 }, (_, number) => `plain_${number}`);
  const keeper = keeperOf();
  let most = 0;
  let readings = 0;
  keeper.ask(names);
  const watching = keeper.settled();
  await waitFor("all to be looked at", async () => {
    const [row] = await admin.query(
      "SELECT count(*)::int AS sessions FROM pg_stat_activity WHERE application_name = 'odoo-pg agent'",
    );
    most = Math.max(most, Number(row?.["sessions"]));
    readings++;
    return keeper.ask(names).size === names.length;
  });
  await watching;
  expect(readings).toBeGreaterThan(0);
  expect(most).toBeLessThanOrEqual(4);
});

test("what was known of a database stays while it cannot be read, and goes when nobody asks for it", async () => {
  const keeper = keeperOf();
  keeper.ask(["one", "two"]);
  await keeper.settled();
  const holder = await node.session("two");
  await holder.query("BEGIN; LOCK TABLE ir_module_module");
  const clock = vi.spyOn(performance, "now");
  clock.mockReturnValue(performance.now() + 31_000);
  keeper.ask(["one", "two"]);
  await keeper.settled();
  clock.mockRestore();
  await holder.query("COMMIT");
  const known = keeper.ask(["one", "two"]);
  expect(known.get("two")?.facts).toMatchObject({ odoo_version: "19.0" });
  expect(known.get("two")?.at).toBeLessThan(known.get("one")?.at ?? 0);
  expect([...keeper.ask(["one"]).keys()]).toEqual(["one"]);
  expect([...keeper.ask(["one", "two"]).keys()]).toEqual(["one"]);
  await keeper.settled();
});
