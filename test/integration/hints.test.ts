import { chmodSync, cpSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import { makeOdooDatabase } from "../support/odoo-database.ts";
import type { Ran } from "../support/program.ts";

let cluster: ThrowawayCluster;

beforeAll(async () => {
  cluster = await throwawayCluster();
  const filestore = join(cluster.folder, "filestore");
  cluster.configure({ backup: { dir: join(cluster.folder, "backups") }, odoo: { filestore } });
  await cluster.up();
  await makeOdooDatabase({
    superuser: cluster.superuser(),
    database: "shop",
    filestore,
  });
}, 120_000);

/** Runs a command that is expected to fail, with these words in what it says. */
async function fails(args: readonly string[], ...words: readonly string[]): Promise<Ran> {
  const ran = await cluster.run(args);
  for (const word of words) expect(ran.stderr).toContain(word);
  expect(ran.exitCode).not.toBe(0);
  return ran;
}

describe("a node that is not there", () => {
  test("is answered with those that are, and with the one that was meant", async () => {
    await fails(
      ["reseed"],
      "Which node do you want to rebuild? The replicas are: pg2.",
      "Next: odoo-pg reseed pg2",
    );
    await fails(["reseed", "pg9"], 'No node is named "pg9".', 'Did you mean "pg1" or "pg2"?', "Next: ");
    await fails(["switchover", "--to", "pgx"], 'No node is named "pgx".', "There are: pg1, pg2.", "Next: ");
  });

  test("rejoin of a node that streams says that nothing is to be done", async () => {
    const { stderr, exitCode } = await cluster.run(["rejoin", "pg2"]);
    expect(exitCode).toBe(0);
    expect(stderr).toContain("pg2 streams from pg1 already: nothing to do.");
    expect(stderr.trimEnd().split("\n").at(-1)).toBe("Nothing was changed.");
  });
});

describe("psql", () => {
  test("with an argument of its own before the dashes hints at them", async () => {
    await fails(
      ["psql", "pg2", "-c", "SELECT 1"],
      "go after --",
      "odoo-pg psql pg1 --config",
      "-- -c 'SELECT 1'",
    );
  });
});

describe("a role", () => {
  test("that is there already is named, and left as it is", async () => {
    expect((await cluster.run(["role", "create", "odoo18"])).exitCode).toBe(0);
    await fails(
      ["role", "create", "odoo18"],
      'Role "odoo18" already exists.',
      "Safe: The role and its password are as they were.",
      "Next: Choose another name (odoo-pg role list --config",
      `'\\password "odoo18"'`,
    );
  });

  test("whose password is in a file that others can read: that is told", async () => {
    const file = join(cluster.folder, "odoo19.password");
    writeFileSync(file, "correct-horse\n");
    chmodSync(file, 0o644);
    const { stderr, exitCode } = await cluster.run(["role", "create", "odoo19", "--password-file", file]);
    expect(exitCode).toBe(0);
    expect(stderr).toContain(`${file} can be read by others (mode 0644). Next: chmod 600 ${file}`);
    chmodSync(file, 0o600);
    const quiet = await cluster.run(["role", "create", "odoo20", "--password-file", file]);
    expect(quiet.stderr).not.toContain("can be read");
  });
});

const runSchema = z.object({ databases: z.object({ id: z.string() }).array() });
const backupSchema = z.object({ backup: z.object({ folder: z.string() }) });

test("a misspelt database is answered with the one that was meant", async () => {
  const meant = 'Did you mean "shop"?';
  await fails(["db", "drop", "shpo", "--confirm", "shpo"], 'no database "shpo"', meant, "Next: ");
  await fails(["db", "rename", "shpo", "store"], meant);
  await fails(["db", "copy", "shpo", "store"], meant);
  await fails(["sessions", "list", "shpo"], meant);
  await fails(["sessions", "kill", "shpo"], meant);
  await fails(["backup", "create", "shpo"], meant);
});

test("a backup is found by its path as by its id, and a misspelt one is answered with what was meant", async () => {
  const run = runSchema.parse(await cluster.json(["backup", "create", "shop"]));
  const id = run.databases[0]?.id ?? "";
  const wrong = `${id.slice(0, -1)}x`;
  await fails(["backup", "show", wrong], `Did you mean "${id}"?`);
  await fails(["backup", "verify", wrong], `Did you mean "${id}"?`);
  await fails(["restore", wrong, "--as", "again"], `Did you mean "${id}"?`);
  // The name of a database stands for its newest backup.
  const byName = await cluster.run(["backup", "show", "shop"]);
  expect([byName.exitCode, byName.stdout]).toEqual([0, expect.stringContaining(id)]);
  await fails(["backup", "show", "shpo"], `The newest backup of database "shop" is ${id}.`);
  await fails(["restore", id, "--replace", "shpo", "--confirm", "shpo"], 'Did you mean "shop"?');

  const { folder } = backupSchema.parse(await cluster.json(["backup", "show", id])).backup;
  // As copied to another disk: with its attachments beside it.
  const elsewhere = join(cluster.folder, "usb");
  mkdirSync(elsewhere);
  cpSync(folder, join(elsewhere, basename(folder)), { recursive: true });
  cpSync(join(folder, "..", "filestore"), join(elsewhere, "filestore"), { recursive: true });
  const path = join(elsewhere, basename(folder));
  const shown = backupSchema.parse(await cluster.json(["backup", "show", path])).backup;
  expect(shown.folder).toBe(path);
  const verified = await cluster.run(["backup", "verify", path]);
  expect(verified).toMatchObject({ exitCode: 0 });
  expect(verified.stdout).toContain("all checksums match");
  // What a look notes in a backup takes nothing from its proof: it would be a stranger's if another could change that.
  for (const one of [path, folder]) {
    expect((await cluster.run(["backup", "verify", one])).exitCode).toBe(0);
    expect(statSync(join(one, "checks.json")).uid).toBe(statSync(one).uid);
  }
  const again = await cluster.run(["restore", path, "--as", "from usb"]);
  expect([again.exitCode, again.stderr]).toEqual([0, expect.not.stringContaining("nothing proves it")]);
  expect((await cluster.run(["backup", "verify", "--restore", path])).exitCode).toBe(0);

  const dump = join(cluster.folder, "other.sql");
  writeFileSync(dump, "SELECT 1;\n");
  await fails(
    ["backup", "verify", dump],
    "is not a backup of odoo-pg",
    `Next: Try it by restoring: odoo-pg restore ${dump}`,
  );
  await fails(["backup", "show", "/nowhere/at/all"], "There is no file or folder /nowhere/at/all");
}, 60_000);

test("copies, restores and new names are refused where the directory of all filestores is not there, as backups are", async () => {
  const filestore = join(cluster.folder, "not-mounted");
  cluster.configure({ backup: { dir: join(cluster.folder, "backups") }, odoo: { filestore } });
  await fails(["db", "copy", "shop", "staging"], "filestore_unusable", filestore, "Next: Mount its disk");
  const list = await cluster.run(["db", "list"]);
  expect(list.stdout).not.toContain("staging");
  await fails(["db", "rename", "shop", "store"], "filestore_unusable");
  const dump = join(cluster.folder, "plain.sql");
  writeFileSync(dump, "CREATE TABLE plain ();\n");
  await fails(["restore", dump, "--as", "plain"], "filestore_unusable");
  // Where only the folder of the database is missing, the copy says so.
  mkdirSync(filestore);
  const copied = await cluster.run(["db", "copy", "shop", "staging"]);
  expect(copied.exitCode, copied.stderr).toBe(0);
  expect(copied.stderr).toContain(`attachments were not copied: there is no ${join(filestore, "shop")}`);
}, 60_000);

test("psql on a cluster that is stopped says how it is started", async () => {
  await cluster.down();
  for (const target of ["pg1", "read", "write"])
    await fails(["psql", target, "--", "-c", "SELECT 1"], "not_running", `Next: odoo-pg up --config`);
});

test("a version that is not installed: which are, and how it comes to be there", async () => {
  const other = await throwawayCluster({ config: { postgres: { version: 99 } } });
  const { stderr, exitCode } = await other.run(["up"]);
  expect(exitCode).toBe(69);
  expect(stderr).toMatch(
    /No PostgreSQL 99 with server and client programs was found; installed: \d+\.\d+ .*in \//,
  );
  expect(stderr).toMatch(/Next: .*postgresql[-@]99.*https:\/\/www\.postgresql\.org\/download/);
  expect(stderr).toContain('take "postgres.version" away');
});
