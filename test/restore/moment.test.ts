import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { windowSchema } from "../../src/cluster/backups/window.ts";
import { layoutOf } from "../../src/config/layout.ts";
import { releaseLock, takeLock } from "../../src/store/lock.ts";
import { throwawayCluster, type ThrowawayCluster } from "../support/cluster.ts";
import { killWithChildren } from "../support/kill.ts";
import { runProgram } from "../support/program.ts";
import { makeOdooDatabase, writeAttachment } from "../support/odoo-database.ts";
import type { Session } from "../support/pg.ts";
import { processesUsing } from "../support/processes.ts";
import { waitFor } from "../support/wait.ts";

/** How often a restore is killed, and how many seconds are brought back by chance; more by `npm run test:moments`. */
const KILLS = Number(process.env["ODOO_PG_KILLS"] ?? 5);
const SECONDS = Number(process.env["ODOO_PG_SECONDS"] ?? 4);

/** Milliseconds for one restore on a busy machine. */
const ONE = 30_000;

const BACKUP = { schedule: "0 0 1 1 *", drill_schedule: "off", any_second: { enabled: true } };

let cluster: ThrowawayCluster;
let filestore: string;

const windowDocument = windowSchema.extend({
  version: z.literal(1),
  copies: z.array(z.unknown()),
  proven: z.unknown(),
});

/** A mark, and a moment after it before the next: in the database's own time. */
async function mark(session: Session): Promise<string> {
  await session.rows("INSERT INTO marks DEFAULT VALUES");
  await session.rows("SELECT pg_sleep(0.002)");
  const [row] = await session.rows("SELECT clock_timestamp()::text AS now");
  await session.rows("SELECT pg_sleep(0.002)");
  return String(row?.["now"]);
}

async function marksIn(database: string): Promise<number> {
  const session = await cluster.onPrimary("postgres", database);
  const [row] = await session.rows("SELECT count(*)::int AS marks FROM marks");
  await session.close();
  return Number(row?.["marks"]);
}

/** Commits a mark five times a second, on whichever node is the primary. */
async function writeMarks(over: AbortSignal): Promise<void> {
  while (!over.aborted) {
    try {
      const session = await cluster.onPrimary("postgres", "seconds");
      try {
        await session.rows(
          "CREATE TABLE IF NOT EXISTS marks (id serial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp())",
        );
        while (!over.aborted) {
          await session.rows("INSERT INTO marks DEFAULT VALUES");
          await setTimeout(200);
        }
      } finally {
        await session.close();
      }
    } catch {
      // The primary changes.
      await setTimeout(200);
    }
  }
}

/** A moment between two marks, and how many there were by then. Tables come, go and are vacuumed meanwhile. */
async function secondByChance(time: number): Promise<{ at: string; marks: number }> {
  const found: { at: string; marks: number }[] = [];
  await waitFor("a moment between two marks", async () => {
    const session = await cluster.onPrimary("postgres", "seconds");
    try {
      await session.rows(`CREATE TABLE IF NOT EXISTS other_${time} AS SELECT generate_series(1, 1000) AS n`);
      await session.rows(`ALTER TABLE other_${time} ADD COLUMN IF NOT EXISTS more text DEFAULT 'x'`);
      if (time > 0) await session.rows(`DROP TABLE IF EXISTS other_${time - 1}`);
      await session.rows("VACUUM marks");
      const [row] = await session.rows(
        `SELECT (at + (next - at) / 2)::text AS at, marks::int FROM (
           SELECT at, lead(at) OVER w AS next, row_number() OVER w AS marks FROM marks WINDOW w AS (ORDER BY at)) pairs
         WHERE next - at > '100 ms' AND marks > 10 ORDER BY random() LIMIT 1`,
      );
      if (row) found.push({ at: String(row["at"]), marks: Number(row["marks"]) });
      return found.length > 0;
    } finally {
      await session.close();
    }
  });
  const [one] = found;
  if (!one) throw new Error("a moment was found");
  return one;
}

async function windowNow(): Promise<z.output<typeof windowDocument>> {
  return windowDocument.parse(await cluster.json(["backup", "window"]));
}

beforeAll(async () => {
  cluster = await throwawayCluster({
    config: {
      backup: BACKUP,
    },
  });
  filestore = join(cluster.folder, "filestore");
  cluster.configure({ odoo: { filestore } });
  mkdirSync(filestore, { recursive: true, mode: 0o755 });
  await cluster.up();
  await makeOdooDatabase({ superuser: cluster.superuser(), database: "shop", filestore, attachments: 3 });
  const session = await cluster.onPrimary("postgres", "shop");
  await session.rows("CREATE TABLE marks (id serial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp())");
  await session.rows("ALTER TABLE marks OWNER TO odoo");
  await session.close();
  await waitFor("the window to begin", async () => {
    const { from } = await windowNow();
    return from !== null && Date.parse(from) < Date.now();
  });
});

/** What a restore of a moment works with, and must not leave; the files that it keeps for the next one are named. */
function leftOvers(): string[] {
  const archive = join(cluster.stateDir, "archive");
  const moments = join(archive, "moments");
  const keptFile = join(archive, "kept-moment.json");
  const kept = existsSync(keptFile) ? readFileSync(keptFile, "utf8") : "";
  return [
    ...(existsSync(moments) ? readdirSync(moments) : []).filter((name) => !kept.includes(`"${name}"`)),
    ...readdirSync(archive).filter((name) => name === "copies" || name === "moment.lock"),
  ];
}

describe("any second", () => {
  test("comes back beside the live database with its attachments, to the commit", async () => {
    const session = await cluster.onPrimary("postgres", "shop");
    await mark(session);
    await mark(session);
    const name = writeAttachment(join(filestore, "shop"), "of that second");
    await session.rows(
      `INSERT INTO ir_attachment (name, type, store_fname) VALUES ('late', 'binary', '${name}')`,
    );
    const at = await mark(session);
    // No backup ever names the file: it is dropped and collected before there is one.
    await waitFor("the pool to have the file", () =>
      existsSync(join(`${cluster.stateDir}.backups`, "filestore", name)),
    );
    await mark(session);
    await session.rows(`DELETE FROM ir_attachment WHERE store_fname = '${name}'`);
    rmSync(join(filestore, "shop", name));
    await session.close();

    const ran = await cluster.run([
      "restore",
      "shop",
      "--at",
      at,
      "--as",
      "shop_then",
      "--require-attachments",
    ]);
    expect(ran.stderr + ran.stdout).toContain("compared and complete");
    expect(ran.exitCode).toBe(0);
    expect(await marksIn("shop_then")).toBe(3);
    expect(await marksIn("shop")).toBe(4);
    expect(existsSync(join(filestore, "shop_then", name))).toBe(true);
    expect(leftOvers()).toEqual([]);
  });

  test("with an attachment that was never kept is told, and refused where that is asked for", async () => {
    const session = await cluster.onPrimary("postgres", "shop");
    await session.rows(
      `INSERT INTO ir_attachment (name, type, store_fname) VALUES ('lost', 'binary', 'ab/ab${"0".repeat(38)}')`,
    );
    const at = await mark(session);
    await session.rows("DELETE FROM ir_attachment WHERE name = 'lost'");
    await session.rows("DELETE FROM marks WHERE id = (SELECT max(id) FROM marks)");
    await session.close();
    const refused = await cluster.run([
      "restore",
      "shop",
      "--at",
      at,
      "--as",
      "lost",
      "--require-attachments",
    ]);
    expect([refused.exitCode, refused.stderr]).toEqual([
      1,
      expect.stringContaining(`ab/ab${"0".repeat(38)}`),
    ]);
    const told = await cluster.run(["restore", "shop", "--at", at, "--as", "lost"]);
    expect([told.exitCode, told.stdout + told.stderr]).toEqual([0, expect.stringContaining("1 attachments")]);
    expect(leftOvers()).toEqual([]);
    // What it lacks would be told of every later second, too.
    expect((await cluster.run(["db", "drop", "lost", "--confirm", "lost"])).exitCode).toBe(0);
  });

  test("outside of the window is refused, and the window told", async () => {
    const { from } = await windowNow();
    for (const at of ["2001-01-01 00:00:00Z", "2099-01-01 00:00:00Z"]) {
      const ran = await cluster.run(["restore", "shop", "--at", at, "--as", "never"]);
      expect(ran.exitCode).toBe(2);
      expect(ran.stderr).toContain(`any second from ${from?.slice(0, 19).replace("T", " ")}`);
    }
    const unread = await cluster.run(["restore", "shop", "--at", "yesterday", "--as", "never"]);
    expect(unread.stderr).toContain("is not a moment");
    expect(leftOvers()).toEqual([]);
  });

  test("names the databases of then, where there was none of the name", async () => {
    const session = await cluster.onPrimary("postgres", "shop");
    const at = await mark(session);
    await session.close();
    const ran = await cluster.run(["restore", "crm", "--at", at, "--as", "crm_then"]);
    expect(ran.stderr).toContain('There was no database "crm" at that moment');
    expect(ran.stderr).toContain("shop");
  });

  test("is proven, by chance or by its name: recovered, and all of its databases read", async () => {
    const session = await cluster.onPrimary("postgres", "shop");
    const at = await mark(session);
    await session.close();
    const ran = await cluster.run(["backup", "verify", "--any-second", "--at", at]);
    expect([ran.exitCode, ran.stdout]).toEqual([0, expect.stringContaining("can be brought back: ")]);
    expect(ran.stdout).toMatch(
      /^shop: \d+ tables, \d+ rows, \d+ attachments, none missing, \d{2,} tables and indexes sound$/m,
    );
    const chance = await cluster.run(["backup", "verify", "--any-second"]);
    expect(chance.stdout).toContain("can be brought back: ");
    expect(leftOvers()).toEqual([]);
    const { second_proven: proven, warnings } = await cluster.status();
    expect(proven).toEqual({
      proven_at: expect.any(String),
      second: expect.any(String),
      seconds: expect.any(Number),
      databases: expect.any(Number),
      relations: expect.any(Number),
      failed_at: null,
    });
    expect(warnings).toEqual([]);
    expect((await cluster.run(["status"])).stdout).toMatch(/proven [\d.]+\s+\w+\s+ago,\s+a\s+second\s+of\s/);
  });

  test("is proven by the agent when its schedule says so", async () => {
    const before = (await cluster.status()).second_proven?.proven_at ?? "";
    const { any_second: _, ...rest } = BACKUP;
    cluster.configure({ backup: { ...rest, any_second: { enabled: true, drill_schedule: "* * * * *" } } });
    await cluster.up();
    await waitFor(
      "the agent to have proven a second",
      async () => ((await cluster.status()).second_proven?.proven_at ?? "") > before,
      { timeout: 180_000 },
    );
    cluster.configure({ backup: BACKUP });
    await cluster.up();
    await waitFor("no drill to be at work", () => !leftOvers().includes("moment.lock"));
  }, 240_000);

  test("in a repository with one byte that is not as it was written is told", async () => {
    const archive = join(`${cluster.stateDir}.archive`, "archive", "test");
    const segments = readdirSync(archive, { recursive: true, encoding: "utf8" }).filter((name) =>
      /[0-9A-F]{24}-[0-9a-f]{40}/.test(name),
    );
    // The first is of no account to what is recovered: only who reads all of it finds it.
    const damaged = join(archive, segments.toSorted()[0] ?? "");
    const whole = readFileSync(damaged);
    const changed = Buffer.from(whole);
    changed[changed.length >> 1] = (changed[changed.length >> 1] ?? 0) ^ 1;
    writeFileSync(damaged, changed);
    const ran = await cluster.run(["backup", "verify", "--any-second", "--json"]);
    writeFileSync(damaged, whole);
    expect(ran.exitCode).toBe(1);
    expect(ran.stderr).toContain("the repository is damaged");
    const again = await cluster.run(["backup", "verify", "--any-second", "--json"]);
    expect([again.exitCode, JSON.parse(again.stdout)]).toEqual([
      0,
      expect.objectContaining({ ok: true, damaged: [] }),
    ]);
  });

  test("with a table that is gone, and in another database an index that lacks rows, is told of both, and stands in status until one comes back whole", async () => {
    const session = await cluster.onPrimary("postgres", "shop");
    await session.rows("CREATE DATABASE before_shop TEMPLATE template0 OWNER odoo");
    const other = await cluster.onPrimary("postgres", "before_shop");
    await other.rows("CREATE TABLE lost (id int)");
    // As a disk leaves it that has lost a file.
    await other.rows("UPDATE pg_class SET relfilenode = 3999999999 WHERE relname = 'lost'");
    await other.close();
    await session.rows("CREATE TABLE torn (id int)");
    await session.rows("CREATE INDEX torn_id ON torn (id)");
    // As a defect of a collation or of a disk leaves it: rows that an index does not know.
    const ready = async (is: boolean): Promise<void> =>
      void (await session.rows(
        `UPDATE pg_index SET indisready = ${is} WHERE indexrelid = 'torn_id'::regclass`,
      ));
    await ready(false);
    await session.rows("INSERT INTO torn SELECT generate_series(1, 100)");
    await ready(true);
    const torn = await mark(session);
    await mark(session);
    const ran = await cluster.run(["backup", "verify", "--any-second", "--at", torn]);
    expect([ran.exitCode, ran.stdout]).toEqual([1, expect.stringContaining("is NOT whole")]);
    expect(ran.stdout).toMatch(/1 of \d+ tables and indexes DAMAGED/);
    expect(ran.stderr).toContain("public.torn_id: ");
    expect(ran.stdout).toMatch(/^before_shop: NOT READ: .*3999999999.*1 of \d+ tables and indexes DAMAGED$/m);
    expect(ran.stderr).toContain("public.lost: ");
    const codes = async (): Promise<string[]> => (await cluster.status()).warnings.map(({ code }) => code);
    await waitFor("status to tell", async () => (await codes()).includes("second_drill_failed"));
    const told = (await cluster.status()).warnings.find(({ code }) => code === "second_drill_failed");
    expect(told?.message).toMatch(/before_shop cannot be read: .*; not whole either: shop\.$/);
    await session.rows("DROP DATABASE before_shop");
    // A moment that nobody has promised says nothing of those that are.
    await cluster.run(["backup", "verify", "--any-second", "--at", "2020-01-01 00:00:00Z"]);
    await session.rows("REINDEX INDEX torn_id");
    const whole = await mark(session);
    await mark(session);
    await session.rows("DROP TABLE torn");
    await session.close();
    const again = await cluster.run(["backup", "verify", "--any-second", "--at", whole]);
    expect([again.exitCode, again.stdout]).toEqual([0, expect.stringContaining("can be brought back: ")]);
    await waitFor("status to be well", async () => !(await codes()).includes("second_drill_failed"));
  });

  test("with what has expired left, as a copy elsewhere is made of it, is told in status and in the list until it is gone", async () => {
    const scheduled = async (kind: string) =>
      await runProgram(["scheduled-backup", "--state-dir", cluster.stateDir, "--kind", kind], {
        home: cluster.folder,
        timeout: 120_000,
      });
    const isTold = async (): Promise<boolean> =>
      (await cluster.status()).warnings.some(({ code }) => code === "rotation_skipped");
    const { offsiteDir } = layoutOf(cluster.stateDir);
    mkdirSync(offsiteDir, { recursive: true, mode: 0o700 });
    // Somebody else is at it: nobody waits for that.
    const lock = join(offsiteDir, "removing.lock");
    await takeLock(lock, process.pid);
    try {
      expect((await scheduled("diff")).exitCode).toBe(0);
      expect(await isTold()).toBe(true);
      expect((await cluster.run(["backup", "list"])).stderr).toContain("Not removed since ");
      expect((await cluster.run(["backup", "create", "shop"])).stderr).toContain(
        "what has expired was not removed",
      );
    } finally {
      await releaseLock(lock, process.pid);
    }
    expect((await scheduled("expire")).exitCode).toBe(0);
    // The base backups are done, the backups are not.
    expect(await isTold()).toBe(true);
    expect((await cluster.run(["backup", "create", "shop"])).exitCode).toBe(0);
    expect(await isTold()).toBe(false);
    expect((await cluster.run(["backup", "list"])).stderr).not.toContain("Not removed since ");
  });

  test("before a switchover and after it comes back, and the new primary archives", async () => {
    const session = await cluster.onPrimary("postgres", "shop");
    const before = await mark(session);
    const count = await marksIn("shop");
    await mark(session);
    await session.close();
    expect((await cluster.run(["switchover"])).exitCode).toBe(0);
    const later = await cluster.onPrimary("postgres", "shop");
    const after = await mark(later);
    await mark(later);
    await later.close();
    for (const [at, name, marks] of [
      [before, "before", count],
      [after, "after", count + 2],
    ] as const) {
      const ran = await cluster.run(["restore", "shop", "--at", at, "--as", name]);
      expect(ran.stderr + ran.stdout).toContain("compared and complete");
      expect(await marksIn(name)).toBe(marks);
    }
  });

  test(
    "by chance holds each commit before it and none after it, across switchovers, DDL and VACUUM",
    async () => {
      const maker = await cluster.onPrimary();
      await maker.rows("CREATE DATABASE seconds");
      await maker.close();
      const over = new AbortController();
      const marking = writeMarks(over.signal);
      try {
        for (let time = 0; time < SECONDS; time++) {
          // Other work in the same database, and half of the time on another primary.
          if (time === Math.floor(SECONDS / 2)) expect((await cluster.run(["switchover"])).exitCode).toBe(0);
          const { at, marks } = await secondByChance(time);
          const ran = await cluster.run(["restore", "seconds", "--at", at, "--as", "then"]);
          expect([ran.exitCode, ran.stderr]).toEqual([0, expect.any(String)]);
          expect([at, await marksIn("then")]).toEqual([at, marks]);
          const session = await cluster.onPrimary();
          await session.rows('DROP DATABASE "then" WITH (FORCE)');
          await session.close();
        }
      } finally {
        over.abort();
        await marking;
      }
      expect(leftOvers()).toEqual([]);
    },
    120_000 + SECONDS * ONE,
  );

  test(
    "restored by a process that is killed at any moment leaves nothing, and the next try works",
    async () => {
      const session = await cluster.onPrimary("postgres", "shop");
      const at = await mark(session);
      const count = await marksIn("shop");
      await session.close();
      const moments = join(cluster.stateDir, "archive", "moments");
      const order = ["restore", "shop", "--at", at, "--as", "killed"];
      const begun = Date.now();
      await cluster.run(order);
      const whole = Date.now() - begun;
      for (let time = 0; time < KILLS; time++) {
        await cluster.run(["db", "drop", "killed", "--confirm", "killed"]);
        const running = cluster.start(order);
        await setTimeout(Math.random() * whole);
        // Alone, or in the same moment with all that it has started.
        if (time % 2 === 0) running.signal("SIGKILL");
        else killWithChildren(running.pid);
        await running.ended;
        await waitFor("its server to be gone", () => processesUsing(moments).length === 0);
        expect(await marksIn("shop")).toBe(count);
      }
      await cluster.run(["db", "drop", "killed", "--confirm", "killed"]);
      const ran = await cluster.run(order);
      expect(ran.stderr + ran.stdout).toContain("compared and complete");
      expect(await marksIn("killed")).toBe(count);
      expect(leftOvers()).toEqual([]);
      const names = await cluster.onPrimary();
      const databases = await names.rows("SELECT datname FROM pg_database WHERE datname LIKE 'odoo_pg_%'");
      const roles = await names.rows("SELECT rolname FROM pg_roles WHERE rolname LIKE 'odoo_pg_loader_%'");
      await names.close();
      expect([databases, roles]).toEqual([[], []]);
      expect(readdirSync(filestore).filter((name) => !/^[a-z_]+$/.test(name))).toEqual([]);
      expect(readdirSync(process.env["TMPDIR"] ?? "")).toEqual([]);
    },
    240_000 + KILLS * ONE,
  );

  test("restored by a process that is killed is cleared away by the agent, too", async () => {
    const session = await cluster.onPrimary("postgres", "shop");
    const at = await mark(session);
    await session.close();
    const running = cluster.start(["restore", "shop", "--at", at, "--as", "left"]);
    await waitFor("its dump", () => existsSync(join(cluster.stateDir, "archive", "copies")), {
      timeout: 120_000,
    });
    running.signal("SIGKILL");
    await running.ended;
    const left = (): string[] => [
      ...leftOvers().filter((name) => name !== "moment.lock"),
      ...readdirSync(process.env["TMPDIR"] ?? ""),
    ];
    await waitFor("the agent to clear it away", () => left().length === 0, { timeout: 90_000 });
  }, 240_000);

  test("is told broken at once where the repository takes nothing", async () => {
    const repository = `${cluster.stateDir}.archive`;
    renameSync(repository, `${repository}.away`);
    const session = await cluster.onPrimary();
    await session.rows("SELECT pg_logical_emit_message(true, 'test', 'x')");
    await session.rows("SELECT pg_switch_wal()");
    await waitFor("the warning", async () =>
      (await cluster.status()).warnings.some(({ code }) => code === "archiver_failing"),
    );
    rmSync(repository, { recursive: true, force: true });
    renameSync(`${repository}.away`, repository);
    await session.rows("SELECT pg_logical_emit_message(true, 'test', 'x')");
    await session.rows("SELECT pg_switch_wal()");
    await waitFor(
      "the WAL to be archived",
      async () => (await cluster.status()).warnings.every(({ code }) => code !== "archiver_failing"),
      { timeout: 90_000 },
    );
    await session.close();
  }, 120_000);
});
