import { existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { compareContents } from "../../src/backup/compare.ts";
import {
  copyDatabase,
  type CopyOrder,
  type CopyReport,
  dropDatabase,
  listDatabases,
  renameDatabase,
} from "../../src/odoo/databases.ts";
import { quoteSqlIdentifier as id, type Row, withSession } from "../../src/system/sql.ts";
import { silent } from "../backup/backup-source.ts";
import { runningNode } from "../postgres/throwaway-node.ts";
import { filesBelow } from "../support/files.ts";
import { writeAttachment } from "../support/odoo-database.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { restoring, type Restoring } from "../restore/restoring.ts";

let it: Restoring;

beforeAll(async () => {
  it = await restoring(await runningNode());
  await it.make("shop");
});

async function copy(from: string, to: string, order: Partial<CopyOrder> = {}): Promise<CopyReport> {
  const defaults = { neutralize: false, replace: false, keepOld: false };
  return await copyDatabase(it.source, { from, to, ...defaults, ...order }, silent);
}

async function rows(database: string, sql: string): Promise<Row[]> {
  return await withSession({ ...it.node.superuser, database }, (session) => session.query(sql));
}

const same = { owners: true, definitions: true };

test("an idle database is copied by the server, with its files and settings", async () => {
  await withSession(it.node.superuser, (session) =>
    session.query("ALTER DATABASE shop SET work_mem = '7MB'"),
  );
  const report = await copy("shop", "idle copy");
  expect(report).toMatchObject({ how: "template", files: 20, notes: [], kept: null });
  expect(compareContents(await it.contents("shop"), await it.contents("idle copy"), same)).toEqual([]);
  expect(await rows("idle copy", "SELECT current_setting('work_mem') AS work_mem")).toEqual([
    { work_mem: "7MB" },
  ]);
  // The same file under two names: it takes no room.
  const [file = ""] = filesBelow(join(it.filestore, "idle copy"));
  expect(statSync(file).nlink).toBeGreaterThan(1);
  expect((await listDatabases(it.source)).find(({ database }) => database === "idle copy")).toMatchObject({
    owner: "odoo",
    connectable: true,
  });
  await it.nothingLeft();
});

test("a database in use is copied at one moment, without disturbing who uses it", async () => {
  const session = await it.node.session("shop");
  await session.query("BEGIN; INSERT INTO res_partner (name) VALUES ('not committed')");
  const report = await copy("shop", "live copy");
  expect(report).toMatchObject({ how: "dump", files: 20 });
  await session.query("ROLLBACK");
  await session.close();
  expect(compareContents(await it.contents("shop"), await it.contents("live copy"), same)).toEqual([]);
  await it.nothingLeft();
});

describe("a neutralised copy", () => {
  test("is harmless, marked, and one of its own, before anybody sees it", async () => {
    const addons = temporaryFolder();
    mkdirSync(join(addons, "mail", "data"), { recursive: true });
    mkdirSync(join(addons, "website", "data"), { recursive: true });
    writeFileSync(
      join(addons, "mail", "data", "neutralize.sql"),
      "-- mail\nUPDATE res_partner SET ref = 'by mail'; UPDATE res_users SET password = 'none';\n",
    );
    // Not installed.
    writeFileSync(join(addons, "website", "data", "neutralize.sql"), "SELECT no_such_function();");
    const source = {
      ...it.source,
      config: { ...it.source.config, odoo: { ...it.source.config.odoo, addons_path: [addons] } },
    };
    const report = await copyDatabase(
      source,
      { from: "shop", to: "staging", neutralize: true, replace: false, keepOld: false },
      silent,
    );
    expect(report.neutralize_files).toEqual([join(addons, "mail", "data", "neutralize.sql")]);
    expect(await rows("staging", "SELECT count(*)::int AS active FROM ir_cron WHERE active")).toEqual([
      { active: 0 },
    ]);
    expect(
      await rows(
        "staging",
        "SELECT count(*)::int AS active FROM ir_mail_server WHERE active AND smtp_host <> 'invalid'",
      ),
    ).toEqual([{ active: 0 }]);
    expect(await rows("staging", "SELECT DISTINCT ref FROM res_partner")).toEqual([{ ref: "by mail" }]);
    const parameters = async (database: string) =>
      Object.fromEntries(
        (await rows(database, "SELECT key, value FROM ir_config_parameter")).map((row) => [
          row["key"],
          row["value"],
        ]),
      );
    const [live, staging] = [await parameters("shop"), await parameters("staging")];
    expect(staging["database.is_neutralized"]).toBe("true");
    expect(live["database.is_neutralized"]).toBeUndefined();
    expect(staging["database.uuid"]).not.toBe(live["database.uuid"]);
    expect(staging["database.secret"]).not.toBe(live["database.secret"]);
    expect(
      await rows(
        "staging",
        "SELECT tableowner AS owner FROM pg_tables WHERE schemaname = 'public' GROUP BY 1",
      ),
    ).toEqual([{ owner: "odoo" }]);
    await it.nothingLeft();
  });

  test("is not there when one statement fails", async () => {
    const addons = temporaryFolder();
    mkdirSync(join(addons, "web", "data"), { recursive: true });
    writeFileSync(
      join(addons, "web", "data", "neutralize.sql"),
      "UPDATE res_partner SET no_such_column = 1;",
    );
    const source = {
      ...it.source,
      config: { ...it.source.config, odoo: { ...it.source.config.odoo, addons_path: [addons] } },
    };
    await expect(
      copyDatabase(
        source,
        { from: "shop", to: "never", neutralize: true, replace: false, keepOld: false },
        silent,
      ),
    ).rejects.toMatchObject({ message: expect.stringContaining("no_such_column") });
    expect(await it.databases()).not.toContain("never");
    await it.nothingLeft();
  });

  test("of what is not Odoo's is refused", async () => {
    await withSession(it.node.superuser, (session) => session.query("CREATE DATABASE other"));
    await expect(copy("other", "never", { neutralize: true })).rejects.toMatchObject({ code: "refused" });
    await it.nothingLeft();
  });
});

test("a copy replaces a database, and a failing one leaves it as it was", async () => {
  await copy("shop", "target");
  await rows("target", "DELETE FROM ir_cron");
  await expect(copy("no such", "target", { replace: true })).rejects.toMatchObject({
    code: "database_unknown",
  });
  await expect(copy("shop", "target")).rejects.toMatchObject({ code: "database_exists" });
  expect(await rows("target", "SELECT FROM ir_cron")).toEqual([]);
  await copy("shop", "target", { replace: true });
  expect(await rows("target", "SELECT FROM ir_cron")).toHaveLength(2);
  await it.nothingLeft();
});

test("attachments that come while a live database is copied are in the copy as far as its rows name them", async () => {
  const session = await it.node.session("shop");
  const folder = join(it.filestore, "shop");
  let on = 0;
  const writing = (async () => {
    for (; on < 200; on++) {
      const name = writeAttachment(folder, `written meanwhile ${on}`);
      await session.query(
        "INSERT INTO ir_attachment (name, type, store_fname) VALUES ('new', 'binary', $1)",
        [name],
      );
    }
  })();
  const report = await copy("shop", "while written");
  on = 200;
  await writing;
  await session.close();
  expect(report.notes).toEqual([]);
  for (const row of await rows(
    "while written",
    "SELECT store_fname AS name FROM ir_attachment WHERE store_fname IS NOT NULL",
  ))
    expect(existsSync(join(it.filestore, "while written", String(row["name"])))).toBe(true);
});

test("a database is renamed with its filestore; sessions in it are ended only when that is asked for", async () => {
  await copy("shop", "old name");
  const session = await it.node.session("old name");
  await expect(renameDatabase(it.source, "old name", "new name", false)).rejects.toMatchObject({
    code: "refused",
  });
  await renameDatabase(it.source, "old name", "new name", true);
  expect(session.broken()).toBe(true);
  expect(existsSync(join(it.filestore, "old name"))).toBe(false);
  expect(filesBelow(join(it.filestore, "new name")).length).toBeGreaterThanOrEqual(20);
  await expect(renameDatabase(it.source, "new name", "shop", false)).rejects.toMatchObject({
    code: "database_exists",
  });
  await it.nothingLeft();
});

test("a database is dropped with its filestore, also while somebody is in it", async () => {
  await copy("shop", "to drop");
  const session = await it.node.session("to drop");
  await dropDatabase(it.source, "to drop");
  await expect(session.query("SELECT 1")).rejects.toThrow();
  expect(existsSync(join(it.filestore, "to drop"))).toBe(false);
  await expect(dropDatabase(it.source, "to drop")).rejects.toMatchObject({ code: "database_unknown" });
  for (const name of ["postgres", "template1", "odoo_template"])
    await expect(dropDatabase(it.source, name)).rejects.toMatchObject({ code: "refused" });
});

test("a rename that was cut off between database and filestore is settled by the next command", async () => {
  await copy("shop", "half");
  // As a kill leaves it right before the commit: the folder has its new name, the database not.
  const { renameSync } = await import("node:fs");
  renameSync(join(it.filestore, "half"), join(it.filestore, "whole"));
  writeFileSync(
    join(it.filestore, ".odoo-pg-swap-0123abcd.json"),
    JSON.stringify({ version: 1, incoming: "half", database: "whole", kept: null }),
  );
  await renameDatabase(it.source, "half", "settled", false);
  expect(existsSync(join(it.filestore, "settled"))).toBe(true);
  expect(existsSync(join(it.filestore, ".odoo-pg-swap-0123abcd.json"))).toBe(false);
});

test("names that cannot be are refused before anything is done", async () => {
  for (const name of ["postgres", "template0", "odoo_template", "odoo_pg_x", "a/b"])
    await expect(copy("shop", name)).rejects.toMatchObject({ code: "refused" });
  for (const name of ["", "x".repeat(64)])
    await expect(copy("shop", name)).rejects.toMatchObject({ code: "usage" });
  expect(id("x")).toBe('"x"');
  await it.nothingLeft();
});
