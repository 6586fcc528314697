import {
  chmodSync,
  cpSync,
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
import { ZipFile } from "yazl";
import { compareContents } from "../../src/backup/contents/compare.ts";
import { poolFile } from "../../src/backup/place.ts";
import { readFilestoreList } from "../../src/backup/attachments/filestore-list.ts";
import { withSession } from "../support/with-session.ts";
import { writeZip } from "../../src/system/files/zip.ts";
import { mayMount, smallDisk } from "../support/small-disk.ts";
import { runningNode } from "../postgres/throwaway-node.ts";
import { filesBelow } from "../support/files.ts";
import { smallDump } from "../support/odoo-dump.ts";
import { atEnd } from "../support/scope.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";
import { restoreDatabase } from "../../src/restore/restore.ts";
import { silent } from "../backup/backup-source.ts";
import { restoring, type Restoring } from "./restoring.ts";

let it: Restoring;
let backup: string;
let before: { contents: Awaited<ReturnType<Restoring["contents"]>>; files: readonly string[] };

beforeAll(async () => {
  it = await restoring(await runningNode());
  await it.make("shop", { partners: 20_000 });
  await it.backUpOne("shop");
  backup = (await it.newest()).id;
  before = { contents: await it.contents("shop"), files: filesBelow(join(it.filestore, "shop")) };
});

/** The database that was there is as it was, and nothing else is left. */
async function nothingHappened(): Promise<void> {
  await it.nothingLeft();
  expect(
    compareContents(before.contents, await it.contents("shop"), { owners: true, definitions: true }),
  ).toEqual([]);
  expect(filesBelow(join(it.filestore, "shop"))).toEqual(before.files);
}

describe("what is cut or damaged is refused, and nothing that existed is touched:", () => {
  test.each([
    ["custom", ["-Fc"]],
    ["tar", ["-Ft"]],
    ["plain", ["-Fp"]],
    ["gzip", ["-Fp", "-Z6"]],
  ])("a %s dump that is cut", async (_kind, args) => {
    const file = it.dump("shop", join(temporaryFolder(), "d"), ...args);
    const { size } = statSync(file);
    const text = args.includes("-Fp");
    // The end of a plain dump is a comment and an empty line.
    for (const keep of [Math.floor(size * 0.4), text && args.length === 1 ? size - 150 : size - 1]) {
      if (args[0] === "-Ft" && keep === size - 1) continue;
      truncateSync(file, keep);
      await expect(it.replace(file, "shop")).rejects.toMatchObject({
        code: expect.stringMatching(/^(?:dump_unusable|command_failed|restore_failed)$/),
        safe: expect.stringMatching(/as they were|Nothing/),
      });
      await nothingHappened();
    }
  });

  test("a directory dump with a file that is gone", async () => {
    const folder = it.dump("shop", join(temporaryFolder(), "d"), "-Fd");
    const [largest = ""] = filesBelow(folder, (name) => name === "toc.dat").toSorted(
      (a, b) => statSync(b).size - statSync(a).size,
    );
    rmSync(largest);
    await expect(it.as(folder, "never")).rejects.toMatchObject({ code: "dump_unusable" });
    await nothingHappened();
  });

  test("a folder whose list of contents names another file than its own, which pg_restore would read as root", async () => {
    const folder = it.dump("shop", join(temporaryFolder(), "d"), "-Fd");
    const file = join(folder, "toc.dat");
    const toc = readFileSync(file);
    const [name = ""] = readdirSync(folder).flatMap((one) => /^\d+\.dat/.exec(one)?.[0] ?? []);
    const at = toc.indexOf(name);
    const secret = join("..", "secret");
    writeFileSync(join(folder, secret), "1\tthe secret of root\n");
    const length = Buffer.alloc(4);
    length.writeUInt32LE(secret.length);
    const parts = [toc.subarray(0, at - 4), length, Buffer.from(secret), toc.subarray(at + name.length)];
    writeFileSync(file, Buffer.concat(parts));
    const refused = { code: "dump_unusable", message: expect.stringContaining(`names the file "${secret}"`) };
    await expect(it.as(folder, "never")).rejects.toMatchObject(refused);
    const zip = join(temporaryFolder(), "d.zip");
    await writeZip(
      zip,
      (async function* () {
        for (const one of readdirSync(folder)) yield { name: `d/${one}`, file: join(folder, one) };
      })(),
    );
    await expect(it.as(zip, "never")).rejects.toMatchObject(refused);
    await nothingHappened();
  });

  test("a backup with a flipped bit", async () => {
    const copy = join(temporaryFolder(), "copied");
    cpSync(it.source.place.dir, copy, { recursive: true });
    const folder = join(copy, `${backup}.dump`);
    const toc = readFileSync(join(folder, "toc.dat"));
    const at = toc.indexOf("res_partner");
    toc[at] = (toc[at] ?? 0) ^ 1;
    writeFileSync(join(folder, "toc.dat"), toc);
    await expect(it.replace(folder, "shop")).rejects.toMatchObject({
      code: "backup_damaged",
      message: expect.stringContaining("toc.dat"),
    });
    await nothingHappened();
  });

  test.each(["altered", "missing"])("a backup with an attachment that is %s", async (how) => {
    const copy = join(temporaryFolder(), "copied");
    cpSync(it.source.place.dir, copy, { recursive: true });
    const folder = join(copy, `${backup}.dump`);
    const { value: first } = await readFilestoreList(folder).next();
    if (!first) throw new Error("no attachment");
    const pool = { ...it.source.place, pool: join(copy, "filestore") };
    const file = poolFile(pool, first.sha1);
    if (how === "missing") rmSync(file);
    else writeFileSync(file, "x".repeat(statSync(file).size));
    await expect(it.replace(folder, "shop")).rejects.toMatchObject({
      code: "backup_damaged",
      message: expect.stringContaining(`${first.storeFname} is ${how}`),
    });
    await nothingHappened();
  });

  test("what is no dump at all", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "empty"), "");
    writeFileSync(join(folder, "binary"), Buffer.from([1, 2, 0, 4]));
    writeFileSync(join(folder, "bad.zst"), Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3]));
    for (const name of ["empty", "binary", "bad.zst"])
      await expect(it.as(join(folder, name), "never")).rejects.toMatchObject({ code: "dump_unusable" });
    await expect(it.as("shop_20200101_0000", "never")).rejects.toMatchObject({ code: "backup_unknown" });
    await expect(it.as(join(folder, "absent"), "never")).rejects.toMatchObject({ code: "backup_unknown" });
    await nothingHappened();
  });
});

describe("a dump of a newer PostgreSQL is told from its header:", () => {
  test("an archive of a newer format", async () => {
    const file = it.dump("shop", join(temporaryFolder(), "d"), "-Fc");
    const bytes = readFileSync(file);
    bytes[6] = 99;
    writeFileSync(file, bytes);
    await expect(it.as(file, "never")).rejects.toMatchObject({
      code: "dump_unusable",
      message: expect.stringContaining("archive format 1.99"),
    });
  });
});

describe("a dump runs no programs:", () => {
  test.each([
    ["a command of psql", "\\! touch MARK\n", "\\!"],
    ["a program that COPY reads", "COPY t FROM PROGRAM 'touch MARK';\n", "program"],
    [
      "a program inside a block",
      "DO $$ BEGIN EXECUTE 'COPY t FROM PROGRAM ''touch MARK'''; END $$;\n",
      "must be superuser|permission denied to COPY",
    ],
    [
      "a superuser's rights that it takes",
      "RESET SESSION AUTHORIZATION; SET SESSION AUTHORIZATION postgres; ALTER ROLE odoo SUPERUSER;\n",
      "permission denied|must be superuser",
    ],
    [
      "another database that it drops inside a block",
      "DO $$ BEGIN EXECUTE 'ALTER DATABASE shop RENAME TO gone'; END $$;\n",
      "must be owner of database shop",
    ],
  ])("%s", async (_what, sql, words) => {
    const folder = temporaryFolder();
    chmodSync(folder, 0o777);
    const mark = join(folder, "mark");
    const file = join(folder, "d.sql");
    writeFileSync(file, `CREATE TABLE public.t (a text);\n${sql.replaceAll("MARK", mark)}`);
    const refused: unknown = await it.as(file, "never").catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(Error);
    expect(String(refused)).toMatch(words.startsWith("\\") ? "\\!" : new RegExp(words));
    expect(existsSync(mark)).toBe(false);
    await nothingHappened();
  });

  test("a command stays one where the dump has changed how strings are read", async () => {
    const folder = temporaryFolder();
    chmodSync(folder, 0o777);
    const mark = join(folder, "mark");
    const file = join(folder, "d.sql");
    writeFileSync(
      file,
      `CREATE TABLE public.t (a text);
SELECT pg_catalog.set_config('standard_conforming_strings', 'off', false);
SELECT 'a\\''
\\! touch ${mark}
';
`,
    );
    await expect(it.as(file, "never")).rejects.toMatchObject({ code: "dump_unusable" });
    expect(existsSync(mark)).toBe(false);
    await nothingHappened();
  });

  test("another database that it makes, drops or alters is left alone", async () => {
    const file = join(temporaryFolder(), "d.sql");
    writeFileSync(
      file,
      "DROP DATABASE IF EXISTS shop;\nALTER DATABASE shop RENAME TO gone;\nCREATE DATABASE other;\nCREATE TABLE public.t (a text);\n",
    );
    await it.as(file, "left alone");
    expect(await it.databases()).not.toContain("other");
    await nothingHappened();
  });

  test("functions of the dump do not run with a superuser's rights when it is compared", async () => {
    const file = join(temporaryFolder(), "d.sql");
    writeFileSync(
      file,
      `CREATE TABLE public.t (a text);
CREATE FUNCTION public.who(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
  IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN EXECUTE 'CREATE ROLE intruder SUPERUSER'; END IF; RETURN $1; END $$;
CREATE INDEX ON public.t (public.who(a));
INSERT INTO public.t SELECT pg_catalog.generate_series(1, 100)::text;
`,
    );
    await it.as(file, "sneaky");
    expect(
      await withSession(it.node.superuser, (session) =>
        session.query("SELECT FROM pg_roles WHERE rolname = 'intruder'"),
      ),
    ).toEqual([]);
  });
});

describe("a zip", () => {
  /** A zip whose names are as given, right or wrong: yazl takes none that lead elsewhere. */
  async function zipOf(entries: Readonly<Record<string, string>>): Promise<string> {
    const file = join(temporaryFolder(), "a.zip");
    await writeZip(
      file,
      (async function* () {
        for (const [name, text] of Object.entries(entries)) yield { name, text };
      })(),
    );
    return file;
  }
  const dump = async (): Promise<string> => readFileSync((await smallDump(temporaryFolder())).path, "utf8");

  test.each(["../../etc/cron.d/x", "/etc/cron.d/x", "filestore/../../x", "filestore\\..\\x"])(
    "that names %s is refused",
    async (bad) => {
      const name = `filestore/${"x".repeat(bad.length)}`.slice(0, bad.length).padEnd(bad.length, "y");
      const file = await zipOf({ "dump.sql": await dump(), [name]: "evil" });
      writeFileSync(file, Buffer.from(readFileSync(file).toString("latin1").replaceAll(name, bad), "latin1"));
      await expect(it.as(file, "never")).rejects.toMatchObject({ code: "dump_unusable" });
      await nothingHappened();
    },
  );

  test("with an altered attachment is refused", async () => {
    const sha1 = "0123456789012345678901234567890123456789";
    const file = await zipOf({ "dump.sql": await dump(), [`filestore/01/${sha1}`]: "not that" });
    await expect(it.as(file, "never")).rejects.toMatchObject({
      code: "backup_damaged",
      message: expect.stringContaining(sha1),
    });
    await nothingHappened();
  });

  test("without a dump, cut, or with a flipped bit is refused", async () => {
    const file = await zipOf({ "dump.sql": await dump() });
    const bytes = readFileSync(file);
    const flipped = Buffer.from(bytes);
    flipped[200] = (flipped[200] ?? 0) ^ 4;
    for (const content of [
      readFileSync(await zipOf({ "readme.txt": "x" })),
      bytes.subarray(0, bytes.length * 0.4),
      bytes.subarray(0, -1),
      flipped,
    ]) {
      writeFileSync(file, content);
      await expect(it.as(file, "never")).rejects.toMatchObject({ code: "dump_unusable" });
      await nothingHappened();
    }
  });

  test.runIf(mayMount)(
    "that unpacks to more than the disk holds is refused before anything is written",
    async () => {
      const disk = smallDisk(4, undefined);
      const small = await restoring(it.node, { filestore: join(disk, "fs") });
      const file = join(temporaryFolder(), "bomb.zip");
      const zip = new ZipFile();
      zip.addBuffer(Buffer.from(await dump()), "dump.sql");
      zip.addBuffer(Buffer.alloc(50_000_000), "filestore/aa/bomb");
      zip.end();
      const pieces: Buffer[] = [];
      for await (const chunk of zip.outputStream) pieces.push(Buffer.from(chunk));
      writeFileSync(file, Buffer.concat(pieces));
      expect(statSync(file).size).toBeLessThan(100_000);
      await expect(small.as(file, "never")).rejects.toMatchObject({ code: "disk_full" });
      // One that lies about its size is caught while it is read.
      const lie = Buffer.concat(pieces);
      const size = Buffer.alloc(4);
      size.writeUInt32LE(50_000_000);
      const at = lie.lastIndexOf(size);
      lie.writeUInt32LE(1000, at);
      writeFileSync(file, lie);
      await expect(small.as(file, "never")).rejects.toMatchObject({ code: "dump_unusable" });
      await small.nothingLeft();
    },
  );
});

describe("a full disk", () => {
  test.runIf(mayMount)("of the filestore leaves nothing of the restore", async () => {
    await it.make("large files", { attachments: 20, bytes: 300_000 });
    await it.backUpOne("large files");
    const { id } = await it.newest();
    const disk = smallDisk(8, undefined);
    const small = await restoring(it.node, { filestore: join(disk, "fs"), dir: it.source.place.dir });
    writeFileSync(join(disk, "ballast"), Buffer.alloc(3_000_000));
    await expect(small.as(id, "never")).rejects.toMatchObject({ code: "disk_full" });
    await small.nothingLeft();
    expect(await it.databases()).not.toContain("never");
  });

  test.runIf(mayMount)("of the server leaves nothing of the restore", async () => {
    const disk = smallDisk(4, it.node.owner);
    await withSession(it.node.superuser, async (session) => {
      await session.query(`CREATE TABLESPACE small LOCATION '${disk}'`);
      await session.query("GRANT CREATE ON TABLESPACE small TO PUBLIC");
      await session.query("ALTER SYSTEM SET default_tablespace = 'small'");
      await session.query("SELECT pg_reload_conf()");
    });
    atEnd(async () => {
      await withSession(it.node.superuser, async (session) => {
        await session.query("ALTER SYSTEM RESET default_tablespace");
        await session.query("SELECT pg_reload_conf()");
        await session.query("DROP TABLESPACE IF EXISTS small");
      });
    });
    const file = join(temporaryFolder(), "d.sql");
    const rows = Array.from({ length: 20_000 }, (_, n) => `${n}\t${"x".repeat(500)}`).join("\n");
    writeFileSync(
      file,
      `CREATE TABLE public.t (n int, text text);\nCOPY public.t FROM stdin;\n${rows}\n\\.\n`,
    );
    await expect(it.replace(file, "shop")).rejects.toMatchObject({ code: "disk_full" });
    await nothingHappened();
  });
});

/** Process ids of the pg_restore that loads into a database in the making of this node. */
function loaders(): readonly number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => {
      if (!Number.isInteger(pid)) return false;
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, "utf8");
        return (
          command.includes("/pg_restore\0") &&
          command.includes("odoo_pg_loader_") &&
          command.includes(it.node.superuser.host)
        );
      } catch {
        return false;
      }
    });
}

describe("the death of what loads leaves nothing of the restore:", () => {
  const ways: [string, string, () => Promise<boolean>][] = [
    [
      "kill -9 of pg_restore",
      "-Fd",
      async () => {
        const [victim] = loaders();
        if (victim !== undefined) process.kill(victim, "SIGKILL");
        return victim !== undefined;
      },
    ],
    [
      "an end of the loader's session",
      "-Fp",
      async () => {
        const ended = await withSession(it.node.superuser, (session) =>
          session.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'odoo\\_pg\\_loader\\_%'",
          ),
        );
        return ended.length > 0;
      },
    ],
  ];
  test.each(ways)("%s", async (_way, format, kill) => {
    const file = it.dump("shop", join(temporaryFolder(), "d"), format);
    for (const moment of [1, 8, 20]) {
      let tries = 0;
      let over = false;
      const ended = it
        .replace(file, "shop")
        .then(
          () => "replaced",
          (error: unknown) => error,
        )
        .finally(() => {
          over = true;
        });
      await waitFor("it to be killed or to end", async () => {
        tries += 1;
        return over || (tries >= moment && (await kill()));
      });
      const outcome = await ended;
      // It may have ended before it could be killed.
      if (outcome !== "replaced")
        expect(outcome).toMatchObject({
          code: "command_failed",
          safe: expect.stringContaining("as they were"),
        });
      await nothingHappened();
    }
  });
});

test("a dump that makes a template of the database that it is loaded into leaves nothing behind either", async () => {
  await it.make("marking", { partners: 1 });
  await withSession({ ...it.node.superuser, database: "marking" }, async (session) => {
    await session.query(
      `CREATE FUNCTION public.mark(x int) RETURNS bool LANGUAGE plpgsql AS
       $f$ BEGIN EXECUTE format('ALTER DATABASE %I IS_TEMPLATE true CONNECTION LIMIT 0', current_database()); RETURN true; END $f$`,
    );
    await session.query("CREATE TABLE public.marked (x int)");
    await session.query("INSERT INTO public.marked VALUES (1)");
    await session.query("ALTER TABLE public.marked ADD CONSTRAINT marks CHECK (public.mark(x)) NOT VALID");
  });
  const dump = it.dump("marking", join(temporaryFolder(), "d"), "-Fc");
  await withSession(it.node.superuser, (session) => session.query("DROP DATABASE marking"));
  rmSync(join(it.filestore, "marking"), { recursive: true });
  await it.as(dump, "marking");
  const [row] = await withSession(it.node.superuser, (session) =>
    session.query(
      "SELECT datistemplate AS is, datconnlimit AS most FROM pg_database WHERE datname = 'marking'",
    ),
  );
  expect(row).toEqual({ is: false, most: -1 });
  await withSession(it.node.superuser, (session) => session.query("DROP DATABASE marking WITH (FORCE)"));
  // And where the restore fails.
  await expect(
    restoreDatabase(
      it.source,
      {
        input: { kind: "archive", file: dump, at: dump, format: "custom" },
        database: "never",
        replace: false,
        keepOld: false,
      },
      {
        ...silent,
        step: (_of, text) => {
          if (text === "compare") throw new Error("cut off here");
        },
      },
    ),
  ).rejects.toThrow("cut off here");
  await nothingHappened();
});

test("what a killed restore left is removed by the next one, and a running one is left alone", async () => {
  const { NewDatabase, ODOO_FORM } = await import("../../src/restore/target/new-database.ts");
  const { tidyUp } = await import("../../src/restore/target/publish.ts");
  const running = await NewDatabase.begin(it.source);
  await running.createEmpty(ODOO_FORM);
  await withSession(it.node.superuser, (session) =>
    session.query("CREATE ROLE odoo_pg_loader_0123abcd LOGIN"),
  );
  await withSession(it.node.superuser, (session) =>
    session.query("CREATE DATABASE odoo_pg_new_0123abcd OWNER odoo_pg_loader_0123abcd"),
  );
  await tidyUp(it.source, () => {});
  expect((await it.databases()).filter((name) => name.startsWith("odoo_pg"))).toEqual([running.name]);
  await running.discard();
  await nothingHappened();
});
