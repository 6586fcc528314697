import { mkdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, test } from "vitest";
import * as z from "zod";
import { type ThrowawayCluster, throwawayCluster } from "../../support/cluster.ts";
import { makeOdooDatabase } from "../../support/odoo-database.ts";
import { type Trouble, meet } from "../../support/planted-trouble.ts";

let cluster: ThrowawayCluster;

const never = "0 0 1 1 *";
const dir = (): string => join(cluster.folder, "backups");
const filestore = (): string => join(cluster.folder, "filestore");

/** What is configured beside what a trouble changes. */
function configuration(changes: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> {
  return {
    backup: { enabled: true, dir: dir(), schedule: never, drill_schedule: never, ...changes },
    odoo: { filestore: filestore() },
  };
}

async function apply(changes?: Readonly<Record<string, unknown>>): Promise<void> {
  cluster.configure(configuration(changes));
  await cluster.up();
}

beforeAll(async () => {
  cluster = await throwawayCluster({ nodes: 1 });
  mkdirSync(filestore());
  await apply();
  await makeOdooDatabase({
    superuser: cluster.superuser(),
    database: "shop",
    filestore: filestore(),
    attachments: 3,
  });
  await cluster.json(["backup", "create", "shop"]);
});

const runSchema = z.object({ databases: z.object({ id: z.string() }).array() });

async function backUp(): Promise<string> {
  const run = runSchema.parse(await cluster.json(["backup", "create", "shop"]));
  return run.databases[0]?.id ?? "";
}

async function say(database: string, ...statements: readonly string[]): Promise<void> {
  const session = await cluster.session("pg1", "postgres", database);
  for (const statement of statements) await session.rows(statement);
  await session.close();
}

const folderOf = (backup: string): string => join(dir(), `${backup}.dump`);
const status = (): string => join(cluster.stateDir, "backup-status.json");

/** Changes the record of backups, as time or a bad day would. */
function record(change: (text: string) => string): void {
  writeFileSync(status(), change(readFileSync(status(), "utf8")));
}

const PASSPHRASE = "not-a-secret";
const repository = (): string => join(cluster.folder, "restic");

/** A copy elsewhere by that passphrase. */
function elsewhere(passphrase = PASSPHRASE): Readonly<Record<string, unknown>> {
  const file = join(cluster.folder, "passphrase");
  writeFileSync(file, `${passphrase}\n`, { mode: 0o600 });
  return { offsite: [{ name: "nas", repository: repository(), passphrase_file: file, schedule: "off" }] };
}

const LONG = `Müller's "${"x".repeat(50)}"`;

const troubles: Readonly<Record<string, Trouble>> = {
  "a backup into a folder that is a file": {
    plant: async () => {
      renameSync(dir(), `${dir()}.kept`);
      writeFileSync(dir(), "");
      await cluster.run(["backup", "create", "--all"]);
    },
    met: ["status"],
    says: "The last backup failed",
    before: () => {
      rmSync(dir());
      renameSync(`${dir()}.kept`, dir());
    },
    brings: "gone",
  },
  "a filestore whose disk is not mounted": {
    plant: async () => {
      renameSync(filestore(), `${filestore()}.kept`);
      await cluster.run(["backup", "create", "--all"]);
    },
    met: ["status"],
    says: "The last backup failed",
    before: () => renameSync(`${filestore()}.kept`, filestore()),
    brings: "gone",
  },
  "a database without its folder in the filestore": {
    plant: async () => {
      renameSync(join(filestore(), "shop"), join(cluster.folder, "shop.kept"));
      await cluster.run(["backup", "create", "--all"]);
    },
    met: ["status"],
    says: "The last backup found no folder in the filestore",
    before: () => renameSync(join(cluster.folder, "shop.kept"), join(filestore(), "shop")),
    brings: "gone",
  },
  "a drill that failed": {
    plant: async () => {
      const newest = await backUp();
      truncateSync(join(folderOf(newest), "contents.json"), 10);
      await cluster.run(["backup", "restore-check"]);
    },
    met: ["status"],
    says: "A backup could not be proven by restoring it",
    brings: "gone",
  },
  "a filter that matches no database": {
    plant: async () => {
      await apply({ only_filter: "^shop$" });
      await cluster.run(["backup", "create", "--all"]);
    },
    met: ["status"],
    says: "No database is backed up",
    before: () => cluster.configure(configuration()),
    brings: "gone",
    after: async () => await apply(),
  },
  "a record of backups that is damaged": {
    plant: () => record(() => "{"),
    met: ["status"],
    says: "backup-status.json",
    brings: "gone",
  },
  "a backup that is too old": {
    plant: () =>
      record((text) =>
        text.replaceAll(/"last_good_at": ?"[^"]+"/g, '"last_good_at":"2026-01-01T00:00:00.000Z"'),
      ),
    met: ["status"],
    says: "The last good backup of all databases is",
    brings: "gone",
  },
  "backups that are turned off": {
    plant: async () => await apply({ enabled: false }),
    met: ["doctor"],
    says: "Backups are turned off",
    before: () => cluster.configure(configuration()),
    brings: "gone",
  },
  "a passphrase that nobody keeps elsewhere": {
    plant: async () => {
      await apply(elsewhere());
      await cluster.run(["backup", "copy", "--to", "nas"]);
    },
    met: ["status"],
    says: "Nobody has confirmed that the passphrase of nas",
    brings: /not-a-secret/,
    after: async () => {
      await cluster.run(["backup", "key", "confirm", "--of", "nas"], { input: `${PASSPHRASE}\n` });
    },
  },
  "a copy elsewhere whose repository is away": {
    plant: async () => {
      renameSync(repository(), `${repository()}.kept`);
      await cluster.run(["backup", "copy", "--to", "nas"]);
    },
    met: ["status"],
    says: "The last copy to nas failed",
    before: () => renameSync(`${repository()}.kept`, repository()),
    brings: "gone",
  },
  "a copy elsewhere that another passphrase opens": {
    plant: async () => {
      elsewhere("another");
      await cluster.run(["backup", "copy", "--to", "nas"]);
    },
    met: ["status"],
    says: "The last copy to nas failed",
    before: () => void elsewhere(),
    brings: "gone",
    after: async () => await apply(),
  },
  "a restore onto a name that is taken": {
    met: ["restore", "shop", "--as", "shop"],
    says: "Error (database_exists)",
    brings: /shop/,
  },
  "a restore in place that was not confirmed": {
    met: ["restore", "shop", "--replace", "shop"],
    says: "Error (confirmation_missing)",
    brings: /shop/,
  },
  "a backup of no id": {
    met: ["backup", "show", "shpo_20260101_0000"],
    says: "Error (backup_unknown)",
    brings: /shop_/,
  },
  "a backup of no id to restore": {
    met: ["restore", "shop_20200101_0000", "--as", "again"],
    says: "Error (backup_unknown)",
    brings: /shop_/,
  },
  "a second back where seconds are off": {
    met: ["restore", "shop", "--at", "2026-01-01 00:00:00", "--as", "again"],
    says: "Error (",
    brings: "words",
  },
  "a file that is no dump": {
    plant: () => writeFileSync(join(cluster.folder, "notes.dump"), "PGDMP nothing more"),
    get met() {
      return ["restore", join(cluster.folder, "notes.dump"), "--as", "again"];
    },
    says: "Error (dump_unusable)",
    brings: "words",
  },
  "a file that is not there": {
    met: ["restore", "/nowhere/shop.dump", "--as", "again"],
    says: "Error (",
    brings: /./,
  },
  "a database of no name": {
    met: ["db", "drop", "shpo", "--confirm", "shpo"],
    says: "Error (database_unknown)",
    brings: /shop/,
  },
  "a drop that was not confirmed": {
    met: ["db", "drop", "shop"],
    says: "Error (confirmation_missing)",
    brings: /shop/,
    after: async () => void (await cluster.run(["restore", "shop", "--as", "shop"])),
  },
  "a copy onto a name that is taken": { met: ["db", "copy", "shop", "shop"], says: "Error (", brings: /./ },
  "a role that is there": { met: ["role", "create", "odoo"], says: "Error (", brings: /odoo/ },
  "a session of no process": { met: ["sessions", "terminate", "1"], says: "Error (", brings: /./ },
  "a database of a long name that lacks what Odoo needs": {
    plant: async () => {
      await say("postgres", `CREATE DATABASE "${LONG.replaceAll('"', '""')}" TEMPLATE template0 OWNER odoo`);
      await say(
        LONG,
        "GRANT CREATE ON SCHEMA public TO PUBLIC",
        "SET ROLE odoo",
        "CREATE TABLE ir_module_module (id serial PRIMARY KEY)",
      );
    },
    met: ["doctor"],
    says: "lacks pg_trgm and unaccent",
    brings: "gone",
    after: async () => await say("postgres", `DROP DATABASE "${LONG.replaceAll('"', '""')}"`),
  },
  "an index that is invalid": {
    plant: async () =>
      await say(
        "shop",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ir_attachment__store_fname_index'::regclass",
      ),
    met: ["doctor"],
    says: "is invalid",
    brings: "gone",
  },
  "a collation of another version": {
    plant: async () =>
      await say(
        "postgres",
        "CREATE DATABASE wiki TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en' LOCALE 'C'",
        "UPDATE pg_database SET datcollversion = '1.2.3' WHERE datname = 'wiki'",
      ),
    met: ["doctor"],
    says: "The library that sorts for wiki",
    brings: "gone",
    after: async () => await say("postgres", "DROP DATABASE wiki"),
  },
  "unaccent that no index can use": {
    plant: async () => await say("shop", "ALTER FUNCTION unaccent(text) STABLE"),
    met: ["doctor"],
    says: "unaccent(text) in shop is not IMMUTABLE",
    brings: "gone",
  },
  "a sequence that is nearly used up": {
    plant: async () => await say("shop", "SELECT setval('res_partner_id_seq', 1500000000)"),
    met: ["doctor"],
    says: "res_partner",
    brings: /1500000000/,
    after: async () => await say("shop", "SELECT setval('res_partner_id_seq', 1000)"),
  },
  "dead rows that nobody cleans up": {
    plant: async () =>
      await say(
        "shop",
        "CREATE TABLE bus_bus (id serial PRIMARY KEY, message text) WITH (autovacuum_enabled = false)",
        "ALTER TABLE bus_bus OWNER TO odoo",
        "INSERT INTO bus_bus (message) SELECT 'x' FROM generate_series(1, 5000)",
        "DELETE FROM bus_bus",
      ),
    met: ["doctor"],
    says: "bus_bus has",
    brings: "gone",
  },
};

test.each(Object.keys(troubles))("%s", async (name) => {
  const trouble = troubles[name];
  if (trouble) await meet(cluster, trouble);
});
