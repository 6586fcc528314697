import { readFileSync, realpathSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { beforeAll, describe, expect, test } from "vitest";
import { type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import { commandsIn } from "../support/help.ts";
import { program, runProgram } from "../support/program.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";

let cluster: ThrowawayCluster;

beforeAll(async () => {
  cluster = await throwawayCluster();
  await cluster.up();
});

describe("odoo-conf", () => {
  test("prints the lines with a reason each, for Odoo to read", async () => {
    const { exitCode, stdout, stderr } = await cluster.run(["odoo-conf"]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    const [lines = [], beside = []] = stdout
      .trimEnd()
      .split("\n\n")
      .map((part) => part.split("\n"));
    expect(lines[0]).toBe("[options]");
    const options = lines.slice(1).filter((line) => !line.startsWith(";"));
    expect(options).toEqual(
      expect.arrayContaining([
        "db_host = 127.0.0.1",
        `db_port = ${cluster.ports.write}`,
        "db_user = odoo",
        `db_password = ${cluster.password("odoo")}`,
        "db_replica_host = 127.0.0.1",
        `db_replica_port = ${cluster.ports.read}`,
        "db_template = odoo_template",
      ]),
    );
    expect(lines.filter((line) => line.startsWith("; "))).toHaveLength(options.length);
    // Comments: all of it may be pasted.
    expect(beside).toContain("; Environment=PGCONNECT_TIMEOUT=65");
    expect(beside.filter((line) => !line.startsWith("; "))).toEqual([]);
  });

  test("gives the same as one JSON document", async () => {
    expect(await cluster.json(["odoo-conf"])).toMatchObject({
      version: 1,
      options: {
        db_port: String(cluster.ports.write),
        db_password: cluster.password("odoo"),
        db_replica_port: String(cluster.ports.read),
      },
    });
  });
});

describe("config", () => {
  test("check says that all is well, and what is not with the exit status of the first mistake", async () => {
    expect(await cluster.run(["config", "check"])).toMatchObject({ exitCode: 0, stdout: "" });
    expect(await cluster.json(["config", "check"])).toEqual({ version: 1, valid: true, errors: [] });
    const wrong = { env: { PGSQL_WORK_MEM: "much" } };
    const said = await cluster.run(["config", "check"], wrong);
    expect(said.exitCode).toBe(2);
    expect(said.stderr).toContain('invalid value for parameter "work_mem": "much"');
    expect(await cluster.json(["config", "check"], wrong)).toMatchObject({
      valid: false,
      errors: [{ code: "parameter_invalid" }],
    });
  });

  test("show names the origin of every value, and no password", async () => {
    const env = { PGSQL_WORK_MEM: "32MB", OPENERP_PGSQL_PASSWD: "do-not-print-me" };
    const { exitCode, stdout, stderr } = await cluster.run(["config", "show"], { env });
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(stdout).toMatch(/cluster.*odoo-pg\.yaml:1\b/);
    expect(stdout).toMatch(/work_mem.*32MB.*PGSQL_WORK_MEM/);
    expect(stdout).toMatch(/template.*odoo_template.*default/);
    const json = JSON.stringify(await cluster.json(["config", "show"], { env }));
    expect(json).toContain("PGSQL_WORK_MEM");
    expect(stdout + json).not.toContain("do-not-print-me");
  });
});

describe("psql", () => {
  test.each([
    ["pg1", "test/pg1"],
    ["pg2", "test/pg2"],
    ["write", "test/pg1"],
    ["read", "test/pg2"],
  ])("on %s runs what stands behind --", async (target, name) => {
    const ran = await cluster.run(["psql", target, "--", "-Atc", "SHOW cluster_name"]);
    expect(ran).toEqual({ exitCode: 0, stdout: `${name}\n`, stderr: "" });
  });

  test("goes to the write endpoint when no target is named, reads standard input, and hands on the status", async () => {
    const piped = await cluster.run(["psql", "--", "-At"], { input: "SHOW cluster_name;\n" });
    expect(piped).toEqual({ exitCode: 0, stdout: "test/pg1\n", stderr: "" });
    const failed = await cluster.run(["psql", "--", "-v", "ON_ERROR_STOP=1"], { input: "SELECT 1/0;\n" });
    expect(failed.exitCode).toBe(3);
  });

  test("of an unknown node names those that there are", async () => {
    const ran = await cluster.run(["psql", "pg9"]);
    expect(ran.exitCode).toBe(2);
    expect(ran.stderr).toContain("pg1, pg2, read, write");
  });
});

describe("logs", () => {
  test("prints the end of each log", async () => {
    expect((await cluster.run(["logs", "pg1"])).stdout).toContain("database system is ready");
    expect((await cluster.run(["logs", "pg2"])).stdout).toContain("started streaming WAL");
    expect((await cluster.run(["logs", "agent"])).stdout).toContain("looks after");
    expect(await cluster.run(["logs", "haproxy"])).toMatchObject({ exitCode: 0 });
    const unknown = await cluster.run(["logs", "pg9"]);
    expect(unknown.exitCode).toBe(2);
    expect(unknown.stderr).toContain("agent, haproxy, backup, pg1, pg2");
  });

  test("-f goes on with what is added, until Ctrl-C", async () => {
    const following = cluster.start(["logs", "pg1", "-f"]);
    await waitFor("what is there already", () => following.stdout().includes("ready to accept connections"));
    const session = await cluster.session("pg1");
    await session.rows("SET log_statement = 'all'");
    await waitFor("the new line", async () => {
      await session.rows("SELECT 'follow-me'");
      return following.stdout().includes("SELECT 'follow-me'");
    });
    following.signal("SIGINT");
    expect((await following.ended).exitCode).toBe(130);
  });
});

describe("status", () => {
  test("of a healthy cluster says at a glance that all is well", async () => {
    await cluster.healthy();
    const { exitCode, stdout, stderr } = await cluster.run(["status"]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(stdout).toMatch(/pg1 +primary +running/);
    expect(stdout).toMatch(/pg2 +replica +streaming/);
    expect(stdout).toContain("All is well");
    // No colour off a terminal.
    expect(stdout).not.toContain("\u001b");
    expect(await cluster.status()).toMatchObject({
      version: 1,
      cluster: "test",
      verdict: "ok",
      nodes: [
        { name: "pg1", role: "primary", state: "running", port: cluster.ports.nodes[0], timeline: 1 },
        { name: "pg2", role: "replica", state: "streaming", port: cluster.ports.nodes[1], timeline: 1 },
      ],
      endpoints: { read: { port: cluster.ports.read }, write: { port: cluster.ports.write } },
      warnings: [],
    });
  });
});

describe("systemd", () => {
  test("prints a unit that starts this program with this configuration", async () => {
    const { exitCode, stdout } = await cluster.run(["systemd"]);
    expect(exitCode).toBe(0);
    expect(stdout).toContain(
      `ExecStart=${process.execPath} --max-semi-space-size=2 ${program()} up --foreground --config ${cluster.configFile}`,
    );
    expect(stdout).toContain("KillMode=process");
  });

  test("names the program itself, also when it was started by a link", async () => {
    const folder = temporaryFolder();
    const link = join(folder, "odoo-pg");
    symlinkSync(program(), link);
    const { stdout } = await execa(process.execPath, [link, "systemd"], { cwd: folder });
    expect(stdout).toContain(` ${realpathSync(program())} up --foreground`);
    expect(stdout).not.toContain(link);
  });
});

describe("the command line", () => {
  test("the help of each command begins with examples", async () => {
    const seen: string[] = [];
    const look = async (command: readonly string[]): Promise<void> => {
      const { exitCode, stdout } = await cluster.run([...command, "--help"]);
      expect(exitCode).toBe(0);
      expect(stdout, command.join(" ")).toMatch(/^Examples:\n {2}odoo-pg/);
      expect(stdout).toContain("Usage: odoo-pg");
      seen.push(command.join(" "));
      for (const name of commandsIn(stdout)) await look([...command, name]);
    };
    await look([]);
    expect(seen).toEqual(expect.arrayContaining(["up", "config show", "backup verify", "role create"]));
  });

  test("--version prints the version of the package", async () => {
    const text = readFileSync(join(import.meta.dirname, "../../package.json"), "utf8");
    const { exitCode, stdout } = await cluster.run(["--version"]);
    expect(exitCode).toBe(0);
    expect(text).toContain(`"version": "${stdout.trim()}"`);
  });

  test("an unknown command or option is an error with a suggestion", async () => {
    const command = await cluster.run(["stauts"]);
    expect(command).toMatchObject({ exitCode: 2, stdout: "" });
    expect(command.stderr).toContain("Did you mean status?");
    const option = await cluster.run(["status", "--jsno"]);
    expect(option).toMatchObject({ exitCode: 2, stdout: "" });
    expect(option.stderr).toContain("Did you mean --json?");
  });

  test.each(["bash", "zsh", "fish"])(
    "completion prints a script for %s, and completes commands",
    async (shell) => {
      const { exitCode, stdout } = await runProgram(["completion", shell], { home: cluster.folder });
      expect(exitCode).toBe(0);
      expect(stdout).toContain("odoo-pg");
      const completed = await runProgram(["complete", "--", "sta"], { home: cluster.folder });
      expect(completed.stdout).toContain("status");
    },
  );

  test("the configuration is found by ODOO_PG_CONFIG and in the present folder too", async () => {
    const home = { cwd: "/", env: { ODOO_PG_CONFIG: cluster.configFile } };
    const named = await runProgram(["status", "--json"], { ...home, home: cluster.folder });
    const found = await runProgram(["status", "--json"], { home: cluster.folder });
    expect(named.stdout).toContain('"cluster": "test"');
    expect(found.stdout).toContain('"cluster": "test"');
  });

  test("a failure with --json is one document with the error", async () => {
    const ran = await cluster.run(["odoo-conf", "--json"], { env: { PGSQL_PORT: "1" } });
    expect(ran.exitCode).toBe(2);
    expect(JSON.parse(ran.stdout)).toMatchObject({ version: 1, error: { code: "config_invalid" } });
  });
});
