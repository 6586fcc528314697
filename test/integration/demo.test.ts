import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { program } from "../support/program.ts";
import { processesUsing } from "../support/processes.ts";
import { atEnd } from "../support/scope.ts";
import { waitFor } from "../support/wait.ts";

const script = fileURLToPath(new URL("../../scripts/demo.mjs", import.meta.url));

interface Demo {
  readonly said: () => string;
  readonly signal: (signal: NodeJS.Signals) => void;
  readonly ended: Promise<number | null>;
  /** Where it has its cluster. */
  readonly folder: () => Promise<string>;
}

function startDemo(): Demo {
  const child = spawn(process.execPath, [script, program()], {
    env: {
      PATH: `${join(dirname(program()), "bin")}:${process.env["PATH"] ?? ""}`,
      HOME: "/nonexistent",
      LC_ALL: "C.UTF-8",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString("utf8")));
  child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString("utf8")));
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  atEnd(async () => {
    if (child.exitCode === null) child.kill("SIGTERM");
    await ended;
  });
  return {
    said: () => said,
    signal: (signal) => void child.kill(signal),
    ended,
    folder: async () => {
      const named = (): string => /^Everything is in (\S+)\./m.exec(said)?.[1] ?? "";
      await waitFor("it to say where it is", () => named() !== "");
      return named();
    },
  };
}

test("the demo tells its story in one go, loses nothing, and leaves nothing", async () => {
  const demo = startDemo();
  const folder = await demo.folder();
  expect([await demo.ended, demo.said()]).toEqual([0, expect.any(String)]);
  const said = demo.said();
  for (const step of ["1", "2", "3", "4", "5", "6", "7", "="])
    expect(said).toMatch(new RegExp(`^ *\\d+ s  ${step}  `, "m"));
  expect(said).toMatch(/http:\/\/127\.0\.0\.1:\d+\/sign-in\?key=/);
  expect(said).toMatch(/[1-9]\d* orders written, each read back at once: 0 were missing\./);
  expect(said).toMatch(/Acknowledged and lost, after the kill and the switchover: 0 of [1-9]\d*\./);
  expect(said).toContain("shop has 0 partners, shop_before has 2000.");
  expect(said.trimEnd().split("\n").at(-1)).toBe("Everything that the demo made is removed.");
  expect(existsSync(folder)).toBe(false);
  expect(processesUsing(folder)).toEqual([]);
}, 180_000);

test.each(["1", "4"])(
  "ended in step %s, it leaves nothing",
  async (step) => {
    const demo = startDemo();
    const folder = await demo.folder();
    await waitFor(`step ${step}`, () => new RegExp(`^ *\\d+ s  ${step}  `, "m").test(demo.said()), {
      timeout: 90_000,
    });
    demo.signal("SIGINT");
    expect([await demo.ended, demo.said()]).toEqual([0, expect.any(String)]);
    expect(existsSync(folder)).toBe(false);
    expect(processesUsing(folder)).toEqual([]);
  },
  120_000,
);
