import { execFileSync } from "node:child_process";
import { chownSync, mkdirSync, readdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { serverOwner } from "../postgres/throwaway-node.ts";
import { processesUsing } from "../support/processes.ts";
import { mayMount, mountSmallDisk } from "../support/small-disk.ts";
import { atEnd } from "../support/scope.ts";
import { comers } from "./comers.ts";
import { figure, seconds } from "./figures.ts";
import { scenario } from "./scenario.ts";

const MB = 1024 * 1024;

describe.runIf(mayMount)("9. The disk of the primary's WAL is full", () => {
  test("status names the cause; it recovers by itself once there is room; nothing is removed", async () => {
    let disk = "";
    const { cluster, writing, step, until, healthy, value, node } = await scenario({
      parameters: { max_wal_size: "1GB" },
      async prepare({ stateDir }) {
        disk = join(stateDir, "nodes", "pg1");
        mkdirSync(disk, { recursive: true });
        mountSmallDisk(disk, "384m", "0700");
        const owner = await serverOwner();
        if (owner) chownSync(disk, owner.uid, owner.gid);
        atEnd(async () => {
          if (processesUsing(stateDir).length > 0) await cluster.down();
          execFileSync("umount", [disk]);
        });
      },
    });
    const ledger = await writing();
    await value("pg1", "CREATE TABLE kept AS SELECT generate_series(1, 10000) AS id");
    const ballast = join(disk, "ballast");
    await step("something fills the disk", () => {
      const { bavail, bsize } = statfsSync(disk);
      writeFileSync(ballast, Buffer.alloc(bavail * bsize - 24 * MB, 1));
    });
    await step("writes go on until there is no room", async () => {
      const session = await cluster.session("pg1");
      await until("the server to give up", async () => {
        if (session.isCut()) return true;
        await session
          .rows("SELECT pg_logical_emit_message(false, 'fill', repeat('x', 1000000))")
          .catch(() => {});
        return session.isCut();
      });
    });
    await until("status to name the cause", async () => {
      const { verdict, warnings } = await cluster.status();
      return verdict === "critical" && warnings.some(({ message }) => /No space left/.test(message));
    });
    // Who comes while the server cannot start waits for the room.
    const coming = comers(cluster, "write", 4);
    const before = readdirSync(join(node("pg1").dataDir, "base")).sort();
    const full = await cluster.status();
    expect(full.warnings.map(({ code }) => code)).toContain("disk_nearly_full");
    const begin = performance.now();
    await step("there is room again", () => rmSync(ballast));
    await step("writes go on", async () => await ledger.goesOn(60_000));
    const took = performance.now() - begin;
    await until(
      "all that waited are served",
      () => new Set(coming.served.map(({ client }) => client)).size === 4,
    );
    await coming.stop();
    expect(coming.failures.filter(({ code }) => ["57P03", "53300", "ECONNREFUSED"].includes(code))).toEqual(
      [],
    );
    await healthy();
    expect(readdirSync(join(node("pg1").dataDir, "base")).sort()).toEqual(before);
    expect(await value("pg1", "SELECT count(*)::int FROM kept")).toBe(10_000);
    await ledger.proveNothingLost();
    expect(ledger.terms()).toHaveLength(1);
    figure(
      "9. WAL disk full",
      "status names the cause; recovers once there is room; no data removed",
      `"No space left on device" in status; writes again ${seconds(took)} after there was room; 0 of ${ledger.commits.length} lost`,
    );
  });
});
