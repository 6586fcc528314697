// Every way into a database, and every way out of it. What comes out is held against PostgreSQL's own pg_dump.
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { CataloguedBackup } from "../../src/backup/catalogue.ts";
import { drillBackups } from "../../src/runs/run.ts";
import { exportOdooZip } from "../../src/restore/export-zip.ts";
import { copyDatabase } from "../../src/restore/copy.ts";
import { programOf } from "../../src/postgres/installation.ts";
import { type Row } from "../../src/system/sql/sql.ts";
import { withSession } from "../support/with-session.ts";
import { silent } from "../backup/backup-source.ts";
import { runningNode } from "../postgres/throwaway-node.ts";
import { EVERY_OBJECT, OWNED_BY_READER } from "../support/every-object.ts";
import { filesBelow } from "../support/files.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { restoring, type Restoring } from "./restoring.ts";

/** Made by SQL, as a program makes it. It has been through no dump. */
const ORIGIN = "made by SQL";
/** The same, brought back by pg_dump and psql alone: how PostgreSQL itself writes it then. */
const REFERENCE = "by PostgreSQL";
const WAYS = [ORIGIN, "by zip", "by custom dump", "by directory dump", "by plain dump"] as const;

/** How much of a database is looked at. */
const VIEWS = {
  whole: [],
  /** A zip of Odoo knows neither owners nor rights. */
  "without owners": ["--no-owner", "--no-acl"],
  /** Neutralising changes rows of these, on purpose. */
  "but for what is neutralised": ["ir_config_parameter*", "ir_cron*", "ir_mail_server*"].map(
    (name) => `--exclude-table-data=public.${name}`,
  ),
} as const;
type View = keyof typeof VIEWS;

let it: Restoring;
let folder: string;

beforeAll(async () => {
  it = await restoring(await runningNode());
  folder = temporaryFolder();
  await it.make(ORIGIN);
  await rows(ORIGIN, `CREATE ROLE reader; SET ROLE odoo; ${EVERY_OBJECT}`);
  await rows(ORIGIN, OWNED_BY_READER);
  // As an administrator does by hand: what extensions hold is not in the dump.
  await withSession(it.node.superuser, (session) =>
    session.query(`CREATE DATABASE "${REFERENCE}" TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C' OWNER odoo`),
  );
  await rows(REFERENCE, "CREATE EXTENSION unaccent; ALTER FUNCTION unaccent(text) IMMUTABLE");
  program(
    "psql",
    REFERENCE,
    "-qX",
    "-v",
    "ON_ERROR_STOP=1",
    "-f",
    it.dump(ORIGIN, join(folder, "reference")),
  );
});

async function rows(database: string, sql: string): Promise<Row[]> {
  return await withSession({ ...it.node.superuser, database }, (session) => session.query(sql));
}

/** Runs a program of PostgreSQL's on a database, as the superuser; returns what it printed. */
function program(name: "psql" | "pg_dump", database: string, ...args: readonly string[]): string {
  const { host, port, user, password } = it.node.superuser;
  return execFileSync(
    programOf(it.node.installation, name),
    ["-h", host, "-p", String(port), "-U", user, ...args, "-d", database],
    { env: { PGPASSWORD: password }, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] },
  );
}

/** All that pg_dump says of a database: definitions, rows, sequences, large objects, owners, rights, comments. */
function dumped(database: string, view: View): string[] {
  return (
    program("pg_dump", database, ...VIEWS[view])
      .split("\n")
      // Its key is another each time.
      .filter((line) => !/^\\(un)?restrict /.test(line))
  );
}

/** What pg_dump does not say. */
async function figures(database: string): Promise<unknown> {
  const sql = `SELECT (SELECT provolatile FROM pg_proc WHERE oid = 'unaccent(text)'::regprocedure) AS unaccent,
    (SELECT array_agg(m ORDER BY month) FROM sale_month m)::text AS month,
    (SELECT array_agg(indexrelid::regclass::text ORDER BY 1) FROM pg_index WHERE NOT indisvalid OR NOT indisready) AS unusable`;
  const files = filesBelow(join(it.filestore, database)).map((file) => readFileSync(file, "utf8"));
  return { rows: await rows(database, sql), files };
}

const remembered = new Map<string, string[]>();

/** As dumped, of a database that nothing changes meanwhile. */
function original(database: string, view: View): string[] {
  const key = `${view} ${database}`;
  const known = remembered.get(key) ?? dumped(database, view);
  remembered.set(key, known);
  return known;
}

/** Holds a database against another. One that was through no dump may also come out as PostgreSQL writes it after one. */
async function expectSame(database: string, source: string, view: View): Promise<void> {
  const found = dumped(database, view);
  const wanted = original(source, view);
  if (source !== ORIGIN || found.join("\n") !== wanted.join("\n"))
    expect(found).toEqual(source === ORIGIN ? original(REFERENCE, view) : wanted);
  expect(await figures(database)).toEqual(await figures(source));
}

/** A backup as a zip of Odoo; returns the file. */
async function exported(backup: CataloguedBackup): Promise<string> {
  const file = join(folder, `${backup.id}.zip`);
  if (!existsSync(file)) await exportOdooZip(it.source, backup, it.source.place, file, silent);
  return file;
}

test("the origin shows what it is for: PostgreSQL writes it otherwise after one dump, and then always so", () => {
  const reference = original(REFERENCE, "whole");
  expect(reference).not.toEqual(original(ORIGIN, "whole"));
  for (const text of ["CHECK", "INDEX", "POLICY", "RULE", "VIEW", "STATISTICS", "TRIGGER", "GENERATED"])
    expect(reference.join("\n")).toContain(text);
});

describe.each(WAYS)("a database %s", (database) => {
  let backup: CataloguedBackup;

  beforeAll(async () => {
    if (database === ORIGIN) return;
    if (database === "by zip") {
      await it.backUpOne(ORIGIN);
      await it.as(await exported(await it.newest()), database);
    } else {
      const format = { "by custom dump": "-Fc", "by directory dump": "-Fd", "by plain dump": "-Fp" }[
        database
      ];
      await it.as(it.dump(ORIGIN, join(folder, database), format), database);
      // A dump holds no attachments: whoever has a dump brings them himself.
      cpSync(join(it.filestore, ORIGIN), join(it.filestore, database), { recursive: true });
    }
  });

  async function copy(neutralize: boolean): Promise<string> {
    const to = `${database} copied ${neutralize}`;
    const order = { from: database, to, neutralize, replace: false, keepOld: false };
    return (await copyDatabase(it.source, order, silent)).how;
  }

  test("is what it was made of", async () => {
    await expectSame(database, ORIGIN, "without owners");
    const owners = await rows(
      database,
      `SELECT DISTINCT pg_get_userbyid(c.relowner) AS owner FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
       WHERE n.nspname IN ('public', 'Größe') UNION SELECT pg_get_userbyid(lomowner) FROM pg_largeobject_metadata ORDER BY owner`,
    );
    // What comes from elsewhere is all the owner's.
    const all = ["odoo", ...(database === ORIGIN ? ["reader"] : [])];
    expect(owners.map(({ owner }) => owner)).toEqual(all);
  });

  test("is backed up and the backup is proven by a drill", async () => {
    const owned = "a restore elsewhere gives that to the owner of the database";
    expect((await it.backUpOne(database)).warnings).toEqual(
      database === ORIGIN
        ? [expect.stringMatching(new RegExp(`^role reader owns .* and \\d+ more: ${owned}$`))]
        : [],
    );
    backup = await it.newest();
    expect(await drillBackups(it.source, [backup], silent)).toMatchObject({
      databases: [{ database, outcome: "ok", error: null }],
    });
  });

  let times = 0;
  test("comes back beside itself", async () => {
    // Another try meets what the one before has made.
    times += 1;
    const name = `${database} again ${times}`;
    expect(await it.as(backup.id, name)).toMatchObject({ files: 20, notes: [], set_aside: null });
    await expectSame(name, database, "whole");
  });

  test("is copied while nobody is connected", async () => {
    expect(await copy(false)).toBe("template");
    await expectSame(`${database} copied false`, database, "whole");
  });

  test("is copied and neutralised while somebody works in it", async () => {
    const how = await withSession({ ...it.node.superuser, database }, () => copy(true));
    expect(how).toBe("dump");
    const copied = `${database} copied true`;
    await expectSame(copied, database, "but for what is neutralised");
    const sql = "SELECT value FROM ir_config_parameter WHERE key = 'database.is_neutralized'";
    expect(await rows(copied, sql)).toEqual([{ value: "true" }]);
    expect(await rows(copied, "SELECT FROM ir_cron WHERE active AND cron_name LIKE 'Mail%'")).toEqual([]);
  });

  test("goes into a zip of Odoo and comes back from it", async () => {
    const zip = await exported(backup);
    expect(await it.as(zip, `${database} unzipped`)).toMatchObject({ files: 20 });
    await expectSame(`${database} unzipped`, database, "without owners");
  });

  test("comes back in its own place", async () => {
    const wanted = original(database === ORIGIN ? REFERENCE : database, "whole");
    const had = await figures(database);
    await rows(database, "DELETE FROM sale_order; DROP TABLE move CASCADE");
    expect(await it.replace(backup.id, database)).toMatchObject({ files: 20, kept: null });
    expect(dumped(database, "whole")).toEqual(wanted);
    expect(await figures(database)).toEqual(had);
    await it.nothingLeft();
  });
});
