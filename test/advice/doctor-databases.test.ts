import { readFileSync, statfsSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { beforeAll, describe, expect, test } from "vitest";
import { readApplied } from "../../src/store/state.ts";
import { diagnose } from "../../src/advice/doctor/diagnose.ts";
import { type Evidence, type IdleSession, unseen, observedValues } from "../../src/advice/doctor/evidence.ts";
import { doctorDocument } from "../../src/advice/doctor/document.ts";
import { gatherEvidence } from "../../src/advice/doctor/gather/gather.ts";
import { layoutOf } from "../../src/config/layout.ts";
import { type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import { makeOdooDatabase } from "../support/odoo-database.ts";
import { waitFor } from "../support/wait.ts";
import { examine, follow, only, timeless } from "./following.ts";

let cluster: ThrowawayCluster;

beforeAll(async () => {
  cluster = await throwawayCluster({
    nodes: 1,
    config: { backup: { enabled: true, schedule: "0 0 1 1 *", drill_schedule: "0 0 1 1 *" } },
  });
  await cluster.up();
  await makeOdooDatabase({
    superuser: cluster.superuser(),
    database: "shop",
    filestore: join(cluster.folder, "filestore"),
    attachments: 2,
  });
});

/** Runs statements as superuser in a database, each by itself. */
async function say(database: string, ...statements: readonly string[]): Promise<void> {
  const session = await cluster.session("pg1", "postgres", database);
  for (const statement of statements) await session.rows(statement);
  await session.close();
}

/** What the command gathers, without the start of a program: for looks that only wait, or see the end of something. */
async function gathered(): Promise<Evidence> {
  const applied = await readApplied(layoutOf(cluster.stateDir));
  if (!applied) throw new Error("nothing was applied");
  return await gatherEvidence({ config: applied.config, odooConf: unseen("not named") });
}

async function codes(): Promise<string[]> {
  return timeless(doctorDocument(await gathered(), undefined)).map(({ code }) => code);
}

test("a healthy database of Odoo has no findings", async () => {
  // The agent closes it to others at its next look.
  await waitFor("nothing to be found", async () => (await codes()).length === 0);
  const document = await examine(cluster);
  expect(timeless(document)).toEqual([]);
  expect(document.databases).toEqual(["shop"]);
});

describe("planted in a database, found, and gone after the command that doctor prints", () => {
  test.each<[code: string, ...statements: string[]]>([
    ["database_owner_wrong", "ALTER DATABASE shop OWNER TO collectd"],
    [
      "objects_owner_wrong",
      "ALTER TABLE res_partner OWNER TO collectd",
      "ALTER VIEW report_partner OWNER TO postgres",
    ],
    ["unaccent_not_immutable", "ALTER FUNCTION unaccent(text) STABLE"],
    [
      "unaccent_index_missing",
      "SET ROLE odoo",
      "CREATE TABLE sale_order (id serial PRIMARY KEY, name varchar)",
      "CREATE TABLE product_template (id serial PRIMARY KEY, name jsonb)",
      "CREATE INDEX product_template__name_index ON product_template USING gin (((jsonb_path_query_array(name, '$.*'))::text) gin_trgm_ops)",
    ],
    [
      "index_invalid",
      "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ir_attachment__store_fname_index'::regclass",
    ],
    [
      "index_invalid",
      "CREATE INDEX res_users_login_ccnew ON res_users (login, active)",
      "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'res_users_login_ccnew'::regclass",
    ],
    [
      "tables_not_vacuumed",
      "CREATE TABLE bus_bus (id serial PRIMARY KEY, message text) WITH (autovacuum_enabled = false)",
      "ALTER TABLE bus_bus OWNER TO odoo",
      "INSERT INTO bus_bus (message) SELECT 'x' FROM generate_series(1, 5000)",
      "DELETE FROM bus_bus",
    ],
  ])("%s: %s", async (code, ...statements) => {
    await say("shop", ...statements);
    // Statistics of tables come a moment later.
    await waitFor("the finding", async () => (await codes()).includes(code));
    const document = await examine(cluster);
    const found = timeless(document);
    expect(new Set(found.map((one) => one.code))).toEqual(new Set([code]));
    expect(found.every(({ database }) => database === "shop")).toBe(true);
    for (const one of found) await follow(cluster, one);
    await waitFor("its end", async () => (await codes()).length === 0);
  });
});

test("a sequence of 32-bit numbers that is used up by more than half", async () => {
  await say("shop", "SELECT setval('res_partner_id_seq', 1500000000)");
  const found = only(await examine(cluster), "sequence_half_used");
  expect(found.evidence).toMatchObject({ last: 1_500_000_000, most: 2_147_483_647 });
  expect(found.message).toContain("res_partner.id");
  await follow(cluster, found);
  await say("shop", "SELECT setval('res_partner_id_seq', 1000)");
  expect(await codes()).toEqual([]);
});

test("indexes that are the same are told, and stay", async () => {
  await say(
    "shop",
    "CREATE INDEX partner_ref_one ON res_partner (ref)",
    "CREATE INDEX partner_ref_two ON res_partner (ref)",
    "CREATE INDEX partner_ref_part ON res_partner (ref) WHERE ref IS NOT NULL",
    "CREATE INDEX partner_id ON res_partner (id)",
    "CREATE INDEX partner_id_down ON res_partner (id DESC)",
  );
  const found = only(await examine(cluster), "index_duplicate");
  expect(found.evidence["indexes"]).toBe(2);
  expect(found.message).toContain("public.partner_ref_two is the same as public.partner_ref_one");
  expect(found.message).toContain("public.partner_id is the same as public.res_partner_pkey");
  await follow(cluster, found);
  expect(only(await examine(cluster), "index_duplicate").evidence["indexes"]).toBe(2);
  await say(
    "shop",
    "DROP INDEX partner_ref_one, partner_ref_two, partner_ref_part, partner_id, partner_id_down",
  );
  expect(await codes()).toEqual([]);
});

describe("another database", () => {
  test("without what Odoo needs, in another encoding, under a name that is hard to write", async () => {
    const name = `it's "a=b" c`;
    const quoted = `"${name.replaceAll('"', '""')}"`;
    await say(
      "postgres",
      `CREATE DATABASE ${quoted} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C' OWNER odoo`,
    );
    await say(
      name,
      "GRANT CREATE ON SCHEMA public TO PUBLIC",
      "SET ROLE odoo",
      "CREATE TABLE ir_module_module (id serial PRIMARY KEY)",
    );
    const document = await examine(cluster);
    expect(only(document, "database_collation")).toMatchObject({
      database: name,
      evidence: { encoding: "LATIN1", collation: "C" },
    });
    const missing = only(document, "extension_missing");
    expect(missing.evidence).toEqual({ missing: "pg_trgm, unaccent" });
    await follow(cluster, missing);
    expect(await codes()).toEqual(["database_collation"]);
    await say("postgres", `DROP DATABASE ${quoted}`);
  });

  test("whose sorting library has changed", async () => {
    const session = await cluster.session("pg1");
    const version = Number(await session.value("SHOW server_version_num"));
    await session.rows(
      version >= 150_000
        ? "CREATE DATABASE wiki TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en' LOCALE 'C'"
        : "CREATE DATABASE wiki TEMPLATE template0",
    );
    // The agent closes it to other roles a moment later.
    await waitFor("no finding", async () => (await codes()).length === 0);
    // Before version 15 the server does not know.
    if (version >= 150_000) {
      await session.rows("UPDATE pg_database SET datcollversion = '1.2.3' WHERE datname = 'wiki'");
      const found = only(await examine(cluster), "collation_version_changed");
      expect(found).toMatchObject({ database: "wiki", evidence: { recorded: "1.2.3" } });
      await follow(cluster, found);
      expect(await codes()).toEqual([]);
    }
    await session.rows("DROP DATABASE wiki");
  });

  test("that takes no connections, or a part that hangs, is not called well", async () => {
    await say("postgres", "CREATE DATABASE kept", "ALTER DATABASE kept ALLOW_CONNECTIONS false");
    const holder = await cluster.session("pg1", "postgres", "shop");
    await holder.rows("BEGIN");
    await holder.rows("ALTER SEQUENCE res_users_id_seq MAXVALUE 2000000000");
    const document = await examine(cluster);
    expect(document.not_looked_at).toContainEqual({
      what: "sequences of shop",
      why: "it did not answer in time",
    });
    expect(document.not_looked_at.find(({ what }) => what === "database kept")?.why).toContain(
      "no connections",
    );
    expect(document.databases).toEqual(["shop"]);
    await holder.rows("ROLLBACK");
    await say("postgres", "DROP DATABASE kept");
  });
});

test("a template that was spoilt is found, and up makes it whole", async () => {
  await say("odoo_template", "DROP EXTENSION pg_trgm", "ALTER FUNCTION unaccent(text) STABLE");
  const found = only(await examine(cluster), "template_unfit");
  expect(found.evidence).toEqual({ lacks: "pg_trgm, an IMMUTABLE unaccent" });
  await follow(cluster, found);
  expect(await codes()).toEqual([]);
});

describe("transactions in which nothing happens", () => {
  /** What is seen now, as if so many seconds had passed. */
  const later = async (seconds: number): Promise<Evidence> => {
    const evidence = await gathered();
    const aged = (session: IdleSession): IdleSession => ({ ...session, seconds: session.seconds + seconds });
    return {
      ...evidence,
      nodes: evidence.nodes.map((node) => ({
        ...node,
        server: node.server.seen
          ? {
              seen: true,
              value: {
                ...node.server.value,
                sessions: node.server.value.sessions.seen
                  ? {
                      seen: true,
                      value: {
                        ...node.server.value.sessions.value,
                        idle: node.server.value.sessions.value.idle.map(aged),
                      },
                    }
                  : node.server.value.sessions,
              },
            }
          : node.server,
      })),
    };
  };

  test("are told by who they are: a user's, a scheduled action's by its lock, one by its words", async () => {
    const begin = async (...statements: readonly string[]): Promise<unknown> => {
      const session = await cluster.session("pg1", "odoo", "shop");
      await session.rows("BEGIN");
      for (const statement of statements) await session.rows(statement);
      return await session.value("SELECT pg_backend_pid()");
    };
    const user = await begin("SELECT count(*) FROM res_partner");
    const byLock = await begin("SELECT id FROM ir_cron WHERE id = 1 FOR NO KEY UPDATE SKIP LOCKED");
    const words = await cluster.session("pg1", "odoo", "shop");
    await words.rows("BEGIN");
    await words.rows("SELECT id FROM ir_cron");
    const evidence = await later(4000);
    const found = diagnose(evidence).filter(({ code }) => code.endsWith("in_transaction"));
    const pids = (code: string): unknown[] =>
      found.filter((one) => one.code === code).map(({ evidence: figures }) => figures["pid"]);
    expect(pids("idle_in_transaction")).toEqual([user]);
    expect(pids("cron_in_transaction")).toHaveLength(2);
    expect(pids("cron_in_transaction")).toContain(byLock);
    expect(await codes()).toEqual([]);
    await words.rows("ROLLBACK");
    expect(observedValues(evidence.catalog)).toHaveLength(1);
  });
});

test("a disk that fills within days, by the agent's samples", async () => {
  const file = join(cluster.stateDir, "samples.jsonl");
  await waitFor("the first sample", () => readFileSync(file, "utf8").includes("\n"));
  const own = readFileSync(file, "utf8");
  const { bavail, bsize } = statfsSync(cluster.stateDir);
  const free = bavail * bsize;
  const template: unknown = JSON.parse(own.split("\n")[0] ?? "");
  const minutes = Array.from({ length: 60 }, (_, index) => 480 - 8 * index);
  const lines = minutes.map((ago) =>
    JSON.stringify({
      ...(typeof template === "object" ? template : {}),
      at: new Date(Date.now() - ago * 60_000).toISOString(),
      // Full in five days.
      nodes: [
        {
          name: "pg1",
          lag_bytes: null,
          lag_seconds: null,
          disk_free_bytes: Math.round(free * (1 + ago / (5 * 1440))),
        },
      ],
    }),
  );
  writeFileSync(file, `${lines.join("\n")}\n${own}`);
  const document = await examine(cluster);
  const found = only(document, "disk_days_left");
  expect(Number(found.evidence["days_left"])).toBeGreaterThan(2);
  expect(found.evidence).toMatchObject({ history_hours: 8 });
  expect(document.not_looked_at.map(({ what }) => what)).toEqual(["odoo.conf"]);
  writeFileSync(file, own);
});

test("backups that were never proven, and databases with no backups at all", async () => {
  expect((await cluster.run(["backup", "create", "--all"])).exitCode).toBe(0);
  const found = only(await examine(cluster), "never_drilled");
  expect(found.evidence).toMatchObject({ backups: 1, last_drill_at: null });
  await follow(cluster, found);
  expect(await codes()).toEqual([]);
  cluster.configure({ backup: { enabled: false } });
  await cluster.up();
  expect(await codes()).toEqual(["backups_off"]);
  cluster.configure({});
  await follow(cluster, only(await examine(cluster), "backups_off"));
  expect(await codes()).toEqual([]);
});

test("data without checksums", async () => {
  const { stdout: bin } = await execa("pg_config", ["--bindir"]);
  const data = join(cluster.stateDir, "nodes", "pg1", "data");
  const { uid, gid } = statSync(data);
  const checksums = async (how: string): Promise<void> => {
    await execa(join(bin, "pg_checksums"), [how, "-D", data], { uid, gid, cwd: "/" });
  };
  await cluster.down();
  await checksums("--disable");
  await cluster.up();
  const found = only(await examine(cluster), "checksums_off");
  expect(found).toMatchObject({ node: "pg1", severity: "warning" });
  expect(found.next).toContain(`pg_checksums --enable -D ${data}`);
  await follow(cluster, found);
  await checksums("--enable");
  await cluster.up();
  expect(await codes()).toEqual([]);
});
