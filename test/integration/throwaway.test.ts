import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { program } from "../support/program.ts";
import { processesUsing } from "../support/processes.ts";
import { atEnd } from "../support/scope.ts";
import { waitFor } from "../support/wait.ts";

const script = fileURLToPath(new URL("../../scripts/throwaway.mjs", import.meta.url));

test("a throwaway cluster without a terminal stays until it is told to end, and leaves nothing", async () => {
  const child = spawn(process.execPath, [script, program()], { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString("utf8")));
  child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString("utf8")));
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  atEnd(async () => {
    if (child.exitCode === null) child.kill("SIGTERM");
    await ended;
  });
  await waitFor("the cluster", () => said.includes("Enter or Ctrl-C removes the cluster."), {
    timeout: 60_000,
  });
  const folder = /--config (\S+)\/odoo-pg\.yaml/.exec(said)?.[1] ?? "";
  expect([child.exitCode, processesUsing(folder).length > 0]).toEqual([null, true]);
  child.kill("SIGTERM");
  expect(await ended).toBe(0);
  expect([existsSync(folder), processesUsing(folder)]).toEqual([false, []]);
});
