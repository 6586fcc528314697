import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join, relative } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { compareContents } from "../../src/backup/contents/compare.ts";
import { copyDatabase, type CopyOrder, type CopyReport } from "../../src/restore/copy.ts";
import { dropDatabase, listDatabases, renameDatabase } from "../../src/restore/databases.ts";
import { discardFilling } from "../../src/restore/loading/filling.ts";
import { NewFilestore } from "../../src/restore/target/attachments.ts";
import { NewDatabase, ODOO_FORM } from "../../src/restore/target/new-database.ts";
import { tidyUp } from "../../src/restore/target/publish.ts";
import { programOf } from "../../src/postgres/installation.ts";
import { conninfo } from "../../src/postgres/sql/quoting.ts";
import { quoteSqlIdentifier as id, type Row } from "../../src/system/sql/sql.ts";
import { withSession } from "../support/with-session.ts";
import { silent } from "../backup/backup-source.ts";
import { runningNode } from "../postgres/throwaway-node.ts";
import { canBeKeptOut, withoutRights } from "../support/other-user.ts";
import { filesBelow } from "../support/files.ts";
import { writeAttachment } from "../support/odoo-database.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { restoring, type Restoring } from "./restoring.ts";

const note = (): void => {};

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

/** What the files below change, as far as they need it. */
const TABLES_OF_MODULES = `
UPDATE ir_module_module SET state = 'uninstalled' WHERE name = 'website';
INSERT INTO ir_module_module (name, state, latest_version) VALUES ('payment', 'to upgrade', '19.0.2.0');
ALTER TABLE ir_config_parameter ADD COLUMN type varchar NOT NULL DEFAULT 'str';
ALTER TABLE ir_config_parameter ALTER COLUMN type DROP DEFAULT;
ALTER TABLE ir_mail_server ALTER COLUMN active DROP DEFAULT, ADD COLUMN smtp_port integer,
  ADD COLUMN smtp_encryption varchar NOT NULL DEFAULT 'none', ADD COLUMN smtp_authentication varchar NOT NULL DEFAULT 'login';
ALTER TABLE ir_mail_server ALTER COLUMN smtp_encryption DROP DEFAULT, ALTER COLUMN smtp_authentication DROP DEFAULT;
CREATE TABLE ir_model_data (id serial PRIMARY KEY, module varchar NOT NULL, name varchar NOT NULL, model varchar NOT NULL, res_id integer);
UPDATE ir_cron SET id = id + 100;
INSERT INTO ir_cron (id, cron_name) VALUES (2, 'kept');
INSERT INTO ir_model_data (module, name, model, res_id) VALUES ('base', 'autovacuum_job', 'ir.cron', 2), ('mail', 'autovacuum_job', 'ir.cron', 101);
CREATE TABLE ir_act_server (id serial PRIMARY KEY, state varchar NOT NULL, webhook_url varchar);
INSERT INTO ir_act_server (state, webhook_url) VALUES ('webhook', 'https://live.example.com/100%25');
CREATE TABLE mail_template (id serial PRIMARY KEY, mail_server_id integer REFERENCES ir_mail_server);
INSERT INTO mail_template (mail_server_id) SELECT id FROM ir_mail_server;
CREATE TABLE mail_push_device (id serial PRIMARY KEY, endpoint varchar);
INSERT INTO mail_push_device (endpoint) VALUES ('https://push.example.com/1');
CREATE TABLE payment_provider (id serial PRIMARY KEY, code varchar NOT NULL, state varchar NOT NULL, demo_api_key varchar);
INSERT INTO payment_provider (code, state, demo_api_key) VALUES ('demo', 'enabled', 'a key'), ('none', 'test', NULL);
CREATE TABLE ir_ui_view (id serial PRIMARY KEY, key varchar, active boolean, arch_db jsonb);
INSERT INTO ir_ui_view (key, active, arch_db) VALUES ('web.neutralize_banner', false, '{"en_US": "<t/>"}');`;

/** In the form that Odoo's modules have: comments, several statements, names without a schema, percent signs. */
const FILES_OF_MODULES: Readonly<Record<string, string>> = {
  base: `-- nothing is sent; 100 % of it
UPDATE ir_mail_server
   SET active = false;

-- and the server of the configuration file is not used in their place
INSERT INTO ir_mail_server(name, smtp_port, smtp_host, smtp_encryption, active, smtp_authentication)
VALUES ('none of it -- really; none', 1025, 'invalid', 'none', true, 'login');

UPDATE ir_cron
   SET active = false
 WHERE id NOT IN (
       SELECT res_id
         FROM ir_model_data
        WHERE model = 'ir.cron'
          AND module = 'base'
          AND name = 'autovacuum_job'
);

INSERT INTO ir_config_parameter (key, value, type)
VALUES ('database.is_neutralized', 'true', 'str')
    ON CONFLICT (key) DO
       UPDATE SET value = 'true', type = 'str';

UPDATE ir_act_server
   SET webhook_url = 'none'
 WHERE state = 'webhook';
`,
  mail: `/* devices */
TRUNCATE mail_push_device;
UPDATE mail_template SET mail_server_id = NULL;
DELETE FROM ir_config_parameter WHERE key IN ('mail.web_push_vapid_private_key', 'mail.web_push_vapid_public_key');`,
  payment: `UPDATE payment_provider
   SET state = CASE WHEN state = 'enabled' THEN 'disabled' ELSE state END,
       demo_api_key = NULL
 WHERE state NOT IN ('test', 'disabled');`,
  web: `UPDATE ir_ui_view
   SET active = true,
       arch_db = jsonb_set(arch_db, '{en_US}', '"<t t-name=\\"a\\"/>"')
 WHERE key = 'web.neutralize_banner';

DO $$
BEGIN
    UPDATE res_users SET password = E'it\\'s\\nnone';
END $$;
`,
  website: "SELECT not_run();",
};

const same = { owners: true, definitions: true };

test("a database whose name is a way out of the filestores is listed as one without", async () => {
  await withSession(it.node.superuser, (session) => session.query('CREATE DATABASE ".." OWNER odoo'));
  const listed = await listDatabases(it.source);
  expect(listed.find(({ database }) => database === "..")?.filestore).toBeNull();
  await withSession(it.node.superuser, (session) => session.query('DROP DATABASE ".."'));
});

test.runIf(canBeKeptOut)("a filestore that this user may not look into is listed as none", async () => {
  const filestoreOfShop = async () =>
    (await listDatabases(it.source)).find(({ database }) => database === "shop")?.filestore;
  expect(await filestoreOfShop()).toBe(join(it.filestore, "shop"));
  const { mode } = statSync(it.filestore);
  const { layout, owner } = it.node;
  // Who looks has to get into the server.
  if (owner) chownSync(join(layout.secretsDir, "postgres.password"), owner.uid, owner.gid);
  chmodSync(it.filestore, process.geteuid?.() === 0 ? 0o700 : 0);
  try {
    await withoutRights(it.node.owner, async () => expect(await filestoreOfShop()).toBeNull());
  } finally {
    chmodSync(it.filestore, mode);
  }
});

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

  test("goes through files as Odoo's modules have them, before and after which odoo-pg's own list holds", async () => {
    await it.make("forms");
    await withSession({ ...it.node.superuser, database: "forms" }, (session) =>
      session.query(`SET ROLE odoo; ${TABLES_OF_MODULES}`),
    );
    const addons = temporaryFolder();
    for (const [module, sql] of Object.entries(FILES_OF_MODULES)) {
      mkdirSync(join(addons, module, "data"), { recursive: true });
      writeFileSync(join(addons, module, "data", "neutralize.sql"), sql);
    }
    const source = {
      ...it.source,
      config: { ...it.source.config, odoo: { ...it.source.config.odoo, addons_path: [addons] } },
    };
    const order = { from: "forms", to: "forms staging", neutralize: true, replace: false, keepOld: false };
    const report = await copyDatabase(source, order, silent);
    // Not "website", which is not installed.
    expect(report.neutralize_files.map((file) => file.slice(addons.length + 1).split("/")[0])).toEqual([
      "base",
      "mail",
      "payment",
      "web",
    ]);
    const one = async (sql: string): Promise<unknown> => (await rows("forms staging", sql))[0];
    expect(await rows("forms staging", "SELECT id FROM ir_cron WHERE active")).toEqual([{ id: 2 }]);
    expect(await rows("forms staging", "SELECT smtp_host FROM ir_mail_server WHERE active")).toEqual([
      { smtp_host: "invalid" },
    ]);
    expect(await one("SELECT webhook_url AS url FROM ir_act_server")).toEqual({
      url: "http://invalid/neutralised",
    });
    expect(await one("SELECT state, demo_api_key AS key FROM payment_provider WHERE code = 'demo'")).toEqual({
      state: "disabled",
      key: null,
    });
    expect(await one("SELECT mail_server_id AS server FROM mail_template")).toEqual({ server: null });
    expect(await one("SELECT active FROM ir_ui_view WHERE key = 'web.neutralize_banner'")).toEqual({
      active: true,
    });
    expect(
      await rows(
        "forms staging",
        "SELECT DISTINCT type FROM ir_config_parameter WHERE key LIKE 'database.%'",
      ),
    ).toEqual([{ type: "str" }]);
    expect(
      await one("SELECT count(*)::int AS pushed FROM mail_push_device WHERE endpoint LIKE 'https://%'"),
    ).toEqual({ pushed: 0 });
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

  test("says that modules of one's own are not neutralised where no addons_path is set", async () => {
    const note = "odoo.addons_path is not set: modules of your own may still talk to others";
    expect((await copy("shop", "noted", { neutralize: true })).notes).toEqual([note]);
    expect((await copy("shop", "live and noted")).notes).toEqual([]);
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
  await expect(renameDatabase(it.source, "old name", "new name", false, note)).rejects.toMatchObject({
    code: "refused",
  });
  await renameDatabase(it.source, "old name", "new name", true, note);
  expect(session.broken()).toBe(true);
  expect(existsSync(join(it.filestore, "old name"))).toBe(false);
  expect(filesBelow(join(it.filestore, "new name")).length).toBeGreaterThanOrEqual(20);
  await expect(renameDatabase(it.source, "new name", "shop", false, note)).rejects.toMatchObject({
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
  renameSync(join(it.filestore, "half"), join(it.filestore, "whole"));
  writeFileSync(
    join(it.filestore, ".odoo-pg-swap-0123abcd.json"),
    JSON.stringify({ version: 1, incoming: "half", database: "whole", kept: null }),
  );
  await renameDatabase(it.source, "half", "settled", false, note);
  expect(existsSync(join(it.filestore, "settled"))).toBe(true);
  expect(existsSync(join(it.filestore, ".odoo-pg-swap-0123abcd.json"))).toBe(false);
});

describe("attachments that Odoo writes after a kill in the middle of a change of names stay:", () => {
  const RECORD = ".odoo-pg-swap-0123abcd.json";
  const INCOMING = "odoo_pg_new_0123abcd";
  const folder = (name: string): string => join(it.filestore, name);
  const has = (name: string, file: string): boolean => existsSync(join(folder(name), file));
  const filesOf = (name: string): string[] =>
    filesBelow(folder(name)).map((file) => relative(folder(name), file));

  async function record(change: {
    database: string;
    incoming?: string;
    kept: string | null;
    files?: boolean;
  }) {
    const { database, incoming = INCOMING } = change;
    const [row] = await rows(
      "postgres",
      `SELECT oid::text AS oid FROM pg_database WHERE datname = ${incoming === INCOMING ? `'${database}'` : `'${incoming}'`}`,
    );
    const numbers =
      incoming === INCOMING ? { oid: "4000000000", old_oid: row?.["oid"] } : { oid: row?.["oid"] };
    const text = JSON.stringify({ version: 1, incoming, files: true, ...change, ...numbers });
    writeFileSync(join(it.filestore, RECORD), text);
    // The clock of the file system has ticks.
    await new Promise((resolve) => setTimeout(resolve, 20));
  }

  function write(name: string, file: string): void {
    mkdirSync(join(folder(name), "zz"), { recursive: true });
    writeFileSync(join(folder(name), file), "written since");
  }

  async function settledBy(backUp = false): Promise<void> {
    if (backUp) await it.backUpOne("shop");
    else await tidyUp(it.source, note);
    expect(existsSync(join(it.filestore, RECORD))).toBe(false);
  }

  test.each([false, true])("both folders were moved, settled by a backup: %s", async (backUp) => {
    await copy("shop", "served");
    const old = filesOf("served");
    write(INCOMING, "zz/restored");
    await new Promise((resolve) => setTimeout(resolve, 20));
    const kept = "served_old_20260101_000000";
    await record({ database: "served", kept });
    renameSync(folder("served"), folder(kept));
    renameSync(folder(INCOMING), folder("served"));
    write("served", "zz/since");
    await settledBy(backUp);
    await tidyUp(it.source, note);
    expect(filesOf("served")).toEqual([...old, "zz/since"].sort());
    await dropDatabase(it.source, "served");
    await it.nothingLeft();
  });

  test.each([true, false])("only the old one was moved; there are new files: %s", async (files) => {
    await copy("shop", "served");
    const old = filesOf("served");
    const kept = "served_old_20260101_000000";
    if (files) write(INCOMING, "zz/restored");
    await new Promise((resolve) => setTimeout(resolve, 20));
    await record({ database: "served", kept, files });
    renameSync(folder("served"), folder(kept));
    write("served", "zz/since");
    await settledBy();
    await tidyUp(it.source, note);
    expect(filesOf("served")).toEqual([...old, "zz/since"].sort());
    await dropDatabase(it.source, "served");
    await it.nothingLeft();
  });

  test("the old database had no folder yet", async () => {
    await rows("postgres", "CREATE DATABASE served");
    write(INCOMING, "zz/restored");
    await new Promise((resolve) => setTimeout(resolve, 20));
    await record({ database: "served", kept: "served_old_20260101_000000" });
    renameSync(folder(INCOMING), folder("served"));
    write("served", "zz/since");
    await settledBy();
    expect(filesOf("served")).toEqual(["zz/since"]);
    await dropDatabase(it.source, "served");
    await tidyUp(it.source, note);
    await it.nothingLeft();
  });

  test("a database that was to be renamed has its files, and those since", async () => {
    await copy("shop", "named");
    const old = filesOf("named");
    await record({ database: "renamed", incoming: "named", kept: null });
    renameSync(folder("named"), folder("renamed"));
    write("named", "zz/since");
    await settledBy();
    expect(filesOf("named")).toEqual([...old, "zz/since"].sort());
    expect(has("renamed", "zz/since")).toBe(false);
    await dropDatabase(it.source, "named");
    await it.nothingLeft();
  });
});

test("a rename that was cut off after its commit keeps its files, whoever has the earlier name by now", async () => {
  await copy("shop", "earlier");
  const [row] = await rows("postgres", "SELECT oid::text AS oid FROM pg_database WHERE datname = 'earlier'");
  await renameDatabase(it.source, "earlier", "later", false, note);
  // As a kill leaves it right after the commit.
  writeFileSync(
    join(it.filestore, ".odoo-pg-swap-0123abcd.json"),
    JSON.stringify({ version: 1, incoming: "earlier", database: "later", kept: null, files: true, ...row }),
  );
  await rows("postgres", "CREATE DATABASE earlier");
  await tidyUp(it.source, note);
  expect(filesBelow(join(it.filestore, "later")).length).toBeGreaterThanOrEqual(20);
  expect(readdirSync(it.filestore).filter((name) => /odoo-pg|earlier/.test(name))).toEqual([]);
  await dropDatabase(it.source, "earlier");
  await dropDatabase(it.source, "later");
});

test("what fails to get a name takes nothing of whoever has it by now", async () => {
  const made = (): void => {
    const { host, port, user } = it.node.superuser;
    const target = conninfo({ host, port, user, dbname: "postgres" });
    execFileSync(programOf(it.node.installation, "psql"), ["-qX", "-c", "CREATE DATABASE quick", target], {
      env: { PGPASSWORD: it.node.passwords.postgres },
    });
    mkdirSync(join(it.filestore, "quick", "ab"), { recursive: true });
    writeFileSync(join(it.filestore, "quick", "ab", "abcd"), "of the other");
  };
  const progress = {
    ...silent,
    step: (_database: string | null, step: string) => {
      if (step === "give it its name") made();
    },
  };
  // A dump alone has no files.
  const dump = it.dump("shop", join(temporaryFolder(), "d"), "-Fc");
  await expect(it.as(dump, "quick", progress)).rejects.toThrow("already exists");
  await tidyUp(it.source, note);
  expect(filesBelow(join(it.filestore, "quick"))).toHaveLength(1);
  await dropDatabase(it.source, "quick");
  await it.nothingLeft();
});

test("a restore replaces the database that it was asked to replace, and no other that has its name by now", async () => {
  await copy("shop", "meant");
  let renamed: Promise<unknown> | undefined;
  const progress = {
    ...silent,
    step: (_database: string | null, step: string) => {
      if (step === "compare")
        renamed = rows("postgres", "ALTER DATABASE meant RENAME TO before_it").then(
          async () => await rows("postgres", "CREATE DATABASE meant"),
        );
    },
  };
  const dump = it.dump("shop", join(temporaryFolder(), "d"), "-Fc");
  await expect(it.replace(dump, "meant", { progress })).rejects.toMatchObject({
    code: "refused",
    message: expect.stringContaining("Another database"),
  });
  await renamed;
  expect(await it.databases()).toEqual(expect.arrayContaining(["before_it", "meant"]));
  await dropDatabase(it.source, "before_it");
  await dropDatabase(it.source, "meant");
  await it.nothingLeft();
});

test("what a restore that was killed after its commit has left of the old one is told, and its files go with it", async () => {
  const kept = "swapped_old_20260101_000000";
  await copy("shop", "swapped");
  await copy("shop", kept);
  const [row] = await rows(
    "postgres",
    `SELECT min(oid::text) FILTER (WHERE datname = 'swapped') AS oid, min(oid::text) FILTER (WHERE datname <> 'swapped') AS old_oid
     FROM pg_database WHERE datname LIKE 'swapped%'`,
  );
  const change = { incoming: "odoo_pg_new_0123abcd", database: "swapped", kept };
  const leave = (): void =>
    writeFileSync(
      join(it.filestore, ".odoo-pg-swap-0123abcd.json"),
      JSON.stringify({ version: 1, ...change, files: true, drop: true, ...row }),
    );
  leave();
  const told: string[] = [];
  await tidyUp(it.source, (text) => told.push(text));
  expect(told).toEqual([expect.stringContaining(`the old one is kept as "${kept}"`)]);
  expect(existsSync(join(it.filestore, kept))).toBe(true);
  leave();
  await rows("postgres", `DROP DATABASE ${kept}`);
  await tidyUp(it.source, note);
  expect(existsSync(join(it.filestore, kept))).toBe(false);
  expect(filesBelow(join(it.filestore, "swapped")).length).toBeGreaterThanOrEqual(20);
  await dropDatabase(it.source, "swapped");
  await it.nothingLeft();
});

test("one of which nobody knows whether it has its name stays, until the next restore finds out", async () => {
  const target = await NewDatabase.begin(it.source);
  await target.createEmpty(ODOO_FORM);
  const files = new NewFilestore(join(it.filestore, target.name));
  target.leave();
  const filling = { source: it.source, database: "unknown", target, progress: silent, files, unpacked: 0 };
  await discardFilling(filling);
  expect(await it.databases()).toContain(target.name);
  expect(existsSync(files.folder)).toBe(true);
  await tidyUp(it.source, note);
  await it.nothingLeft();
});

test("names that cannot be are refused before anything is done", async () => {
  for (const name of ["postgres", "template0", "odoo_template", "odoo_pg_x", "a/b"])
    await expect(copy("shop", name)).rejects.toMatchObject({ code: "refused" });
  for (const name of ["", "x".repeat(64)])
    await expect(copy("shop", name)).rejects.toMatchObject({ code: "usage" });
  expect(id("x")).toBe('"x"');
  await it.nothingLeft();
});
