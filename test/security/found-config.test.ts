import { chmodSync, chownSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { layoutOf } from "../../src/config/layout.ts";
import { serverOwner } from "../postgres/throwaway-node.ts";
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

test.runIf(process.geteuid?.() === 0)(
  "root acts by no file that the servers' user may change, whoever it says that is and as whomever root would work, and runs no program of that user's",
  async () => {
    const servers = await serverOwner();
    if (!servers) throw new Error("not root");
    const folder = temporaryFolder();
    const ran = join(folder, "ran");
    const [own, theirs, strangers] = ["own", "theirs", "strangers"].map((name) => join(folder, name));
    if (own === undefined || theirs === undefined || strangers === undefined) throw new Error("no folder");
    for (const made of [own, theirs, strangers]) mkdirSync(made);
    for (const name of [
      "postgres",
      "initdb",
      "pg_basebackup",
      "pg_rewind",
      "pg_controldata",
      "psql",
      "pg_dump",
      "pg_restore",
    ]) {
      writeFileSync(join(theirs, name), `#!/bin/sh\necho ran >> ${ran}\necho "postgres (PostgreSQL) 17.2"\n`);
      chmodSync(join(theirs, name), 0o755);
    }
    chownSync(theirs, servers.uid, servers.gid);
    chownSync(strangers, STRANGER, STRANGER);
    const program = join(theirs, "postgres");
    const refused = async (name: string, config: unknown, isTheirs: boolean): Promise<void> => {
      const file = join(own, `${name}.yaml`);
      writeFileSync(file, JSON.stringify(config));
      if (isTheirs) chownSync(file, servers.uid, servers.gid);
      for (const words of [["status"], ["backup", "list"], ["config", "check"], ["up"]]) {
        const { exitCode, stderr } = await runProgram([...words, "--config", file], {
          home: folder,
          cwd: "/",
        });
        expect([name, words, exitCode, existsSync(ran)]).toEqual([name, words, 1, false]);
        expect(stderr).toContain(`cannot be trusted: the user with id ${servers.uid} may change`);
      }
    };
    const state_dir = join(own, "state");
    const postgres = { bin_dir: theirs };
    await refused("of another user's name", { user: "nobody", state_dir, postgres }, true);
    await refused("of another user's cluster", { state_dir: strangers, postgres }, true);
    for (const [key, programs] of Object.entries({
      postgres,
      haproxy: { program },
      pgbouncer: { program },
      backup: { on_failure: [program] },
      alarms: { command: [program] },
    }))
      await refused(key, { state_dir, [key]: programs }, false);

    // As whoever started a cluster with that file, root has no more than their rights.
    const file = join(own, "of another user's cluster.yaml");
    writeFileSync(file, JSON.stringify({ state_dir: strangers }));
    const { appliedFile } = layoutOf(strangers);
    writeFileSync(appliedFile, JSON.stringify({ config_file: file }));
    chownSync(appliedFile, STRANGER, STRANGER);
    const { stderr } = await runProgram(["status", "--config", file], { home: folder, cwd: "/" });
    expect(stderr).not.toContain("cannot be trusted");
  },
);
