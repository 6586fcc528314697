import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { findInput } from "../../src/restore/reading/input.ts";
import { restoreDatabase, type RestoreReport } from "../../src/restore/restore.ts";
import { programOf } from "../../src/postgres/installation.ts";
import { withSession } from "../support/with-session.ts";
import { writeZip } from "../../src/system/files/zip.ts";
import { silent } from "../backup/backup-source.ts";
import { runningNode } from "../postgres/throwaway-node.ts";
import { filesBelow } from "../support/files.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { restoring, type Restoring } from "./restoring.ts";

const CONTENT = "an attachment";
const SHA1 = createHash("sha1").update(CONTENT).digest("hex");
const STORED = `${SHA1.slice(0, 2)}/${SHA1}`;
/** Another database's. */
const OTHER = createHash("sha1").update("another").digest("hex");
const OTHER_STORED = `${OTHER.slice(0, 2)}/${OTHER}`;

const DUMP = `--
-- PostgreSQL database dump
--

SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
CREATE TABLE public.ir_module_module (id integer, name text, state text, latest_version text);
CREATE TABLE public.ir_attachment (id integer, name text, store_fname text);
CREATE TABLE public."Zoë" (name text);
COPY public.ir_attachment (id, name, store_fname) FROM stdin;
1	é	${STORED}
\\.
COPY public."Zoë" (name) FROM stdin;
ü; \\\\.
\\.
--
-- PostgreSQL database dump complete
--
`;

let it: Restoring;
let count = 0;

beforeAll(async () => {
  it = await restoring(await runningNode());
});

async function rows(database: string, sql: string) {
  return await withSession({ ...it.node.superuser, database }, (session) => session.query(sql));
}

async function restored(file: string, part?: string): Promise<{ report: RestoreReport; database: string }> {
  count += 1;
  const database = `file_${count}`;
  const input = await findInput(it.source.place, "/", file);
  const order = { input, database, replace: false, keepOld: false, part };
  return { report: await restoreDatabase(it.source, order, silent), database };
}

/** What is in DUMP is there. */
async function isWhole(database: string): Promise<void> {
  expect(
    await rows(database, `SELECT a.name AS a, z.name AS z FROM public.ir_attachment a, public."Zoë" z`),
  ).toEqual([{ a: "é", z: "ü; \\." }]);
}

function fileOf(bytes: string | Buffer, name = "d"): string {
  const file = join(temporaryFolder(), name);
  writeFileSync(file, bytes);
  return file;
}

describe("bytes and encodings:", () => {
  const utf16 = Buffer.from(`\ufeff${DUMP.replaceAll("\n", "\r\n")}`, "utf16le");
  test.each([
    ["a mark of UTF-8", Buffer.from(`\ufeff${DUMP}`), 0],
    ["UTF-16 with its mark, and lines as Windows ends them", utf16, 1],
    ["UTF-16 of the other order", Buffer.from(utf16).swap16(), 1],
    ["UTF-16 without a mark", utf16.subarray(2), 1],
    ["LATIN1", Buffer.from(DUMP.replace("'UTF8'", "'LATIN1'"), "latin1"), 0],
    [
      "LATIN1 by set_config",
      Buffer.from(
        DUMP.replace(
          "SET client_encoding = 'UTF8'",
          "SELECT pg_catalog.set_config('client_encoding', 'WIN1252', false)",
        ),
        "latin1",
      ),
      0,
    ],
  ])("%s", async (_what, bytes, notes) => {
    const { report, database } = await restored(fileOf(bytes));
    await isWhole(database);
    expect(report.notes.filter((note) => note.includes("UTF-16"))).toHaveLength(notes);
    expect(report).toMatchObject({ set_aside: null, rows: 2 });
  });
});

describe("a packed dump is told from its content:", () => {
  test.each([
    ["gzip", ["gzip", "-c"]],
    ["zstd", ["zstd", "-qc"]],
    ["xz", ["xz", "-c"]],
    ["bzip2", ["bzip2", "-c"]],
  ])("%s", async (_name, [program = "", ...args]) => {
    const folder = temporaryFolder();
    const plain = fileOf(DUMP);
    const packed = (file: string, name: string): string => {
      const to = join(folder, name);
      writeFileSync(to, execFileSync(program, [...args, file], { maxBuffer: 2 ** 26 }));
      return to;
    };
    const { database } = await restored(packed(plain, "plain"));
    await isWhole(database);
    // As a custom archive, and as a tar with its attachment.
    if (program === "xz") {
      await isWhole((await restored(packed(it.dump(database, join(folder, "c"), "-Fc"), "custom"))).database);
      await isWhole((await restored(packed(it.dump(database, join(folder, "t"), "-Ft"), "tar"))).database);
    }
    const root = temporaryFolder();
    put(root, "dump.sql", DUMP);
    put(root, `filestore/${STORED}`, CONTENT);
    symlinkSync("/etc/passwd", join(root, "filestore", "link"));
    const tar = join(folder, "bundle.tar");
    execFileSync("tar", ["-cf", tar, "-C", root, "."]);
    const { report } = await restored(packed(tar, "bundle"));
    expect(report).toMatchObject({ files: 1, notes: [] });
    await it.nothingLeft();
    // Made only where something had to be unpacked.
    if (existsSync(it.source.restoresDir)) expect(filesBelow(it.source.restoresDir)).toEqual([]);
  });

  test("a part of a split archive is named, with what puts it together", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "a.zip.001"), "PK\u0003\u0004");
    writeFileSync(join(folder, "a.zip.002"), "x");
    writeFileSync(join(folder, "b.zip"), "PK\u0003\u0004");
    writeFileSync(join(folder, "b.z01"), "PK\u0007\u0008");
    for (const [name, next] of [
      ["a.zip.001", "cat "],
      ["b.zip", "zip -s 0"],
      ["b.z01", "zip -s 0"],
    ] as const)
      await expect(restored(join(folder, name))).rejects.toMatchObject({
        code: "dump_unusable",
        message: expect.stringContaining("parts"),
        next: expect.arrayContaining([expect.stringContaining(next)]),
      });
  });

  test("a cut one is refused", async () => {
    const plain = fileOf(DUMP);
    for (const [program, ...args] of [
      ["xz", "-c"],
      ["bzip2", "-c"],
    ]) {
      const bytes = execFileSync(program ?? "", [...args, plain]);
      await expect(restored(fileOf(bytes.subarray(0, bytes.length - 20)))).rejects.toMatchObject({
        code: "dump_unusable",
      });
    }
  });
});

function put(root: string, name: string, content: string): void {
  mkdirSync(dirname(join(root, name)), { recursive: true });
  writeFileSync(join(root, name), content);
}

/** Entries in their order: a name may be there twice. */
async function zipOf(...entries: readonly (readonly [string, string | Buffer])[]): Promise<string> {
  const file = join(temporaryFolder(), "a.zip");
  const folder = temporaryFolder();
  await writeZip(
    file,
    (async function* () {
      for (const [at, [name, content]] of entries.entries()) {
        writeFileSync(join(folder, String(at)), content);
        yield { name, file: join(folder, String(at)) };
      }
    })(),
  );
  return file;
}

describe.runIf(process.geteuid?.() === 0)("where another user may put another file in its place", () => {
  const NOBODY = 65_534;
  const theirs = (): string => {
    const folder = temporaryFolder();
    chownSync(folder, NOBODY, NOBODY);
    return folder;
  };

  test("a dump is read as it was found, however it is packed", async () => {
    const plain = fileOf(DUMP);
    const { database: whole } = await restored(plain);
    const zip = await zipOf(["dump.sql", DUMP], [`filestore/${STORED}`, CONTENT]);
    const unpacked = temporaryFolder();
    put(unpacked, "dump.sql", DUMP);
    const tar = join(temporaryFolder(), "bundle.tar");
    execFileSync("tar", ["-cf", tar, "-C", unpacked, "."]);
    const packed = ["gzip", "zstd", "xz", "bzip2"].map((program) =>
      execFileSync(program, ["-q", "-c", plain], { maxBuffer: 2 ** 26 }),
    );
    const archives = ["-Fc", "-Ft"].map((format) =>
      readFileSync(it.dump(whole, join(temporaryFolder(), "d"), format)),
    );
    const all = [readFileSync(plain), ...packed, ...archives, readFileSync(zip), readFileSync(tar)];
    for (const bytes of all) {
      const file = join(theirs(), "d");
      writeFileSync(file, bytes);
      chownSync(file, NOBODY, NOBODY);
      const input = await findInput(it.source.place, "/", file);
      rmSync(file);
      symlinkSync(fileOf("SELECT 1; -- the secret of root"), file);
      count += 1;
      const database = `file_${count}`;
      await restoreDatabase(it.source, { input, database, replace: false, keepOld: false }, silent);
      await isWhole(database);
    }
    await it.nothingLeft();
  });

  test("a link is not followed, nor is a file read that was given a second name there", async () => {
    const secret = fileOf(DUMP);
    chmodSync(secret, 0o600);
    const folder = theirs();
    symlinkSync(secret, join(folder, "link"));
    linkSync(secret, join(folder, "named"));
    // Root's own link into that folder leads no further.
    const own = join(temporaryFolder(), "own");
    symlinkSync(join(folder, "link"), own);
    for (const [file, why] of [
      [join(folder, "link"), "is a link"],
      [join(folder, "named"), "no file that the owner of its folder may read"],
      [own, "is a link"],
    ] as const)
      await expect(restored(file)).rejects.toMatchObject({
        code: "dump_unusable",
        message: expect.stringContaining(why),
      });
    const through = join(temporaryFolder(), "through");
    const given = join(folder, "given");
    writeFileSync(given, DUMP);
    symlinkSync(given, through);
    await isWhole((await restored(through)).database);
  });
});

describe("a zip as people make them:", () => {
  const sql = ["dump.sql", DUMP] as const;
  const own = [`filestore/${STORED}`, CONTENT] as const;
  test.each([
    ["as Odoo makes it", [["manifest.json", '{"db_name": "shop"}'], sql, own], []],
    [
      "the filestore under its database's name",
      [sql, [`filestore/shop/${STORED}`, CONTENT]],
      ["filestore/shop/"],
    ],
    ["the filestore's folder alone", [sql, [`shop/${STORED}`, CONTENT]], ["shop/"]],
    [
      "all in one folder",
      [
        [`x/dump.sql`, DUMP],
        [`x/filestore/${STORED}`, CONTENT],
      ],
      ["x/dump.sql", "x/filestore/"],
    ],
    [
      "what a Mac adds",
      [
        sql,
        own,
        ["__MACOSX/._dump.sql", "x"],
        ["filestore/.DS_Store", "x"],
        [`__MACOSX/filestore/${STORED.slice(0, 3)}._${SHA1}`, "x"],
      ],
      [],
    ],
    ["doubled entries", [sql, sql, own, own], []],
    ["doubled entries of which one is right", [sql, [`filestore/${STORED}`, "wrong"], own], []],
    ["doubled entries of which the first is right", [sql, own, [`filestore/${STORED}`, "wrong"]], []],
    ["upper-case hashes", [sql, [`filestore/${STORED.toUpperCase()}`, CONTENT]], []],
    ["Odoo's checklist", [sql, own, [`filestore/checklist/${STORED}`, ""]], []],
    [
      "several filestores and a manifest",
      [
        ["manifest.json", '{"db_name": "shop"}'],
        sql,
        [`filestore/shop/${STORED}`, CONTENT],
        [`filestore/other/${OTHER_STORED}`, "another"],
      ],
      ["filestore/shop/"],
    ],
    ["a dump of another name", [["backup_2025.sql", DUMP], own], ["backup_2025.sql"]],
    ["a packed dump", [["dump.sql.gz", execFileSync("gzip", ["-c"], { input: DUMP })], own], ["dump.sql.gz"]],
  ] as const)("%s", async (_what, entries, told) => {
    const { report, database } = await restored(await zipOf(...entries));
    await isWhole(database);
    expect(report.files).toBe(1);
    expect(filesBelow(join(it.filestore, database))).toEqual([join(it.filestore, database, STORED)]);
    expect(report.notes).toEqual(
      told.map((name) => expect.stringMatching(new RegExp(`^taken as .*: ${name}$`))),
    );
    await it.nothingLeft();
  });

  test("a zip in a zip, an archive of pg_dump in a zip, and what was unpacked", async () => {
    const inner = await zipOf(sql, own);
    const { report, database } = await restored(await zipOf(["shop.zip", readFileSync(inner)]));
    expect(report).toMatchObject({ files: 1, notes: ["taken as the dump: shop.zip"] });
    await isWhole(database);
    const custom = readFileSync(it.dump(database, join(temporaryFolder(), "c"), "-Fc"));
    await isWhole((await restored(await zipOf(["dump.dump", custom], own))).database);
    const folder = temporaryFolder();
    const written = temporaryFolder();
    it.dump(database, join(written, "pg"), "-Fd");
    execFileSync("zip", ["-qr", join(folder, "pg.zip"), "pg"], { cwd: written });
    await isWhole((await restored(join(folder, "pg.zip"))).database);
    put(folder, "dump.sql", DUMP);
    put(folder, `filestore/${STORED}`, CONTENT);
    symlinkSync("/etc/passwd", join(folder, "filestore", "link"));
    expect((await restored(folder)).report.files).toBe(1);
    if (process.geteuid?.() === 0) {
      // What only root may read is not there for root either, in the folder of somebody else.
      put(folder, `filestore/${OTHER_STORED}`, "another");
      execFileSync("chown", ["-Rh", "65534:65534", folder]);
      const secret = join(folder, "filestore", OTHER_STORED);
      chownSync(secret, 0, 0);
      chmodSync(secret, 0o600);
      expect((await restored(folder)).report.files).toBe(1);
    }
    await it.nothingLeft();
  });

  test.each([
    [
      "two dumps",
      [
        ["a.sql", DUMP],
        ["b.sql", DUMP],
      ],
      "a.sql, b.sql",
    ],
    ["two dumps of one name", [sql, ["dump.sql", `${DUMP}\n`]], "twice"],
    [
      "two filestores",
      [sql, [`a/${STORED}`, CONTENT], [`b/${OTHER_STORED}`, "another"]],
      "several filestores: a/, b/",
    ],
    ["no dump", [own], "no other dump"],
  ] as const)("%s: nothing is guessed", async (_what, entries, words) => {
    await expect(restored(await zipOf(...entries))).rejects.toMatchObject({
      code: "dump_unusable",
      message: expect.stringContaining(words),
    });
    await it.nothingLeft();
  });

  test("what was not taken is told, and an attachment that is altered is refused", async () => {
    const { report } = await restored(await zipOf(sql, ["files.rar", "x"]));
    expect(report.notes.join("\n")).toContain("files.rar");
    expect(report.notes.join("\n")).not.toContain("the source lacks them");
    await expect(restored(await zipOf(sql, [`filestore/${STORED}`, "wrong"]))).rejects.toMatchObject({
      code: "backup_damaged",
    });
  });
});

describe("a file of several databases:", () => {
  let all: string;
  let clean: string;
  beforeAll(async () => {
    await withSession(it.node.superuser, async (session) => {
      await session.query("CREATE ROLE keeper");
      await session.query("CREATE DATABASE alpha OWNER odoo");
      await session.query(`CREATE DATABASE "Bêta base" OWNER odoo`);
      await session.query(`ALTER DATABASE "Bêta base" SET work_mem = '7MB'`);
      await session.query(`ALTER DATABASE "Bêta base" SET log_min_duration_statement = '3s'`);
    });
    await rows("alpha", "CREATE TABLE a AS SELECT 'alpha' AS name");
    await rows("Bêta base", "CREATE TABLE b AS SELECT 'beta' AS name; GRANT SELECT ON b TO keeper");
    const folder = temporaryFolder();
    const { host, port, user } = it.node.superuser;
    const dumpAll = (name: string, ...args: readonly string[]): string => {
      const file = join(folder, name);
      execFileSync(
        programOf(it.node.installation, "pg_dumpall"),
        ["-f", file, "-h", host, "-p", String(port), "-U", user, ...args],
        { env: { PGPASSWORD: it.node.passwords.postgres } },
      );
      return file;
    };
    all = dumpAll("all.sql");
    clean = dumpAll("clean.sql", "--clean", "--if-exists");
  });

  test("its databases are named, and one is restored by its name", async () => {
    await expect(restored(all)).rejects.toMatchObject({
      code: "usage",
      message: expect.stringMatching(/"Bêta base".*"alpha"/),
      next: expect.arrayContaining([expect.stringContaining("--database")]),
    });
    await expect(restored(all, "gamma")).rejects.toMatchObject({ code: "usage" });
    const before = await it.databases();
    for (const file of [all, clean]) {
      const { report, database } = await restored(file, "Bêta base");
      expect(
        await rows(
          database,
          "SELECT name, current_setting('work_mem') AS mem, has_table_privilege('keeper', 'b', 'SELECT') AS may FROM b",
        ),
      ).toEqual([{ name: "beta", mem: "7MB", may: true }]);
      expect(report.notes).toEqual([expect.stringMatching(/^not set: .*log_min_duration_statement/)]);
      expect(await rows(database, "SELECT to_regclass('a') AS a")).toEqual([{ a: null }]);
    }
    expect((await it.databases()).filter((name) => !name.startsWith("file_"))).toEqual(
      before.filter((name) => !name.startsWith("file_")),
    );
  });

  test("a dump with --create of one database needs no name", async () => {
    for (const args of [
      ["--create"],
      ["--create", "--clean", "--if-exists"],
      ["--create", "--inserts", "--encoding=LATIN1"],
    ]) {
      const file = it.dump("Bêta base", join(temporaryFolder(), "d.sql"), ...args);
      const { database } = await restored(file);
      expect(await rows(database, "SELECT name FROM b")).toEqual([{ name: "beta" }]);
    }
    await expect(restored(fileOf(DUMP), "alpha")).rejects.toMatchObject({ code: "usage" });
  });
});
