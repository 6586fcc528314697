import { createHash } from "node:crypto";
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lchownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { execFileSync } from "node:child_process";
import { basename, dirname, join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { readBackupFolder } from "../../src/backup/catalogue.ts";
import { placeOf } from "../../src/backup/place.ts";
import { exportOdooZip } from "../../src/restore/export-zip.ts";
import type { RestoreReport } from "../../src/restore/restore.ts";
import { quoteSqlIdentifier as id } from "../../src/system/sql/sql.ts";
import { withSession } from "../support/with-session.ts";
import { silent } from "../backup/backup-source.ts";
import { runningNode } from "../postgres/throwaway-node.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { restoring, type Restoring } from "./restoring.ts";

let it: Restoring;
/** The folder of a backup, in backup.dir. */
let genuine: string;

/** Roles that must never own what a file has brought. */
const MIGHTY = [
  "postgres",
  "pg_execute_server_program",
  "pg_write_server_files",
  "pg_read_server_files",
  "pg_monitor",
  "pg_signal_backend",
  "replicator",
  "collectd",
  "writer",
  "opg_endpoint_users",
];

beforeAll(async () => {
  it = await restoring(await runningNode());
  await withSession(it.node.superuser, async (session) => {
    await session.query("CREATE ROLE report");
    await session.query("CREATE ROLE writer LOGIN IN ROLE pg_write_server_files");
  });
  await it.make("shop", { partners: 10 });
  await withSession({ ...it.node.superuser, database: "shop" }, async (session) => {
    await session.query(
      `CREATE FUNCTION public.seize() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
       AS $f$ BEGIN COPY (SELECT 1) TO PROGRAM 'true'; END $f$`,
    );
    await session.query("CREATE TABLE public.reported (x int)");
    await session.query(
      "ALTER FUNCTION public.seize() OWNER TO report; ALTER TABLE public.reported OWNER TO report",
    );
  });
  await it.backUpOne("shop");
  genuine = (await it.newest()).folder;
});

/** A copy of the backup where somebody else's lie. */
function elsewhere(): string {
  const folder = join(temporaryFolder(), basename(genuine));
  cpSync(genuine, folder, { recursive: true });
  cpSync(it.source.place.pool, join(folder, "..", "filestore"), { recursive: true });
  return folder;
}

/** What everybody can write who has a backup of his own: whose the things are, with checksums that fit. */
function forge(folder: string, owner: string, database = "odoo"): string {
  const file = join(folder, "contents.json");
  const text = readFileSync(file, "utf8")
    .replaceAll('"owner":"report"', `"owner":"${owner}"`)
    .replace(/("database":\{[^}]*"owner":)"odoo"/, `$1"${database}"`);
  expect(text).toContain(`"owner":"${owner}"`);
  expect(text).toMatch(new RegExp(`"database":\\{[^}]*"owner":"${database}"`));
  writeFileSync(file, text);
  const sums = join(folder, "SHA256SUMS");
  const digest = createHash("sha256").update(text).digest("hex");
  writeFileSync(sums, readFileSync(sums, "utf8").replace(/^\w{64}(?= {2}contents\.json$)/m, digest));
  return folder;
}

const giveAway = (file: string): void => chownSync(file, 65_534, 65_534);

function giveAllAway(folder: string): void {
  giveAway(folder);
  for (const name of readdirSync(folder)) giveAway(join(folder, name));
}

/** A folder in the backup, with somebody else's in it. */
function putIn(folder: string): void {
  mkdirSync(join(folder, "of_others"), { recursive: true });
  giveAway(join(folder, "of_others"));
}

/** Puts a link in the place of something: whoever can change what it leads to is not seen by it. */
function throughLink(file: string): void {
  const real = join(temporaryFolder(), "real");
  renameSync(file, real);
  symlinkSync(real, file);
}

let count = 0;

/** Restores, and tells to whom all of it belongs. */
async function owners(folder: string): Promise<{ owners: unknown[]; report: RestoreReport }> {
  count += 1;
  const database = `restored ${count}`;
  const report = await it.as(folder, database);
  const rows = await withSession({ ...it.node.superuser, database }, (session) =>
    session.query(
      `SELECT pg_get_userbyid(proowner) AS owner FROM pg_proc WHERE proname = 'seize'
       UNION SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'reported'
       UNION SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database() ORDER BY 1`,
    ),
  );
  await withSession(it.node.superuser, (session) => session.query(`DROP DATABASE ${id(database)}`));
  return { owners: rows.map(({ owner }) => owner), report };
}

const CLAIMED = expect.stringContaining("says that it is of this cluster, and nothing proves it");

describe("a folder that says of itself that it is of this cluster", () => {
  test("owns nothing by its word, and is told of", async () => {
    const forged = forge(elsewhere(), "pg_execute_server_program", "pg_execute_server_program");
    const { owners: found, report } = await owners(forged);
    expect(found).toEqual(["odoo"]);
    expect(report.notes).toContainEqual(CLAIMED);
  });

  test("owns nothing by somebody else's seal, nor by none", async () => {
    const sealed = elsewhere();
    forge(sealed, "report", "report");
    expect((await owners(sealed)).owners).toEqual(["odoo"]);
    const bare = elsewhere();
    rmSync(join(bare, "SHA256SUMS.seal"));
    const { owners: found, report } = await owners(bare);
    expect(found).toEqual(["odoo"]);
    expect(report.notes).toContainEqual(CLAIMED);
  });

  test("with its seal, and a file that is not what was sealed, is damaged", async () => {
    const folder = elsewhere();
    const file = join(folder, "contents.json");
    writeFileSync(file, readFileSync(file, "utf8").replaceAll('"owner":"report"', '"owner":"odoo"'));
    await expect(it.as(folder, "never")).rejects.toMatchObject({ code: "backup_damaged" });
    await it.nothingLeft();
  });

  test.skipIf(process.getuid?.() !== 0).each([
    ["a file of its", "contents.json", giveAway],
    ["a file of its dump", "toc.dat", giveAway],
    ["what is in a folder of its", "more", putIn],
    ["by its mode a file of its", "contents.json", (file: string) => chmodSync(file, 0o666)],
    ["the folder that it lies in, and so all of", "..", giveAway],
  ] as const)(
    "owns nothing where another user can change %s, sealed or not, in backup.dir or not",
    async (_, inner, change) => {
      const places = [elsewhere(), join(it.source.place.dir, "changed_20260101_0000.dump")];
      const before = statSync(it.source.place.dir);
      for (const folder of places) {
        if (!existsSync(folder)) cpSync(genuine, folder, { recursive: true });
        try {
          change(join(folder, inner));
          const { owners: found, report } = await owners(folder);
          expect(found).toEqual(["odoo"]);
          expect(report.notes).toContainEqual(CLAIMED);
          expect(report.notes).toContainEqual(
            expect.stringMatching(
              /the user with id 65534 may change|everybody may change|is neither a file nor a folder/,
            ),
          );
        } finally {
          chownSync(it.source.place.dir, before.uid, before.gid);
          rmSync(folder, { recursive: true });
        }
      }
    },
  );
});

describe("a backup of this cluster gives things back to their owners:", () => {
  test("from backup.dir, and from there without a seal, as older ones are", async () => {
    expect((await owners(genuine)).owners).toEqual(["odoo", "report"]);
    const older = join(it.source.place.dir, "older_20260101_0000.dump");
    cpSync(genuine, older, { recursive: true });
    rmSync(join(older, "SHA256SUMS.seal"));
    expect((await owners(older)).owners).toEqual(["odoo", "report"]);
    rmSync(older, { recursive: true });
  });

  test("moved elsewhere, by its seal", async () => {
    const { owners: found, report } = await owners(elsewhere());
    expect(found).toEqual(["odoo", "report"]);
    expect(report.notes).not.toContainEqual(CLAIMED);
  });

  test.each(MIGHTY)("but never to %s", async (role) => {
    const folder = join(it.source.place.dir, "forged_20260101_0000.dump");
    cpSync(genuine, folder, { recursive: true });
    forge(folder, role);
    const { owners: found, report } = await owners(folder);
    expect(found).toEqual(["odoo"]);
    expect(report.owner).toBe("odoo");
    expect(report.notes).toContain(`what role ${role} owned belongs to odoo now`);
    rmSync(folder, { recursive: true });
  });

  test.each(["pg_execute_server_program", "writer"])("nor the database to %s", async (role) => {
    const folder = join(it.source.place.dir, "forged_20260101_0000.dump");
    cpSync(genuine, folder, { recursive: true });
    forge(folder, "report", role);
    const { owners: found, report } = await owners(folder);
    expect([found, report.owner]).toEqual([["odoo", "report"], "odoo"]);
    rmSync(folder, { recursive: true });
  });

  test.skipIf(process.getuid?.() !== 0)(
    "is not read by root where it could have been put into another user's folder to be read",
    async () => {
      const folder = elsewhere();
      giveAway(folder);
      await expect(it.as(folder, "never")).rejects.toMatchObject({
        code: "dump_unusable",
        message: expect.stringMatching(/ is no file that the owner of its folder may read\.$/),
      });
      const given = elsewhere();
      giveAllAway(given);
      expect((await owners(given)).owners).toEqual(["odoo"]);
      const linked = join(temporaryFolder(), "linked.dump");
      symlinkSync(genuine, linked);
      lchownSync(linked, 65_534, 65_534);
      await expect(it.as(linked, "never")).rejects.toMatchObject({
        code: "dump_unusable",
        message: expect.stringMatching(/ may change .*, and so where that path leads\.$/),
        next: [expect.stringContaining(`cp -r ${linked} PLACE`)],
      });
      await it.nothingLeft();
    },
  );

  test("is damaged where it names a dump outside of itself", async () => {
    for (const path of ["..", "../other.dump/database.sql.gz", "/etc/passwd", "sub/database.sql"]) {
      const folder = elsewhere();
      const file = join(folder, "manifest.json");
      const text = readFileSync(file, "utf8");
      expect(text).toContain('"path": "."');
      writeFileSync(file, text.replace('"path": "."', `"path": ${JSON.stringify(path)}`));
      await expect(it.as(folder, "never")).rejects.toMatchObject({ code: "backup_damaged" });
    }
  });

  test.skipIf(process.getuid?.() !== 0)(
    "is read as regular files alone: a link in it is not followed, whose folder it ever is",
    async () => {
      for (const [name, isOthers] of [
        ["contents.json", true],
        ["contents.json", false],
        ["toc.dat", true],
        ["toc.dat", false],
      ] as const) {
        const folder = elsewhere();
        throughLink(join(folder, name));
        if (isOthers) giveAllAway(folder);
        const message = expect.stringContaining(
          `${join(folder, name)} is a link, which root does not follow`,
        );
        await expect(it.as(folder, "never")).rejects.toMatchObject({ code: "dump_unusable", message });
        const zip = join(temporaryFolder(), "shop.zip");
        const backup = await readBackupFolder(folder);
        if (!backup) throw new Error("there is no backup");
        await expect(
          exportOdooZip(it.source, backup, placeOf(dirname(folder)), zip, silent),
        ).rejects.toMatchObject({ code: "dump_unusable", message });
        expect(readdirSync(dirname(zip))).toEqual([]);
      }
      await it.nothingLeft();
    },
  );

  test.skipIf(process.getuid?.() !== 0)(
    "gives an export the files of its pool alone: what a link there leads to is not read",
    async () => {
      const [prefix = ""] = readdirSync(it.source.place.pool).filter((name) => /^[0-9a-f]{2}$/.test(name));
      const [file = ""] = readdirSync(join(it.source.place.pool, prefix));
      for (const linked of [join(prefix, file), prefix]) {
        const folder = elsewhere();
        const pool = join(dirname(folder), "filestore");
        const backup = await readBackupFolder(folder);
        if (!backup) throw new Error("there is no backup");
        const zip = join(temporaryFolder(), "shop.zip");
        await exportOdooZip(it.source, backup, placeOf(dirname(folder)), zip, silent);
        rmSync(zip);
        // The very content: it is refused for how it is reached.
        throughLink(join(pool, linked));
        await expect(
          exportOdooZip(it.source, backup, placeOf(dirname(folder)), zip, silent),
        ).rejects.toMatchObject({ code: "backup_damaged", message: expect.stringContaining(prefix) });
        expect(readdirSync(dirname(zip))).toEqual([]);
      }
      await it.nothingLeft();
    },
  );

  test.skipIf(process.getuid?.() !== 0)(
    "is read as it was found, where another user may put another one in its place meanwhile",
    async () => {
      await it.make("other", { partners: 3 });
      await it.backUpOne("other");
      const other = (await it.newest()).folder;
      const exchange = (folder: string): void => {
        renameSync(folder, `${folder}.was`);
        symlinkSync(other, folder);
      };
      const folder = elsewhere();
      chownSync(dirname(folder), 65_534, 65_534);
      let exchanged = false;
      await it.as(folder, "found", {
        ...silent,
        step: (_, what) => {
          if (what !== "create the database") return;
          exchanged = true;
          exchange(folder);
        },
      });
      expect(exchanged).toBe(true);
      const partners = await withSession({ ...it.node.superuser, database: "found" }, (session) =>
        session.query("SELECT count(*)::int AS count FROM res_partner"),
      );
      expect(partners).toEqual([{ count: 11 }]);

      const exported = elsewhere();
      chownSync(dirname(exported), 65_534, 65_534);
      const backup = await readBackupFolder(exported);
      if (!backup) throw new Error("there is no backup");
      const zip = join(temporaryFolder(), "shop.zip");
      const step = (): void => exchange(exported);
      await exportOdooZip(it.source, backup, placeOf(dirname(exported)), zip, { ...silent, step });
      const sql = execFileSync("unzip", ["-p", zip, "dump.sql"]).toString();
      const rows = /COPY public\.res_partner .*?\n(.*?)\\\.\n/s.exec(sql)?.[1] ?? "";
      expect(rows.trim().split("\n")).toHaveLength(11);
      await it.nothingLeft();
    },
  );
});
