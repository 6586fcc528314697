import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { earlierProgram, hasHistory } from "../../scripts/earlier.mjs";
import { serverOwner } from "../postgres/throwaway-node.ts";
import { Ledger } from "../faults/ledger.ts";
import { layOutAsBefore } from "../security/former-layout.ts";
import { type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import type { Ran } from "../support/program.ts";
import { isAlive } from "../support/processes.ts";
import { waitFor } from "../support/wait.ts";

/** Runs the program of 0.1.0 on a cluster. @throws with what it printed, when it fails */
async function before(cluster: ThrowawayCluster, ...args: readonly string[]): Promise<Ran> {
  const ran = await cluster.run(args, { program: earlierProgram(), timeout: 120_000 });
  if (ran.exitCode !== 0) throw new Error(`${args.join(" ")}: ${ran.stdout}\n${ran.stderr}`);
  return ran;
}

// A shallow clone has no earlier version to build.
describe.runIf(hasHistory())("a cluster that 0.1.0 runs", () => {
  test("is taken over by up under load: no server is restarted, no row lost, no client refused, its backups are proven", async () => {
    const cluster = await throwawayCluster({ nodes: 3 });
    const names = ["pg1", "pg2", "pg3"];
    await before(cluster, "up");
    const ledger = new Ledger(cluster);
    await ledger.open(4);
    await before(cluster, "backup", "create", "ledger");
    const servers = names.map((name) => cluster.postmaster(name));
    const session = await cluster.session("write", "odoo", "ledger");
    const backend = await session.value("SELECT pg_backend_pid()");
    const caches = await session.value("SHOW effective_cache_size");

    await cluster.up({ timeout: 120_000 });

    await ledger.goesOn();
    await cluster.healthy();
    expect(names.map((name) => cluster.postmaster(name))).toEqual(servers);
    expect(await session.value("SELECT pg_backend_pid()")).toBe(backend);
    await session.close();
    await ledger.close();
    expect(ledger.unknown).toBe(0);
    await ledger.proveNothingLost();
    // What 0.1 chose is kept: nothing waits for a restart that nobody asked for, and tune tells what is chosen now.
    for (const name of ["pg1", "pg2", "pg3"] as const) {
      const node = await cluster.session(name);
      expect(await node.value("SELECT count(*)::int FROM pg_settings WHERE pending_restart")).toBe(0);
      expect(await node.value("SHOW work_mem")).toBe("16MB");
      expect(await node.value("SHOW effective_cache_size")).toBe(caches);
    }
    expect((await cluster.status()).agent.running).toBe(true);
    const proof = await cluster.run(["backup", "verify", "--restore"], { timeout: 120_000 });
    expect(proof.exitCode, proof.stderr).toBe(0);
    const again = await cluster.run(["backup", "create", "ledger"]);
    expect(again.exitCode, again.stderr).toBe(0);
  }, 300_000);

  test.runIf(process.geteuid?.() === 0)(
    "is taken over by the next up, wherever the one before was killed",
    async () => {
      const owner = await serverOwner();
      if (!owner) throw new Error("not root");
      const cluster = await throwawayCluster({ nodes: 1 });
      await before(cluster, "up");
      const server = cluster.postmaster("pg1");
      const agent = cluster.agent();
      process.kill(agent, "SIGKILL");
      await waitFor("the agent of 0.1.0 to be gone", () => !isAlive(agent));
      let killed = 0;
      for (let moment = 0; ; moment += 3) {
        layOutAsBefore(cluster.stateDir, owner);
        const was = ofRoot(cluster.stateDir);
        const up = cluster.start(["up"]);
        const seen = { ended: false };
        const ended = up.ended.then(() => (seen.ended = true));
        while (!seen.ended && ofRoot(cluster.stateDir) <= was + moment) await pause(1);
        if (seen.ended) break;
        up.signal("SIGKILL");
        await ended;
        killed += 1;
        await endAgent(cluster);
        if (moment % 2 === 1) await cluster.run(["status"]);
      }
      expect(killed).toBeGreaterThan(3);
      await endAgent(cluster);
      await cluster.up();
      await cluster.healthy();
      expect(cluster.postmaster("pg1")).toBe(server);
      expect(lstatSync(cluster.stateDir).uid).toBe(0);
      expect(readdirSync(cluster.stateDir)).not.toContain("taking-possession");
    },
    300_000,
  );
});

/** How many entries of a state directory are root's, down to the second level. */
function ofRoot(stateDir: string): number {
  return readdirSync(stateDir, { withFileTypes: true })
    .flatMap((entry) => {
      const entries = [join(stateDir, entry.name)];
      if (!entry.isDirectory()) return entries;
      return [...entries, ...readdirSync(entries[0] ?? "").map((name) => join(stateDir, entry.name, name))];
    })
    .filter((file) => lstatSync(file, { throwIfNoEntry: false })?.uid === 0).length;
}

/** Ends the agent that a killed `up` may have started. */
async function endAgent(cluster: ThrowawayCluster): Promise<void> {
  const lock = lstatSync(join(cluster.stateDir, "agent.lock"), { throwIfNoEntry: false });
  if (!lock) return;
  const pid = Number.parseInt(readFileSync(join(cluster.stateDir, "agent.lock"), "utf8"), 10);
  if (!(pid > 0) || !isAlive(pid)) return;
  process.kill(pid, "SIGKILL");
  await waitFor("the agent to be gone", () => !isAlive(pid));
}
