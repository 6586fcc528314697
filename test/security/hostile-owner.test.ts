import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { commandLine } from "../../src/cli/program.ts";
import { quoteSqlIdentifier as id, type Row } from "../../src/system/sql/sql.ts";
import { withSession } from "../support/with-session.ts";
import { Principal } from "../console/visitor.ts";
import { type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import { makeOdooDatabase } from "../support/odoo-database.ts";
import { connect, type Session } from "../support/pg.ts";
import { freePort } from "../support/ports.ts";
import { type Ran, runProgram, type Running, startProgram } from "../support/program.ts";
import { waitFor } from "../support/wait.ts";
import { captures, SEIZED } from "./captures.ts";

/** What would act on a terminal. */
const ACTS = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/u;
/** A name as the owner of a database may choose it. */
const LOUD = "loud\u001b]0;owned\u0007\r\u202e\b";
/** Names of databases that are something else to a path, a connection string, a program or a shell. */
const PLACES = [
  "..",
  "host=/tmp dbname=postgres",
  "--help",
  "$(touch /tmp/of-the-owner)'\"\n\\! touch /tmp/of-the-owner",
];
/** What a name or a comment would make, were it run. */
const MADE = "/tmp/of-the-owner";
/** What only another tenant may read. */
const CANARY = "canary-of-the-other-tenant";

let cluster: ThrowawayCluster;
let port: number;
let backups: string;
/** What was planted, by its name; and what was refused, with the reason. */
const planted = new Map<string, number>();
const refused: string[] = [];

/** The superuser's settings in this test: none of the databases'. */
const CAREFUL = {
  search_path: "pg_catalog",
  role: "none",
  local_preload_libraries: "",
  session_preload_libraries: "",
  statement_timeout: "0",
  lock_timeout: "0",
  idle_session_timeout: "0",
  idle_in_transaction_session_timeout: "0",
  default_transaction_isolation: "read committed",
  default_transaction_read_only: "off",
  client_encoding: "UTF8",
};

async function ask(sql: string, node: "pg1" | "pg2" = "pg1"): Promise<Row[]> {
  const port = cluster.ports.nodes[node === "pg1" ? 0 : 1] ?? 0;
  return await withSession({ ...cluster.superuser(), port, settings: CAREFUL }, (session) =>
    session.query(sql),
  );
}

async function plant(session: Session, where: string, statements: readonly string[]): Promise<void> {
  for (const statement of statements) {
    await session.rows(statement).then(
      () => planted.set(where, (planted.get(where) ?? 0) + 1),
      (error: unknown) => {
        refused.push(`${where}: ${String(error)}: ${statement.trim().slice(0, 90)}`);
      },
    );
  }
}

async function plantAll(database: string, role: string, password: string, which = /./): Promise<void> {
  const session = await connect({ port: cluster.ports.nodes[0] ?? 0, user: role, password, database });
  for (const { name, statements } of captures(database, role))
    if (which.test(name)) await plant(session, name, statements);
  await session.close();
}

const roleSchema = z.object({ role: z.object({ password: z.string() }) });

/** A tenant of its own, with a database that it made as Odoo does. */
async function tenant(name: string): Promise<Session> {
  const { password } = roleSchema.parse(await cluster.json(["role", "create", name])).role;
  passwords.set(name, password);
  const access = { port: cluster.ports.nodes[0] ?? 0, user: name, password };
  const outside = await connect({ ...access, database: "postgres" });
  await outside.rows(`CREATE DATABASE ${id(`${name}_shop`)} TEMPLATE odoo_template`);
  await outside.close();
  return await connect({ ...access, database: `${name}_shop` });
}
const passwords = new Map<string, string>();

beforeAll(async () => {
  port = await freePort();
  cluster = await throwawayCluster({ nodes: 2, config: { console: { enabled: true, port } } });
  backups = join(cluster.folder, "backups");
  const filestore = join(cluster.folder, "filestore");
  cluster.configure({
    backup: {
      dir: backups,
      schedule: "off",
      drill_schedule: "off",
      any_second: { enabled: true, full_schedule: "0 0 1 1 *", diff_schedule: "off", drill_schedule: "off" },
    },
    odoo: { filestore },
  });
  await cluster.up();
  await makeOdooDatabase({ superuser: cluster.superuser(), database: "shop", filestore, attachments: 3 });
  await makeOdooDatabase({ superuser: cluster.superuser(), database: "views", filestore, attachments: 1 });

  const other = await tenant("other");
  await other.rows(`CREATE TABLE secrets AS SELECT '${CANARY}'::text AS secret`);
  await other.close();
  await (await tenant("tenant")).close();

  // What lies in other databases than its own, where it may.
  for (const database of ["postgres", "odoo_template", "other_shop"]) {
    const session = await connect({
      port: cluster.ports.nodes[0] ?? 0,
      user: "odoo",
      password: cluster.password("odoo"),
      database,
    }).catch((error: unknown) => void refused.push(`${database}: ${String(error)}`));
    if (!session) continue;
    for (const { statements } of captures(database, "odoo"))
      await plant(session, `in ${database}`, statements);
    await session.close();
  }
  const odoo = await cluster.session("pg1", "odoo", "shop");
  for (const name of [LOUD, ...PLACES]) await odoo.rows(`CREATE DATABASE ${id(name)} TEMPLATE template0`);
  await odoo.rows(`CREATE TABLE public.${id(LOUD)} (${id(LOUD)} text)`);
  await odoo.close();
  const inViews = await cluster.session("pg1", "odoo", "views");
  await inViews.rows(
    ["ir_attachment", "ir_module_module", "ir_config_parameter", "ir_cron"]
      .map((table) => `DROP TABLE public.${table} CASCADE`)
      .join("; "),
  );
  const [first] = captures("views", "odoo");
  await plant(inViews, "views of Odoo's names", first?.statements ?? []);
  await plant(inViews, "views of Odoo's names", [
    `CREATE VIEW public.ir_attachment AS SELECT 1 AS id, 'ab/cd'::varchar AS store_fname, 1 AS file_size,
       'x'::varchar AS checksum WHERE public.seize('view:ir_attachment')`,
    `CREATE VIEW public.ir_module_module AS SELECT 1 AS id, 'base'::varchar AS name, 'installed'::varchar AS state,
       '19.0.1.3'::varchar AS latest_version WHERE public.seize('view:ir_module_module')`,
    `CREATE VIEW public.ir_config_parameter AS SELECT 'database.uuid'::varchar AS key, 'x'::text AS value
       WHERE public.seize('view:ir_config_parameter')`,
    `CREATE VIEW public.ir_cron AS SELECT 1 AS id, true AS active, now() AS nextcall WHERE public.seize('view:ir_cron')`,
  ]);
  await inViews.close();
  await plantAll("shop", "odoo", cluster.password("odoo"));
  // Another owner, who may less: a few ways are enough.
  await plantAll("tenant_shop", "tenant", passwords.get("tenant") ?? "", /^(seize|views|settings)/);
  before = await rights();
  plantedAt = Date.now();
}, 180_000);

/** Who may what in the cluster. */
async function rights(): Promise<Row[]> {
  return await ask(`
    SELECT 'role ' || rolname AS what, ARRAY[rolsuper, rolcreaterole, rolreplication, rolbypassrls]::text AS how FROM pg_roles
      WHERE rolname !~ '^(pg_|odoo_pg_)' AND rolname <> 'newcomer'
    UNION ALL SELECT 'member ' || roleid::regrole, member::regrole::text FROM pg_auth_members
      WHERE member::regrole::text !~ '^"?(pg_|odoo_pg_)' AND member::regrole::text <> 'newcomer'
    UNION ALL SELECT 'owner of ' || datname, datdba::regrole::text FROM pg_database
      WHERE datname IN ('postgres', 'template0', 'template1', 'odoo_template', 'other_shop')
    ORDER BY 1, 2`);
}
let before: Row[] = [];

/** The servers' logs until now: where each log was read to. */
const readTo = new Map<string, number>();

function newLogLines(): string {
  let text = "";
  for (const node of ["pg1", "pg2"]) {
    const dir = join(cluster.stateDir, "nodes", node, "log");
    for (const name of existsSync(dir) ? readdirSync(dir) : []) {
      const file = join(dir, name);
      if (!statSync(file).isFile()) continue;
      const whole = readFileSync(file, "utf8");
      text += whole.slice(readTo.get(file) ?? 0);
      readTo.set(file, whole.length);
    }
  }
  return text;
}

interface Seized {
  readonly way: string;
  readonly session: string;
  readonly after: string;
  readonly program: string;
}

let marks = 0;

/** What ran of the captures since the last look. Lines reach the logs in their order: up to one of our own. */
async function seized(running: boolean): Promise<Seized[]> {
  let text = "";
  if (running) {
    marks += 1;
    for (const node of ["pg1", "pg2"] as const) {
      const mark = `MARK ${marks} of ${node}.`;
      await ask(`DO $$ BEGIN RAISE LOG '${mark}'; END $$`, node);
      await waitFor("the log to come", () => (text += newLogLines()).includes(mark));
    }
  } else text = newLogLines();
  return text.split("\n").flatMap((line) => {
    const [, way = "", session = "", , after = "", program = ""] = SEIZED.exec(line) ?? [];
    return way === "" ? [] : [{ way, session, after, program }];
  });
}

/** The roles that a capture must never run as, or come to. */
const POWERFUL = ["postgres", "replicator", "collectd"];

/** The end of every row: nobody has become more, nothing of the captures ran with another's rights. */
async function expectNothingGained(did: string, running = true): Promise<void> {
  const wrong = (await seized(running)).filter(({ after }) => POWERFUL.includes(after));
  const ways = wrong.map(
    ({ way, session, after, program }) => `${way}: session ${session} as ${after} (${program})`,
  );
  expect([...new Set(ways)], `${did} ran code of a database's owner`).toEqual([]);
  if (running) expect(await rights(), `rights after ${did}`).toEqual(before);
  expect(existsSync(MADE), `${did} ran a name`).toBe(false);
}

/** What a command printed holds nothing that acts, no defect, and nothing of another tenant's. */
function expectCleanWords(ran: Ran, did: string): void {
  const words = ran.stdout + ran.stderr;
  expect(words.replaceAll(/[\n\t]/g, ""), `${did} prints what would act on a terminal`).not.toMatch(ACTS);
  expect(words, did).not.toMatch(/Unexpected: |Error \(internal\)/);
  expect(words, did).not.toContain(CANARY);
}

const stateDir = (): string => cluster.stateDir;
const backupSchema = z.object({ backups: z.object({ id: z.string(), database: z.string() }).array() });

async function newestBackup(database: string): Promise<string> {
  const { backups: all } = backupSchema.parse(await cluster.json(["backup", "list"]));
  return all.findLast((backup) => backup.database === database)?.id ?? "none";
}

const windowSchema = z.object({ from: z.string().nullable(), to: z.string().nullable() });

/** A second of the window in which all captures are there, as it is told. */
async function aSecond(): Promise<string> {
  let newest = "";
  await ask("SELECT pg_switch_wal()");
  await waitFor("a second of the window", async () => {
    const { to } = windowSchema.parse(await cluster.json(["backup", "window"]));
    newest = to ?? "";
    return to !== null && Date.parse(to) > plantedAt;
  });
  return newest;
}
let plantedAt = 0;

/** A session of Odoo's that runs something. */
async function sessionOfOdoo(): Promise<string> {
  const session = await cluster.session("pg1", "odoo", "views");
  const pid = String(await session.value("SELECT pg_catalog.pg_backend_pid()"));
  void session.rows("SELECT pg_catalog.pg_sleep(600)").catch(() => {});
  await waitFor("it to run", async () => {
    const [row] = await ask(`SELECT state FROM pg_stat_activity WHERE pid = ${pid}`);
    return row?.["state"] === "active";
  });
  return pid;
}

/** One command, asked once. */
interface Tried {
  readonly command: string;
  readonly args: () => Promise<readonly string[]> | readonly string[];
  /** Whether it has to be done; else it may be refused, with a reason. */
  readonly done: boolean;
  /** What it prints, where that matters. */
  readonly says?: RegExp;
}

const row = (command: string, args: readonly string[] | Tried["args"] = [], done = true): Tried => ({
  command,
  args: typeof args === "function" ? args : () => args,
  done,
});
const MAY_BE_REFUSED = false;

/** Commands that people do not type: they name no configuration. */
const HIDDEN = ["scheduled-backup", "keep-attachments", "as-applied", "origin"];

/** Every command, in an order in which each finds what it needs. A command of the program that is not here fails the test. */
const ROWS: readonly Tried[] = [
  row("status"),
  row("status", ["--json"]),
  row("doctor", [], MAY_BE_REFUSED),
  row("doctor", ["--fix", "unaccent_index_missing"], MAY_BE_REFUSED),
  row("doctor", ["--fix", "objects_owner_wrong"], MAY_BE_REFUSED),
  row("doctor", ["--fix", "tables_not_vacuumed"], MAY_BE_REFUSED),
  row("doctor", ["--fix", "extension_missing"], MAY_BE_REFUSED),
  row("tune", []),
  row("db list"),
  row("db list", ["--json"]),
  row("role list"),
  row("sessions list"),
  row("sessions list", ["shop", "--json"]),
  row("sessions cancel", async () => [await sessionOfOdoo()]),
  row("sessions terminate", async () => [await sessionOfOdoo()]),
  row("sessions kill", ["shop"]),
  row("sessions kill", ["views", "--cancel"]),
  row("role create", ["newcomer"]),
  row("role drop", ["newcomer", "--confirm", "newcomer"]),
  row("up"),
  row("odoo-conf"),
  row("adopt", () => {
    writeFileSync(join(cluster.folder, "odoo.conf"), `[options]\ndata_dir = ${cluster.folder}\n`);
    return [join(cluster.folder, "odoo.conf")];
  }),
  row("psql", ["pg1", "--", "-XAtc", "SELECT 1"]),
  row("backup create", ["--all"]),
  row("backup list"),
  row("backup show", async () => [await newestBackup("shop")]),
  row("backup verify", async () => [await newestBackup("shop")]),
  row("backup restore-check"),
  {
    // Recovers all and looks through its tables and indexes, also those whose expressions are the owner's functions.
    ...row("backup verify", async () => ["--any-second", "--at", await aSecond()]),
    says: /^shop: .*, none missing, \d+ tables and indexes sound$/m,
  },
  row("restore", async () => ["shop", "--at", await aSecond(), "--as", "then"]),
  row("backup export", async () => [
    await newestBackup("shop"),
    "--odoo-zip",
    join(cluster.folder, "shop.zip"),
  ]),
  row("backup prune"),
  row("restore", async () => [await newestBackup("shop"), "--as", "again"]),
  row("restore", async () => [await newestBackup("tenant_shop"), "--as", "tenant_again"]),
  row("restore", async () => [await newestBackup("shop"), "--replace", "again", "--confirm", "again"]),
  row("db copy", ["shop", "copied"]),
  // A rule that the owner put on a table keeps it from being changed.
  row("db copy", ["shop", "neutral", "--neutralize"], MAY_BE_REFUSED),
  row("db copy", ["views", "neutral views", "--neutralize"], MAY_BE_REFUSED),
  row("db rename", ["copied", "renamed", "--yes"]),
  row("db drop", ["renamed", "--confirm", "renamed"]),
  row("logs"),
  row("logs", ["pg1"]),
  row("config check"),
  row("config show"),
  row("systemd"),
  row("compose", ["--print"]),
  row("history"),
  row("replication status"),
  row("console"),
  row("alarms list"),
  row("alarms test", [], MAY_BE_REFUSED),
  row("alerts list"),
  row("alerts test", [], MAY_BE_REFUSED),
  row("events"),
  row("switchover", ["--to", "pg2"]),
  row("reseed", ["pg1", "--discard-old"]),
  row("promote", ["pg1", "--fence", "fast", "--dry-run"]),
  row("rejoin", ["pg1", "--dry-run"], MAY_BE_REFUSED),
  row("scheduled-backup", () => ["--state-dir", stateDir(), "--kind", "backup"]),
  row("scheduled-backup", () => ["--state-dir", stateDir(), "--kind", "drill"]),
  // The agent does it, for any second.
  row("keep-attachments", () => ["--state-dir", stateDir()], MAY_BE_REFUSED),
  row("as-applied", () => ["--state-dir", stateDir(), "--", "status"]),
  row("origin", ["backupDatabase.sh", "shop"]),
  row("origin", ["pgKillSessions.sh", "shop"]),
  row("origin", ["pgReplicationStatus.sh"], MAY_BE_REFUSED),
  row("origin", ["pgClientReplicationStatus.sh"], MAY_BE_REFUSED),
  row("backup window"),
  row("backup copy", [], MAY_BE_REFUSED),
  row("backup key", ["show"], MAY_BE_REFUSED),
  row("backup fetch", [], MAY_BE_REFUSED),
  row("statements list"),
  row("statements changes"),
  row("alarms set", ["slack", "--dry-run", "--secret-file", "/dev/null"], MAY_BE_REFUSED),
  row("alerts set", ["slack", "--dry-run", "--secret-file", "/dev/null"], MAY_BE_REFUSED),
  row("alarms unset", ["slack", "--dry-run"], MAY_BE_REFUSED),
  row("alerts unset", ["slack", "--dry-run"], MAY_BE_REFUSED),
  // One of its own tables, with an index whose condition the planner works out.
  row("statements plan", async () => [await statementOf("shop", "odoo")], MAY_BE_REFUSED),
  row("statements enable", [], MAY_BE_REFUSED),
  // Of several hosts: this is one.
  row("ha init", ["--address", "192.0.2.1"], MAY_BE_REFUSED),
  row("ha invite", [], MAY_BE_REFUSED),
  row("ha remove", ["other", "--confirm", "other"], MAY_BE_REFUSED),
  row("join", ["192.0.2.1:5051#nothing"], MAY_BE_REFUSED),
  row("leave", [], MAY_BE_REFUSED),
  row("ha disband", [], MAY_BE_REFUSED),
  row("ha force-new-cluster", [], MAY_BE_REFUSED),
  row("failover", ["other"], MAY_BE_REFUSED),
  row("restart", [], MAY_BE_REFUSED),
  row("pause", ["--for", "5m"], MAY_BE_REFUSED),
  row("resume", [], MAY_BE_REFUSED),
  row("destroy", [], MAY_BE_REFUSED),
  row("down"),
  row("up"),
];

const countedSchema = z.object({
  statements: z
    .object({ id: z.string(), database: z.string(), role: z.string(), statement: z.string() })
    .array(),
});

/** A statement that the owner ran on a table with captures, as the list names it. */
async function statementOf(database: string, role: string): Promise<string> {
  const access = { host: "127.0.0.1", port: cluster.ports.write, user: role, database };
  const settings = { idle_session_timeout: "0", local_preload_libraries: "", statement_timeout: "0" };
  let own: string | undefined;
  // The list has those that took longest: on a busy machine others may have taken longer.
  await waitFor("the statement to be among the longest", async () => {
    await withSession({ ...access, password: cluster.password("odoo"), settings }, (session) =>
      session.query("SELECT pg_sleep(0.5) FROM public.res_partner WHERE id = 1 LIMIT 1"),
    );
    const { statements } = countedSchema.parse(await cluster.json(["statements", "list"]));
    own = statements.find(
      (one) => one.database === database && one.role === role && one.statement.includes("pg_sleep"),
    )?.id;
    return own !== undefined;
  });
  return own ?? "";
}

/** Commands that are the agent of this very cluster, or run only in a container, where test/docker tries them. */
const ELSEWHERE = ["agent", "container", "container-setup", "container-health"];

/** Names of all commands that do something, as they are typed. */
function allCommands(): readonly string[] {
  const { root } = commandLine({
    args: [],
    environment: {},
    cwd: "/",
    program: ["node", "odoo-pg"],
    called: "odoo-pg",
  });
  const leaves = (command: typeof root, before: string): string[] =>
    command.commands.length
      ? command.commands.flatMap((each) => leaves(each, `${before}${each.name()} `))
      : [before.trim()];
  return leaves(root, "").sort();
}

test("every command of the program has a row", () => {
  expect([...new Set([...ROWS.map(({ command }) => command), ...ELSEWHERE])].sort()).toEqual(allCommands());
});

test("the captures lie in the owner's databases, and work on who is not careful", async () => {
  for (const { name } of captures("shop", "odoo")) expect(planted.get(name) ?? 0, name).toBeGreaterThan(0);
  await seized(true);
  const { search_path: _, ...careless } = CAREFUL;
  for (const [database, statement] of [
    ["views", "SELECT pg_catalog.count(*) FROM public.ir_attachment"],
    ["shop", "SELECT to_regclass('x'::text)"],
    ["shop", "SELECT FROM pg_catalog.pg_class WHERE relname = 'x'::varchar LIMIT 1"],
    ["shop", "SELECT FROM public.res_partner WHERE id = 1"],
  ] as const)
    await withSession({ ...cluster.superuser(), database, settings: careless }, async (session) => {
      // What was seized is given back.
      await session.query("BEGIN");
      await session.query(statement);
      await session.query("ROLLBACK");
    });
  const ways = (await seized(true))
    .filter(({ after }) => after === "postgres")
    .map(({ way }) => way.split(":")[0]);
  // What the planner works out: conditions of indexes, and from version 14 on statistics of expressions.
  const planned = ways.map((way) => (way === "statistics" ? "condition" : way));
  expect([...new Set(planned)]).toEqual(
    expect.arrayContaining(["view", "function", "operator", "condition"]),
  );
});

/** It looks again and again until it is told to end: a look takes a moment, and one follows in five seconds. */
async function lookAndEnd(running: Running): Promise<Ran> {
  const ended = running.ended.then(() => true);
  await Promise.race([ended, pause(7000)]);
  running.signal("SIGTERM");
  return await running.ended;
}

describe("the owner of a database gains nothing", () => {
  test.each(ROWS.map((each, number) => ({ ...each, name: `${number + 1}. ${each.command}` })))(
    "by $name",
    async ({ command, args, done, says }) => {
      const given = await args();
      const did = `${command} ${given.join(" ")}`;
      const words = [...command.split(" "), ...given];
      const hidden = { home: cluster.folder, env: { ODOO_PG_CONFIG: cluster.configFile } };
      const ran =
        command === "keep-attachments"
          ? await lookAndEnd(startProgram(words, hidden))
          : HIDDEN.includes(command)
            ? await runProgram(words, { ...hidden, timeout: 120_000 })
            : await cluster.run(words, { timeout: 120_000 });
      expectCleanWords(ran, did);
      const told = { did, exitCode: ran.exitCode, stderr: ran.exitCode ? ran.stderr : "" };
      if (done) expect(told).toEqual({ did, exitCode: 0, stderr: "" });
      else if (ran.exitCode !== 0) expect(ran.stdout + ran.stderr).toMatch(/\w/);
      if (says) expect(ran.stdout).toMatch(says);
      await expectNothingGained(did, command !== "down");
    },
  );
});

describe("the owner of a database gains nothing by what happens by itself", () => {
  test("metrics, the console with its lists, facts of Odoo, samples", async () => {
    const visitor = new Principal(`http://127.0.0.1:${port}`);
    const link = await cluster.run(["console"]);
    await visitor.ask(link.stdout.trim().slice(`http://127.0.0.1:${port}`.length));
    await waitFor("metrics of the databases", async () =>
      (await visitor.ask("/metrics")).text.includes("views"),
    );
    await waitFor("the console to have looked", async () =>
      (await visitor.ask("/api/document")).text.includes("views"),
    );
    const stream = await visitor.open("/api/stream");
    const pieces: string[] = [];
    stream.on("data", (chunk: Buffer) => void pieces.push(chunk.toString("utf8")));
    await waitFor("two documents", () => pieces.join("").split("event: document").length > 2);
    stream.destroy();
    await waitFor("a sample", () => existsSync(join(stateDir(), "samples.jsonl")));
    expect(pieces.join("")).not.toContain(CANARY);
    await expectNothingGained("the agent's own looks");
  });

  test("autovacuum, which is PostgreSQL's own, runs captures with the owner's rights alone", async () => {
    const { nodes } = cluster.ports;
    const primary = { ...cluster.superuser(), port: nodes[1] ?? 0, database: "again", settings: CAREFUL };
    await withSession(primary, (session) => session.query("ANALYZE"));
    await expectNothingGained("ANALYZE");
  });
});
