import { execa } from "execa";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { isPortFree } from "../../src/system/network/network.ts";
import { type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import { filesBelow } from "../support/files.ts";
import type { Ran } from "../support/program.ts";
import { atEnd } from "../support/scope.ts";
import { mayMount, mountSmallDisk, unmountSmallDisk } from "../support/small-disk.ts";
import { waitFor } from "../support/wait.ts";

const isRoot = process.getuid?.() === 0;

/** Runs `up`, which is expected to fail with this status and all of these words. */
async function refused(
  cluster: ThrowawayCluster,
  exitCode: number,
  ...words: readonly (string | RegExp)[]
): Promise<Ran> {
  const ran = await cluster.run(["up"]);
  for (const word of words) expect(ran.stderr).toMatch(word);
  expect(ran).toMatchObject({ exitCode, stdout: "" });
  // Each error says what to do.
  expect(ran.stderr).toMatch(/Next: /);
  return ran;
}

/** No data directory, not even the beginning of one. */
function expectNothingMade(cluster: ThrowawayCluster): void {
  const nodes = join(cluster.stateDir, "nodes");
  const made = existsSync(nodes) ? filesBelow(nodes) : [];
  expect(made).toEqual([]);
}

async function listen(port: number): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve());
  });
  atEnd(async () => await new Promise<void>((resolve) => server.close(() => resolve())));
}

const quote = (text: string): RegExp => new RegExp(text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"));

describe("a port in use is named with who has it, before anything is made:", () => {
  test.each(["pg1", "pg2", "read", "write"] as const)("of %s", async (name) => {
    const cluster = await throwawayCluster();
    const { nodes, read, write } = cluster.ports;
    const port = { pg1: nodes[0], pg2: nodes[1], read, write }[name] ?? 0;
    await listen(port);
    const ran = await refused(cluster, 1, "port_in_use", `Port ${port} of `, name);
    expect(ran.stderr).toContain(`(process ${process.pid})`);
    expectNothingMade(cluster);
  });
});

test("all ports in use are named at once, with whose they are and ports that are free", async () => {
  const first = await throwawayCluster({ nodes: 1 });
  await first.up();
  const second = await throwawayCluster({ nodes: 1 });
  const [port = 0] = first.ports.nodes;
  const { read, write } = first.ports;
  second.configure({
    nodes: [{ name: "pg1", port }],
    endpoints: { read: { port: read }, write: { port: write } },
  });
  const ran = await refused(second, 1, `Port ${port} of node pg1`, "2 others are in use too");
  // Whose they are: both clusters have the same programs.
  expect(ran.stderr).toContain(first.stateDir);
  for (const key of ["nodes\\[\\]\\.port of pg1", "endpoints\\.read\\.port", "endpoints\\.write\\.port"]) {
    const free = Number(new RegExp(`${key} (\\d+)`).exec(ran.stderr)?.[1]);
    expect([key, await isPortFree(free)]).toEqual([key, true]);
  }
});

test("a node of another machine is refused, by config check too, and one at any address of this machine is not", async () => {
  const cluster = await throwawayCluster();
  const [first, second] = cluster.ports.nodes;
  const at = (host: string) => ({
    nodes: [
      { name: "pg1", port: first },
      { name: "pg2", host, port: second },
    ],
  });
  cluster.configure(at("192.0.2.12"));
  const words = 'nodes[1].host (pg2): "192.0.2.12" is not an address of this machine';
  await refused(cluster, 2, "config_invalid", quote(words), "127.0.0.1");
  expectNothingMade(cluster);
  const check = await cluster.run(["config", "check"]);
  expect(check.exitCode).toBe(2);
  expect(check.stderr).toContain(words);
  for (const host of ["localhost", "127.0.0.1"]) {
    cluster.configure(at(host));
    expect(await cluster.json(["config", "check"]), host).toMatchObject({ valid: true });
  }
});

describe("a data directory that is not this cluster's is never touched:", () => {
  test("one that holds other files", async () => {
    const cluster = await throwawayCluster();
    const data = join(cluster.folder, "data");
    mkdirSync(data);
    writeFileSync(join(data, "notes.txt"), "mine");
    cluster.configure({
      nodes: [
        { name: "pg1", port: cluster.ports.nodes[0], data_dir: data },
        { name: "pg2", port: cluster.ports.nodes[1] },
      ],
    });
    await refused(
      cluster,
      1,
      "data_directory_unusable",
      "is not a data directory of PostgreSQL",
      "notes.txt",
    );
    expect(readFileSync(join(data, "notes.txt"), "utf8")).toBe("mine");
    expect(readdirSync(data)).toEqual(["notes.txt"]);
    expectNothingMade(cluster);
  });

  test("one of another major version", async () => {
    const cluster = await throwawayCluster();
    const data = join(cluster.stateDir, "nodes/pg1/data");
    mkdirSync(data, { recursive: true });
    writeFileSync(join(data, "PG_VERSION"), "12\n");
    await refused(cluster, 1, "data_directory_unusable", "was made by PostgreSQL 12", "pg_upgrade");
    expect(readdirSync(data)).toEqual(["PG_VERSION"]);
  });

  test("one that is a file", async () => {
    const cluster = await throwawayCluster();
    mkdirSync(join(cluster.stateDir, "nodes/pg1"), { recursive: true });
    writeFileSync(join(cluster.stateDir, "nodes/pg1/data"), "mine");
    await refused(cluster, 1, "data_directory_unusable", "is not a directory");
    expect(readFileSync(join(cluster.stateDir, "nodes/pg1/data"), "utf8")).toBe("mine");
  });
});

describe("data directories of a cluster that exists", () => {
  test("of another cluster, or gone: nothing is made in their place, and what is whole runs", async () => {
    const cluster = await throwawayCluster();
    await cluster.up();
    await (await cluster.session("write", "odoo")).rows("CREATE DATABASE shop");
    await cluster.down();
    const [pg1, pg2] = ["pg1", "pg2"].map((node) => join(cluster.stateDir, "nodes", node, "data"));
    if (pg1 === undefined || pg2 === undefined) throw new Error("no nodes");
    const kept = { pg1: join(cluster.folder, "kept1"), pg2: join(cluster.folder, "kept2") };

    // The replica's place holds the data directory of another cluster.
    renameSync(pg2, kept.pg2);
    const { stdout: bin } = await execa("pg_config", ["--bindir"]);
    const { uid, gid } = statSync(kept.pg2);
    mkdirSync(pg2, { mode: 0o700 });
    chownSync(pg2, uid, gid);
    await asServerUser(`${bin}/initdb`, ["-D", pg2, "-U", "postgres", "--auth=trust", "--no-sync"]);
    const foreign = filesBelow(pg2);
    await refused(cluster, 1, "data_directory_unusable", "belongs to another cluster");
    expect(filesBelow(pg2)).toEqual(foreign);
    expect(await (await cluster.session("write")).value("SHOW cluster_name")).toBe("test/pg1");
    await cluster.down();
    rmSync(pg2, { recursive: true });
    renameSync(kept.pg2, pg2);

    // The primary's data is gone: its disk is not mounted, perhaps.
    renameSync(pg1, kept.pg1);
    await refused(cluster, 1, "data directory of the primary pg1 is absent", "promote pg2");
    expect(existsSync(pg1)).toBe(false);
    mkdirSync(pg1);
    await refused(cluster, 1, "data directory of the primary pg1 is empty");
    expect(readdirSync(pg1)).toEqual([]);
    rmSync(pg1, { recursive: true });
    // Even when the record of the cluster is gone too, the replica's data says that it existed.
    renameSync(join(cluster.stateDir, "state.json"), join(cluster.folder, "state.json"));
    await refused(cluster, 1, "data directory of the primary pg1 is absent");
    expect(existsSync(pg1)).toBe(false);
    renameSync(join(cluster.folder, "state.json"), join(cluster.stateDir, "state.json"));

    renameSync(kept.pg1, pg1);
    await cluster.up();
    await cluster.healthy();
    expect(
      await (
        await cluster.session("read")
      ).value("SELECT count(*)::int FROM pg_database WHERE datname = 'shop'"),
    ).toBe(1);
  });

  async function asServerUser(program: string, args: readonly string[]): Promise<void> {
    if (isRoot)
      await execa("setpriv", ["--reuid=postgres", "--regid=postgres", "--clear-groups", program, ...args]);
    else await execa(program, args);
  }
});

describe("programs", () => {
  test("PostgreSQL that is not where the configuration says", async () => {
    const cluster = await throwawayCluster({ config: { postgres: { bin_dir: "/nowhere/bin" } } });
    await refused(cluster, 69, "postgres_missing", "/nowhere/bin");
    expect(existsSync(cluster.stateDir)).toBe(false);
  });

  test("PostgreSQL that is too old", async () => {
    const cluster = await throwawayCluster();
    const bin = join(cluster.folder, "bin");
    mkdirSync(bin);
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
      script(join(bin, name), `${name} (PostgreSQL) 12.22`);
    }
    cluster.configure({ postgres: { bin_dir: bin } });
    await refused(cluster, 69, "postgres_missing", "12.22", "13");
    expect(existsSync(cluster.stateDir)).toBe(false);
  });

  test("HAProxy that is not where the configuration says", async () => {
    const cluster = await throwawayCluster({ config: { haproxy: { program: "/nowhere/haproxy" } } });
    await refused(cluster, 69, "haproxy_missing", "/nowhere/haproxy");
    expect(existsSync(cluster.stateDir)).toBe(false);
  });

  test("HAProxy that is too old", async () => {
    const cluster = await throwawayCluster();
    const program = join(cluster.folder, "haproxy");
    script(program, "HAProxy version 2.2.9-2+deb11u6");
    cluster.configure({ haproxy: { program } });
    await refused(cluster, 69, "haproxy_missing", quote("2.2.9"), quote("2.4"));
    expect(existsSync(cluster.stateDir)).toBe(false);
  });

  test("a version of PostgreSQL that is not installed", async () => {
    const cluster = await throwawayCluster({ config: { postgres: { version: 99 } } });
    await refused(cluster, 69, "postgres_missing", "99");
    expect(existsSync(cluster.stateDir)).toBe(false);
  });

  function script(path: string, says: string): void {
    writeFileSync(path, `#!/bin/sh\necho '${says}'\n`);
    chmodSync(path, 0o755);
  }
});

describe("the configuration file", () => {
  test("with misspelt keys: file, line and suggestion of each of them", async () => {
    const cluster = await throwawayCluster();
    writeFileSync(
      cluster.configFile,
      `cluster: test\nstate_dir: ${cluster.stateDir}\nendponts:\n  read: { port: 1 }\nnodes:\n  - { name: pg1, prot: 2 }\n`,
    );
    const ran = await refused(
      cluster,
      2,
      "config_invalid",
      "endponts",
      'did you mean "endpoints"?',
      "prot",
      'did you mean "port"?',
    );
    expect(ran.stderr).toMatch(/odoo-pg\.yaml:3/);
    expect(ran.stderr).toMatch(/odoo-pg\.yaml:6/);
    expect(existsSync(cluster.stateDir)).toBe(false);
  });

  test("that is no YAML: file and line", async () => {
    const cluster = await throwawayCluster();
    writeFileSync(cluster.configFile, "cluster: test\nnodes: [ {\n");
    await refused(cluster, 2, "config_invalid", /odoo-pg\.yaml:[23]/);
  });

  test("that is not there", async () => {
    const cluster = await throwawayCluster();
    rmSync(cluster.configFile);
    await refused(cluster, 2, "config_invalid", "There is no configuration file");
  });

  test("with a state_dir that is too long for sockets below it", async () => {
    const stateDir = `/tmp/${"x".repeat(90)}`;
    const cluster = await throwawayCluster({ config: { state_dir: stateDir } });
    await refused(cluster, 2, "config_invalid", "state_dir", "bytes");
    expect(existsSync(stateDir)).toBe(false);
  });

  test("with a state_dir that cannot be made", async () => {
    const cluster = await throwawayCluster();
    cluster.configure({ state_dir: `${cluster.configFile}/state` });
    await refused(cluster, 1, "state_dir_unusable");
  });
});

describe("PGSQL_ variables", () => {
  test("for what odoo-pg itself sets are refused with the key to use", async () => {
    const cluster = await throwawayCluster();
    const ran = await cluster.run(["up"], { env: { PGSQL_PORT: "5432" } });
    expect(ran.exitCode).toBe(2);
    expect(ran.stderr).toContain("nodes[].port");
    expectNothingMade(cluster);
  });

  test("that the server refuses stop the first start before initdb", async () => {
    const cluster = await throwawayCluster();
    const ran = await cluster.run(["up"], { env: { PGSQL_WORK_MEM: "16 apples" } });
    expect(ran.exitCode).toBe(2);
    expect(ran.stderr).toContain('invalid value for parameter "work_mem": "16 apples"');
    expect(existsSync(join(cluster.stateDir, "nodes/pg1/data"))).toBe(false);
    expect(existsSync(join(cluster.stateDir, "nodes/pg1/postgresql.conf"))).toBe(false);
  });

  test("that the server refuses leave an agent that goes: a command right after it finds its way", async () => {
    const cluster = await throwawayCluster();
    const refusedUp = async () => await cluster.run(["up"], { env: { PGSQL_WORK_MEM: "16 apples" } });
    for (let round = 0; round < 3; round += 1) {
      expect((await refusedUp()).stderr).toContain("16 apples");
      expect((await refusedUp()).stderr).toContain("16 apples");
      expect((await cluster.run(["down"])).exitCode).toBe(0);
    }
  });
});

describe("the machine", () => {
  test.runIf(isRoot)("has no unprivileged user to run the servers as", async () => {
    const cluster = await throwawayCluster({ config: { user: "nosuchuser" } });
    await refused(cluster, 2, "no_unprivileged_user", "nosuchuser", "useradd");
    expect(existsSync(cluster.stateDir)).toBe(false);
  });

  test.runIf(isRoot)("never runs the servers as root", async () => {
    const cluster = await throwawayCluster({ config: { user: "root" } });
    await refused(cluster, 2, "user: must not be root");
    expect(existsSync(cluster.stateDir)).toBe(false);
  });

  test.runIf(mayMount)("has no room: nothing is made, and up goes on once there is room", async () => {
    const cluster = await throwawayCluster();
    mkdirSync(cluster.stateDir);
    mountSmallDisk(cluster.stateDir, "100m");
    atEnd(async () => await unmountSmallDisk(cluster.stateDir));
    // Before that, also when `up` has failed: its agent is in there still.
    atEnd(async () => void (await cluster.down()));
    await refused(cluster, 1, "disk_full", "Node pg1 needs at least", "Nothing was made");
    expectNothingMade(cluster);
    await execa("mount", ["-o", "remount,size=600m", cluster.stateDir]);
    await cluster.up();
    await cluster.healthy();
  });

  test("has an agent that holds the lock and does not answer: it is named", async () => {
    const cluster = await throwawayCluster();
    await cluster.up();
    const agent = cluster.agent();
    process.kill(agent, "SIGSTOP");
    atEnd(() => void process.kill(agent, "SIGCONT"));
    await refused(cluster, 75, "locked", `process ${agent}`, `kill ${agent}`);
    process.kill(agent, "SIGCONT");
    await waitFor("the agent to answer", async () => (await cluster.status()).agent.running);
    await cluster.up();
    expect(cluster.agent()).toBe(agent);
  });
});
