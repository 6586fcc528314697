import { existsSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { runProgram } from "../support/program.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

async function compose(home: string, ...args: string[]) {
  return await runProgram(["compose", ...args], { home });
}

describe("odoo-pg compose", () => {
  test("writes the file and passwords for their owner alone; a second run changes nothing", async () => {
    const home = temporaryFolder();
    const first = await compose(home, "--directory", "my cluster");
    expect(first.exitCode, first.stderr).toBe(0);
    expect(first.stderr).toContain(`cd '${home}/my cluster' && docker compose up -d`);
    const secrets = join(home, "my cluster", "secrets");
    const files = readdirSync(secrets);
    expect(files.length).toBeGreaterThan(3);
    for (const file of files) expect(statSync(join(secrets, file)).mode & 0o777, file).toBe(0o600);
    expect((await compose(home, "--directory", "my cluster")).stderr).toContain("Unchanged: ");
  });

  test.each(["", "-1", "17", "2.5", "two", "1e1"])(
    "--replicas=%s is refused, and nothing is written",
    async (count) => {
      const home = temporaryFolder();
      const { exitCode, stderr } = await compose(home, `--replicas=${count}`);
      expect(stderr).toContain("--replicas wants a number from 0 to 16.");
      expect(exitCode).toBe(2);
      expect(readdirSync(home)).toEqual([]);
    },
  );

  test("a compose.yaml of somebody else's is left alone", async () => {
    const home = temporaryFolder();
    writeFileSync(join(home, "compose.yaml"), "services: {}\n");
    const { exitCode, stderr } = await compose(home);
    expect(stderr).toMatch(/was not made by odoo-pg[\s\S]*Nothing was written[\s\S]*--print/);
    expect(exitCode).not.toBe(0);
    expect(existsSync(join(home, "secrets"))).toBe(false);
  });
});
