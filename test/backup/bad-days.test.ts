import { createHash, randomInt } from "node:crypto";
import {
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { readFilestoreList } from "../../src/backup/attachments/filestore-list.ts";
import { databasesToBackUp } from "../../src/backup/databases.ts";
import { poolFile } from "../../src/backup/place.ts";
import { drillBackups } from "../../src/runs/run.ts";
import { quoteSqlIdentifier as id } from "../../src/system/sql/sql.ts";
import { withSession } from "../support/with-session.ts";
import { runningNode, type ThrowawayNode } from "../postgres/throwaway-node.ts";
import { attachmentContent, makeOdooDatabase, writeAttachment } from "../support/odoo-database.ts";
import { processesNaming } from "../support/processes.ts";
import { waitFor } from "../support/wait.ts";
import { backupsOf, silent } from "./backup-source.ts";
import { mayMount, smallDisk } from "../support/small-disk.ts";

let node: ThrowawayNode;

beforeAll(async () => {
  node = await runningNode();
});

let made = 0;

async function odooBackups(
  options: Parameters<typeof backupsOf>[1] & { attachments?: number; bytes?: number } = {},
) {
  made += 1;
  const backups = backupsOf(node, options);
  const database = `odoo${made}`;
  const odoo = await makeOdooDatabase({
    superuser: node.superuser,
    database,
    filestore: backups.filestore,
    attachments: options.attachments ?? 10,
    bytes: options.bytes ?? 100,
  });
  return { ...backups, odoo, database };
}

/** What a failed backup must not leave behind: anything but whole backups and the pool. */
function leftOvers(dir: string): readonly string[] {
  return readdirSync(dir).filter((name) => !/^filestore$|\.dump$/.test(name));
}

/** Keeps pg_dump waiting, which reads the sequence, until the returned session ends. */
async function holdDump(database: string) {
  const session = await node.session(database);
  await session.query("BEGIN; ALTER SEQUENCE res_partner_id_seq RENAME TO renamed");
  return session;
}

/** Waits until the dump of a database waits, and returns the process of pg_dump. */
async function waitForDump(dir: string, database: string): Promise<number> {
  let found: number | undefined;
  await waitFor("pg_dump to wait", async () => {
    const waiting = await withSession(node.superuser, async (session) =>
      session.query(
        `SELECT FROM pg_stat_activity WHERE application_name = 'odoo-pg backup' AND wait_event_type = 'Lock'
         AND datname = $1 AND query LIKE '%last_value%FROM public.res_partner_id_seq%'`,
        [database],
      ),
    );
    const dump = processesNaming(dir).find(
      ({ command }) => command.includes("pg_dump") && command.includes(`dbname='${database}'`),
    );
    found = waiting.length ? dump?.pid : undefined;
    return found !== undefined;
  });
  if (found === undefined) throw new Error("no pg_dump");
  return found;
}

describe.runIf(mayMount)("no room on the disk of the backups", () => {
  test("in the middle of a dump: it fails with that word, and leaves nothing behind", async () => {
    const dir = smallDisk(2, node.owner);
    const { backUp, catalogue, database } = await odooBackups({ dir });
    await withSession({ ...node.superuser, database }, async (session) => {
      await session.query(
        "CREATE TABLE big AS SELECT md5(n::text) || md5((n + 1)::text) AS text FROM generate_series(1, 100000) AS n",
      );
    });
    const report = await backUp(database);
    expect(report.ok).toBe(false);
    expect(report.databases[0]?.error).toMatch(/no room left on the disk/);
    expect(await catalogue()).toEqual([]);
    expect(leftOvers(dir)).toEqual([]);
    await withSession({ ...node.superuser, database }, async (session) => session.query("DROP TABLE big"));
    expect((await backUp(database)).ok).toBe(true);
  });

  test("in the middle of the attachments: earlier backups stay whole", async () => {
    const dir = smallDisk(3, node.owner);
    const { backUp, backUpOne, newest, verify, database, odoo } = await odooBackups({ dir });
    await backUpOne(database);
    const added = [1, 2, 3, 4].map((n) =>
      writeAttachment(odoo.filestore, attachmentContent(`big ${n}`, n, 1_000_000)),
    );
    await withSession({ ...node.superuser, database }, async (session) => {
      await session.query(
        "INSERT INTO ir_attachment (name, type, store_fname) SELECT 'big', 'binary', unnest($1::text[])",
        [added],
      );
    });
    const report = await backUp(database);
    expect(report.databases[0]?.error).toMatch(/no room left on the disk/);
    expect(leftOvers(dir)).toEqual([]);
    expect((await verify(await newest())).ok).toBe(true);
  });
});

test("kill -9 of pg_dump fails one database only, and leaves nothing behind", async () => {
  const { backUp, source, database, catalogue, filestore } = await odooBackups();
  const other = `other${made}`;
  await makeOdooDatabase({ superuser: node.superuser, database: other, filestore });
  const holder = await holdDump(database);
  const running = backUp(database, other);
  process.kill(await waitForDump(source.place.dir, database), "SIGKILL");
  const report = await running;
  await holder.close();
  expect(report.ok).toBe(false);
  expect(report.databases.map(({ database: name, outcome }) => [name, outcome])).toEqual([
    [database, "failed"],
    [other, "ok"],
  ]);
  expect(report.databases[0]?.error).toContain("was killed");
  expect((await catalogue()).map(({ manifest }) => manifest.database)).toEqual([other]);
  expect(leftOvers(source.place.dir)).toEqual([]);
});

/** What waits for a lock first, which is the dump: once nobody holds it up any more, it could be done before its turn comes. */
const endSessions = (database: string): string =>
  `SELECT pg_terminate_backend(pid, 5000) FROM (
     SELECT pid FROM pg_stat_activity WHERE datname = '${database}' ORDER BY wait_event_type IS DISTINCT FROM 'Lock', pid
   ) AS session`;

describe("a database that goes away during its backup", () => {
  test.each([
    ["dropped", (name: string) => [`DROP DATABASE ${name} WITH (FORCE)`]],
    [
      "renamed",
      (name: string) => [
        `ALTER DATABASE ${name} ALLOW_CONNECTIONS false`,
        endSessions(name),
        `ALTER DATABASE ${name} RENAME TO ${name}_renamed`,
        `ALTER DATABASE ${name}_renamed ALLOW_CONNECTIONS true`,
      ],
    ],
    ["closed", (name: string) => [`ALTER DATABASE ${name} ALLOW_CONNECTIONS false`, endSessions(name)]],
  ])("because it is %s is no failure", async (_how, statements) => {
    const { backUp, source, database, filestore } = await odooBackups();
    const other = `other${made}`;
    await makeOdooDatabase({ superuser: node.superuser, database: other, filestore });
    await holdDump(database);
    const running = backUp(database, other);
    await waitForDump(source.place.dir, database);
    await withSession(node.superuser, async (session) => {
      for (const statement of statements(database)) await session.query(statement);
    });
    const report = await running;
    expect(report.ok).toBe(true);
    expect(report.databases.map(({ outcome }) => outcome)).toEqual(["dropped", "ok"]);
    expect(leftOvers(source.place.dir)).toEqual([]);
  });
});

test("a database that is replaced during its backup, as by a restore, is no failure: the new one is backed up", async () => {
  const { backUp, source, database, catalogue } = await odooBackups();
  const next = `next${made}`;
  await withSession(node.superuser, async (session) => await session.query(`CREATE DATABASE ${next}`));
  await holdDump(database);
  const running = backUp(database);
  await waitForDump(source.place.dir, database);
  await withSession(node.superuser, async (session) => {
    await session.query(endSessions(database));
    await session.query(
      `BEGIN; ALTER DATABASE ${database} RENAME TO ${database}_old; ALTER DATABASE ${next} RENAME TO ${database}; COMMIT`,
    );
  });
  const report = await running;
  expect(report.databases.map(({ outcome }) => outcome)).toEqual(["ok"]);
  expect((await catalogue()).map(({ manifest }) => [manifest.database, manifest.odoo_version])).toEqual([
    [database, null],
  ]);
  expect(leftOvers(source.place.dir)).toEqual([]);
});

test("a database that is created during a run belongs to the next one, and disturbs nothing", async () => {
  const { backUp, source, database, filestore, catalogue } = await odooBackups();
  const other = `created${made}`;
  const holder = await holdDump(database);
  const running = backUp(database);
  await waitForDump(source.place.dir, database);
  await makeOdooDatabase({ superuser: node.superuser, database: other, filestore });
  await holder.query("ROLLBACK");
  const report = await running;
  await holder.close();
  expect(report.databases.map(({ database: name, outcome }) => [name, outcome])).toEqual([[database, "ok"]]);
  const all = await databasesToBackUp(source.superuser, undefined);
  expect(all.map(({ name }) => name)).toContain(other);
  expect((await backUp(other)).ok).toBe(true);
  expect((await catalogue()).map(({ manifest }) => manifest.database)).toEqual([database, other]);
});

test(
  "an exclusive lock that fails a parallel dump: it is dumped again by one process",
  { timeout: 180_000 },
  async () => {
    const notes: string[] = [];
    const { backUp, database, newest, verify } = await odooBackups({
      progress: { ...silent, note: (text) => notes.push(text) },
    });
    await withSession({ ...node.superuser, database }, async (session) => {
      for (const name of ["large1", "large2"])
        await session.query(
          `CREATE TABLE ${name} AS SELECT md5(n::text) || md5((n * 3)::text) AS text FROM generate_series(1, 500000) AS n`,
        );
    });
    // pg_dump takes the largest tables first, as far as statistics tell.
    await withSession({ ...node.superuser, database }, async (session) => session.query("VACUUM ANALYZE"));
    const running = backUp(database);
    const intruder = await node.session(database);
    await waitFor("pg_dump to hold its locks", async () => {
      const rows = await intruder.query(
        `SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)
       WHERE a.application_name = 'odoo-pg backup' AND a.query LIKE 'COPY%large%'`,
      );
      return rows.length > 0;
    });
    const lock = intruder.query("BEGIN; LOCK TABLE ir_cron IN ACCESS EXCLUSIVE MODE; COMMIT");
    const report = await running;
    await lock;
    expect(report.databases.map(({ outcome, error }) => [outcome, error])).toEqual([["ok", null]]);
    expect(notes.some((text) => text.includes("again with one process"))).toBe(true);
    expect((await verify(await newest())).ok).toBe(true);
  },
);

describe("damage that comes later is found by backup verify", () => {
  const damages: readonly [string, (folder: string, largest: string) => void, RegExp][] = [
    [
      "a file of the dump cut at 40 %",
      (_, file) => truncateSync(file, Math.floor(statSync(file).size * 0.4)),
      /is damaged/,
    ],
    [
      "a file of the dump without its last byte",
      (_, file) => truncateSync(file, statSync(file).size - 1),
      /is damaged/,
    ],
    [
      "a flipped bit",
      (_, file) => {
        const content = readFileSync(file);
        const at = Math.floor(content.length / 2);
        content[at] = (content[at] ?? 0) ^ 1;
        writeFileSync(file, content);
      },
      /is damaged/,
    ],
    ["a file that is gone", (_, file) => rmSync(file), /is missing/],
    ["a file too much", (folder) => writeFileSync(join(folder, "9999.dat.gz"), ""), /not part of the backup/],
    [
      "a changed manifest",
      (folder) => {
        const file = join(folder, "manifest.json");
        writeFileSync(file, readFileSync(file, "utf8").replace(/"rows": \d/, '"rows": 9'));
      },
      /manifest\.json is damaged/,
    ],
    ["no checksums", (folder) => rmSync(join(folder, "SHA256SUMS")), /SHA256SUMS is missing/],
  ];
  test.each(damages)("%s", async (_name, damage, expected) => {
    const { backUpOne, newest, verify, database, source } = await odooBackups();
    await backUpOne(database);
    const { folder } = await newest();
    const dump = readdirSync(folder).filter((name) => /\.dat\.(?:gz|zst|lz4)$/.test(name));
    const [largest = ""] = dump.sort(
      (a, b) => statSync(join(folder, b)).size - statSync(join(folder, a)).size,
    );
    damage(folder, join(folder, largest));
    const found = await verify(await newest());
    expect(found.ok).toBe(false);
    expect(found.problems.join("\n")).toMatch(expected);
    expect((await newest()).checks).toMatchObject({ verified_at: null, problems: found.problems });
    const drilled = await drillBackups(source, [await newest()], silent);
    expect(drilled.ok).toBe(false);
  });

  test("an attachment that is missing, or altered; the next backup heals both", async () => {
    const { backUpOne, newest, verify, database, odoo, source, catalogue } = await odooBackups();
    await backUpOne(database);
    const [missing = "", altered = ""] = odoo.files.map((name) => name.slice(3));
    rmSync(poolFile(source.place, missing));
    writeFileSync(poolFile(source.place, altered), "x".repeat(100));
    const found = await verify(await newest());
    expect(found.problems.toSorted()).toEqual(
      [
        `attachment ${missing.slice(0, 2)}/${missing} is missing in the pool`,
        `attachment ${altered.slice(0, 2)}/${altered} is damaged in the pool`,
      ].toSorted(),
    );
    await backUpOne(database);
    for (const backup of await catalogue()) expect((await verify(backup)).problems).toEqual([]);
  });
});

test("odd names of databases are backed up under names that give them back", async () => {
  const names = [
    "with space",
    `quote'd "twice"`,
    "dots.and..more",
    "100%s",
    "é雪😀",
    "-Fc",
    "--help",
    "host=example.com",
    "a/b",
    "..",
    "n".repeat(63),
    "line\nbreak",
  ];
  const { backUp, catalogue, verify, source } = backupsOf(node);
  await withSession(node.superuser, async (session) => {
    for (const name of names) await session.query(`CREATE DATABASE ${id(name)} TEMPLATE template0`);
  });
  for (const [index, name] of names.entries()) {
    await withSession({ ...node.superuser, database: name }, async (session) => {
      await session.query(`CREATE TABLE marker AS SELECT ${index} AS number`);
    });
  }
  const report = await backUp(...names);
  expect(report.databases.filter(({ outcome }) => outcome !== "ok")).toEqual([]);
  const backups = await catalogue();
  expect(backups.map(({ manifest }) => manifest.database).sort()).toEqual(names.toSorted());
  for (const backup of backups) expect((await verify(backup)).problems).toEqual([]);
  const odd = backups.filter(({ manifest }) => ["-Fc", `quote'd "twice"`].includes(manifest.database));
  const drilled = await drillBackups(source, odd, silent);
  expect(drilled.databases.map(({ error }) => error)).toEqual([null, null]);
});

test(
  "while a writer adds attachments and the collector deletes, no backup names a file that it lacks",
  { timeout: 180_000 },
  async () => {
    const { backUpOne, catalogue, verify, database, odoo, source } = await odooBackups({ attachments: 300 });
    const over = new AbortController();
    let collected = 0;
    let written = 0;
    /**
     * As Odoo: the file first, then the row, in a transaction that has written before. The collector waits for its end;
     * without that it would take away a file whose row is about to come, and no backup could have it.
     */
    const writer = async (): Promise<void> => {
      const session = await node.session(database);
      while (!over.signal.aborted) {
        written += 1;
        await session.query("BEGIN; LOCK TABLE ir_attachment IN ROW EXCLUSIVE MODE");
        const name = writeAttachment(odoo.filestore, `written ${written} ${randomInt(10 ** 9)}`);
        await session.query(
          "INSERT INTO ir_attachment (name, type, store_fname) VALUES ('w', 'binary', $1)",
          [name],
        );
        await session.query("COMMIT");
      }
    };
    const remover = async (): Promise<void> => {
      const session = await node.session(database);
      while (!over.signal.aborted)
        await session.query(
          "DELETE FROM ir_attachment WHERE id IN (SELECT id FROM ir_attachment ORDER BY random() LIMIT 2)",
        );
    };
    /** As Odoo's _gc_file_store: the lock first, then the look at what is still named, then the files. */
    const collector = async (): Promise<void> => {
      const session = await node.session(database);
      while (!over.signal.aborted) {
        try {
          await session.query(
            "BEGIN; SET LOCAL lock_timeout = '100ms'; LOCK TABLE ir_attachment IN SHARE MODE",
          );
          const present = readdirSync(odoo.filestore, { recursive: true, encoding: "utf8" }).filter((name) =>
            name.includes("/"),
          );
          const rows = await session.query(
            "SELECT store_fname FROM ir_attachment WHERE store_fname = ANY($1)",
            [present],
          );
          const named = new Set(rows.map((row) => row["store_fname"]));
          for (const name of present) {
            if (named.has(name)) continue;
            rmSync(join(odoo.filestore, name), { force: true });
            collected += 1;
          }
          await session.query("COMMIT");
        } catch {
          await session.query("ROLLBACK");
        }
      }
    };
    const activity = [writer(), remover(), collector()];
    try {
      for (let run = 0; run < 8; run += 1) await backUpOne(database);
    } finally {
      over.abort();
      await Promise.all(activity);
    }
    expect(collected).toBeGreaterThan(0);
    const backups = await catalogue();
    expect(backups).toHaveLength(8);
    for (const backup of backups) {
      expect(backup.manifest.filestore).toMatchObject({ missing: { count: 0 }, altered: { count: 0 } });
      expect((await verify(backup)).problems).toEqual([]);
      for await (const { sha1, storeFname } of readFilestoreList(backup.folder)) {
        const content = readFileSync(poolFile(source.place, sha1));
        expect(createHash("sha1").update(content).digest("hex")).toBe(storeFname.slice(3));
      }
    }
    const last = backups.at(-1);
    if (!last) throw new Error("no backup");
    const drilled = await drillBackups(source, [last], silent);
    expect(drilled.databases.map(({ error }) => error)).toEqual([null]);
    expect(existsSync(join(source.place.dir, ".odoo-pg-backup.lock"))).toBe(false);
  },
);
