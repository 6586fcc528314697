import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { archiveStatusSchema } from "../../src/model/backups/archive-status.ts";
import { throwawayCluster } from "../support/cluster.ts";
import { makeOdooDatabase } from "../support/odoo-database.ts";
import type { Session } from "../support/pg.ts";
import { runProgram } from "../support/program.ts";
import { waitFor } from "../support/wait.ts";

/** The database's own time, between what was committed before and what comes. */
async function secondOf(session: Session): Promise<string> {
  await session.rows("SELECT pg_sleep(0.01)");
  const [row] = await session.rows("SELECT clock_timestamp()::text AS now");
  await session.rows("SELECT pg_sleep(0.01)");
  return String(row?.["now"]);
}

test("after a recovery to before the last base backup, what is written next comes back from the one before that", async () => {
  const cluster = await throwawayCluster({
    nodes: 1,
    config: { backup: { schedule: "0 0 1 1 *", drill_schedule: "off", any_second: { enabled: true } } },
  });
  const filestore = join(cluster.folder, "filestore");
  mkdirSync(filestore, { mode: 0o755 });
  const dataDir = join(cluster.folder, "disk", "pg1");
  cluster.configure({
    odoo: { filestore },
    nodes: [{ name: "pg1", port: cluster.ports.nodes[0], data_dir: dataDir }],
  });
  const status = (): ReturnType<typeof archiveStatusSchema.parse> =>
    archiveStatusSchema.parse(
      JSON.parse(readFileSync(join(cluster.stateDir, "archive-status.json"), "utf8")),
    );
  const marks = async (database: string): Promise<string[]> => {
    const session = await cluster.onPrimary("postgres", database);
    const rows = await session.rows("SELECT mark FROM marks ORDER BY 1");
    await session.close();
    return rows.map(({ mark }) => String(mark));
  };
  await cluster.up();
  await makeOdooDatabase({ superuser: cluster.superuser(), database: "shop", filestore });
  await waitFor("the first base backup", () => {
    try {
      return status().bases.length === 1;
    } catch {
      return false;
    }
  });
  const session = await cluster.onPrimary("postgres", "shop");
  await session.rows("CREATE TABLE marks (mark text)");
  await session.rows("SELECT pg_sleep(1.1)");
  await session.rows("INSERT INTO marks VALUES ('1 before')");
  const early = await secondOf(session);
  await session.rows("INSERT INTO marks VALUES ('2 left behind')");
  const left = await runProgram(["scheduled-backup", "--state-dir", cluster.stateDir, "--kind", "full"], {
    home: cluster.folder,
  });
  expect([left.exitCode, left.stderr]).toEqual([0, expect.any(String)]);
  expect(status().bases.map(({ timeline }) => timeline)).toEqual([1, 1]);
  await session.rows("INSERT INTO marks VALUES ('3 left behind')");
  const [row] = await session.rows("SELECT pg_walfile_name(pg_switch_wal()) AS segment");
  await waitFor("the WAL to be archived", async () => {
    const [archiver] = await session.rows("SELECT last_archived_wal AS last FROM pg_stat_archiver");
    return String(archiver?.["last"]) >= String(row?.["segment"]);
  });
  await session.close();
  await cluster.down();
  rmSync(dataDir, { recursive: true });
  const back = await cluster.run(["restore", "--cluster-as", dataDir, "--at", early]);
  expect(back.stderr + back.stdout).toContain("It is shut down. Start it: ");
  await cluster.up();
  const later = await cluster.onPrimary("postgres", "shop");
  await later.rows("INSERT INTO marks VALUES ('4 after')");
  const late = await secondOf(later);
  await later.rows("INSERT INTO marks VALUES ('5 too late')");
  await later.close();
  const ran = await cluster.run(["restore", "shop", "--at", late, "--as", "shop_then"]);
  expect(ran.stderr + ran.stdout).toContain("compared and complete");
  expect(await marks("shop_then")).toEqual(["1 before", "4 after"]);
  await waitFor("a full base backup of what goes on", () => {
    const last = status().bases.at(-1);
    return last?.type === "full" && last.timeline === 2;
  });
});
