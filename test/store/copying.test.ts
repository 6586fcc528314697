import { spawn } from "node:child_process";
import { once } from "node:events";
import { utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { layoutOf, type Layout } from "../../src/config/layout.ts";
import { unlessCopying } from "../../src/store/copying.ts";
import { takeLock } from "../../src/store/lock.ts";
import { ensureDirectory } from "../../src/system/files/files.ts";
import { isAlive } from "../support/processes.ts";
import { atEnd } from "../support/scope.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const HOUR = 3_600_000;
const patience = { wait: 100, oldest: 6 * HOUR, end: 10_000 };

/** A copy that is being made, since some hours. */
async function copying(layout: Layout, name: string, hours: number): Promise<number> {
  const program = spawn("sleep", ["600"], { stdio: "ignore" });
  const ended = once(program, "exit");
  atEnd(async () => {
    program.kill("SIGKILL");
    await ended;
  });
  const pid = program.pid ?? 0;
  await ensureDirectory(layout.offsiteDir);
  const file = join(layout.offsiteDir, `copying.${name}.lock`);
  await takeLock(file, pid);
  const since = (Date.now() - hours * HOUR) / 1000;
  utimesSync(file, since, since);
  return pid;
}

test("what has expired goes the next time while a copy is made that is not old", async () => {
  const layout = layoutOf(temporaryFolder());
  const young = await copying(layout, "nas", 5);
  const old = await copying(layout, "far", 7);
  expect(await unlessCopying(layout, async () => await Promise.resolve("removed"), patience)).toBeUndefined();
  expect([isAlive(young), isAlive(old)]).toEqual([true, true]);
});

test("a copy that hangs for hours is ended, and what has expired goes", async () => {
  const layout = layoutOf(temporaryFolder());
  const old = await copying(layout, "nas", 7);
  // Of one that was killed: nobody holds it.
  writeFileSync(join(layout.offsiteDir, "copying.far.lock"), "999999999 gone\n");
  expect(await unlessCopying(layout, async () => await Promise.resolve("removed"), patience)).toBe("removed");
  expect(isAlive(old)).toBe(false);
});
