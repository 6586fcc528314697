import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { beforeAll, describe, expect, test } from "vitest";
import { diagnose } from "../../src/advice/doctor/diagnose.ts";
import { statusOf } from "../../src/cluster/status.ts";
import { printCommand } from "../../src/next-step.ts";
import { causes } from "../cluster/status-causes.ts";
import { cluster as observed } from "../support/observations.ts";
import { FAULTS } from "./doctor-faults.ts";
import { type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import { connect } from "../support/pg.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";
import { examine, follow, only, timeless } from "./following.ts";

let cluster: ThrowawayCluster;

beforeAll(async () => {
  cluster = await throwawayCluster({
    config: {
      // On, as by default, but at no time at which a test may run.
      backup: { enabled: true, schedule: "0 0 1 1 *", drill_schedule: "0 0 1 1 *" },
      postgres: { parameters: { archive_mode: "on", archive_command: "/bin/true", max_connections: 300 } },
    },
  });
  await cluster.up();
  await cluster.healthy();
});

type Node = "pg1" | "pg2";

/** Runs statements on a node as superuser. */
async function say(node: Node, ...statements: readonly string[]): Promise<void> {
  const session = await cluster.session(node);
  for (const statement of statements) await session.rows(statement);
  await session.close();
}

/** Sets something by ALTER SYSTEM and waits until it holds. */
async function set(node: Node, name: string, value: string): Promise<void> {
  const session = await cluster.session(node);
  const before = await session.value("SELECT pg_conf_load_time()::text");
  await session.rows(`ALTER SYSTEM SET ${name} = ${value}`);
  await session.rows("SELECT pg_reload_conf()");
  await waitFor(
    "the setting",
    async () => String(await session.value("SELECT pg_conf_load_time()::text")) !== String(before),
  );
  await session.close();
}

describe("a cluster made by up", () => {
  test("has no findings, and what was not looked at is said", async () => {
    const document = await examine(cluster);
    expect(timeless(document)).toEqual([]);
    expect(document.nodes).toEqual(["pg1", "pg2"]);
    expect(document.not_looked_at.map(({ what }) => what)).toEqual(["odoo.conf", "days left on the disks"]);
    const { stdout, exitCode } = await cluster.run(["doctor"]);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/2 things were not checked\.[^\n]*\n$/);
  });

  test("has none either with the odoo.conf that odoo-pg prints", async () => {
    const conf = join(cluster.folder, "odoo.conf");
    writeFileSync(conf, (await cluster.run(["odoo-conf"])).stdout);
    const document = await examine(cluster, ["--odoo-conf", conf]);
    expect(timeless(document)).toEqual([]);
    expect(document.odoo_conf).toBe(conf);
  });

  test("is looked at without leaving anything, or showing a password", async () => {
    const { stdout } = await cluster.run(["doctor", "--json"]);
    for (const role of ["postgres", "odoo", "replicator", "collectd"] as const)
      expect(stdout).not.toContain(cluster.password(role));
    const session = await cluster.session("pg1");
    await waitFor("the end of doctor's sessions", async () => {
      const left = await session.value(
        "SELECT count(*)::int FROM pg_stat_activity WHERE application_name = 'odoo-pg doctor'",
      );
      return left === 0;
    });
  });
});

describe("a setting that was made by ALTER SYSTEM is found, and gone after the command that doctor prints", () => {
  test.each<[code: string, node: Node, name: string, value: string]>([
    ["fsync_off", "pg1", "fsync", "off"],
    ["full_page_writes_off", "pg2", "full_page_writes", "off"],
    ["commits_not_flushed", "pg1", "synchronous_commit", "off"],
    ["autovacuum_off", "pg1", "autovacuum", "off"],
    ["damage_ignored", "pg2", "zero_damaged_pages", "on"],
    ["slot_without_cap", "pg1", "max_slot_wal_keep_size", "-1"],
    ["standby_feedback_off", "pg2", "hot_standby_feedback", "off"],
    ["standby_delay_unfit", "pg2", "max_standby_streaming_delay", "'-1'"],
    ["tls_old_protocol", "pg1", "ssl_min_protocol_version", "'TLSv1'"],
    ["archiver_failing", "pg1", "archive_command", "''"],
  ])("%s", async (code, node, name, value) => {
    await set(node, name, value);
    const found = only(await examine(cluster), code);
    expect(found.node).toBe(node);
    if (code === "archiver_failing") {
      // It names the configuration, where this setting belongs.
      expect(found.next).toContain("postgres.parameters");
      await say("pg1", "ALTER SYSTEM RESET archive_command", "SELECT pg_reload_conf()");
    } else await follow(cluster, found);
    await waitFor("its end", async () => timeless(await examine(cluster)).length === 0);
  });
});

test("an archiver that fails is told with the file that it fails at", async () => {
  await set("pg1", "archive_command", "'/bin/false'");
  await say("pg1", "SELECT pg_logical_emit_message(true, 'test', 'x')", "SELECT pg_switch_wal()");
  await waitFor("a failure of the archiver", async () => {
    const { findings } = await examine(cluster);
    return findings.some(
      ({ code, evidence }) =>
        code === "archiver_failing" && /^[0-9A-F]{24}$/.test(String(evidence["last_failed_wal"])),
    );
  });
  await say("pg1", "ALTER SYSTEM RESET archive_command", "SELECT pg_reload_conf()");
  await waitFor("the archive to be whole", async () => timeless(await examine(cluster)).length === 0);
});

describe("roles", () => {
  test("a superuser behind Odoo is critical, another one is advice", async () => {
    await say("pg1", "ALTER ROLE odoo SUPERUSER", "CREATE ROLE boss SUPERUSER LOGIN");
    const document = await examine(cluster);
    expect(document.worst).toBe("critical");
    expect(only(document, "odoo_role_superuser").evidence).toEqual({ role: "odoo" });
    expect(only(document, "more_superusers").evidence).toEqual({ role: "boss" });
    await follow(cluster, only(document, "odoo_role_superuser"));
    await follow(cluster, only(document, "more_superusers"));
    expect(timeless(await examine(cluster))).toEqual([]);
    await say("pg1", "DROP ROLE boss");
  });

  test("a password kept as MD5, and a role of Odoo that is kept out of database postgres", async () => {
    await say(
      "pg1",
      "CREATE ROLE odoo17 LOGIN CREATEDB",
      "SET password_encryption = 'md5'",
      "ALTER ROLE odoo17 PASSWORD 'not-a-secret'",
      "REVOKE CONNECT ON DATABASE postgres FROM PUBLIC",
      "GRANT CONNECT ON DATABASE postgres TO odoo, collectd",
    );
    const document = await examine(cluster);
    expect(only(document, "password_md5").evidence).toEqual({ role: "odoo17" });
    const cut = only(document, "odoo_role_cut_off");
    expect(cut.evidence).toEqual({ role: "odoo17" });
    await follow(cluster, cut);
    expect(timeless(await examine(cluster)).map(({ code }) => code)).toEqual(["password_md5"]);
    await say(
      "pg1",
      "REVOKE CONNECT ON DATABASE postgres FROM odoo17, odoo, collectd",
      "DROP ROLE odoo17",
      "GRANT CONNECT ON DATABASE postgres TO PUBLIC",
    );
  });
});

describe("slots", () => {
  test("one that nobody uses is told with what it keeps, and gone after the command", async () => {
    await say("pg1", "SELECT pg_create_physical_replication_slot('left_behind', true)");
    const found = only(await examine(cluster), "slot_unused");
    expect(found).toMatchObject({ node: "pg1", evidence: { slot: "left_behind", active: false } });
    await follow(cluster, found);
    expect(timeless(await examine(cluster))).toEqual([]);
  });

  test("one that keeps WAL, and is lost beyond its limit", async () => {
    // Two slots: the lost one may not be that of the replica.
    await say("pg1", "SELECT pg_create_physical_replication_slot('pg9', true)");
    const session = await cluster.session("pg1");
    /** Three segments on, with pg2 close behind: what is lost at a checkpoint is then only what nobody reads from. */
    const fill = async (): Promise<void> => {
      for (let segment = 0; segment < 3; segment++) {
        await session.rows("SELECT pg_logical_emit_message(true, 'test', 'x')");
        await session.rows("SELECT pg_switch_wal()");
      }
      await waitFor("pg2 to be level", async () => {
        const behind = await session.value(
          "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::float8 FROM pg_replication_slots WHERE slot_name = 'pg2'",
        );
        return typeof behind === "number" && behind < 1024 * 1024;
      });
    };
    await fill();
    // It belongs to no node, so that it is told as unused.
    expect(only(await examine(cluster), "slot_unused").evidence["kept_bytes"]).toBeGreaterThan(
      32 * 1024 * 1024,
    );
    await fill();
    await set("pg1", "max_slot_wal_keep_size", "'16MB'");
    await session.rows("CHECKPOINT");
    const lost = only(await examine(cluster), "slot_lost");
    expect(lost.evidence).toMatchObject({ slot: "pg9", wal_status: "lost" });
    await follow(cluster, lost);
    await say("pg1", "ALTER SYSTEM RESET max_slot_wal_keep_size", "SELECT pg_reload_conf()");
    await waitFor("its end", async () => timeless(await examine(cluster)).length === 0);
  });
});

describe("odoo.conf", () => {
  const judge = async (...lines: readonly string[]): Promise<Record<string, unknown>> => {
    const conf = join(temporaryFolder(), "odoo.conf");
    writeFileSync(conf, ["[options]", ...lines].join("\n"));
    const document = await examine(cluster, ["--odoo-conf", conf]);
    return Object.fromEntries(timeless(document).map(({ code, evidence }) => [code, evidence]));
  };

  test("that leads Odoo past the endpoints, as nobody, from a wrong template, is told of each", async () => {
    const [pg1, pg2] = cluster.ports.nodes;
    const { read } = cluster.ports;
    expect(
      await judge(
        `db_port = ${pg1}`,
        `db_replica_port = ${pg2}`,
        "db_replica_host = 127.0.0.1",
        "db_user = nobody_here",
        "unaccent = True",
        "limit_time_real_cron = 7200",
      ),
    ).toMatchObject({
      odoo_write_endpoint_bypassed: { db_port: pg1 },
      odoo_read_endpoint_bypassed: { db_replica_port: pg2, read_endpoint: read },
      odoo_role_unknown: { db_user: "nobody_here" },
      odoo_template_other: { db_template: "template0" },
      idle_timeout_below_cron: { limit_time_real_cron_seconds: 7200 },
    });
  });

  test("with db_replica_host alone, and more connections than there are", async () => {
    expect(await judge("db_replica_host = 127.0.0.1", "workers = 8", "db_maxconn = 64")).toMatchObject({
      odoo_replica_port_missing: { read_endpoint: cluster.ports.read },
      odoo_connections_exceed: { needed: 10 * 64 + 64 + 1 + 15, max_connections: 300 },
    });
  });

  test("that cannot be one is refused with the line, and nothing of what it holds", async () => {
    const conf = join(temporaryFolder(), "odoo.conf");
    writeFileSync(conf, "[options]\ndb_password = not-to-be-shown\nnot-to-be-shown\n");
    const ran = await cluster.run(["doctor", "--odoo-conf", conf]);
    expect(ran.exitCode).toBe(2);
    expect(ran.stderr).toContain("line 3");
    expect(ran.stdout + ran.stderr).not.toContain("not-to-be-shown");
    for (const other of [temporaryFolder(), join(temporaryFolder(), "none.conf")]) {
      const refused = await cluster.run(["doctor", "--odoo-conf", other, "--json"]);
      expect(refused.exitCode).toBe(2);
      expect(JSON.parse(refused.stdout)).toMatchObject({ error: { code: "config_invalid" } });
    }
  });
});

describe("connections and sessions", () => {
  test("connections that are nearly used up", async () => {
    const most = 300 - 3;
    const sessions = [];
    const session = await cluster.session("pg1");
    await session.rows("ALTER ROLE odoo CONNECTION LIMIT 260");
    for (let number = 0; number < Math.ceil(most * 0.85); number++)
      sessions.push(
        await connect({
          port: cluster.ports.nodes[0] ?? 0,
          user: "odoo",
          password: cluster.password("odoo"),
        }),
      );
    const found = only(await examine(cluster), "connections_nearly_used");
    expect(found).toMatchObject({ node: "pg1", evidence: { available: most } });
    await follow(cluster, found);
    await Promise.all(sessions.map(async (one) => await one.close()));
    await session.rows("ALTER ROLE odoo CONNECTION LIMIT -1");
  });
});

describe("pg_hba.conf", () => {
  test("holes are told by line, and closed by the command", async () => {
    const file = join(cluster.stateDir, "nodes", "pg1", "pg_hba.conf");
    const own = readFileSync(file, "utf8");
    const lines = own.trimEnd().split("\n").length;
    appendFileSync(
      file,
      [
        "local all all trust",
        "host all odoo 10.0.0.0/8 md5",
        "hostssl all all 10.0.0.0/8 scram-sha-256",
        "host all odoo 10.0.0.0/8 no-such-method",
        "",
      ].join("\n"),
    );
    const document = await examine(cluster);
    const linesOf = (code: string): unknown => only(document, code).evidence["lines"];
    expect(linesOf("hba_trust")).toBe(String(lines + 1));
    expect(linesOf("hba_weak_password")).toBe(String(lines + 2));
    expect(linesOf("hba_without_tls")).toBe(String(lines + 2));
    expect(linesOf("hba_superuser_remote")).toBe(String(lines + 3));
    expect(linesOf("hba_error")).toBe(String(lines + 4));
    await follow(cluster, only(document, "hba_trust"));
    expect(readFileSync(file, "utf8")).toBe(own);
    expect(timeless(await examine(cluster))).toEqual([]);
  });
});

describe("replicas", () => {
  test("reads that replay has cancelled", async () => {
    await set("pg2", "max_standby_streaming_delay", "'100ms'");
    await say("pg1", "CREATE TABLE in_the_way (a int)", "INSERT INTO in_the_way VALUES (1)");
    const reader = await cluster.session("pg2");
    await waitFor("the table on the replica", async () => {
      return (await reader.value("SELECT to_regclass('in_the_way') IS NOT NULL")) === true;
    });
    await reader.rows("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY");
    await reader.rows("SELECT * FROM in_the_way");
    await say("pg1", "DROP TABLE in_the_way");
    await waitFor("the conflict", async () =>
      (await examine(cluster)).findings.some(
        ({ code, evidence }) => code === "replica_conflicts" && Number(evidence["lock"]) > 0,
      ),
    );
    await follow(cluster, only(await examine(cluster), "replica_conflicts"));
    await follow(cluster, only(await examine(cluster), "standby_delay_unfit"));
    await say("pg2", "SELECT pg_stat_reset()");
    await waitFor("its end", async () => timeless(await examine(cluster)).length === 0);
  });

  test("settings below the primary's, which up brings up", async () => {
    const session = await cluster.session("pg1");
    await session.rows("ALTER SYSTEM SET max_worker_processes = 9");
    process.kill(cluster.postmaster("pg1"), "SIGINT");
    // The agent starts it again.
    await waitFor("the finding", async () =>
      (await examine(cluster)).findings.some(
        ({ code, node }) => code === "replica_settings_below" && node === "pg2",
      ),
    );
    const found = only(await examine(cluster), "replica_settings_below");
    expect(found.evidence).toEqual({ setting: "max_worker_processes", replica: 8, primary: 9 });
    await follow(cluster, found);
    await cluster.healthy();
    expect(timeless(await examine(cluster))).toEqual([]);
    await say("pg1", "ALTER SYSTEM RESET max_worker_processes");
  });

  test("one that is down is not called well", async () => {
    const pid = cluster.postmaster("pg2");
    process.kill(pid, "SIGSTOP");
    try {
      const document = await examine(cluster);
      expect(document.nodes).toEqual(["pg1"]);
      expect(document.not_looked_at).toContainEqual({
        what: "the server pg2",
        why: expect.stringMatching(/^no session in database "postgres" came about in time/),
      });
      const { stdout } = await cluster.run(["doctor"]);
      expect(stdout.replaceAll(/\s+/g, " ")).toContain(
        'the server pg2: no session in database "postgres" came about',
      );
    } finally {
      process.kill(pid, "SIGCONT");
    }
    await cluster.healthy();
  });
});

test("a cluster that is down is looked at as far as that goes, with exit status 69", async () => {
  const other = await throwawayCluster();
  const ran = await other.run(["doctor"]);
  expect(ran.exitCode).toBe(69);
  expect(ran.stdout).toMatch(/Nothing was checked\.\n$/);
  expect(ran.stdout).not.toMatch(/Nothing is wrong/);
});

/** Every command that status or doctor print as a next step, but those that end only with the reader. */
function nextCommands(): readonly string[] {
  const steps = [
    ...Object.values(causes).flatMap(({ when }) => statusOf(observed(when)).warnings),
    ...Object.values(FAULTS).flatMap((fault) => diagnose(fault)),
  ].flatMap(({ next_step }) => next_step);
  const printed = steps.flatMap((part) =>
    typeof part !== "string" && part.program === "odoo-pg" ? [printCommand(part)] : [],
  );
  // Statements have tests of their own, by what was planted for them; what prints a password stays out of reports.
  return [...new Set(printed)].filter(
    (text) => !/ (?:--watch|-f|psql|down|odoo-conf)\b| key confirm/.test(text),
  );
}

test("takes every next step of every trouble as it is typed: it helps, or says why not", async () => {
  const typed = nextCommands();
  expect(typed.length).toBeGreaterThan(15);
  for (const text of typed) {
    const { stdout: words } = await execa("sh", ["-c", `set -- ${text}; printf '%s\\0' "$@"`]);
    const ran = await cluster.run(words.split("\0").slice(1, -1), { timeout: 120_000 });
    const said = `${text}\n${ran.exitCode}\n${ran.stdout}\n${ran.stderr}`;
    expect(said).not.toMatch(
      /unknown (?:option|command)|too many arguments|missing required|internal|Unexpected/,
    );
    if (ran.exitCode !== 0) expect(ran.stderr.trim(), said).toMatch(/\S+ \S+ \S+/);
  }
  await cluster.healthy();
});
