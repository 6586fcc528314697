import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import * as z from "zod";
import { windowSchema } from "../../src/cluster/backups/window.ts";
import { throwawayCluster } from "../support/cluster.ts";
import type { Session } from "../support/pg.ts";
import { mayMount, smallDisk } from "../support/small-disk.ts";
import { waitFor } from "../support/wait.ts";

const windowDocument = windowSchema.extend({
  version: z.literal(1),
  copies: z.array(z.unknown()),
  proven: z.unknown(),
});

/** Megabytes of the disk of the data: a quarter of it are six segments of WAL. */
const DISK = 400;

async function fillSegment(session: Session): Promise<void> {
  await session.rows("SELECT pg_logical_emit_message(true, 'test', repeat('x', 1000))");
  await session.rows("SELECT pg_switch_wal()");
}

async function nowOf(session: Session): Promise<string> {
  const [row] = await session.rows("SELECT clock_timestamp()::text AS now");
  return String(row?.["now"]);
}

test.runIf(mayMount)(
  "WAL that no repository takes never fills the disk: what is given up is a gap, told, and a new base backup ends it",
  async () => {
    const disk = smallDisk(DISK, undefined);
    const cluster = await throwawayCluster({
      nodes: 1,
      config: {
        backup: { schedule: "0 0 1 1 *", drill_schedule: "off", any_second: { enabled: true } },
        postgres: {
          parameters: { shared_buffers: "16MB", max_wal_size: "64MB", min_wal_size: "32MB" },
        },
      },
    });
    cluster.configure({
      nodes: [{ name: "pg1", port: cluster.ports.nodes[0], data_dir: join(disk, "pg1") }],
    });
    await cluster.up();
    const windowNow = async (): Promise<z.output<typeof windowDocument>> =>
      windowDocument.parse(await cluster.json(["backup", "window"]));
    await waitFor("the window to begin", async () => {
      const { from } = await windowNow();
      return from !== null && Date.parse(from) < Date.now();
    });

    const session = await cluster.onPrimary();
    await waitFor("a second to be in it", async () => {
      await fillSegment(session);
      const { from, to } = await windowNow();
      return Date.parse(to ?? "") - Date.parse(from ?? "") > 2000;
    });

    const repository = `${cluster.stateDir}.archive`;
    renameSync(repository, `${repository}.away`);
    writeFileSync(repository, "not a folder");
    for (let segment = 0; segment < 9; segment++) await fillSegment(session);
    await waitFor(
      "the WAL to be given up",
      async () => (await cluster.status()).warnings.some(({ code }) => code === "window_broken"),
      { timeout: 60_000 },
    );
    const lost = await nowOf(session);
    // The cluster serves on, however much is written, and the disk does not fill.
    for (let segment = 0; segment < 6; segment++) await fillSegment(session);
    await session.rows("CHECKPOINT");
    await waitFor("what was given up to go", () => {
      const waiting = readdirSync(join(disk, "pg1", "pg_wal", "archive_status"));
      return waiting.filter((name) => name.endsWith(".ready")).length < 5;
    });

    await session.close();
    // So it is after a start, too: `up` says what is wrong, and what clients need runs.
    expect((await cluster.run(["down"])).exitCode).toBe(0);
    expect((await cluster.run(["up"])).stderr).toContain("repository");
    const served = await cluster.onPrimary();
    await fillSegment(served);

    rmSync(repository);
    renameSync(`${repository}.away`, repository);
    await cluster.up();
    await waitFor(
      "the new base backup",
      async () => {
        const window = await windowNow();
        if (window.gaps.length === 1) return true;
        const log = (file: string): string => readFileSync(join(cluster.stateDir, file), "utf8").slice(-2000);
        throw new Error(`${JSON.stringify(window)}\n${log("agent.log")}\n${log("pg_backup.log")}`);
      },
      { timeout: 150_000 },
    );
    const warnings = (await cluster.status()).warnings.map(({ code }) => code);
    expect(warnings).not.toContain("window_broken");
    const refused = await cluster.run(["restore", "postgres", "--at", lost, "--as", "never"]);
    expect([refused.exitCode, refused.stderr]).toEqual([2, expect.stringContaining("any second from")]);
    const later = await nowOf(served);
    await fillSegment(served);
    await served.close();
    const proven = await cluster.run(["backup", "verify", "--any-second", "--at", later]);
    expect([proven.exitCode, proven.stderr, proven.stdout]).toEqual([
      0,
      expect.anything(),
      expect.stringContaining("can be brought back"),
    ]);
  },
);
