import { execa } from "execa";
import { expect, test } from "vitest";
import { throwawayCluster } from "../support/cluster.ts";
import { odooDump } from "../support/odoo-dump.ts";
import type { Session } from "../support/pg.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";

/** Every table of schema public with its number of rows. */
async function counts(session: Session): Promise<ReadonlyMap<string, number>> {
  const rows = await session.rows<{ name: string; count: number }>(
    `SELECT c.relname AS name,
       (xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM %I.%I', n.nspname, c.relname),
         false, true, '')))[1]::text::int AS count
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND n.nspname = 'public' ORDER BY 1`,
  );
  return new Map(rows.map(({ name, count }) => [name, count]));
}

test("a dump of Odoo, loaded through the write endpoint as role odoo, is read whole from the replica", async () => {
  const dump = await odooDump(temporaryFolder());
  const cluster = await throwawayCluster();
  await cluster.up();
  await (await cluster.session("write", "odoo")).rows("CREATE DATABASE sales TEMPLATE odoo_template");
  const loaded = await execa(
    "psql",
    [
      `host=127.0.0.1 port=${cluster.ports.write} user=odoo dbname=sales`,
      "-X",
      "-q",
      "-v",
      "ON_ERROR_STOP=1",
      "-f",
      dump.path,
    ],
    { env: { PGPASSWORD: cluster.password("odoo") }, reject: false, stdout: "ignore" },
  );
  expect(loaded.stderr).toBe("");
  expect(loaded.exitCode).toBe(0);

  const write = await cluster.session("write", "odoo", "sales");
  const written = await counts(write);
  expect(written.size).toBe(dump.tables);
  expect([...written.values()].reduce((sum, count) => sum + count, 0)).toBeGreaterThan(0);
  const primary = await cluster.session("pg1");
  const end = await primary.value("SELECT pg_current_wal_lsn()::text");
  const replica = await cluster.session("pg2");
  await waitFor(
    "the replica to have replayed all",
    async () => (await replica.value("SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn", [end])) === true,
  );
  await cluster.healthy();
  const read = await cluster.session("read", "odoo", "sales");
  expect(await read.value("SELECT pg_is_in_recovery()")).toBe(true);
  expect(await counts(read)).toEqual(written);
  // Odoo lists the databases that its role owns.
  expect(
    await read.value("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"),
  ).toBe("odoo");
}, 300_000);
