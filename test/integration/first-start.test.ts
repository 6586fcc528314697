import { execa } from "execa";
import { readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { type Role, type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import { bytesOf, filesBelow, modeOf } from "../support/files.ts";
import { connect } from "../support/pg.ts";
import { processesUsing } from "../support/processes.ts";
import type { Ran } from "../support/program.ts";
import { waitFor } from "../support/wait.ts";

const openerpPassword = "Open'erp \\ 1";
const roles: readonly Role[] = ["postgres", "odoo", "openerp", "replicator", "collectd"];

let cluster: ThrowawayCluster;
let firstUp: Ran;

beforeAll(async () => {
  cluster = await throwawayCluster({ env: { OPENERP_PGSQL_PASSWD: openerpPassword } });
  firstUp = await cluster.up();
});

/** Everything but the data directories, the logs and the sockets. */
const renderedFiles = (): readonly string[] =>
  filesBelow(
    cluster.stateDir,
    (path) => /^nodes\/[^/]+\/(data|log)\//.test(path) || path.startsWith("run/"),
  ).filter((path) => !path.endsWith(".log"));

describe("the first up", () => {
  test("prints the status and the lines for odoo.conf, without the password off a terminal", () => {
    expect(firstUp.stdout).toContain("All is well");
    expect(firstUp.stdout).toContain(`db_port = ${cluster.ports.write}`);
    expect(firstUp.stdout).toContain(`db_replica_port = ${cluster.ports.read}`);
    expect(firstUp.stdout + firstUp.stderr).not.toContain(cluster.password("odoo"));
    expect(firstUp.stderr).toMatch(/pg1 +create the database cluster[^]*pg2 +copy from pg1/);
  });

  test("leads the write endpoint to the primary and the read endpoint to the replica", async () => {
    const write = await cluster.session("write", "odoo");
    const read = await cluster.session("read", "odoo");
    const target = "SELECT pg_is_in_recovery() || ' ' || current_setting('cluster_name')";
    expect(await write.value(target)).toBe("false test/pg1");
    expect(await read.value(target)).toBe("true test/pg2");
  });

  test("brings what is written through the write endpoint to the read endpoint", async () => {
    await (await cluster.session("write", "odoo")).rows("CREATE DATABASE shared TEMPLATE odoo_template");
    const write = await cluster.session("write", "odoo", "shared");
    await write.rows("CREATE TABLE first_start (word text)");
    await write.rows("INSERT INTO first_start VALUES ('hello')");
    await waitFor("the row on the replica", async () => {
      const read = await cluster.session("read", "odoo", "shared");
      return (await read.value("SELECT word FROM first_start")) === "hello";
    });
  });

  test("makes the databases with checksums, UTF8 and C collation", async () => {
    const primary = await cluster.session("pg1");
    expect(await primary.value("SHOW data_checksums")).toBe("on");
    expect(
      await primary.rows(
        "SELECT DISTINCT pg_encoding_to_char(encoding) AS encoding, datcollate, datctype FROM pg_database",
      ),
    ).toEqual([{ encoding: "UTF8", datcollate: "C", datctype: "C" }]);
  });

  test("streams through a slot whose WAL is limited, with feedback from the replica", async () => {
    const primary = await cluster.session("pg1");
    expect(
      await primary.rows("SELECT slot_name, slot_type, active, wal_status FROM pg_replication_slots"),
    ).toEqual([{ slot_name: "pg2", slot_type: "physical", active: true, wal_status: "reserved" }]);
    expect(await primary.rows("SELECT application_name, state FROM pg_stat_replication")).toEqual([
      { application_name: "pg2", state: "streaming" },
    ]);
    const keep = await primary.value(
      "SELECT setting::int FROM pg_settings WHERE name = 'max_slot_wal_keep_size'",
    );
    expect(keep).toBeGreaterThan(0);
    expect(await (await cluster.session("pg2")).value("SHOW hot_standby_feedback")).toBe("on");
  });

  test("replicates by the Unix socket, which others do not reach, by a password that stands in no setting", async () => {
    const primary = await cluster.session("pg1");
    expect(await primary.value("SELECT client_addr IS NULL FROM pg_stat_replication")).toBe(true);
    const conninfo = await (await cluster.session("pg2")).value("SHOW primary_conninfo");
    expect(conninfo).toContain(`host='${cluster.stateDir}/run'`);
    expect(conninfo).not.toContain(cluster.password("replicator"));
  });
});

describe("roles", () => {
  test("have what they need and nothing more", async () => {
    const primary = await cluster.session("pg1");
    const seen = await primary.rows(
      `SELECT rolname, rolcanlogin AS login, rolsuper AS super, rolcreatedb AS createdb,
         rolcreaterole AS createrole, rolreplication AS replication, rolbypassrls AS bypassrls,
         rolpassword LIKE 'SCRAM-SHA-256$%' AS scram,
         ARRAY(SELECT roleid::regrole::text FROM pg_auth_members WHERE member = pg_authid.oid ORDER BY 1) AS groups
       FROM pg_authid WHERE rolname !~ '^pg_' ORDER BY rolname`,
    );
    const plain = {
      login: true,
      super: false,
      createdb: false,
      createrole: false,
      replication: false,
      bypassrls: false,
      scram: true,
      groups: ["opg_endpoint_users"],
    };
    const barred = { groups: ["opg_endpoint_barred"] };
    const group = { ...plain, login: false, scram: null, groups: [] };
    expect(seen).toEqual([
      { ...plain, rolname: "collectd", groups: ["opg_endpoint_users", "pg_monitor"] },
      { ...plain, rolname: "odoo", createdb: true },
      { ...plain, rolname: "openerp", createdb: true },
      { ...group, rolname: "opg_endpoint_barred" },
      { ...group, rolname: "opg_endpoint_users" },
      {
        ...plain,
        rolname: "postgres",
        super: true,
        createdb: true,
        createrole: true,
        replication: true,
        bypassrls: true,
        ...barred,
      },
      { ...plain, rolname: "replicator", replication: true, ...barred },
    ]);
  });

  test("collectd monitors and writes nothing", async () => {
    const session = await cluster.session("write", "collectd");
    expect(await session.value("SHOW default_transaction_read_only")).toBe("on");
    expect(
      await session.value("SELECT count(*) > 0 FROM pg_stat_replication WHERE sent_lsn IS NOT NULL"),
    ).toBe(true);
    await expect(session.rows("CREATE TABLE public.nothing ()")).rejects.toThrow("read-only transaction");
  });

  test("openerp logs in with the password that was given", async () => {
    const session = await connect({ port: cluster.ports.write, user: "openerp", password: openerpPassword });
    expect(await session.value("SELECT current_user")).toBe("openerp");
  });
});

describe("the template database", () => {
  test("gives a role with only CREATEDB what Odoo does at each new database", async () => {
    const write = await cluster.session("write", "odoo");
    await write.rows("CREATE DATABASE from_template ENCODING 'unicode' TEMPLATE odoo_template");
    const inside = await cluster.session("write", "odoo", "from_template");
    expect(await inside.value("SELECT datcollate FROM pg_database WHERE datname = current_database()")).toBe(
      "C",
    );
    for (const statement of [
      "CREATE EXTENSION IF NOT EXISTS pg_trgm",
      "CREATE EXTENSION IF NOT EXISTS unaccent",
      "ALTER FUNCTION unaccent(text) IMMUTABLE",
      "COMMENT ON EXTENSION pg_trgm IS 'as in a dump'",
      "COMMENT ON EXTENSION unaccent IS 'as in a dump'",
      "GRANT CREATE ON SCHEMA public TO PUBLIC",
      "CREATE TABLE partner (name text)",
      "CREATE INDEX ON partner USING gin (unaccent(name) gin_trgm_ops)",
    ]) {
      await inside.rows(statement);
    }
    expect(await inside.value("SELECT unaccent('Élodie')")).toBe("Elodie");
    await inside.close();
    await write.rows("DROP DATABASE from_template");
  });

  test("is marked as one, and lets nobody open a session that would keep it from being copied", async () => {
    const primary = await cluster.session("pg1");
    expect(await primary.value("SELECT datistemplate FROM pg_database WHERE datname = 'odoo_template'")).toBe(
      true,
    );
    await expect(cluster.session("write", "odoo", "odoo_template")).rejects.toThrow("permission denied");
  });
});

describe("passwords", () => {
  test("lie in files that only their owner reads", () => {
    const secrets = filesBelow(join(cluster.stateDir, "secrets"));
    expect(secrets.length).toBeGreaterThanOrEqual(roles.length);
    expect(secrets.filter((path) => modeOf(path) !== 0o600)).toEqual([]);
    const keys = filesBelow(cluster.stateDir).filter((path) => path.endsWith(".key"));
    expect(keys.length).toBeGreaterThan(0);
    // Where the servers run as another user, that user reads the key of its server by its group.
    expect(keys.filter((path) => (modeOf(path) & 0o137) !== 0)).toEqual([]);
    expect(modeOf(join(cluster.stateDir, "secrets")) & 0o067).toBe(0);
  });

  test("stand in no other file: no log, no configuration, no data", () => {
    const others = filesBelow(cluster.stateDir, (path) => path.startsWith("secrets/"));
    const holding = others.filter((path) => {
      const content = bytesOf(path);
      return roles.some((role) => content.includes(cluster.password(role)));
    });
    expect(others.some((path) => path.endsWith("agent.log"))).toBe(true);
    expect(holding.map((path) => relative(cluster.stateDir, path))).toEqual([]);
  });

  test("stand in no process list and in no environment", async () => {
    const pids = processesUsing(cluster.folder).map(({ pid }) => pid);
    // The agent, HAProxy's two and the postmasters at least: who may not look at other users' processes sees no more.
    expect(pids.length).toBeGreaterThanOrEqual(5);
    const texts = pids.flatMap((pid) =>
      ["cmdline", "environ"].map((name) => readIfAny(`/proc/${pid}/${name}`)),
    );
    const ps = await execa("ps", ["axwwe", "-o", "args"]);
    const all = [...texts, ps.stdout].join("\n");
    expect(all).toContain("postgres");
    expect(roles.filter((role) => all.includes(cluster.password(role)))).toEqual([]);
  });

  test("are different for each role and each long", () => {
    const generated = roles.filter((role) => role !== "openerp").map((role) => cluster.password(role));
    expect(new Set(generated).size).toBe(generated.length);
    expect(generated.filter((password) => password.length < 32)).toEqual([]);
  });
});

describe("access", () => {
  test("a wrong password is refused, on both endpoints and both nodes", async () => {
    const { nodes, read, write } = cluster.ports;
    for (const port of [...nodes, read, write]) {
      await expect(connect({ port, user: "odoo", password: "wrong" })).rejects.toThrow(
        'password authentication failed for user "odoo"',
      );
    }
  });

  test("on the Unix socket the superuser comes in by who asks, everybody else by a password", async () => {
    const [port = 0] = cluster.ports.nodes;
    const host = join(cluster.stateDir, "run");
    const superuser = await connect({ port, user: "postgres", password: "wrong", host });
    expect(await superuser.value("SELECT current_user")).toBe("postgres");
    await expect(connect({ port, user: "odoo", password: "wrong", host })).rejects.toThrow(
      "password authentication failed",
    );
  });

  test("only the replicator replicates", async () => {
    const backup = (user: Role) =>
      execa(
        "psql",
        [
          `host=127.0.0.1 port=${cluster.ports.nodes[0]} user=${user} replication=true`,
          "-Atc",
          "IDENTIFY_SYSTEM",
        ],
        { env: { PGPASSWORD: cluster.password(user) }, reject: false },
      );
    expect((await backup("odoo")).stderr).toContain("no pg_hba.conf entry for replication connection");
    expect((await backup("replicator")).exitCode).toBe(0);
  });

  test("nothing but SCRAM is offered anywhere, but to the superuser on the socket", async () => {
    for (const node of ["pg1", "pg2"] as const) {
      const session = await cluster.session(node);
      expect(
        await session.rows(
          "SELECT DISTINCT auth_method, error FROM pg_hba_file_rules WHERE auth_method <> 'reject' ORDER BY 1",
        ),
      ).toEqual([
        { auth_method: "peer", error: null },
        { auth_method: "scram-sha-256", error: null },
      ]);
      expect(
        await session.rows("SELECT type, user_name FROM pg_hba_file_rules WHERE auth_method = 'peer'"),
      ).toEqual([{ type: "local", user_name: ["postgres"] }]);
      expect(await session.value("SHOW password_encryption")).toBe("scram-sha-256");
    }
  });

  test("TLS holds with the cluster's own authority, through both endpoints", async () => {
    for (const port of [cluster.ports.write, cluster.ports.read]) {
      const ran = await execa(
        "psql",
        [
          `host=127.0.0.1 port=${port} user=odoo dbname=postgres sslmode=verify-full sslrootcert=${cluster.stateDir}/tls/ca.crt`,
          "-Atc",
          "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
        ],
        { env: { PGPASSWORD: cluster.password("odoo") } },
      );
      expect(ran.stdout).toBe("t");
    }
  });

  test("other users of the machine reach neither data nor sockets", () => {
    for (const folder of ["run", "secrets", "nodes", "haproxy", "nodes/pg1/data", "nodes/pg2/data"]) {
      expect(modeOf(join(cluster.stateDir, folder)) & 0o027, folder).toBe(0);
    }
  });
});

describe("the second up", () => {
  test("changes nothing: no reload, no restart, the same files", async () => {
    // The journal tells of each `up`.
    const files = (): string[] => renderedFiles().filter((path) => !path.endsWith("events.jsonl"));
    const look = async () => ({
      servers: await Promise.all(
        (["pg1", "pg2"] as const).map(
          async (node) =>
            await (
              await cluster.session(node)
            ).rows("SELECT pg_postmaster_start_time()::text, pg_conf_load_time()::text"),
        ),
      ),
      agent: cluster.agent(),
      haproxy: readFileSync(join(cluster.stateDir, "haproxy/process.json"), "utf8"),
      files: files().map((path) => ({ path, text: bytesOf(path) })),
      // The record of what was applied may be written again.
      times: files()
        .filter((path) => !path.endsWith("cluster.json"))
        .map((path) => ({ path, time: statSync(path).mtimeMs })),
    });
    const before = await look();
    expect(before.files.length).toBeGreaterThan(10);
    const second = await cluster.up();
    expect(second.stderr).toBe("");
    expect(await look()).toEqual(before);
    expect((await cluster.status()).verdict).toBe("ok");
  });
});

function readIfAny(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // The process has ended meanwhile.
    return "";
  }
}
