import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { odooPg } from "../../src/next-step.ts";
import { compareContents } from "../../src/backup/contents/compare.ts";
import { findInput } from "../../src/restore/reading/input.ts";
import { ownedBy } from "../../src/restore/target/owners.ts";
import { restoreDatabase } from "../../src/restore/restore.ts";
import { exportOdooZip } from "../../src/restore/export-zip.ts";
import { programOf } from "../../src/postgres/installation.ts";
import { copyDatabase } from "../../src/restore/copy.ts";
import { dropDatabase } from "../../src/restore/databases.ts";
import { quoteSqlIdentifier as id } from "../../src/system/sql/sql.ts";
import { withSession } from "../support/with-session.ts";
import { silent } from "../backup/backup-source.ts";
import { runningNode } from "../postgres/throwaway-node.ts";
import { filesBelow } from "../support/files.ts";
import { atEnd } from "../support/scope.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { restoring, type Restoring } from "./restoring.ts";

const strict = { owners: true, definitions: true };
let it: Restoring;
let backup: string;

beforeAll(async () => {
  it = await restoring(await runningNode({ wal_level: "logical" }));
  await it.make("shop");
  await withSession({ ...it.node.superuser, database: "shop" }, async (session) => {
    await session.query(
      `CREATE ROLE reader; CREATE ROLE reports LOGIN;
       GRANT SELECT ON res_partner TO reader;
       CREATE SCHEMA reports AUTHORIZATION reports;
       CREATE TABLE reports.monthly AS SELECT 1 AS month;
       ALTER TABLE reports.monthly OWNER TO reports;
       CREATE FUNCTION reports.f(a integer, b text) RETURNS integer LANGUAGE sql AS 'SELECT 1';
       ALTER FUNCTION reports.f(integer, text) OWNER TO reports;
       ALTER DATABASE shop SET work_mem = '5MB'; ALTER DATABASE shop SET search_path = "$user", public`,
    );
  });
  await it.backUpOne("shop");
  backup = (await it.newest()).id;
});

async function rows(database: string, sql: string) {
  return await withSession({ ...it.node.superuser, database }, (session) => session.query(sql));
}

test("a backup becomes a new database: contents, owners, grants, settings, statistics, attachments", async () => {
  const report = await it.as(backup, "again");
  expect(report).toMatchObject({ owner: "odoo", files: 20, live: true, notes: [] });
  expect(compareContents(await it.contents("shop"), await it.contents("again"), strict)).toEqual([]);
  expect(await rows("again", "SELECT has_table_privilege('reader', 'res_partner', 'SELECT') AS may")).toEqual(
    [{ may: true }],
  );
  expect(
    await rows(
      "again",
      "SELECT current_setting('work_mem') AS work_mem, current_setting('search_path') AS path",
    ),
  ).toEqual([{ work_mem: "5MB", path: '"$user", public' }]);
  expect(
    await rows("again", "SELECT reltuples::int AS rows FROM pg_class WHERE relname = 'res_partner'"),
  ).toEqual([{ rows: 51 }]);
  const of = (database: string) =>
    filesBelow(join(it.filestore, database)).map((file) => readFileSync(file, "utf8"));
  expect(of("again")).toEqual(of("shop"));
  const root = statSync(it.filestore);
  for (const file of filesBelow(join(it.filestore, "again"))) expect(statSync(file).uid).toBe(root.uid);
  await it.nothingLeft();
});

test("a neutralised database is told from a live one", async () => {
  await it.make("harmless");
  await rows(
    "harmless",
    "INSERT INTO ir_config_parameter (key, value) VALUES ('database.is_neutralized', 'true')",
  );
  const { id } = await it.backUpOne("harmless");
  expect(await it.as(id ?? "", "harmless again")).toMatchObject({ live: false });
});

test("attachments that have nowhere to go are told before anything is loaded", async () => {
  const source = {
    ...it.source,
    config: { ...it.source.config, odoo: { ...it.source.config.odoo, filestore: "/nowhere/filestore" } },
  };
  const input = await findInput(source.place, "/", backup);
  const steps: string[] = [];
  const order = { input, database: "homeless", replace: false, keepOld: false };
  const progress = { ...silent, step: (_: string | null, step: string) => void steps.push(step) };
  await expect(restoreDatabase(source, order, progress)).rejects.toMatchObject({
    code: "filestore_unusable",
    message: expect.stringContaining("/nowhere/filestore"),
  });
  expect(steps).not.toContain("load");
  await it.nothingLeft();
});

test("what only a superuser may set for a database is not set on a backup's word, and told", async () => {
  await it.make("settings");
  await withSession(it.node.superuser, (session) =>
    session.query(
      "ALTER DATABASE settings SET log_min_duration_statement = '3s'; ALTER DATABASE settings SET work_mem = '6MB'",
    ),
  );
  await it.backUpOne("settings");
  const report = await it.as((await it.newest()).id, "settings again");
  expect(report.notes).toEqual(["not set, because only a superuser may: log_min_duration_statement=3s"]);
  expect(
    await rows(
      "settings again",
      "SELECT current_setting('work_mem') AS a, current_setting('log_min_duration_statement') AS b",
    ),
  ).toEqual([{ a: "6MB", b: "-1" }]);
});

test("unaccent(text) is as it was: IMMUTABLE only where it was", async () => {
  await it.make("stable");
  await withSession({ ...it.node.superuser, database: "stable" }, (session) =>
    session.query("DROP INDEX res_partner__name_index; ALTER FUNCTION unaccent(text) STABLE"),
  );
  await it.backUpOne("stable");
  await it.as((await it.newest()).id, "stable again");
  expect(
    await rows(
      "stable again",
      "SELECT provolatile AS is FROM pg_proc WHERE oid = 'unaccent(text)'::regprocedure",
    ),
  ).toEqual([{ is: "s" }]);
});

test("a range of its own comes back, though its constructors belong to the server's superuser", async () => {
  await it.make("ranges", { attachments: 1 });
  await rows("ranges", "SET ROLE odoo; CREATE TYPE float_range AS RANGE (subtype = float8)");
  await it.backUpOne("ranges");
  expect(await it.as((await it.newest()).id, "ranges again")).toMatchObject({ notes: [] });
  const found = await it.contents("ranges again");
  expect(compareContents(await it.contents("ranges"), found, strict)).toEqual([]);
  // Backups of 0.1.0 name the superuser.
  const functions = found.functions.map((fn) => ({ ...fn, owner: "postgres" }));
  const [first] = functions;
  expect(first?.signature).toMatch(/^float_/);
  expect(compareContents(ownedBy({ ...found, functions }, "odoo", found), found, strict)).toEqual([]);
});

test("a dump in the place of a superuser's database belongs to Odoo's role: it gains no rights", async () => {
  await withSession(it.node.superuser, (session) => session.query("CREATE DATABASE ours OWNER postgres"));
  const file = join(temporaryFolder(), "d.sql");
  writeFileSync(
    file,
    "CREATE FUNCTION public.f() RETURNS name LANGUAGE sql SECURITY DEFINER AS 'SELECT current_user'; CREATE TABLE public.t ();\n",
  );
  const report = await it.replace(file, "ours");
  expect(report.owner).toBe("odoo");
  expect(await rows("ours", "SELECT public.f() AS who")).toEqual([{ who: "odoo" }]);
});

test("a backup of another machine is restored from its path", async () => {
  const elsewhere = join(temporaryFolder(), "copied");
  cpSync(it.source.place.dir, elsewhere, { recursive: true });
  const report = await it.as(join(elsewhere, `${backup}.dump`), "brought");
  expect(report.files).toBe(20);
  expect(compareContents(await it.contents("shop"), await it.contents("brought"), strict)).toEqual([]);
});

describe("a file of pg_dump is restored and belongs to Odoo's role:", () => {
  test.each([
    ["custom", "d.dump", ["-Fc"]],
    ["directory", "d", ["-Fd"]],
    ["tar", "d.tar", ["-Ft"]],
    ["plain", "d.sql", ["-Fp"]],
    ["plain with INSERT", "i.sql", ["-Fp", "--inserts"]],
    ["gzip", "d.sql.gz", ["-Fp", "-Z6"]],
    ["zstd", "d.sql.zst", ["-Fp"]],
  ])("%s", async (kind, name, args) => {
    const folder = temporaryFolder();
    const file = join(folder, name);
    if (kind === "zstd") {
      it.dump("shop", `${file}.sql`, ...args);
      execFileSync("zstd", ["-q", `${file}.sql`, "-o", file]);
    } else it.dump("shop", file, ...args);
    const database = `from ${kind}`;
    const report = await it.as(file, database);
    expect(report.notes).toEqual(["20 of 20 attachments have no file: a dump alone holds none"]);
    const expected = await it.contents("shop");
    const found = await it.contents(database);
    expect(compareContents(expected, found, { owners: false, definitions: true })).toEqual([]);
    expect(new Set(found.tables.map(({ owner }) => owner))).toEqual(new Set(["odoo"]));
    expect(
      await rows(database, "SELECT has_table_privilege('reader', 'res_partner', 'SELECT') AS may"),
    ).toEqual([{ may: true }]);
    await it.nothingLeft();
  });
});

test("roles that a dump names and that are not here are told, and keep nothing from being restored", async () => {
  await withSession({ ...it.node.superuser, database: "shop" }, async (session) => {
    await session.query("CREATE ROLE gone; GRANT SELECT ON res_users TO gone");
  });
  const file = it.dump("shop", join(temporaryFolder(), "d"), "-Fd");
  await withSession({ ...it.node.superuser, database: "shop" }, async (session) => {
    await session.query("DROP OWNED BY gone; DROP ROLE gone");
  });
  const { notes } = await it.as(file, "without role");
  expect(notes[0]).toBe(
    'not granted: GRANT SELECT ON TABLE public.res_users TO gone; (role "gone" does not exist)',
  );
});

test.runIf(process.geteuid?.() === 0)(
  "a folder of another user is read by root as it is, and where a link is in it nothing of what it leads to",
  async () => {
    const NOBODY = 65_534;
    const secret = join(temporaryFolder(), "only-root");
    writeFileSync(secret, "root:secret\n\\.\n", { mode: 0o600 });
    const made = it.dump("shop", join(temporaryFolder(), "d"), "-Fd", "--compress=0");
    execFileSync("chown", ["-R", `${NOBODY}:${NOBODY}`, made]);
    const whole = await it.as(made, "of another");
    expect(whole.notes.join()).not.toContain("link");
    const [, table = ""] = /^(\d+)\.dat$/m.exec(readdirSync(made).toSorted().join("\n")) ?? [];
    const file = join(made, `${table}.dat`);
    rmSync(file);
    symlinkSync(secret, file);
    execFileSync("chown", ["-h", `${NOBODY}:${NOBODY}`, file]);
    await expect(it.as(made, "by a link")).rejects.toMatchObject({
      code: "dump_unusable",
      message: expect.stringContaining(`${file} is a link, which root does not follow`),
    });
    expect(readdirSync(it.source.restoresDir).filter((name) => name.startsWith("unpacked_"))).toEqual([]);
  },
);

describe("a zip for Odoo's database manager", () => {
  let zip: string;
  beforeAll(async () => {
    zip = join(temporaryFolder(), "shop.zip");
    const newest = (await it.catalogue()).find(({ id }) => id === backup);
    if (!newest) throw new Error("no backup");
    const nowhere = join(temporaryFolder(), "nowhere", "shop.zip");
    await expect(exportOdooZip(it.source, newest, it.source.place, nowhere, silent)).rejects.toMatchObject({
      code: "refused",
    });
    await exportOdooZip(it.source, newest, it.source.place, zip, silent);
  });

  test("holds what Odoo's own holds", () => {
    const names = execFileSync("unzip", ["-Z1", zip], { encoding: "utf8" }).trim().split("\n");
    expect(names.slice(0, 2)).toEqual(["manifest.json", "dump.sql"]);
    expect(names.slice(2).every((name) => /^filestore\/[0-9a-f]{2}\/[0-9a-f]{40}$/.test(name))).toBe(true);
    const manifest: unknown = JSON.parse(
      execFileSync("unzip", ["-p", zip, "manifest.json"], { encoding: "utf8" }),
    );
    expect(manifest).toMatchObject({
      odoo_dump: "1",
      db_name: "shop",
      version: "19.0",
      major_version: "19.0",
      version_info: [19, 0, 0, "final", 0, ""],
      modules: { base: "19.0.1.3" },
    });
  });

  test("is restored to the same tables, rows and attachments", async () => {
    const report = await it.as(zip, "unzipped");
    expect(report).toMatchObject({ files: 20, notes: [] });
    const how = { owners: false, definitions: true };
    expect(compareContents(await it.contents("shop"), await it.contents("unzipped"), how)).toEqual([]);
  });

  test("loads by Odoo's own steps, index on unaccent included", async () => {
    const folder = temporaryFolder();
    execFileSync("unzip", ["-q", zip, "-d", folder]);
    const { host, port } = it.node.superuser;
    const env = { PGPASSWORD: it.node.passwords.odoo, PATH: process.env["PATH"] ?? "" };
    // odoo/service/db.py, _create_empty_database and restore_db: no ON_ERROR_STOP.
    const asOdoo = { ...it.node.superuser, user: "odoo", password: it.node.passwords.odoo };
    await withSession(asOdoo, (session) =>
      session.query("CREATE DATABASE odoos ENCODING 'unicode' LC_COLLATE 'C' TEMPLATE template0"),
    );
    await withSession({ ...asOdoo, database: "odoos" }, async (session) => {
      await session.query("CREATE EXTENSION IF NOT EXISTS pg_trgm");
      await session.query("GRANT CREATE ON SCHEMA PUBLIC TO PUBLIC");
    });
    const psql = programOf(it.node.installation, "psql");
    const args = [
      "-h",
      host,
      "-p",
      String(port),
      "-U",
      "odoo",
      "-X",
      "-d",
      "odoos",
      "-q",
      "-f",
      join(folder, "dump.sql"),
    ];
    execFileSync(psql, args, { env, stdio: ["ignore", "ignore", "pipe"] });
    const found = await it.contents("odoos");
    const left = compareContents(await it.contents("shop"), found, { owners: false, definitions: true });
    // unaccent(text) belongs to the superuser there: only Odoo's template makes it IMMUTABLE for an ordinary role.
    expect(left.filter((line) => !/unaccent|res_partner__name_index/.test(line))).toEqual([]);
  });
});

describe("in the place of a database", () => {
  test("it is replaced while sessions hold it and come back at once", async () => {
    await it.as(backup, "busy");
    await rows("busy", "DELETE FROM ir_cron");
    const clock = { on: true };
    const clients = Array.from({ length: 4 }, async () => {
      while (clock.on) {
        await withSession({ ...it.node.superuser, database: "busy" }, async (session) => {
          await session.query("SELECT pg_sleep(0.2)");
        }).catch(() => {});
      }
    });
    atEnd(() => {
      clock.on = false;
    });
    const report = await it.replace(backup, "busy");
    clock.on = false;
    await Promise.all(clients);
    expect(report).toMatchObject({ kept: null, files: 20 });
    expect(await rows("busy", "SELECT count(*)::int AS crons FROM ir_cron")).toEqual([{ crons: 2 }]);
    await it.nothingLeft();
  });

  test("the old one is kept where that is asked for, closed to everybody, with its filestore", async () => {
    await it.as(backup, "kept");
    writeFileSync(join(it.filestore, "kept", "mark"), "old");
    const { kept } = await it.replace(backup, "kept", { keepOld: true });
    expect(kept).toMatch(/^kept_old_\d{8}_\d{6}$/);
    expect(existsSync(join(it.filestore, kept ?? "", "mark"))).toBe(true);
    expect(existsSync(join(it.filestore, "kept", "mark"))).toBe(false);
    await expect(rows(kept ?? "", "SELECT 1")).rejects.toThrow("not currently accepting connections");
    await withSession(it.node.superuser, (session) => session.query(`DROP DATABASE ${id(kept ?? "")}`));
    renameSync(join(it.filestore, kept ?? ""), join(temporaryFolder(), "gone"));
  });

  test("whoever follows it by a logical slot keeps the stream: it is neither replaced nor dropped, unless it is kept", async () => {
    await it.as(backup, "followed");
    await rows("followed", "SELECT pg_create_logical_replication_slot('warehouse', 'pgoutput')");
    const slots = () =>
      rows("postgres", "SELECT slot_name FROM pg_replication_slots WHERE database = 'followed'");
    const order = { from: "kept", to: "followed", neutralize: false, replace: true, keepOld: false };
    const refused = { code: "refused", message: expect.stringContaining('"warehouse"') };
    await expect(it.replace(backup, "followed")).rejects.toMatchObject({
      ...refused,
      next: [
        expect.stringContaining("--keep-old, or "),
        odooPg("psql", "--", "-c", "SELECT pg_drop_replication_slot('warehouse')"),
      ],
    });
    await expect(copyDatabase(it.source, order, silent)).rejects.toMatchObject(refused);
    await expect(dropDatabase(it.source, "followed")).rejects.toMatchObject(refused);
    expect(await slots()).toEqual([{ slot_name: "warehouse" }]);
    // Made while the new one was filled.
    await rows("followed", "SELECT pg_drop_replication_slot('warehouse')");
    const meanwhile = {
      ...silent,
      step: (_database: string | null, step: string) => {
        if (step === "compare")
          made = rows("followed", "SELECT pg_create_logical_replication_slot('warehouse', 'pgoutput')");
      },
    };
    let made: Promise<unknown> | undefined;
    await expect(it.replace(backup, "followed", { progress: meanwhile })).rejects.toMatchObject({
      code: "refused",
      message: expect.stringContaining('Database "followed" has a logical replication slot'),
    });
    await made;
    expect(await slots()).toEqual([{ slot_name: "warehouse" }]);
    await it.nothingLeft();

    const { kept } = await it.replace(backup, "followed", { keepOld: true });
    expect(await rows("postgres", "SELECT slot_name, database FROM pg_replication_slots")).toEqual([
      { slot_name: "warehouse", database: kept },
    ]);
    await rows("postgres", "SELECT pg_drop_replication_slot('warehouse')");
    await dropDatabase(it.source, kept ?? "");
  });

  test("one that cannot be dropped is kept and named: by then the new one is the live one", async () => {
    await it.as(backup, "subscribed");
    await rows("subscribed", "CREATE TABLE of_today AS SELECT 1 AS n");
    await rows(
      "subscribed",
      "CREATE SUBSCRIPTION head_office CONNECTION 'host=nowhere.invalid' PUBLICATION p WITH (connect = false)",
    );
    const { kept, notes } = await it.replace(backup, "subscribed");
    expect(notes).toEqual([expect.stringContaining(`could not be dropped and is kept as "${kept}"`)]);
    expect(await rows("subscribed", "SELECT to_regclass('of_today') AS of_today")).toEqual([
      { of_today: null },
    ]);
    await rows("postgres", `ALTER DATABASE ${id(kept ?? "")} ALLOW_CONNECTIONS true`);
    expect(await rows(kept ?? "", "SELECT n FROM of_today")).toEqual([{ n: 1 }]);
    expect(existsSync(join(it.filestore, kept ?? ""))).toBe(true);
    await rows(kept ?? "", "ALTER SUBSCRIPTION head_office SET (slot_name = NONE)");
    await rows(kept ?? "", "DROP SUBSCRIPTION head_office");
    await dropDatabase(it.source, kept ?? "");
    await it.nothingLeft();
  });

  test("a dump without attachments keeps those of the old one that it names", async () => {
    await it.as(backup, "files kept");
    const file = it.dump("files kept", join(temporaryFolder(), "d"), "-Fd");
    const report = await it.replace(file, "files kept");
    expect(report).toMatchObject({ files: 20, notes: [] });
    expect(filesBelow(join(it.filestore, "files kept"))).toHaveLength(20);
  });
});

test.each([
  "a b",
  `it's "quoted"`,
  "dots.and.%41%s",
  "Ærø_雪_é",
  "x".repeat(63),
  "-Fc",
  "host=elsewhere dbname=postgres",
  "é".repeat(31),
])("a database named %j is backed up, restored beside itself and in its own place", async (name) => {
  await it.make(name, { attachments: 3 });
  await it.backUpOne(name);
  const { id: odd } = (await it.catalogue()).find(({ manifest }) => manifest.database === name) ?? { id: "" };
  const report = await it.replace(odd, name);
  expect(report.files).toBe(3);
  expect(readdirSync(it.filestore)).toContain(name);
  expect(await rows(name, "SELECT count(*)::int AS partners FROM res_partner")).toEqual([{ partners: 51 }]);
  await it.nothingLeft();
});
