import { execa } from "execa";
import { expect, test } from "vitest";
import { processesUsing } from "../support/processes.ts";

const asFromAShell = {
  reject: false,
  env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin", NO_COLOR: "1" },
  extendEnv: false,
} as const;

test("a process, a port or a file that is left behind fails the tests, and is cleared away", async () => {
  const result = await execa(
    process.execPath,
    ["scripts/test.mjs", "--config", "test/harness/fixture.config.ts"],
    { ...asFromAShell, all: true },
  );

  expect(result.all).toMatch(/process \d+: .*leaked-process/);
  expect(result.all).toMatch(/port \d+: process \d+ listens: /);
  expect(result.all).toMatch(/file .*\/left-over/);
  // The temporary file is found at the end of its file, when its test has passed.
  expect(result.stdout.trimEnd().split("\n").at(-1)).toBe("2 passed, 4 failed");
  expect(result.exitCode).toBe(1);
  expect(processesUsing("leaked-process")).toEqual([]);
});

test("a test that needs a second try in CI is named with what failed first", async () => {
  const result = await execa(
    process.execPath,
    ["scripts/test.mjs", "--config", "test/harness/fixture.config.ts", "second-try"],
    { ...asFromAShell, env: { ...asFromAShell.env, CI: "true" } },
  );

  expect(result.stdout).toContain(
    "SECOND TRY test/harness/fixtures/second-try.fixture.ts > passes at the second try: AssertionError: expected 1 to be 2",
  );
  expect(result.stdout.trimEnd().split("\n").at(-1)).toBe("1 passed, 0 failed");
});

test("a run without any test fails and says so", async () => {
  const result = await execa(process.execPath, ["scripts/test.mjs", "no-such-test"], asFromAShell);

  expect(result.stdout.trimEnd().split("\n").at(-1)).toBe("0 passed, 0 failed");
  expect(result.exitCode).not.toBe(0);
});
