import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { compareContents } from "../../src/backup/contents/compare.ts";
import { readContents } from "../../src/backup/catalogue.ts";
import { readFilestoreList, type ListedFile } from "../../src/backup/attachments/filestore-list.ts";
import { createBackup } from "../../src/backup/create.ts";
import { poolFile } from "../../src/backup/place.ts";
import { drillBackups } from "../../src/runs/run.ts";
import { readDatabaseContents } from "../../src/backup/contents/read-contents.ts";
import { programOf } from "../../src/postgres/installation.ts";
import { hasFilestore } from "../../src/odoo/filestore.ts";
import { runOrFail } from "../../src/system/process/process.ts";
import { withSession } from "../support/with-session.ts";
import { runningNode, type ThrowawayNode } from "../postgres/throwaway-node.ts";
import { makeOdooDatabase, writeAttachment } from "../support/odoo-database.ts";
import { canBeKeptOut, withoutRights } from "../support/other-user.ts";
import { backupsOf, silent } from "./backup-source.ts";

let node: ThrowawayNode;

beforeAll(async () => {
  node = await runningNode();
});

let made = 0;

/** An Odoo-shaped database of its own, with backups of its own. */
async function odooBackups(options: Parameters<typeof backupsOf>[1] = {}, attachments = 20) {
  made += 1;
  const backups = backupsOf(node, options);
  const database = `odoo${made}`;
  const odoo = await makeOdooDatabase({
    superuser: node.superuser,
    database,
    filestore: backups.filestore,
    attachments,
  });
  return { ...backups, odoo, database };
}

async function listOf(folder: string): Promise<ListedFile[]> {
  const files: ListedFile[] = [];
  for await (const file of readFilestoreList(folder)) files.push(file);
  return files;
}

describe("a backup that is read at once and removed then", () => {
  test("is not compressed where there is room, and is as whole as any other", async () => {
    const { source, database } = await odooBackups();
    const { manifest, folder } = await createBackup(
      { ...source, isPassing: true },
      database,
      () => ["hourly"],
      silent,
    );
    expect(manifest.dumps).toEqual([{ format: "directory", path: ".", compression: "none" }]);
    expect(readdirSync(folder).filter((name) => name.endsWith(".gz") || name.endsWith(".zst"))).toEqual([]);
    const list = await runOrFail(programOf(source.installation, "pg_restore"), ["--list", folder]);
    expect(list.stdout).toContain("TABLE DATA public res_partner");
  });
});

describe("a backup", () => {
  test("describes itself: database, versions, counts, sizes, attachments, times in UTC, who asked", async () => {
    const { backUpOne, newest, database, source } = await odooBackups();
    const { id } = await backUpOne(database);
    const { manifest, folder } = await newest();
    expect(id).toMatch(new RegExp(`^${database}_\\d{8}_\\d{4}-monthly$`));
    expect(folder).toBe(join(source.place.dir, `${id}.dump`));
    expect(manifest).toMatchObject({
      version: 1,
      id,
      database,
      system_identifier: expect.stringMatching(/^\d{15,20}$/),
      server_major: node.installation.major,
      odoo_version: "19.0.1.3",
      dumps: [{ format: "directory", path: "." }],
      filestore: { included: true, files: 20, missing: { count: 0 }, altered: { count: 0 } },
      requested_by: { kind: "command", user: "tester", host: "here" },
      kinds: ["hourly", "daily", "weekly", "monthly"],
    });
    expect(manifest.started_at <= manifest.snapshot_at).toBe(true);
    expect(manifest.snapshot_at <= manifest.finished_at).toBe(true);
    expect(manifest.rows).toBeGreaterThan(70);
    expect((await readContents(folder)).odoo?.modules).toEqual({
      base: "19.0.1.3",
      web: "19.0.1.0",
      mail: "19.0.1.19",
    });
  });

  test("is closed to other users, and nothing under a temporary name is left", async () => {
    const { backUpOne, newest, database, source } = await odooBackups();
    await backUpOne(database);
    const { folder } = await newest();
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(readdirSync(folder).map((name) => statSync(join(folder, name)).mode & 0o077)).toEqual(
      readdirSync(folder).map(() => 0),
    );
    expect(readdirSync(source.place.dir).sort()).toEqual([`${(await newest()).id}.dump`, "filestore"].sort());
    expect(readdirSync(source.place.pool).filter((name) => name.startsWith("."))).toEqual([]);
  });

  test("is restored by plain createdb and pg_restore, after its globals.sql", async () => {
    const { backUpOne, newest, database } = await odooBackups();
    await backUpOne(database);
    const { folder } = await newest();
    const { host, port, user } = node.superuser;
    const at = ["-h", host, "-p", String(port), "-U", user];
    const environment = { PGPASSWORD: node.passwords.postgres };
    const bin = (name: string): string => join(node.installation.binDir, name);
    await runOrFail(bin("psql"), [...at, "-X", "-v", "ON_ERROR_STOP=1", "-f", join(folder, "globals.sql")], {
      environment,
    });
    const copy = `${database}_by_hand`;
    await runOrFail(bin("createdb"), [...at, "-T", "template0", "-O", "odoo", copy], { environment });
    // What pg_dump does not say: see unaccent in contents.json.
    await withSession({ ...node.superuser, database: copy }, async (session) => {
      await session.query("CREATE EXTENSION unaccent; ALTER FUNCTION unaccent(text) IMMUTABLE");
    });
    await runOrFail(bin("pg_restore"), [...at, "--exit-on-error", "-j2", "-d", copy, folder], {
      environment,
    });
    const found = await withSession({ ...node.superuser, database: copy }, readDatabaseContents);
    const differences = compareContents(await readContents(folder), found, {
      owners: true,
      definitions: true,
    });
    expect(differences.filter((line) => !line.startsWith("extension "))).toEqual([]);
  });

  test("is checked by sha256sum without odoo-pg, and so are its attachments by sha1sum", async () => {
    const { backUpOne, newest, database } = await odooBackups();
    await backUpOne(database);
    const { folder } = await newest();
    await runOrFail("sha256sum", ["--check", "--strict", "--quiet", "SHA256SUMS"], { cwd: folder });
    const sums = (await listOf(folder)).map(
      ({ sha1 }) => `${sha1}  ../filestore/${sha1.slice(0, 2)}/${sha1}\n`,
    );
    await runOrFail("sha1sum", ["--check", "--strict", "--quiet"], { cwd: folder, input: sums.join("") });
  });

  test("holds SQL for psql too where plain dumps are asked for", async () => {
    const { backUpOne, newest, database } = await odooBackups({ backup: { plain: true } });
    await backUpOne(database);
    const { folder, manifest } = await newest();
    const [, plain] = manifest.dumps.map(({ path }) => path);
    expect(plain).toMatch(/^database\.sql\.(?:gz|zst)$/);
    const unpack = plain?.endsWith(".zst") ? "zstd" : "gzip";
    const sql = await runOrFail(unpack, ["--decompress", "--stdout", join(folder, plain ?? "")]);
    expect(sql.stdout).toContain("CREATE TABLE public.ir_attachment");
    expect(sql.stdout.trimEnd().split("\n").slice(-5).join("\n")).toContain(
      "PostgreSQL database dump complete",
    );
  });

  test("holds no password unless that is asked for", async () => {
    await withSession(node.superuser, async (session) => {
      await session.query("CREATE ROLE secretive LOGIN PASSWORD 'not to be found'");
    });
    const texts: string[] = [];
    for (const role_passwords of [false, true]) {
      const { backUpOne, newest, database } = await odooBackups({ backup: { role_passwords } });
      await withSession({ ...node.superuser, database }, async (session) => {
        await session.query("GRANT SELECT ON res_partner TO secretive");
      });
      await backUpOne(database);
      texts.push(readFileSync(join((await newest()).folder, "globals.sql"), "utf8"));
    }
    expect(texts[0]).toContain(`CREATE ROLE "secretive" LOGIN`);
    expect(texts[0]).not.toContain("SCRAM");
    expect(texts[1]).toContain("SCRAM-SHA-256$");
  });

  test("of a database that is not Odoo's says so, and so does one without a filestore", async () => {
    const { backUp, catalogue } = backupsOf(node);
    made += 1;
    const other = backupsOf(node);
    await makeOdooDatabase({
      superuser: node.superuser,
      database: `odoo${made}`,
      filestore: other.filestore,
    });
    await withSession(node.superuser, async (session) => {
      await session.query("CREATE DATABASE plain");
    });
    const report = await backUp("plain", `odoo${made}`);
    expect(report.ok).toBe(true);
    expect((await catalogue()).map(({ manifest }) => manifest.filestore)).toEqual(
      expect.arrayContaining([
        { included: false, reason: "not_odoo" },
        { included: false, reason: "folder_missing" },
      ]),
    );
    expect(report.databases.flatMap(({ warnings }) => warnings)).toEqual([
      "its attachments are not in the backup: it has no folder in the filestore",
    ]);
    expect(report.databases.map(({ filestore_missing }) => filestore_missing)).toEqual([true, undefined]);
  });

  test("fails where the directory of all filestores is not there, and says what to do", async () => {
    const { backUp, catalogue, database, filestore, source } = await odooBackups();
    rmSync(filestore, { recursive: true });
    const report = await backUp(database);
    expect(report).toMatchObject({
      ok: false,
      databases: [
        {
          outcome: "failed",
          error: `The directory of Odoo's filestores, ${filestore}, is not there.`,
          safe: expect.stringContaining("earlier backups are untouched"),
          next: expect.stringContaining("Mount its disk"),
        },
      ],
    });
    expect(await catalogue()).toEqual([]);
    expect(readdirSync(source.place.dir)).toEqual([]);
  });

  test("without its folder in the filestore has the attachments of earlier backups, and says so", async () => {
    const { backUp, backUpOne, database, odoo, newest, verify, source } = await odooBackups();
    await backUpOne(database);
    rmSync(odoo.filestore, { recursive: true });
    await withSession({ ...node.superuser, database }, async (session) => {
      await session.query(
        `INSERT INTO ir_attachment (name, type, store_fname) VALUES ('new', 'binary', 'ab/ab${"0".repeat(38)}')`,
      );
    });
    const report = await backUp(database);
    expect(report.databases).toMatchObject([
      {
        outcome: "ok",
        filestore_missing: true,
        warnings: [
          "it has no folder in the filestore: 20 attachments are taken from earlier backups, 1 are in none",
        ],
      },
    ]);
    const backup = await newest();
    expect(backup.manifest.filestore).toMatchObject({ included: true, files: 20, missing: { count: 1 } });
    expect((await verify(backup)).problems).toEqual([]);
    expect((await drillBackups(source, [backup], silent)).ok).toBe(true);
  });

  test.runIf(canBeKeptOut)("fails where the filestore may not be read, and says what to do", async () => {
    const { filestore, odoo } = await odooBackups();
    chmodSync(odoo.filestore, process.geteuid?.() === 0 ? 0o700 : 0);
    try {
      await withoutRights(node.owner, async () => {
        await expect(hasFilestore(filestore, odoo.filestore)).rejects.toMatchObject({
          code: "filestore_unusable",
          safe: expect.stringContaining("untouched"),
          next: [expect.stringContaining("sudo")],
        });
      });
    } finally {
      chmodSync(odoo.filestore, 0o700);
    }
  });
});

describe("the pool of attachments", () => {
  test("gets only what is new with the second backup, whoever's it is", async () => {
    const { backUpOne, database, odoo, newest, source, filestore } = await odooBackups();
    const first = await backUpOne(database);
    expect(first.copied_bytes).toBe(2000);
    const added = writeAttachment(odoo.filestore, "something new");
    await withSession({ ...node.superuser, database }, async (session) => {
      await session.query(
        "INSERT INTO ir_attachment (name, type, store_fname) VALUES ('new', 'binary', $1)",
        [added],
      );
    });
    const second = await backUpOne(database);
    expect(second.copied_bytes).toBe("something new".length);
    expect((await listOf((await newest()).folder)).map(({ storeFname }) => storeFname)).toContain(added);
    const other = backupsOf(node, { dir: source.place.dir, filestore });
    made += 1;
    const copy = await makeOdooDatabase({
      superuser: node.superuser,
      database: `odoo${made}`,
      filestore: other.filestore,
      attachments: 0,
    });
    const same = writeAttachment(copy.filestore, "something new");
    await withSession({ ...node.superuser, database: copy.database }, async (session) => {
      await session.query(
        "INSERT INTO ir_attachment (name, type, store_fname) VALUES ('new', 'binary', $1)",
        [same],
      );
    });
    expect((await other.backUpOne(copy.database)).copied_bytes).toBe(0);
  });

  test("does not change with the live file: they share no inode", async () => {
    const { backUpOne, database, odoo, newest, verify } = await odooBackups();
    await backUpOne(database);
    for (const name of odoo.files) writeFileSync(join(odoo.filestore, name), "damaged");
    expect((await verify(await newest())).problems).toEqual([]);
  });

  test("gives what the live filestore has lost since, and the backup tells of the loss", async () => {
    const { backUpOne, database, odoo, newest, verify, source } = await odooBackups();
    await backUpOne(database);
    const lost = [...odoo.files].sort().slice(0, 2);
    rmSync(join(odoo.filestore, lost[0] ?? ""));
    writeFileSync(join(odoo.filestore, lost[1] ?? ""), "damaged");
    const result = await backUpOne(database);
    expect(result.warnings).toEqual([
      `2 attachments are missing or damaged in the live filestore; this backup has them whole, from earlier ones: ${lost.join(", ")}`,
    ]);
    const backup = await newest();
    expect(backup.manifest.filestore).toMatchObject({
      files: 20,
      missing: { count: 0 },
      altered: { count: 0 },
      pool_only: { count: 2, first: lost },
    });
    expect((await verify(backup)).problems).toEqual([]);
    expect((await drillBackups(source, [backup], silent)).ok).toBe(true);
  });

  test("keeps a live file whose content does not fit its name as it is, and the backup says so", async () => {
    const { backUpOne, database, odoo, newest, verify } = await odooBackups();
    const [altered = "", missing = ""] = odoo.files;
    writeFileSync(join(odoo.filestore, altered), "not what its name says");
    rmSync(join(odoo.filestore, missing));
    const result = await backUpOne(database);
    expect(result.warnings).toEqual([
      `1 attachments are missing in the live filestore too: ${missing}`,
      `1 attachments are damaged in the live filestore: ${altered}`,
    ]);
    const backup = await newest();
    expect(backup.manifest.filestore).toMatchObject({
      files: 19,
      missing: { count: 1, first: [missing] },
      altered: { count: 1, first: [altered] },
    });
    const listed = (await listOf(backup.folder)).find(({ storeFname }) => storeFname === altered);
    expect(listed?.sha1).not.toBe(altered.slice(3));
    expect((await verify(backup)).ok).toBe(true);
  });

  test("heals a file of its own that has lost its end, where the live file is whole", async () => {
    const { backUpOne, database, odoo, newest, source, verify } = await odooBackups();
    await backUpOne(database);
    const [name = ""] = odoo.files;
    const pooled = poolFile(source.place, name.slice(3));
    writeFileSync(pooled, readFileSync(pooled).subarray(0, 40));
    await backUpOne(database);
    expect((await verify(await newest())).problems).toEqual([]);
  });

  test.each(["../../etc/passwd", "/etc/passwd", "ab/../../x", "ab//x", ""])(
    "takes no file from outside of the filestore: %j",
    async (name) => {
      const { backUpOne, database, newest } = await odooBackups({}, 1);
      await withSession({ ...node.superuser, database }, async (session) => {
        await session.query(
          "INSERT INTO ir_attachment (name, type, store_fname) VALUES ('x', 'binary', $1)",
          [name],
        );
      });
      await backUpOne(database);
      const { manifest } = await newest();
      expect(manifest.filestore).toMatchObject({ files: 1, missing: { count: name === "" ? 0 : 1 } });
    },
  );
});

describe("a drill", () => {
  test("restores a backup, compares all of it, notes that, and leaves no database behind", async () => {
    const { backUpOne, database, newest, source } = await odooBackups({}, 3000);
    await backUpOne(database);
    const report = await drillBackups(source, [await newest()], silent);
    expect(report.databases.map(({ outcome, error }) => [outcome, error])).toEqual([["ok", null]]);
    const { checks } = await newest();
    expect(checks.drilled_at).not.toBeNull();
    expect(checks.verified_at).not.toBeNull();
    const scratch = await withSession(node.superuser, async (session) =>
      session.query(
        `SELECT datname AS name FROM pg_database WHERE datname LIKE 'odoo\\_pg\\_%'
         UNION SELECT rolname FROM pg_roles WHERE rolname LIKE 'odoo\\_pg\\_%'`,
      ),
    );
    expect(scratch).toEqual([]);
  });

  test("finds what checksums cannot: a manifest that promises more than the dump holds", async () => {
    const { backUpOne, database, newest, source } = await odooBackups();
    await backUpOne(database);
    const { folder } = await newest();
    const file = join(folder, "contents.json");
    writeFileSync(file, readFileSync(file, "utf8").replace(/"rows":51/, '"rows":52'));
    const sums = join(folder, "SHA256SUMS");
    const changed = await runOrFail("sha256sum", ["contents.json"], { cwd: folder });
    writeFileSync(
      sums,
      readFileSync(sums, "utf8").replace(/.{64} {2}contents\.json\n/, changed.stdout.trimEnd() + "\n"),
    );
    const report = await drillBackups(source, [await newest()], silent);
    expect(report.ok).toBe(false);
    expect(report.databases[0]?.error).toContain("table public.res_partner is with 51 rows");
    expect((await newest()).checks).toMatchObject({ drilled_at: null });
  });

  test("gives things to their owners as a restore does, and is not held up by roles that are not here", async () => {
    const { backUpOne, database, newest, source } = await odooBackups();
    await withSession({ ...node.superuser, database }, async (session) => {
      await session.query(
        `CREATE ROLE keeper_${database}; ALTER TABLE ir_cron OWNER TO keeper_${database};
         CREATE ROLE passing_${database}; ALTER TABLE ir_mail_server OWNER TO passing_${database}`,
      );
      await backUpOne(database);
      await session.query(
        `ALTER TABLE ir_mail_server OWNER TO odoo; DROP OWNED BY passing_${database}; DROP ROLE passing_${database}`,
      );
    });
    const notes: string[] = [];
    const report = await drillBackups(source, [await newest()], {
      ...silent,
      note: (text) => notes.push(text),
    });
    expect(report.databases.map(({ outcome, error }) => [outcome, error])).toEqual([["ok", null]]);
    expect(notes).toEqual([`${database}: what role passing_${database} owned belongs to odoo now`]);
  });

  test("tries a backup that holds SQL only, too", async () => {
    const { backUpOne, database, newest, source } = await odooBackups({
      backup: { custom: false, plain: true },
    });
    await backUpOne(database);
    const report = await drillBackups(source, [await newest()], silent);
    expect(report.databases.map(({ outcome, error }) => [outcome, error])).toEqual([["ok", null]]);
  });

  test("begins none but the first when its time is over, and says which wait", async () => {
    const { backUpOne, database, newest, source } = await odooBackups();
    await backUpOne(database);
    const backup = await newest();
    const report = await drillBackups(source, [backup, backup, backup], silent, { budget: 0 });
    expect([report.databases.map(({ outcome }) => outcome), report.warnings]).toEqual([
      ["ok"],
      [expect.stringContaining("the next run begins with 2 databases that wait")],
    ]);
  });

  test("removes what a killed drill left behind", async () => {
    const { source } = backupsOf(node);
    await withSession(node.superuser, async (session) => {
      await session.query("CREATE DATABASE odoo_pg_new_0badcafe");
    });
    await drillBackups(source, [], silent);
    const left = await withSession(node.superuser, async (session) =>
      session.query("SELECT FROM pg_database WHERE datname = 'odoo_pg_new_0badcafe'"),
    );
    expect(left).toEqual([]);
  });
});

test("of two runs at the same time one is told who is at work", async () => {
  const { backUpOne, backUp, database, source } = await odooBackups();
  await backUpOne(database);
  expect(existsSync(join(source.place.dir, ".odoo-pg-backup.lock"))).toBe(false);
  const runs = await Promise.allSettled([backUp(database), backUp(database)]);
  expect(runs.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  expect(runs.find(({ status }) => status === "rejected")).toMatchObject({ reason: { code: "locked" } });
});
