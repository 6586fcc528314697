import { chownSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { earlierProgram, hasHistory } from "../../scripts/earlier.mjs";
import { windowSchema } from "../../src/cluster/backups/window.ts";
import { archivingSchema } from "../../src/model/backups/archive-status.ts";
import { nodeProcesses } from "../faults/node-processes.ts";
import { throwawayCluster, type ThrowawayCluster } from "../support/cluster.ts";
import type { Session } from "../support/pg.ts";
import { waitFor } from "../support/wait.ts";

// Whatever happens to the primary, the window stays whole: each second of before and after comes back, with what was
// committed then, and the primary alone archives.

const ANY_SECOND = {
  schedule: "0 0 1 1 *",
  drill_schedule: "off",
  any_second: { enabled: true, full_schedule: "0 0 1 1 *", diff_schedule: "off" },
};

const windowDocument = windowSchema.extend({
  version: z.literal(1),
  copies: z.array(z.unknown()),
  proven: z.unknown(),
});

async function windowOf(cluster: ThrowawayCluster): Promise<z.output<typeof windowDocument>> {
  return windowDocument.parse(await cluster.json(["backup", "window"]));
}

async function begun(cluster: ThrowawayCluster): Promise<void> {
  await waitFor("the window to begin", async () => {
    const { from } = await windowOf(cluster);
    return from !== null && Date.parse(from) < Date.now() - 1000;
  });
}

/** A mark with a name, and a moment after it before the next. */
async function mark(session: Session, name: string): Promise<string> {
  await session.rows(`INSERT INTO marks VALUES ('${name}')`);
  await session.rows("SELECT pg_sleep(0.01)");
  const [row] = await session.rows("SELECT clock_timestamp()::text AS now");
  await session.rows("SELECT pg_sleep(0.01)");
  return String(row?.["now"]);
}

async function markNow(cluster: ThrowawayCluster, name: string): Promise<string> {
  const session = await cluster.onPrimary("postgres", "shop");
  const at = await mark(session, name);
  await session.close();
  return at;
}

/** The marks of a moment, which is brought back and dropped again. */
async function marksAt(cluster: ThrowawayCluster, at: string): Promise<string[]> {
  const ran = await cluster.run(["restore", "shop", "--at", at, "--as", "shop_then"]);
  expect([ran.exitCode, ran.stderr + ran.stdout]).toEqual([
    0,
    expect.stringContaining("compared and complete"),
  ]);
  const session = await cluster.onPrimary("postgres", "shop_then");
  const rows = await session.rows("SELECT name FROM marks ORDER BY ctid");
  await session.close();
  expect((await cluster.run(["db", "drop", "shop_then", "--confirm", "shop_then"])).exitCode).toBe(0);
  return rows.map(({ name }) => String(name));
}

async function makeShop(cluster: ThrowawayCluster, tablespace = "pg_default"): Promise<void> {
  const maker = await cluster.onPrimary();
  await maker.rows(`CREATE DATABASE shop OWNER odoo TABLESPACE ${tablespace}`);
  await maker.close();
  const session = await cluster.onPrimary("postgres", "shop");
  await session.rows("CREATE TABLE marks (name text)");
  await session.rows("ALTER TABLE marks OWNER TO odoo");
  await session.close();
}

/** Files that a node has archived since it was started. */
async function archivedBy(cluster: ThrowawayCluster, node: "pg1" | "pg2"): Promise<number> {
  const session = await cluster.session(node);
  const count = await session.value("SELECT archived_count::int FROM pg_stat_archiver");
  await session.close();
  return Number(count);
}

async function primaryOf(cluster: ThrowawayCluster): Promise<string | undefined> {
  return (await cluster.status()).nodes.find(({ role }) => role === "primary")?.name;
}

describe("another primary", () => {
  let cluster: ThrowawayCluster;
  const moments: [at: string, marks: string[]][] = [];

  /** The primary writes, its replica archives nothing, and nothing is wrong. */
  async function onlyArchives(primary: "pg1" | "pg2", replica: "pg1" | "pg2"): Promise<void> {
    await cluster.healthy();
    expect(await primaryOf(cluster)).toBe(primary);
    const before = await archivedBy(cluster, replica);
    const session = await cluster.onPrimary();
    for (let segment = 0; segment < 2; segment++) {
      await session.rows("SELECT pg_logical_emit_message(true, 'test', 'x')");
      const [row] = await session.rows("SELECT pg_walfile_name(pg_switch_wal()) AS segment");
      await waitFor("the WAL to be archived", async () => {
        const [archiver] = await session.rows("SELECT last_archived_wal AS last FROM pg_stat_archiver");
        return String(archiver?.["last"]) >= String(row?.["segment"]);
      });
    }
    await session.close();
    expect(await archivedBy(cluster, replica)).toBe(before);
    expect((await windowOf(cluster)).gaps).toEqual([]);
  }

  beforeAll(async () => {
    cluster = await throwawayCluster({ config: { backup: ANY_SECOND } });
    await cluster.up();
    await makeShop(cluster);
    await begun(cluster);
    moments.push([await markNow(cluster, "first"), ["first"]]);
  });

  test("by a promotion that loses something: the old timeline has it, the new one goes on without", async () => {
    const [pg1, pg2] = [nodeProcesses(cluster, "pg1"), nodeProcesses(cluster, "pg2")];
    pg2.cutLink();
    // What lies in the buffers of a link that is cut, its receiver still reads afterwards: more is written than they hold.
    const filler = await cluster.session("pg1");
    await filler.rows("CREATE TABLE filler AS SELECT md5(id::text) FROM generate_series(1, 600000) AS id");
    await filler.rows("DROP TABLE filler");
    moments.push([await markNow(cluster, "lost"), ["first", "lost"]]);
    const [row] = await filler.rows("SELECT pg_walfile_name(pg_switch_wal()) AS segment");
    await waitFor("it to be archived", async () => {
      const [archiver] = await filler.rows("SELECT last_archived_wal AS last FROM pg_stat_archiver");
      return String(archiver?.["last"]) >= String(row?.["segment"]);
    });
    await filler.close();
    // What the agent has not seen archived, it takes for lost.
    await waitFor("the agent to see it archived", () => {
      const record = readFileSync(join(cluster.stateDir, "archive", "archiving.json"), "utf8");
      return archivingSchema.parse(JSON.parse(record)).primary?.waits === false;
    });
    await pg1.lose();
    pg2.mendLink();
    const promoted = await cluster.run(["promote", "pg2", "--allow-data-loss", "--confirm", "test"]);
    expect([promoted.exitCode, promoted.stderr]).toEqual([0, expect.any(String)]);
    pg1.bringBack();
    moments.push([await markNow(cluster, "on pg2"), ["first", "on pg2"]]);
    for (const [at, marks] of moments) expect(await marksAt(cluster, at)).toEqual(marks);
  });

  test("and the old one joins again, archives nothing, and may become the primary once more", async () => {
    expect(await cluster.run(["rejoin", "pg1"])).toMatchObject({ exitCode: 0 });
    await onlyArchives("pg2", "pg1");
    moments.push([await markNow(cluster, "rejoined"), ["first", "on pg2", "rejoined"]]);
    expect((await cluster.run(["switchover"])).exitCode).toBe(0);
    await onlyArchives("pg1", "pg2");
    moments.push([await markNow(cluster, "switched"), ["first", "on pg2", "rejoined", "switched"]]);
    for (const [at, marks] of moments) expect(await marksAt(cluster, at)).toEqual(marks);
  });

  test("whose replica is made anew, and takes its place", async () => {
    expect((await cluster.run(["reseed", "pg2", "--discard-old"])).exitCode).toBe(0);
    await onlyArchives("pg1", "pg2");
    expect((await cluster.run(["switchover"])).exitCode).toBe(0);
    await onlyArchives("pg2", "pg1");
    const all = ["first", "on pg2", "rejoined", "switched", "reseeded"];
    moments.push([await markNow(cluster, "reseeded"), all]);
    for (const [at, marks] of moments) expect(await marksAt(cluster, at)).toEqual(marks);
  });
});

test("what a lost primary had not archived is taken from its disk; where that cannot be read any more it is a gap", async () => {
  const cluster = await throwawayCluster({ config: { backup: ANY_SECOND } });
  await cluster.up();
  await makeShop(cluster);
  await begun(cluster);
  const record = () => {
    const text = readFileSync(join(cluster.stateDir, "archive", "archiving.json"), "utf8");
    return archivingSchema.parse(JSON.parse(text));
  };
  /** A mark whose segment is finished, archived and seen so. */
  async function archivedMark(name: string): Promise<{ at: string; segment: string }> {
    const at = await markNow(cluster, name);
    await markNow(cluster, `after ${name}`);
    const session = await cluster.onPrimary();
    const segment = String(await session.value("SELECT pg_walfile_name(pg_switch_wal())"));
    await waitFor("the agent to see it archived", async () => {
      const last = await session.value("SELECT last_archived_wal FROM pg_stat_archiver");
      const { primary } = record();
      const isSeen = primary?.waits === false && Date.parse(primary.archived_at) > Date.parse(at);
      return String(last) >= segment && isSeen;
    });
    await session.close();
    return { at, segment };
  }
  /** The primary is lost with its disk, which comes back once the replica is the primary; it is made anew from that. */
  async function lose(primary: "pg1" | "pg2", replica: "pg1" | "pg2", leave: (wal: string) => void) {
    const lost = nodeProcesses(cluster, primary);
    await lost.lose();
    leave(join(`${lost.dataDir}.lost`, "pg_wal"));
    const promoted = await cluster.run(["promote", replica, "--allow-data-loss", "--confirm", "test"]);
    expect([promoted.exitCode, promoted.stderr]).toEqual([0, expect.any(String)]);
    lost.bringBack();
    expect((await cluster.run(["reseed", primary, "--discard-old"])).exitCode).toBe(0);
    await cluster.healthy();
  }

  const early = await archivedMark("early");
  await lose("pg1", "pg2", (wal) => {
    const folder = join(`${cluster.stateDir}.archive`, "archive");
    const held = readdirSync(folder, { recursive: true, encoding: "utf8" });
    const found = held.filter((name) => name.includes(`/${early.segment}-`));
    expect(found).toHaveLength(1);
    for (const name of found) rmSync(join(folder, name));
    writeFileSync(join(wal, "archive_status", `${early.segment}.ready`), "");
  });
  expect(record().gaps).toEqual([]);
  expect(await marksAt(cluster, early.at)).toEqual(["early"]);

  const late = await archivedMark("late");
  await lose("pg2", "pg1", (wal) => {
    // What it finished since the agent looked last.
    const [last = ""] = readdirSync(wal).filter((name) => /^[0-9A-F]{24}$/.test(name) && name > late.segment);
    writeFileSync(join(wal, last), "of a disk that is damaged");
    writeFileSync(join(wal, "archive_status", `${last}.ready`), "");
  });
  expect(record().gaps).toHaveLength(1);
  // One is begun a minute after the one before at the soonest.
  await waitFor("a new base backup", async () => (await windowOf(cluster)).gaps.length === 1, {
    timeout: 120_000,
  });
  for (const [{ at }, marks] of [
    [early, ["early"]],
    [late, ["early", "after early", "late"]],
  ] as const)
    expect(await marksAt(cluster, at)).toEqual(marks);
});

test("a planned switchover leaves no gap, also where the last look at the primary saw WAL that waits", async () => {
  const cluster = await throwawayCluster({ config: { backup: ANY_SECOND } });
  await cluster.up();
  await begun(cluster);
  const record = () => {
    const text = readFileSync(join(cluster.stateDir, "archive", "archiving.json"), "utf8");
    return archivingSchema.parse(JSON.parse(text));
  };
  const pg1 = nodeProcesses(cluster, "pg1");
  pg1.hangArchiver();
  const session = await cluster.session("pg1");
  await session.rows("SELECT pg_logical_emit_message(true, 'test', 'x')");
  await session.rows("SELECT pg_switch_wal()");
  await waitFor("the agent to see that WAL waits", () => record().primary?.waits === true);
  const switched = cluster.run(["switchover"]);
  // It is told to stop, and waits for its archiver; no look comes before the operation has ended.
  await session.rows("SELECT pg_sleep(60)").catch(() => {});
  pg1.thaw();
  expect(await switched).toMatchObject({ exitCode: 0 });
  await waitFor("the agent to see the new primary", () => record().primary?.node === "pg2");
  expect(record().gaps).toEqual([]);
});

test("a base backup that is due right after another one waits for nothing", async () => {
  const cluster = await throwawayCluster({ nodes: 1, config: { backup: ANY_SECOND } });
  await cluster.up();
  await begun(cluster);
  const location = join(cluster.folder, "fast");
  mkdirSync(location);
  const { uid, gid } = statSync(join(cluster.stateDir, "nodes", "pg1", "data"));
  chownSync(location, uid, gid);
  const session = await cluster.session("pg1");
  await session.rows(`CREATE TABLESPACE fast LOCATION '${location}'`);
  await session.close();
  // One that failed would be tried again after a minute.
  await waitFor("a base backup that has it", async () => (await windowOf(cluster)).base_backups === 2, {
    timeout: 45_000,
  });
});

describe("a tablespace", () => {
  let cluster: ThrowawayCluster;
  let location: string;
  const dataDir = (): string => join(cluster.stateDir, "nodes", "pg1", "data");

  /** Rows of a table of the live database, read from its files anew. */
  async function liveSum(): Promise<unknown> {
    const session = await cluster.session("pg1", "postgres", "shop");
    await session.rows("CHECKPOINT");
    const [row] = await session.rows("SELECT count(*)::int AS rows, sum(i)::int AS sum FROM big");
    await session.close();
    return row;
  }

  beforeAll(async () => {
    cluster = await throwawayCluster({ nodes: 1, config: { backup: ANY_SECOND } });
    await cluster.up();
    await makeShop(cluster);
    await begun(cluster);
    location = join(cluster.folder, "fast");
    mkdirSync(location);
    const { uid, gid } = statSync(dataDir());
    chownSync(location, uid, gid);
  });

  test("that was made since the base backup leads no recovery into the live files; a new base backup is made at once", async () => {
    const early = await markNow(cluster, "before it");
    // By a commit that is later a recovery knows that it has come there.
    await markNow(cluster, "just before it");
    const maker = await cluster.session("pg1");
    await maker.rows(`CREATE TABLESPACE fast LOCATION '${location}'`);
    await maker.close();
    const session = await cluster.session("pg1", "postgres", "shop");
    await session.rows("CREATE TABLE big TABLESPACE fast AS SELECT generate_series(1, 1000) AS i");
    const between = await mark(session, "after it");
    await session.rows("UPDATE big SET i = i + 1000");
    await session.rows("INSERT INTO big SELECT generate_series(1, 20000)");
    await session.close();
    const before = await liveSum();
    const inode = statSync(location).ino;
    // The agent makes a base backup soon: until then, and for what lies before it, there is only the one before.
    const ran = await cluster.run(["restore", "shop", "--at", between, "--as", "never"]);
    expect([ran.exitCode, ran.stderr]).toEqual([
      2,
      expect.stringContaining("A tablespace was created between"),
    ]);
    expect(await liveSum()).toEqual(before);
    const killed = cluster.postmaster("pg1");
    process.kill(killed, "SIGKILL");
    // By its own answer: a status of just before may still say that it runs.
    let found: unknown;
    await waitFor("the primary to be back", async () => {
      if (cluster.postmaster("pg1") === killed) return false;
      found = await liveSum();
      return true;
    });
    expect(found).toEqual(before);
    expect(statSync(location).ino).toBe(inode);
    expect(await marksAt(cluster, early)).toEqual(["before it"]);

    // The one that was begun at once may have lost its server.
    await waitFor("a base backup that has it", async () => (await windowOf(cluster)).base_backups === 2, {
      timeout: 120_000,
    });
    const later = await waitForSecond(cluster);
    const back = await cluster.run(["restore", "shop", "--at", later, "--as", "shop_then"]);
    expect([back.exitCode, back.stderr + back.stdout]).toEqual([
      0,
      expect.stringContaining("compared and complete"),
    ]);
    const restored = await cluster.session("pg1", "postgres", "shop_then");
    const [row] = await restored.rows("SELECT count(*)::int AS rows, sum(i)::int AS sum FROM big");
    await restored.close();
    expect(row).toEqual(before);
    expect(await liveSum()).toEqual(before);
  });

  test("comes with the whole cluster, in a place of its own beside it", async () => {
    const whole = join(cluster.folder, "whole");
    const ran = await cluster.run(["restore", "--cluster-as", whole]);
    expect([ran.exitCode, ran.stderr]).toEqual([0, expect.any(String)]);
    const links = readdirSync(join(whole, "pg_tblspc"));
    expect(links).toEqual(readdirSync(join(dataDir(), "pg_tblspc")));
    expect(readdirSync(`${whole}.tablespaces.recovered`)).toHaveLength(1);
    expect(statSync(join(whole, "pg_tblspc", links[0] ?? "")).ino).not.toBe(statSync(location).ino);
    expect(statSync(join(whole, "pg_tblspc")).mode & 0o777).toBe(0o700);
  });
});

/** A moment after the last base backup, between two commits. */
async function waitForSecond(cluster: ThrowawayCluster): Promise<string> {
  const session = await cluster.onPrimary("postgres", "shop");
  await session.rows("SELECT pg_sleep(2)");
  const at = await mark(session, "late");
  await session.close();
  return at;
}

// A shallow clone has no earlier version to build.
describe.runIf(hasHistory())("a cluster of 0.1.0", () => {
  test("has every second from when any second is put on, and its primary alone archives, also after a switchover", async () => {
    const cluster = await throwawayCluster();
    const before = await cluster.run(["up"], { program: earlierProgram(), timeout: 120_000 });
    expect([before.exitCode, before.stderr]).toEqual([0, expect.any(String)]);
    cluster.configure({ backup: ANY_SECOND });
    await cluster.up({ timeout: 120_000 });
    await cluster.healthy();
    await makeShop(cluster);
    await begun(cluster);
    const first = await markNow(cluster, "first");
    expect((await cluster.run(["switchover"])).exitCode).toBe(0);
    const second = await markNow(cluster, "second");
    await markNow(cluster, "third");
    expect(await marksAt(cluster, first)).toEqual(["first"]);
    expect(await marksAt(cluster, second)).toEqual(["first", "second"]);
    expect(await archivedBy(cluster, "pg1")).toBeGreaterThanOrEqual(0);
    expect((await windowOf(cluster)).gaps).toEqual([]);
    await cluster.healthy();
  }, 300_000);
});
