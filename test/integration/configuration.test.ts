import { execa } from "execa";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type ClusterTarget, type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import { bytesOf } from "../support/files.ts";
import { connect } from "../support/pg.ts";
import { isAlive } from "../support/processes.ts";
import { isFree } from "../support/port-reservation.ts";
import { waitFor } from "../support/wait.ts";

let cluster: ThrowawayCluster;

beforeAll(async () => {
  // Networks alone make the nodes listen everywhere; a test stays on loopback.
  cluster = await throwawayCluster({ config: { listen: ["127.0.0.1"] } });
  await cluster.up();
});

beforeEach(async () => {
  cluster.configure({});
  await cluster.up();
  await cluster.healthy();
});

interface Server {
  readonly started: Date;
  readonly loaded: Date;
}

async function server(node: ClusterTarget): Promise<Server> {
  const session = await cluster.session(node);
  const [row] = await session.rows<{ started: Date; loaded: Date }>(
    "SELECT pg_postmaster_start_time() AS started, pg_conf_load_time() AS loaded",
  );
  if (!row) throw new Error("no row");
  return row;
}

async function servers(): Promise<{ pg1: Server; pg2: Server }> {
  return { pg1: await server("pg1"), pg2: await server("pg2") };
}

async function setting(node: ClusterTarget, name: string): Promise<unknown> {
  return await (await cluster.session(node)).value(`SHOW ${name}`);
}

const parameters = (values: Readonly<Record<string, unknown>>) => ({ postgres: { parameters: values } });

describe("a parameter", () => {
  test("that a reload changes is reloaded: no server restarts", async () => {
    const before = await servers();
    cluster.configure(parameters({ work_mem: "24MB" }));
    await cluster.up();
    const after = await servers();
    for (const node of ["pg1", "pg2"] as const) {
      expect(await setting(node, "work_mem")).toBe("24MB");
      expect(after[node].started).toEqual(before[node].started);
      expect(after[node].loaded > before[node].loaded).toBe(true);
    }
  });

  test("that needs a restart restarts both servers, the replica first, and goes back to its default when it is no longer given", async () => {
    const before = await servers();
    const otherwise = await setting("pg1", "max_files_per_process");
    cluster.configure(parameters({ shared_buffers: "24MB", max_files_per_process: 900 }));
    await cluster.up();
    const after = await servers();
    for (const node of ["pg1", "pg2"] as const) {
      expect(await setting(node, "shared_buffers")).toBe("24MB");
      expect(await setting(node, "max_files_per_process")).toBe("900");
    }
    expect(after.pg2.started > before.pg2.started).toBe(true);
    expect(after.pg1.started > after.pg2.started).toBe(true);
    await cluster.healthy();

    cluster.configure({});
    await cluster.up();
    expect(otherwise).toBe("1000");
    for (const node of ["pg1", "pg2"] as const)
      expect(await setting(node, "max_files_per_process")).toBe(otherwise);
  });

  test("that a replica may not have below its primary goes up at the replica first, and down last, to its default too", async () => {
    const names = ["max_connections", "max_locks_per_transaction"] as const;
    const both = async (node: ClusterTarget): Promise<unknown[]> =>
      await Promise.all(names.map(async (name) => await setting(node, name)));
    const byDefault = await both("pg1");
    expect(byDefault[1]).toBe("256");
    const more = Number(byDefault[0]) + 20;
    cluster.configure(parameters({ max_connections: more, max_locks_per_transaction: 300 }));
    await cluster.up();
    const raised = await servers();
    expect([await both("pg1"), await both("pg2")]).toEqual([
      [String(more), "300"],
      [String(more), "300"],
    ]);
    expect(raised.pg1.started > raised.pg2.started).toBe(true);

    // One is lowered, the other no longer given.
    cluster.configure(parameters({ max_connections: Number(byDefault[0]) }));
    await cluster.up();
    const lowered = await servers();
    expect([await both("pg1"), await both("pg2")]).toEqual([byDefault, byDefault]);
    expect(lowered.pg1.started > raised.pg1.started).toBe(true);
    expect(lowered.pg2.started > lowered.pg1.started).toBe(true);
    await cluster.healthy();
  });

  test("of the environment rules over the file", async () => {
    cluster.configure(parameters({ work_mem: "24MB" }));
    await cluster.up({ env: { PGSQL_WORK_MEM: "31MB" } });
    expect(await setting("pg1", "work_mem")).toBe("31MB");
    expect(await setting("pg2", "work_mem")).toBe("31MB");
  });

  test("of the environment keeps quotes, backslashes and new lines as they are", async () => {
    const value = 'it\'s a \\ "test" # not a comment';
    const byDefault = await setting("pg1", "work_mem");
    await cluster.up({ env: { PGSQL_APPLICATION_NAME: value } });
    const file = "SELECT setting FROM pg_file_settings WHERE name = 'application_name'";
    expect(await (await cluster.session("pg1")).value(file)).toBe(value);
    expect(await setting("pg1", "work_mem")).toBe(byDefault);
  });

  test.each([
    ["an invalid value", { work_mem: "banana" }, 'invalid value for parameter "work_mem": "banana"'],
    ["a value out of range", { max_wal_senders: "-7" }, "-7 is outside the valid range"],
    ["an unknown name", { work_memory: "1MB" }, 'unrecognized configuration parameter "work_memory"'],
  ])("with %s is refused in the server's own words, and nothing changes", async (_, wrong, words) => {
    const before = await servers();
    const texts = confTexts();
    cluster.configure(parameters({ ...wrong, shared_buffers: "24MB" }));
    const ran = await cluster.run(["up"]);
    expect(ran).toMatchObject({ exitCode: 2, stdout: "" });
    expect(ran.stderr).toContain(words);
    expect(ran.stderr).toContain("Nothing was changed or restarted");
    expect(await servers()).toEqual(before);
    expect(confTexts()).toEqual(texts);
    cluster.configure({});
    await cluster.healthy();
  });

  test("that only fails when a server starts is refused before any is stopped", async () => {
    const before = await servers();
    const texts = confTexts();
    cluster.configure(parameters({ shared_buffers: "6TB" }));
    const ran = await cluster.run(["up"]);
    expect(ran.exitCode).toBe(2);
    expect(ran.stderr).toContain("could not map anonymous shared memory");
    expect(ran.stderr).toContain("pg2 was not restarted");
    const after = await servers();
    expect([after.pg1.started, after.pg2.started]).toEqual([before.pg1.started, before.pg2.started]);
    expect(confTexts()).toEqual(texts);
    cluster.configure({});
    await cluster.healthy();
  });
});

test("what ALTER SYSTEM set and no server starts with is found before a restart, and named when it keeps one down", async () => {
  const bad = "shared_preload_libraries = 'nowhere'";
  const file = join(cluster.stateDir, "nodes", "pg1", "data", "postgresql.auto.conf");
  const before = await servers();
  const primary = await cluster.session("pg1");
  await primary.rows("ALTER SYSTEM SET work_mem = '17MB'");
  await primary.rows("ALTER SYSTEM SET shared_preload_libraries = 'nowhere'");
  await primary.rows("SELECT pg_reload_conf()");
  await waitFor("the setting to wait for a restart", async () => {
    const { warnings } = await cluster.status();
    return warnings.some(({ code }) => code === "settings_pending_restart");
  });
  const refused = await cluster.run(["up"]);
  expect(refused.exitCode).toBe(2);
  const text = bytesOf(file);
  const place = `${bad} (line ${text.slice(0, text.indexOf(bad)).split("\n").length} of ${file})`;
  expect(refused.stderr).toContain(place);
  expect(refused.stderr).toContain("ALTER SYSTEM RESET shared_preload_libraries");
  expect((await servers()).pg1.started).toEqual(before.pg1.started);

  process.kill(cluster.postmaster("pg1"), "SIGKILL");
  let next = "";
  await waitFor("status to name the file", async () => {
    const { warnings } = await cluster.status();
    next = warnings.find(({ code }) => code === "start_failing")?.next ?? "";
    return next.includes("postgresql.auto.conf");
  });
  const down = await cluster.run(["up"]);
  expect(down.exitCode).not.toBe(0);
  expect(down.stderr).toContain(place);
  await execa("sh", ["-c", next.replace(/, then: .*$/, "")]);
  expect(bytesOf(file)).not.toContain("nowhere");
  await cluster.up();
  await cluster.healthy();
  expect(await setting("pg1", "work_mem")).toBe("17MB");
  await (await cluster.session("pg1")).rows("ALTER SYSTEM RESET ALL");
});

const confTexts = (): readonly string[] =>
  ["pg1", "pg2"].map((node) => bytesOf(join(cluster.stateDir, "nodes", node, "postgresql.conf")));

describe("networks", () => {
  test("that are added may connect with TLS and not as superuser, after a reload", async () => {
    const before = await servers();
    cluster.configure({ networks: ["10.97.0.0/16", "fd00:97::/64"] });
    await cluster.up();
    const after = await servers();
    for (const node of ["pg1", "pg2"] as const) {
      expect(after[node].started).toEqual(before[node].started);
      const session = await cluster.session(node);
      expect(
        await session.rows(
          `SELECT type, database, user_name, auth_method, error FROM pg_hba_file_rules
           WHERE address IN ('10.97.0.0', 'fd00:97::') AND type <> 'hostssl'
             OR address = '10.97.0.0' ORDER BY line_number`,
        ),
      ).toEqual([
        rule(["replication"], ["replicator"], "scram-sha-256"),
        rule(["all"], ["postgres", "+opg_endpoint_barred"], "reject"),
        rule(["all"], ["all"], "scram-sha-256"),
      ]);
    }
    const haproxy = bytesOf(join(cluster.stateDir, "haproxy/haproxy.cfg"));
    expect(haproxy).toContain("10.97.0.0/16");
    expect(await (await cluster.session("read")).value("SELECT 1")).toBe(1);
  });

  const rule = (database: string[], user_name: string[], auth_method: string) => ({
    type: "hostssl",
    database,
    user_name,
    auth_method,
    error: null,
  });
});

describe("an endpoint's port", () => {
  test("changes without cutting a session, and the old port is closed", async () => {
    const before = await servers();
    const onRead = await cluster.session("read", "odoo");
    const onWrite = await cluster.session("write", "odoo");
    cluster.configure({ endpoints: { write: { port: cluster.ports.spare } } });
    await cluster.up();
    expect(await onRead.value("SELECT 1")).toBe(1);
    expect(await onWrite.value("SELECT 1")).toBe(1);
    const moved = await connect({
      port: cluster.ports.spare,
      user: "odoo",
      password: cluster.password("odoo"),
    });
    expect(await moved.value("SELECT pg_is_in_recovery()")).toBe(false);
    await expect(cluster.session("write", "odoo")).rejects.toThrow("ECONNREFUSED");
    expect(await servers()).toEqual(before);
    const { stdout } = await cluster.run(["odoo-conf"]);
    expect(stdout).toContain(`db_port = ${cluster.ports.spare}\n`);
  });
});

describe("a node", () => {
  const [pg1, pg2, pg3] = ["pg1", "pg2", "pg3"] as const;
  const nodes = (...names: readonly string[]) => ({
    nodes: names.map((name) => ({ name, port: portOf(name) })),
  });
  const portOf = (name: string): number =>
    name === pg3 ? cluster.ports.spare : (cluster.ports.nodes[name === pg1 ? 0 : 1] ?? 0);
  const slots = async (): Promise<readonly unknown[]> =>
    (await (await cluster.session(pg1)).rows("SELECT slot_name FROM pg_replication_slots ORDER BY 1")).map(
      ({ slot_name }) => slot_name,
    );
  const aside = (): readonly string[] => {
    const folder = join(cluster.stateDir, "aside");
    return existsSync(folder) ? readdirSync(folder) : [];
  };

  test("is added online, removed with its data kept aside, and added again", async () => {
    const before = await servers();
    const onRead = await cluster.session("read", "odoo");
    const onWrite = await cluster.session("write", "odoo");

    cluster.configure(nodes(pg1, pg2, pg3));
    await cluster.up();
    await cluster.healthy();
    expect(await slots()).toEqual([pg2, pg3]);
    expect((await cluster.status()).endpoints.read.pool).toEqual([pg2, pg3]);
    expect(await (await cluster.session("spare")).value("SELECT pg_is_in_recovery()")).toBe(true);
    expect(await servers()).toEqual(before);
    expect(await onRead.value("SELECT 1")).toBe(1);
    expect(await onWrite.value("SELECT 1")).toBe(1);

    const pid = cluster.postmaster(pg3);
    cluster.configure(nodes(pg1, pg2));
    const removed = await cluster.up();
    expect(removed.stderr).toContain("The data of pg3 is kept in");
    expect(isAlive(pid)).toBe(false);
    expect(await isFree(cluster.ports.spare)).toBe(true);
    expect(await slots()).toEqual([pg2]);
    expect(aside()).toEqual([expect.stringMatching(/^pg3-\d{8}T\d{6}Z$/)]);
    expect(existsSync(join(cluster.stateDir, "aside", aside()[0] ?? "", "data", "PG_VERSION"))).toBe(true);
    expect(await servers()).toEqual(before);
    expect(await onWrite.value("SELECT 1")).toBe(1);

    cluster.configure(nodes(pg1, pg2, pg3));
    await cluster.up();
    await cluster.healthy();
    expect(await slots()).toEqual([pg2, pg3]);
    expect(aside()).toHaveLength(1);
  });

  test("that is the primary is not removed", async () => {
    const before = await servers();
    cluster.configure(nodes(pg2));
    const ran = await cluster.run(["up"]);
    expect(ran.exitCode).toBe(1);
    expect(ran.stderr).toContain("pg1 is the primary");
    expect(ran.stderr).toContain("Nothing was changed");
    expect(await servers()).toEqual(before);
    cluster.configure({});
    await cluster.healthy();
  });

  test("keeps its data directory where it is", async () => {
    const before = await servers();
    cluster.configure({
      nodes: [
        { name: pg1, port: portOf(pg1) },
        { name: pg2, port: portOf(pg2), data_dir: join(cluster.folder, "elsewhere") },
      ],
    });
    const ran = await cluster.run(["up"]);
    expect(ran.exitCode).toBe(1);
    expect(ran.stderr).toContain("data_dir of node pg2 was changed");
    expect(existsSync(join(cluster.folder, "elsewhere"))).toBe(false);
    expect(await servers()).toEqual(before);
  });

  test("gets another port by a restart of it alone", async () => {
    const before = await servers();
    cluster.configure({
      nodes: [
        { name: pg1, port: portOf(pg1) },
        { name: pg2, port: cluster.ports.spare },
      ],
    });
    await cluster.up();
    await cluster.healthy();
    expect(await server(pg1)).toEqual(before.pg1);
    expect(await (await cluster.session("spare")).value("SHOW cluster_name")).toBe("test/pg2");
    expect(await isFree(portOf(pg2))).toBe(true);
  });

  test("that is the primary gets another port, and replication goes on", async () => {
    cluster.configure({
      nodes: [
        { name: pg1, port: cluster.ports.spare },
        { name: pg2, port: portOf(pg2) },
      ],
    });
    await cluster.up();
    await cluster.healthy();
    expect(await (await cluster.session("write")).value("SHOW cluster_name")).toBe("test/pg1");
    expect(await (await cluster.session("spare")).value("SHOW cluster_name")).toBe("test/pg1");
  });
});

describe("a password", () => {
  const streaming = async (): Promise<unknown> =>
    await (
      await cluster.session("pg1")
    ).value("SELECT pid FROM pg_stat_replication WHERE state = 'streaming'");

  test("of the replicator changes with REPLICATOR_PGSQL_PASSWD, and replication goes on", async () => {
    const before = await servers();
    await cluster.up({ env: { REPLICATOR_PGSQL_PASSWD: "another one: \\'" } });
    const sender = await streaming();
    expect(sender).toBeTypeOf("number");
    await (await cluster.session("pg1")).rows("SELECT pg_terminate_backend($1)", [sender]);
    await waitFor("replication with the new password", async () => {
      const now = await streaming();
      return typeof now === "number" && now !== sender;
    });
    expect((await servers()).pg1.started).toEqual(before.pg1.started);
    expect((await servers()).pg2.started).toEqual(before.pg2.started);
    expect(cluster.password("replicator")).toBe("another one: \\'");
    await expect(replicate("wrong")).resolves.not.toBe(0);
    await expect(replicate("another one: \\'")).resolves.toBe(0);
  });

  const replicate = async (password: string): Promise<number | undefined> => {
    const conninfo = `host=127.0.0.1 port=${cluster.ports.nodes[0]} user=replicator replication=true`;
    return (
      await execa("psql", [conninfo, "-Atc", "IDENTIFY_SYSTEM"], {
        env: { PGPASSWORD: password },
        reject: false,
      })
    ).exitCode;
  };

  test("of openerp lets it log in, changes, and stays when the variable is gone", async () => {
    const login = async (password: string): Promise<unknown> =>
      await (
        await connect({ port: cluster.ports.write, user: "openerp", password })
      ).value("SELECT current_user");
    await expect(login("first")).rejects.toThrow(
      /not permitted to log in|authentication failed|pg_hba\.conf rejects/,
    );
    await cluster.up({ env: { OPENERP_PGSQL_PASSWD: "first" } });
    expect(await login("first")).toBe("openerp");
    const file = join(cluster.folder, "openerp.password");
    writeFileSync(file, "second\n");
    await cluster.up({ env: { OPENERP_PGSQL_PASSWD_FILE: file } });
    await expect(login("first")).rejects.toThrow("authentication failed");
    expect(await login("second")).toBe("openerp");
    await cluster.up();
    expect(await login("second")).toBe("openerp");
  });

  test("of odoo comes from a file that the configuration names", async () => {
    const file = join(cluster.folder, "odoo.password");
    writeFileSync(file, "from a file");
    cluster.configure({ password_files: { odoo: file } });
    await cluster.up();
    const session = await connect({ port: cluster.ports.read, user: "odoo", password: "from a file" });
    expect(await session.value("SELECT current_user")).toBe("odoo");
  });

  test("given by value and by file is refused, and by neither is it repeated", async () => {
    const ran = await cluster.run(["up"], {
      env: { OPENERP_PGSQL_PASSWD: "s3cret-by-value", OPENERP_PGSQL_PASSWD_FILE: "/nowhere" },
    });
    expect(ran.exitCode).toBe(2);
    expect(ran.stderr).toContain("OPENERP_PGSQL_PASSWD");
    expect(ran.stderr).not.toContain("s3cret-by-value");
  });
});

describe("an up that is refused", () => {
  test("changes nothing for later either: not where HAProxy starts again, not the replicas' password", async () => {
    const password = cluster.password("replicator");
    const openerp = join(cluster.stateDir, "secrets/openerp.password");
    const before = existsSync(openerp) ? bytesOf(openerp) : undefined;
    cluster.configure({
      endpoints: { write: { port: cluster.ports.spare } },
      nodes: [{ name: "pg1", port: cluster.ports.nodes[0] }],
      ...parameters({ work_mem: "banana" }),
    });
    const ran = await cluster.run(["up"], {
      env: { REPLICATOR_PGSQL_PASSWD: "never applied", OPENERP_PGSQL_PASSWD: "never applied" },
    });
    expect(ran.exitCode).toBe(2);
    expect(cluster.password("replicator")).toBe(password);
    expect(existsSync(openerp) ? bytesOf(openerp) : undefined).toBe(before);

    const record = join(cluster.stateDir, "haproxy/process.json");
    const { pid }: { pid: number } = JSON.parse(bytesOf(record));
    process.kill(pid, "SIGKILL");
    await waitFor("another HAProxy", () => JSON.parse(bytesOf(record)).pid !== pid);
    await waitFor("the write endpoint at its place", async () => {
      return (await (await cluster.session("write")).value("SELECT 1")) === 1;
    });
    const sender = "SELECT pid FROM pg_stat_replication WHERE state = 'streaming'";
    const primary = await cluster.session("pg1");
    const first = await primary.value(sender);
    await primary.rows("SELECT pg_terminate_backend($1)", [first]);
    await waitFor("the replica to come back", async () => {
      const now = await primary.value(sender);
      return typeof now === "number" && now !== first;
    });
    cluster.configure({});
    await cluster.healthy();
  });
});

describe("the read endpoint's consistency", () => {
  test("becomes read-your-writes without a restart, and goes back", async () => {
    const before = await servers();
    cluster.configure({ endpoints: { read: { consistency: "read-your-writes" } } });
    await cluster.up();
    await waitFor("the replica to be synchronous and in the pool", async () => {
      const sync = "SELECT sync_state FROM pg_stat_replication";
      const pool = (await cluster.status()).endpoints.read.pool;
      return (await (await cluster.session("pg1")).value(sync)) === "sync" && pool.includes("pg2");
    });
    expect(await setting("write", "synchronous_commit")).toBe("remote_apply");
    cluster.configure({});
    await cluster.up();
    await waitFor("commits to wait for nobody", async () => {
      return (await setting("pg1", "synchronous_standby_names")) === "";
    });
    expect(await setting("pg1", "synchronous_commit")).toBe("on");
    const after = await servers();
    expect(after.pg1.started).toEqual(before.pg1.started);
    expect(after.pg2.started).toEqual(before.pg2.started);
  });
});
