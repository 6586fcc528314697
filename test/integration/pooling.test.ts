import { existsSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { Client } from "pg";
import { beforeAll, describe, expect, test } from "vitest";
import { type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import { accepts } from "../../src/system/network/network.ts";
import { examine } from "../advice/following.ts";
import { connect, type Session } from "../support/pg.ts";
import { isAlive, processesNaming } from "../support/processes.ts";
import { atEnd } from "../support/scope.ts";
import { waitFor } from "../support/wait.ts";

const PSYCOPG2 = "/usr/lib/python3/dist-packages/psycopg2";

let cluster: ThrowawayCluster;

beforeAll(async () => {
  cluster = await throwawayCluster({
    config: {
      endpoints: {
        write: { pooling: "transaction" },
        read: { pooling: "transaction" },
      },
      postgres: { parameters: { max_connections: "120" } },
    },
  });
  await cluster.up();
  const odoo = await cluster.session("write");
  await odoo.rows("CREATE DATABASE shop");
  await odoo.close();
}, 120_000);

function poolerProcess(endpoint: "write" | "read" = "write"): number {
  const file = join(cluster.stateDir, "pgbouncer", `${endpoint}.process.json`);
  const record: unknown = JSON.parse(readFileSync(file, "utf8"));
  return Number(Reflect.get(Object(record), "pid"));
}

function balancerProcess(): number {
  const record: unknown = JSON.parse(readFileSync(join(cluster.stateDir, "haproxy/process.json"), "utf8"));
  return Number(Reflect.get(Object(record), "pid"));
}

/** Sessions that come through the endpoints, on the primary. */
async function serverSessions(): Promise<number> {
  const superuser = await cluster.onPrimary();
  const count = await superuser.value(
    "SELECT count(*)::int FROM pg_stat_activity WHERE usename = 'odoo' AND backend_type = 'client backend'",
  );
  await superuser.close();
  return Number(count);
}

const logIn = async (user: string, password: string, database = "shop"): Promise<Session> =>
  await connect({ port: cluster.ports.write, user, password, database });

describe("Clients of an endpoint with pooling", () => {
  test("300 that idle share few sessions of the server", async () => {
    const clients: Session[] = [];
    for (let batch = 0; batch < 15; batch += 1) {
      const some = await Promise.all(
        Array.from({ length: 20 }, async () => await cluster.session("write", "odoo", "shop")),
      );
      for (const client of some) await client.rows("SELECT 1");
      clients.push(...some);
    }
    expect(clients).toHaveLength(300);
    expect(await serverSessions()).toBeLessThanOrEqual(20);
    expect(clients.filter((client) => client.isCut())).toEqual([]);
    await Promise.all(clients.map(async (client) => await client.close()));
  }, 60_000);

  test.runIf(existsSync(PSYCOPG2))(
    "may rely on their transactions, and on nothing beyond them but in postgres",
    async () => {
      const input = JSON.stringify({
        host: "127.0.0.1",
        ports: { write: cluster.ports.write, read: cluster.ports.read },
        user: "odoo",
        password: cluster.password("odoo"),
        database: "shop",
      });
      const script = new URL("pooled-sessions.py", import.meta.url).pathname;
      const { stdout } = await execa("/usr/bin/python3", [script], { input, timeout: 60_000 });
      expect(JSON.parse(stdout)).toEqual({
        "SET LOCAL": true,
        "SET stays": false,
        "SET meets others": false,
        "what a reset that fails leaves meets others": false,
        "nothing is left for the next client": true,
        "autocommit meets others": false,
        "temporary table in a transaction": true,
        "temporary table stays": false,
        "advisory lock of a transaction": true,
        "advisory lock of a session stays": false,
        "named cursor": true,
        "named cursor WITH HOLD stays": false,
        "PREPARE stays": false,
        COPY: true,
        "large object": true,
        savepoints: true,
        "READ COMMITTED": true,
        "REPEATABLE READ": true,
        SERIALIZABLE: true,
        "READ ONLY at the read endpoint": true,
        application_name: true,
        options: "refused",
        cancel: true,
        "LISTEN in postgres": true,
        "LISTEN elsewhere": false,
      });
    },
    90_000,
  );

  test("that count on their session beyond a transaction are named by doctor", async () => {
    const client = await cluster.session("write", "odoo", "shop");
    await client.rows("LISTEN imbus");
    await client.rows("SELECT pg_advisory_lock(1)");
    await client.rows("SELECT pg_advisory_xact_lock(1)");
    await client.rows("CREATE TEMPORARY TABLE kept (id int)");
    await client.rows("BEGIN; CREATE TEMP TABLE gone (id int) ON COMMIT DROP; COMMIT");
    await client.rows("CREATE TABLE cargo (name text); CREATE VIEW sold AS SELECT name FROM cargo");
    await client.close();
    // As Odoo's database manager takes a backup.
    const dumped = await execa("pg_dump", ["-h", "127.0.0.1", "-p", String(cluster.ports.write), "shop"], {
      env: { PGUSER: "odoo", PGPASSWORD: cluster.password("odoo") },
    });
    expect(dumped.stdout).toMatch(/FROM cargo;/);
    const { findings } = await examine(cluster);
    expect(
      findings.filter(({ code }) => code === "pooling_ends_session_state").map(({ message }) => message),
    ).toEqual(
      // Others that the clients of other tests have used are named, too.
      expect.arrayContaining([
        expect.stringContaining("LISTEN"),
        expect.stringContaining("a temporary table"),
        expect.stringContaining("an advisory lock of the session"),
        expect.stringContaining("pg_dump has read shop as a client does"),
      ]),
    );
  });

  test("may use TLS", async () => {
    const client = new Client({
      host: "127.0.0.1",
      port: cluster.ports.write,
      user: "odoo",
      password: cluster.password("odoo"),
      database: "shop",
      ssl: { ca: readFileSync(join(cluster.stateDir, "tls/ca.crt"), "utf8") },
    });
    await client.connect();
    atEnd(async () => await client.end());
    expect((await client.query<{ one: number }>("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
  });

  test("are let in by their own password alone, superusers and replication never", async () => {
    await expect(logIn("odoo", "wrong")).rejects.toThrow();
    await expect(logIn("postgres", cluster.password("postgres"), "postgres")).rejects.toThrow();
    await expect(logIn("replicator", cluster.password("replicator"), "postgres")).rejects.toThrow();
    await expect(logIn("odoo_pg_pooler", "")).rejects.toThrow();
    await expect(logIn("odoo", cluster.password("odoo"), "pgbouncer")).rejects.toThrow();
    await expect(logIn("odoo_pg_pooler", "", "pgbouncer")).rejects.toThrow();
  });

  test("of a new role, whatever its name, and with a new password, are let in some seconds later", async () => {
    const superuser = await cluster.onPrimary();
    await superuser.rows(`CREATE ROLE "wei""rd rôle" LOGIN PASSWORD 'first'`);
    await superuser.rows(`CREATE DATABASE odd OWNER "wei""rd rôle"`);
    const waitForLogIn = async (password: string): Promise<Session> => {
      let session: Session | undefined;
      await waitFor(`the password "${password}" to be taken`, async () => {
        session = await logIn('wei"rd rôle', password, "odd");
        return (await session.value("SELECT current_user")) === 'wei"rd rôle';
      });
      if (!session) throw new Error("no session");
      return session;
    };
    const before = await waitForLogIn("first");
    await superuser.rows(`ALTER ROLE "wei""rd rôle" PASSWORD 'second'`);
    // Sessions of the server that were opened by the old one are gone, as after a while.
    await superuser.rows(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'odd'`);
    const after = await waitForLogIn("second");
    await expect(logIn('wei"rd rôle', "first", "odd")).rejects.toThrow();
    await before.close();
    await after.close();
    await superuser.rows(`ALTER ROLE "wei""rd rôle" NOLOGIN`);
    await waitFor("the role to be shut out", async () =>
      logIn('wei"rd rôle', "second", "odd").then(
        () => false,
        () => true,
      ),
    );
  });

  test("find no secret of theirs where others can read it", async () => {
    const folder = join(cluster.stateDir, "pgbouncer");
    const texts = readdirSync(folder).map((name) => readFileSync(join(folder, name), "utf8"));
    for (const role of ["odoo", "postgres", "replicator", "collectd"] as const)
      expect(texts.some((text) => text.includes(cluster.password(role)))).toBe(false);
    const { stdout } = await execa("stat", ["-c", "%a", join(folder, "write.users")]);
    expect(stdout).toBe("600");
  });
});

describe("PgBouncer", () => {
  const answers = async (): Promise<boolean> => {
    const session = await cluster.session("write", "odoo", "shop");
    const one = await session.value("SELECT 1");
    await session.close();
    return one === 1;
  };

  test("that is killed is started again, and one that lives is taken over by the next agent", async () => {
    const first = poolerProcess();
    process.kill(first, "SIGKILL");
    await waitFor("another PgBouncer", () => poolerProcess() !== first && isAlive(poolerProcess()));
    await waitFor("the endpoint to answer", answers);
    const second = poolerProcess();
    const client = await cluster.session("write", "odoo", "shop");
    process.kill(cluster.agent(), "SIGKILL");
    await cluster.up();
    expect(poolerProcess()).toBe(second);
    expect(await client.value("SELECT 1")).toBe(1);
    await client.close();
  });

  test("that an agent has started and did not live to record is ended for one that is recorded", async () => {
    const first = poolerProcess();
    process.kill(cluster.agent(), "SIGKILL");
    rmSync(join(cluster.stateDir, "pgbouncer", "write.process.json"));
    await cluster.up();
    expect(poolerProcess()).not.toBe(first);
    await waitFor("the one that nothing recorded to be gone", () => !isAlive(first));
    await waitFor("the endpoint to answer", answers);
  });

  test("outlives a HAProxy that is killed", async () => {
    const [pooler, balancer] = [poolerProcess(), balancerProcess()];
    process.kill(balancer, "SIGKILL");
    await waitFor("another HAProxy", () => balancerProcess() !== balancer);
    await waitFor("the endpoint to answer", answers);
    expect(poolerProcess()).toBe(pooler);
  });

  test("listens on the addresses that up gives the endpoints, and no longer on those that it takes away", async () => {
    const at = async (host: string): Promise<boolean> => await accepts(host, cluster.ports.write, 500);
    expect(await at("127.0.0.2")).toBe(false);
    cluster.configure({ listen: ["127.0.0.1", "127.0.0.2"] });
    await cluster.up();
    expect([await at("127.0.0.1"), await at("127.0.0.2")]).toEqual([true, true]);
    cluster.configure({ listen: ["127.0.0.1"] });
    await cluster.up();
    expect([await at("127.0.0.1"), await at("127.0.0.2")]).toEqual([true, false]);
    await waitFor("the endpoint to answer", answers);
  }, 120_000);

  test("is ended by down, and gone from an endpoint that pools no more", async () => {
    const running = (): number[] =>
      processesNaming(join(cluster.stateDir, "pgbouncer")).map(({ pid }) => pid);
    const write = poolerProcess("write");
    expect(running()).toHaveLength(2);
    cluster.configure({ endpoints: { read: { pooling: "none" } } });
    await cluster.up();
    expect(running()).toEqual([write]);
    expect(await (await cluster.session("read", "odoo", "shop")).value("SELECT 1")).toBe(1);
    await cluster.down();
    expect(running()).toEqual([]);
    cluster.configure({});
    await cluster.up();
    await waitFor("the endpoint to answer", answers);
  }, 120_000);
});

describe("A planned change", () => {
  test("under eight clients in short transactions fails none of them: switchovers, and a restart of the primary", async () => {
    await cluster.healthy();
    const maker = await cluster.session("write", "odoo", "shop");
    await maker.rows("CREATE TABLE ledger (client int, n int, PRIMARY KEY (client, n))");
    await maker.close();
    const ending = new AbortController();
    const failures: string[] = [];
    let written = 0;
    const clients = Array.from({ length: 8 }, async (_, client) => {
      const session = await cluster.session("write", "odoo", "shop");
      for (let n = 1; !ending.signal.aborted; n += 1) {
        try {
          await session.rows("BEGIN");
          await session.rows("INSERT INTO ledger VALUES ($1, $2)", [client, n]);
          await session.rows("SELECT count(*) FROM ledger WHERE client = $1", [client]);
          await session.rows("COMMIT");
          written += 1;
        } catch (error) {
          failures.push(error instanceof Error ? error.message : String(error));
          if (session.isCut()) break;
        }
      }
      await session.close();
    });
    const restart = { postgres: { parameters: { max_connections: "130" } } };
    for (const change of ["pg2", "pg1", "pg2", restart]) {
      const before = written;
      if (typeof change !== "string") cluster.configure(change);
      const ran = await cluster.run(typeof change === "string" ? ["switchover", "--to", change] : ["up"]);
      expect(ran.stderr).not.toContain("still open");
      if (change === restart) expect(ran.stderr).toMatch(/pg2 +restart for max_connections/);
      expect(ran.exitCode).toBe(0);
      await waitFor("writes to go on", () => written > before + 8);
      await cluster.healthy();
    }
    ending.abort();
    await Promise.all(clients);
    expect(failures).toEqual([]);
    const session = await cluster.session("write", "odoo", "shop");
    expect(Number(await session.value("SELECT count(*) FROM ledger"))).toBe(written);
  }, 120_000);

  test("waits for an open transaction only so long, says so, and leaves nothing paused", async () => {
    const long = await cluster.session("write", "odoo", "shop");
    await long.rows("BEGIN");
    await long.rows("CREATE TABLE unfinished (id int)");
    const ran = await cluster.run(["switchover"]);
    expect(ran.stderr).toContain("1 transaction was still open");
    expect(ran.exitCode).toBe(0);
    await expect(long.rows("COMMIT")).rejects.toThrow();
    const next = await cluster.session("write", "odoo", "shop");
    expect(await next.value("SELECT count(*)::int FROM pg_class WHERE relname = 'unfinished'")).toBe(0);
  }, 60_000);
});
