import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { beforeAll, describe, expect, test } from "vitest";
import { type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import { newcomer, ordinaryUser } from "../support/ordinary-user.ts";
import { freePorts } from "../support/ports.ts";
import { program, type Ran, runProgram } from "../support/program.ts";
import { atEnd } from "../support/scope.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

let cluster: ThrowawayCluster;
const asRoot = process.getuid?.() === 0;

beforeAll(async () => {
  cluster = await throwawayCluster({ nodes: 1 });
  await cluster.up();
}, 120_000);

describe("without a configuration, in another folder", () => {
  test("the clusters of this host that are this user's are found, and named", async () => {
    const home = temporaryFolder();
    const { stdout, stderr } = await runProgram(["status"], { home });
    // Other tests may run clusters meanwhile: then none is guessed, and all are named.
    expect(`${stdout}${stderr}`).toContain(cluster.stateDir);
    expect(stdout).not.toContain("was never started");
  });

  test.each([["statsu"], ["status", "--wathc"], ["config", "shwo"], ["up", "--dry-run", "x"]])(
    "what is wrong with `%s %s` names no configuration in its next step",
    async (...words) => {
      const { stderr } = await runProgram(words.filter(Boolean), { home: temporaryFolder() });
      expect(stderr).toMatch(/Next: /);
      expect(stderr).not.toContain("--config");
    },
  );

  test("a folder in the place of the configuration is told to be one", async () => {
    const home = temporaryFolder();
    const { stderr, exitCode } = await runProgram(["status", "--config", home], { home });
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining(`${home} is a folder`)]);
    expect(stderr).toContain(`Next: Name the file in it, such as: --config ${join(home, "odoo-pg.yaml")}`);
  });

  test("a configuration called odoo-pg.yml is not passed over, and its next step gives it the name that is read", async () => {
    const home = temporaryFolder();
    writeFileSync(join(home, "odoo-pg.yml"), `cluster: other\nstate_dir: ${home}/state\n`);
    const { stderr, exitCode } = await runProgram(["config", "show"], { home });
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining("odoo-pg.yml here, which is not read")]);
    const next = /Next: (.*)/.exec(stderr)?.[1] ?? "";
    await execa("sh", ["-c", next], { cwd: home });
    expect((await runProgram(["config", "show"], { home })).stdout).toContain(`${home}/state`);
  });

  test("`up` of another one says that there is one already, before it does anything", async () => {
    const home = temporaryFolder();
    const { stderr } = await runProgram(["up", "--dry-run"], { home });
    expect(stderr).toContain(`there is a cluster in ${cluster.stateDir} already`);
  });
});

test.runIf(asRoot)(
  "a cluster in its default place is met with the file that it was started with, from any folder",
  async () => {
    const { home, user } = await newcomer();
    const folder = join(home, "here");
    mkdirSync(folder);
    const filestore = join(home, "filestore");
    mkdirSync(filestore);
    const [port, write, read] = await freePorts(3);
    const configuration = {
      nodes: [{ name: "pg1", port }],
      endpoints: { write: { port: write }, read: { port: read } },
      console: { enabled: false },
      postgres: { parameters: { shared_buffers: "16MB" } },
      odoo: { filestore },
    };
    writeFileSync(join(folder, "odoo-pg.yaml"), JSON.stringify(configuration));
    for (const one of [folder, filestore]) chownSync(one, user.uid, user.gid);
    const run = async (args: readonly string[], cwd = home): Promise<Ran> =>
      await runProgram(args, { home, user, cwd });
    atEnd(async () => void (await run(["down"])));
    const started = await run(["up"], folder);
    expect([started.exitCode, started.stderr]).toEqual([0, expect.any(String)]);

    expect((await run(["config", "show"])).stdout).toContain(filestore);
    // By the defaults it would be another cluster's ports, and no filestore.
    const again = await run(["up"]);
    expect([again.exitCode, again.stdout]).toEqual([0, expect.stringContaining(`:${write}`)]);
    expect((await run(["config", "show"])).stdout).toContain(filestore);
    const stopped = await run(["down"]);
    expect([stopped.exitCode, stopped.stderr]).toEqual([0, expect.any(String)]);
  },
);

describe.runIf(asRoot)("another user", () => {
  test.each([["status"], ["logs"], ["events"], ["console"], ["backup", "list"], ["down"]])(
    "is told by %s %s that the cluster is somebody else's, not that there is none",
    async (...words) => {
      const { home, user } = await newcomer();
      const ran = await runProgram(words.filter(Boolean), { home, user });
      expect(ran.stderr).toContain("Error (permission_denied):");
      expect(ran.stderr).toContain(cluster.stateDir);
      expect(ran.stderr).toMatch(/Next: sudo .*odoo-pg/);
      expect(ran.exitCode).toBe(1);
    },
  );

  test("who names its configuration is told the same", async () => {
    const { home } = await newcomer();
    chmodSync(cluster.folder, 0o755);
    chmodSync(cluster.configFile, 0o644);
    const ran = await runProgram(["status", "--config", cluster.configFile], {
      home,
      user: await ordinaryUser(),
    });
    expect(ran.stderr).toContain("Error (permission_denied):");
    expect(ran.exitCode).toBe(1);
  });
});

test("where there is no cluster, logs and events say so, and fail", async () => {
  const other = await throwawayCluster({ nodes: 1 });
  for (const command of ["logs", "events", "history"]) {
    const { stderr, exitCode } = await other.run([command]);
    expect(stderr, command).toContain("was never started here");
    expect(exitCode, command).toBe(69);
  }
});

test("a restart is told before it is made, and a dry run makes none", async () => {
  const before = cluster.postmaster("pg1");
  cluster.configure({ postgres: { parameters: { shared_buffers: "24MB", work_mem: "9MB" } } });
  const dry = await cluster.run(["up", "--dry-run"]);
  expect(dry.stderr).toContain("pg1      will reload: work_mem");
  expect(dry.stderr).toMatch(/pg1 {6}will restart, which ends its sessions: shared_buffers 16MB → 24MB/);
  expect(dry.stderr).toContain("Dry run: nothing was changed.");
  expect(cluster.postmaster("pg1")).toBe(before);
  const { stderr, stdout } = await cluster.up();
  expect(stderr).toContain("will restart, which ends its sessions: shared_buffers");
  expect(cluster.postmaster("pg1")).not.toBe(before);
  expect(stdout).not.toContain("db_password");
  expect((await cluster.run(["up", "--dry-run"])).stderr).toContain("The servers need no change.");
});

test("after an update status says that another build's agent runs, and up replaces it without a restart", async () => {
  const older = join(cluster.folder, "older.mjs");
  const text = readFileSync(program(), "utf8");
  writeFileSync(older, text.replaceAll(/odoo-pg-build-[0-9a-f]{16}/g, "odoo-pg-build-0123456789abcdef"));
  expect((await cluster.run(["up"], { program: older })).exitCode).toBe(0);
  const [server, agent] = [cluster.postmaster("pg1"), cluster.agent()];
  const codes = async (): Promise<string[]> => (await cluster.status()).warnings.map(({ code }) => code);
  expect(await codes()).toEqual(["agent_of_other_build"]);
  await cluster.up();
  expect(await codes()).toEqual([]);
  expect(cluster.agent()).not.toBe(agent);
  expect(cluster.postmaster("pg1")).toBe(server);
});

test("a cluster that was stopped is told to be, and by whom", async () => {
  await cluster.down();
  const { stdout, exitCode } = await cluster.run(["status"]);
  expect(stdout.split("\n")[0]).toContain("○ STOPPED");
  expect(stdout).toContain("was stopped by");
  expect(exitCode).toBe(69);
  await cluster.up();
  expect((await cluster.status()).warnings).toEqual([]);
});
