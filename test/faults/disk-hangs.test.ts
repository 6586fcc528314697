import { chownSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { serverOwner } from "../postgres/throwaway-node.ts";
import { mayHang, mountHangingDisk, type HangingDisk } from "../support/small-disk.ts";
import { processesUsing } from "../support/processes.ts";
import { atEnd } from "../support/scope.ts";
import { figure, seconds } from "./figures.ts";
import { scenario } from "./scenario.ts";

describe.runIf(mayHang)("The disk of the primary hangs (read-your-writes)", () => {
  test("the agent goes on looking, says so, and neither waits for ever nor promotes beside a primary that may commit", async () => {
    let disk: HangingDisk | undefined;
    const { cluster, writing, step, until, healthy } = await scenario({
      consistency: "read-your-writes",
      async prepare({ stateDir }) {
        const folder = join(stateDir, "nodes", "pg1");
        mkdirSync(folder, { recursive: true, mode: 0o700 });
        disk = mountHangingDisk(folder);
        const owner = await serverOwner();
        if (owner) chownSync(folder, owner.uid, owner.gid);
        atEnd(async () => {
          disk?.goOn();
          if (processesUsing(stateDir).length > 0) await cluster.down();
          disk?.remove();
        });
      },
    });
    const ledger = await writing();
    await step("the disk hangs", () => disk?.hang());
    await step("a replica that restarts is put on the list again", () =>
      process.kill(cluster.postmaster("pg2"), "SIGKILL"),
    );
    await until("status to see the replica, by an agent that goes on", async () => {
      const { nodes } = await cluster.status();
      return nodes.some(({ name, state }) => name === "pg2" && state === "streaming");
    });
    const begin = performance.now();
    const promoted = await cluster.run(["promote", "pg2", "--fence", "immediate"], { timeout: 120_000 });
    const took = performance.now() - begin;
    expect(promoted.exitCode).not.toBe(0);
    await step("the disk goes on", () => disk?.goOn());
    await step("writes go on", async () => await ledger.goesOn(60_000));
    await healthy();
    await ledger.proveNothingLost();
    figure(
      "The disk of the primary hangs (read-your-writes)",
      "promote ends within its limits and changes nothing; 0 acknowledged rows lost once the disk goes on",
      `promote gave up after ${seconds(took)}; 0 of ${ledger.commits.length} lost`,
    );
  });
});
