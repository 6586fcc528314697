import { chmodSync, chownSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runProgram, type Ran } from "../support/program.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const STRANGER = 65_534;

test.runIf(process.geteuid?.() === 0)(
  "root reads no configuration that another user left in the folder where root is, unless that user has sudo or it is named",
  async () => {
    const folder = temporaryFolder();
    const file = join(folder, "odoo-pg.yaml");
    writeFileSync(
      file,
      `cluster: found\nstate_dir: ${join(folder, "state")}\nbackup: { on_success: ["true"] }\n`,
    );
    const list = async (args: readonly string[], env: Record<string, string> = {}): Promise<Ran> =>
      await runProgram(["backup", "list", ...args], { home: folder, cwd: folder, env });
    expect(await list([])).toMatchObject({ exitCode: 0 });
    chownSync(file, STRANGER, STRANGER);
    const refused = await list([]);
    expect(refused.exitCode).not.toBe(0);
    expect(refused.stderr).toMatch(/cannot be trusted: the user with id 65534 may change/);
    expect(await list([], { SUDO_UID: String(STRANGER) })).toMatchObject({ exitCode: 0 });
    expect(await list(["--config", file])).toMatchObject({ exitCode: 0 });
    chownSync(file, 0, 0);
    chownSync(folder, STRANGER, STRANGER);
    expect((await list([])).exitCode).not.toBe(0);
  },
);

test.runIf(process.geteuid?.() === 0)(
  "nor does root take the rights of who left it, run the programs it names, or read the files it names",
  async () => {
    const folder = temporaryFolder();
    const ran = join(folder, "ran");
    const programs = join(folder, "bin");
    const state = join(folder, "state");
    for (const made of [programs, state]) mkdirSync(made);
    for (const name of ["postgres", "pg_ctl", "initdb", "psql"]) {
      writeFileSync(join(programs, name), `#!/bin/sh\ntouch ${ran}\necho "postgres (PostgreSQL) 17.2"\n`);
      chmodSync(join(programs, name), 0o755);
    }
    const secret = join(temporaryFolder(), "secret");
    writeFileSync(secret, "the secret of root\n", { mode: 0o600 });
    const file = join(folder, "odoo-pg.yaml");
    const config = { state_dir: state, postgres: { bin_dir: programs }, backup: { config_file: secret } };
    writeFileSync(file, JSON.stringify(config));
    for (const given of [folder, programs, state, file]) chownSync(given, STRANGER, STRANGER);
    const at = { home: folder, cwd: folder };
    for (const words of [["status"], ["backup", "list"], ["config", "check"], ["config", "show"], ["up"]]) {
      const { exitCode, stdout, stderr } = await runProgram(words, at);
      expect([words, exitCode, existsSync(ran)]).toEqual([words, 1, false]);
      expect(stderr).toMatch(/cannot be trusted: the user with id 65534 may change/);
      expect(`${stdout}${stderr}`).not.toContain(secret);
      expect(stderr).toContain(`${words.join(" ")} --config odoo-pg.yaml`);
    }
    const inElse = temporaryFolder();
    symlinkSync(secret, join(inElse, "odoo-pg.yaml"));
    chownSync(inElse, STRANGER, STRANGER);
    const { stderr } = await runProgram(["config", "show"], { home: inElse, cwd: inElse });
    expect(stderr).toMatch(/cannot be trusted/);
    expect(stderr).not.toContain("secret");
  },
);
