import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readCatalogue } from "../../src/backup/catalogue.ts";
import type { BackupKind, Manifest } from "../../src/backup/manifest.ts";
import { folderName } from "../../src/backup/naming.ts";
import { type BackupPlace, placeOf, poolFile } from "../../src/backup/place.ts";
import { prune } from "../../src/backup/prune.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const now = Date.parse("2026-11-22T12:00:00Z");
const DAY = 86_400_000;
const rotation = { days_to_keep: 2, day_of_week_to_keep: 5, weeks_to_keep: 12, months_to_keep: 24 };

function pooled(place: BackupPlace, content: string): string {
  const sha1 = createHash("sha1").update(content).digest("hex");
  mkdirSync(join(place.pool, sha1.slice(0, 2)), { recursive: true });
  writeFileSync(poolFile(place, sha1), content);
  return sha1;
}

function backup(
  place: BackupPlace,
  id: string,
  age: number,
  files: readonly string[],
  kinds: BackupKind[] = ["hourly"],
): void {
  const folder = join(place.dir, folderName(id));
  mkdirSync(folder, { recursive: true });
  const time = new Date(now - age * DAY).toISOString();
  const manifest: Manifest = {
    version: 1,
    id,
    database: id.split("_")[0] ?? "",
    system_identifier: "1",
    server_version: "15.1",
    server_major: 15,
    odoo_pg_version: "0",
    odoo_version: null,
    dumps: [{ format: "directory", path: ".", compression: "gzip:1" }],
    size_bytes: 1,
    database_bytes: 1,
    tables: 0,
    rows: 0,
    lacks: [],
    filestore: {
      included: true,
      files: files.length,
      bytes: 0,
      missing: { count: 0, first: [] },
      altered: { count: 0, first: [] },
      pool_only: { count: 0, first: [] },
    },
    started_at: time,
    snapshot_at: time,
    finished_at: time,
    requested_by: { kind: "command", user: "x", host: "x" },
    kinds,
  };
  writeFileSync(join(folder, "manifest.json"), JSON.stringify(manifest));
  writeFileSync(
    join(folder, "filestore.tsv"),
    files.map((sha1) => `${sha1}\t1\t${sha1.slice(0, 2)}/${sha1}\n`).join(""),
  );
}

function emptyPlace(): BackupPlace {
  return placeOf(temporaryFolder());
}

describe("rotation of a folder", () => {
  test("removes what had its time, and the files of the pool that only it named", async () => {
    const place = emptyPlace();
    const [old, shared, orphan] = ["old", "shared", "orphan"].map((content) => pooled(place, content));
    backup(place, "prod_20261101_1200", 21, [old ?? "", shared ?? ""]);
    backup(place, "prod_20261122_1100", 0.1, [shared ?? ""]);
    const dry = await prune(place, rotation, { now, dryRun: true, pool: true, window: 0 });
    expect(dry).toEqual({ removed: ["prod_20261101_1200"], pool_files: 2, pool_bytes: 9, pool_kept: null });
    expect((await readCatalogue(place)).backups).toHaveLength(2);
    expect(await prune(place, rotation, { now, dryRun: false, pool: true, window: 0 })).toEqual(dry);
    expect((await readCatalogue(place)).backups.map(({ id }) => id)).toEqual(["prod_20261122_1100"]);
    expect([old, shared, orphan].map((sha1) => existsSync(poolFile(place, sha1 ?? "")))).toEqual([
      false,
      true,
      false,
    ]);
  });

  test("never touches what is not its own", async () => {
    const place = emptyPlace();
    backup(place, "prod_20261122_1100", 0.1, []);
    const foreign = [
      "prod_20200101_1200.dump",
      "prod_20200101_1200-weekly.dump",
      "prod_20200101_1200.dump.in_progress",
      "README",
      "filestore/notes",
      "filestore/ab/not-a-hash",
    ];
    mkdirSync(join(place.pool, "ab"), { recursive: true });
    for (const name of foreign) writeFileSync(join(place.dir, name), "mine");
    mkdirSync(join(place.dir, "other_20200101_1200.dump"));
    writeFileSync(join(place.dir, "other_20200101_1200.dump", "toc.dat"), "a directory dump of somebody");
    await prune(place, rotation, { now, dryRun: false, pool: true, window: 0 });
    for (const name of foreign) expect(existsSync(join(place.dir, name))).toBe(true);
    expect(existsSync(join(place.dir, "other_20200101_1200.dump", "toc.dat"))).toBe(true);
  });

  test("leaves a backup whose manifest cannot be read, and the files that it names", async () => {
    const place = emptyPlace();
    const sha1 = pooled(place, "precious");
    backup(place, "prod_20200101_1200", 2000, [sha1]);
    backup(place, "prod_20261122_1100", 0.1, []);
    writeFileSync(join(place.dir, "prod_20200101_1200.dump", "manifest.json"), "{ damaged");
    const pruned = await prune(place, rotation, { now, dryRun: false, pool: true, window: 0 });
    expect(pruned).toMatchObject({ removed: [], pool_files: 0 });
    expect(existsSync(poolFile(place, sha1))).toBe(true);
    expect((await readCatalogue(place)).unreadable.map(({ id }) => id)).toEqual(["prod_20200101_1200"]);
  });

  test("leaves the pool alone when a list cannot be read", async () => {
    const place = emptyPlace();
    const sha1 = pooled(place, "precious");
    backup(place, "prod_20261122_1100", 0.1, []);
    writeFileSync(join(place.dir, "prod_20261122_1100.dump", "filestore.tsv"), "\0\0\0\n");
    const pruned = await prune(place, rotation, { now, dryRun: false, pool: true, window: 0 });
    expect(pruned.pool_kept).toContain("cannot be read");
    expect(existsSync(poolFile(place, sha1))).toBe(true);
  });

  test("removes what a killed odoo-pg left behind", async () => {
    const place = emptyPlace();
    backup(place, "prod_20261122_1100", 0.1, []);
    for (const name of [
      "prod_20261122_1200.dump.in_progress",
      "prod_20261101_1200.dump.removing",
      "filestore/.new.0badcafe",
    ]) {
      mkdirSync(join(place.dir, name), { recursive: true });
      writeFileSync(join(place.dir, name, "file"), "half");
    }
    await prune(place, rotation, { now, dryRun: false, pool: true, window: 0 });
    expect(readdirSync(place.dir).sort()).toEqual(["filestore", "prod_20261122_1100.dump"]);
    expect(readdirSync(place.pool)).toEqual([]);
  });

  test("keeps what a second of the window may need for as long as that, from when no backup names it", async () => {
    const place = placeOf(temporaryFolder());
    backup(place, "shop_20261122_1100", 0, []);
    const lone = pooled(place, "between two backups");
    const at = async (day: number): Promise<number> =>
      (await prune(place, rotation, { now: now + day * DAY, dryRun: false, pool: true, window: 7 * DAY }))
        .pool_files;
    expect([await at(0), await at(6), await at(6.9)]).toEqual([0, 0, 0]);
    expect(existsSync(poolFile(place, lone))).toBe(true);
    expect(await at(7)).toBe(1);
    expect(existsSync(poolFile(place, lone))).toBe(false);
  });

  test("counts that time from when no filestore has it, where that is later, and keeps all while there is none", async () => {
    const place = placeOf(temporaryFolder());
    backup(place, "shop_20261122_1100", 0, []);
    const filestores = temporaryFolder();
    const lone = pooled(place, "in no backup");
    const live = join(filestores, "shop", lone.slice(0, 2), lone);
    mkdirSync(join(live, ".."), { recursive: true });
    writeFileSync(live, "in no backup");
    const at = async (day: number, from = filestores) =>
      await prune(place, rotation, {
        now: now + day * DAY,
        dryRun: false,
        pool: true,
        window: 7 * DAY,
        filestores: from,
      });
    expect([(await at(0)).pool_files, (await at(30)).pool_files]).toEqual([0, 0]);
    rmSync(live);
    expect((await at(36, join(filestores, "not-mounted"))).pool_kept).toContain("is not there");
    expect([(await at(36.9)).pool_files, (await at(37)).pool_files]).toEqual([0, 1]);
  });
});
