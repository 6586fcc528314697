import { readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { throwawayCluster } from "../support/cluster.ts";
import { processesNaming } from "../support/processes.ts";
import { mayMount, smallDisk } from "../support/small-disk.ts";
import { waitFor } from "../support/wait.ts";

test.runIf(mayMount)(
  "WAL that no repository takes fills the disk also not while an operation takes its time",
  async () => {
    // Megabytes of the primary's disk: a quarter of it are six segments of WAL.
    const disk = smallDisk(400, undefined);
    const cluster = await throwawayCluster({
      config: {
        backup: { schedule: "0 0 1 1 *", drill_schedule: "off", any_second: { enabled: true } },
        postgres: { parameters: { shared_buffers: "16MB", max_wal_size: "64MB", min_wal_size: "32MB" } },
      },
    });
    const [first, second] = cluster.ports.nodes;
    cluster.configure({
      nodes: [
        { name: "pg1", port: first, data_dir: join(disk, "pg1") },
        { name: "pg2", port: second },
      ],
    });
    await cluster.up();
    await waitFor("the first base backup", () => processesNaming("scheduled-backup").length === 0);
    const session = await cluster.session("pg1");

    const reseed = cluster.start(["reseed", "pg2"]);
    let copying: readonly { readonly pid: number }[] = [];
    await waitFor(
      "the copy to be under way",
      () => {
        copying = processesNaming("pg_basebackup").filter(({ command }) => command.includes(cluster.folder));
        for (const { pid } of copying) process.kill(pid, "SIGSTOP");
        return copying.length > 0;
      },
      { timeout: 30_000 },
    );

    const repository = `${cluster.stateDir}.archive`;
    renameSync(repository, `${repository}.away`);
    writeFileSync(repository, "not a folder");
    for (let segment = 0; segment < 9; segment++) {
      await session.rows("SELECT pg_logical_emit_message(true, 'test', repeat('x', 1000))");
      await session.rows("SELECT pg_switch_wal()");
    }
    await waitFor(
      "what waits to be given up, though the copy goes on",
      async () => {
        const waiting = readdirSync(join(disk, "pg1", "pg_wal", "archive_status"));
        const { warnings } = await cluster.status();
        return (
          waiting.filter((name) => name.endsWith(".ready")).length < 5 &&
          warnings.some(({ code }) => code === "window_broken")
        );
      },
      { timeout: 60_000 },
    );
    expect(await session.value("SELECT current_setting('archive_command')")).not.toContain("archive-push");
    await session.close();

    rmSync(repository);
    renameSync(`${repository}.away`, repository);
    for (const { pid } of copying) process.kill(pid, "SIGCONT");
    expect((await reseed.ended).exitCode).toBe(0);
  },
);
