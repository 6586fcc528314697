import { mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { windowSchema } from "../../src/cluster/backups/window.ts";
import {
  archiveStatusSchema,
  archivingSchema,
  type Archiving,
} from "../../src/model/backups/archive-status.ts";
import { throwawayCluster, type ThrowawayCluster } from "../support/cluster.ts";
import { killWithChildren } from "../support/kill.ts";
import { waitFor } from "../support/wait.ts";

// An `up` that ends any second, and does not come to its own end: nothing is thrown away without a word.

const backup = (enabled: boolean): Record<string, unknown> => ({
  schedule: "0 0 1 1 *",
  drill_schedule: "off",
  any_second: { enabled, full_schedule: "0 0 1 1 *", diff_schedule: "off" },
});

const windowDocument = windowSchema.extend({
  version: z.literal(1),
  copies: z.array(z.unknown()),
  proven: z.unknown(),
});
let cluster: ThrowawayCluster;

async function windowNow(): Promise<z.output<typeof windowDocument>> {
  return windowDocument.parse(await cluster.json(["backup", "window"]));
}

function record(): Archiving {
  const file = join(cluster.stateDir, "archive", "archiving.json");
  return archivingSchema.parse(JSON.parse(readFileSync(file, "utf8")));
}

async function commandOf(node: "pg1" | "pg2"): Promise<string> {
  const session = await cluster.session(node);
  const command = await session.value("SELECT current_setting('archive_command')");
  await session.close();
  return String(command);
}

beforeAll(async () => {
  cluster = await throwawayCluster({ config: { backup: backup(true) } });
  await cluster.up();
  await waitFor("the window to begin", async () => {
    const { from } = await windowNow();
    return from !== null && Date.parse(from) < Date.now();
  });
});

test("one that is refused leaves the command in force, also for the next primary", async () => {
  cluster.configure({ backup: backup(false), postgres: { parameters: { work_mem: "much" } } });
  const refused = await cluster.run(["up"]);
  expect([refused.exitCode, refused.stderr]).toEqual([2, expect.stringContaining("work_mem")]);
  expect((await cluster.run(["switchover"])).exitCode).toBe(0);
  expect(await commandOf("pg2")).toContain("archive-push");
  expect(record()).toMatchObject({ archiving: true, gaps: [] });
});

test("one that is killed when the primary archives nothing any more leaves a gap, from what was archived last", async () => {
  const before = await cluster.session("pg2");
  await before.rows("SELECT pg_logical_emit_message(true, 'test', 'x'), pg_switch_wal()");
  await waitFor("the agent to see it archived", () => record().primary?.waits === false);
  await before.close();
  expect((await cluster.run(["down"])).exitCode).toBe(0);
  const stopped = Date.now();
  cluster.configure({ backup: backup(false), postgres: { parameters: {} } });
  const up = cluster.start(["up"]);
  await waitFor(
    "the primary to archive nothing",
    async () => !(await commandOf("pg2").catch(() => "archive-push")).includes("archive-push"),
    { timeout: 30_000 },
  );
  killWithChildren(up.pid);
  process.kill(cluster.agent(), "SIGKILL");
  await up.ended;
  const lost = record();
  expect(lost.archiving).toBe(false);
  expect(Date.parse(lost.since)).toBeLessThanOrEqual(stopped);

  cluster.configure({ backup: backup(true), postgres: { parameters: {} } });
  await cluster.up();
  expect(record()).toMatchObject({ archiving: true, gaps: [{ from: lost.since }] });
  await waitFor("the base backup after it", async () => (await windowNow()).gaps.length === 1, {
    timeout: 60_000,
  });
});

test("a record that is damaged makes a gap from the last base backup on, not a hole that nobody knows of", async () => {
  await cluster.down();
  writeFileSync(join(cluster.stateDir, "archive", "archiving.json"), "{");
  const status = archiveStatusSchema.parse(
    JSON.parse(readFileSync(join(cluster.stateDir, "archive-status.json"), "utf8")),
  );
  await cluster.up();
  expect(record()).toMatchObject({ archiving: true, gaps: [{ from: status.bases.at(-1)?.stopped_at }] });
});

test("a repository whose disk is not mounted is missed, not begun anew; one that is lost for good is, once that is said", async () => {
  const repository = `${cluster.stateDir}.archive`;
  expect((await cluster.run(["down"])).exitCode).toBe(0);
  renameSync(repository, `${repository}.away`);
  mkdirSync(repository);

  // The databases run all the same.
  await cluster.up();
  const session = await cluster.onPrimary();
  await session.rows("SELECT pg_logical_emit_message(true, 'test', 'x'), pg_switch_wal()");
  await session.close();
  await waitFor("the warning", async () =>
    (await cluster.status()).warnings.some(({ code }) => code === "archiver_failing"),
  );
  expect(readFileSync(join(cluster.stateDir, "agent.log"), "utf8")).toMatch(
    /is not in .*\.archive any more: its disk is not mounted/,
  );
  expect(readdirSync(repository)).toEqual([]);
  rmdirSync(repository);

  cluster.configure({ backup: backup(false), postgres: { parameters: {} } });
  await cluster.up();
  cluster.configure({ backup: backup(true), postgres: { parameters: {} } });
  await cluster.up();
  expect(readdirSync(repository).sort()).toEqual(["archive", "backup"]);
  await waitFor("a window to begin", async () => (await windowNow()).base_backups === 1, {
    timeout: 150_000,
  });
});
