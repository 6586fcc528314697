import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import { makeOdooDatabase } from "../support/odoo-database.ts";
import { connect, type Session } from "../support/pg.ts";
import { runProgram } from "../support/program.ts";
import { waitFor } from "../support/wait.ts";

// An ordinary owner of a database holds all locks that it can get, and goes on holding them. What odoo-pg does ends all the
// same, says what keeps it from its work, and goes on for all others.

/** Milliseconds in which each command ends: it may wait for several locks, one after the other. */
const BOUND = 110_000;

let cluster: ThrowawayCluster;
const role = z.object({ role: z.object({ password: z.string() }) });

beforeAll(async () => {
  cluster = await throwawayCluster({ nodes: 1 });
  const filestore = join(cluster.folder, "filestore");
  cluster.configure({
    backup: { dir: join(cluster.folder, "backups"), schedule: "off", drill_schedule: "off" },
    odoo: { filestore },
  });
  await cluster.up();
  await makeOdooDatabase({ superuser: cluster.superuser(), database: "shop", filestore, attachments: 2 });
  const { password } = role.parse(await cluster.json(["role", "create", "tenant"])).role;
  const session = async (database: string): Promise<Session> =>
    await connect({ port: cluster.ports.nodes[0] ?? 0, user: "tenant", password, database });
  const outside = await session("postgres");
  await outside.rows("CREATE DATABASE held TEMPLATE odoo_template");
  const [reader, rewriter] = [await session("held"), await session("held")];
  await reader.rows("CREATE TABLE public.things (x int)");
  await reader.rows("BEGIN");
  await reader.rows("SELECT FROM pg_catalog.pg_class LIMIT 1");
  await reader.rows("LOCK TABLE public.things IN ACCESS EXCLUSIVE MODE");
  // It waits for the reader, and everybody who comes waits for it.
  void rewriter.rows("VACUUM FULL pg_catalog.pg_class").catch(() => {});
  const boss = await cluster.onPrimary();
  await waitFor("it to wait", async () => {
    const rows = await boss.rows(
      "SELECT FROM pg_stat_activity WHERE query LIKE 'VACUUM FULL%' AND wait_event_type = 'Lock'",
    );
    return rows.length > 0;
  });
  await boss.close();
  await outside.rows("BEGIN");
  await outside.rows("COMMENT ON DATABASE held IS 'mine'");
  await outside.rows("ALTER DATABASE held SET work_mem = '5MB'");
  await outside.rows("ALTER ROLE tenant PASSWORD 'of-the-tenant'");
}, 120_000);

const GO_ON: readonly (readonly string[])[] = [
  ["status"],
  ["db", "list"],
  ["sessions", "list"],
  ["up"],
  ["role", "create", "newcomer"],
  ["backup", "create", "shop"],
  ["backup", "restore-check", "shop"],
  ["restore", "shop", "--as", "again"],
  ["db", "copy", "shop", "copied"],
];

test.each(GO_ON.map((args) => ({ args, name: args.join(" ") })))(
  "$name goes on for all others",
  async ({ args }) => {
    const ran = await cluster.run(args, { timeout: BOUND });
    expect({ exitCode: ran.exitCode, stderr: ran.exitCode === 0 ? "" : ran.stderr }).toEqual({
      exitCode: 0,
      stderr: "",
    });
  },
);

test(
  "what needs the database itself ends, and says that a lock keeps it from it",
  async () => {
    const read = [["doctor"], ["backup", "create", "held"], ["db", "copy", "held", "copied2"]];
    // After those: these end the sessions of that database first, also the others'.
    const change = [
      ["db", "rename", "held", "named", "--yes"],
      ["db", "drop", "held", "--confirm", "held"],
      ["restore", "shop", "--replace", "held", "--confirm", "held"],
    ];
    const env = { ODOO_PG_CONFIG: cluster.configFile };
    for (const tried of [read, change]) {
      const all = tried.map(async (args) => ({
        args,
        ...(await runProgram(args, { home: cluster.folder, env, timeout: BOUND })),
      }));
      for (const { args, exitCode, stdout, stderr } of await Promise.all(all)) {
        const words = stdout + stderr;
        expect({ args, failed: exitCode !== 0, words }).toEqual({
          args,
          failed: args[0] !== "doctor",
          words: expect.stringMatching(/holds a lock|database held: it did not answer in time/),
        });
      }
    }
    const rows = await cluster.json(["db", "list"]);
    expect(JSON.stringify(rows)).toContain('"held"');
  },
  2 * BOUND + 10_000,
);
