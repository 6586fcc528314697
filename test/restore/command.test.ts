import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { compareContents } from "../../src/backup/contents/compare.ts";
import type { Contents } from "../../src/backup/contents/contents.ts";
import { readDatabaseContents } from "../../src/backup/contents/read-contents.ts";
import { ERRORS } from "../../src/errors.ts";
import { type Credentials } from "../../src/system/sql/sql.ts";
import { withSession } from "../support/with-session.ts";
import { throwawayCluster, type ThrowawayCluster } from "../support/cluster.ts";
import { filesBelow } from "../support/files.ts";
import { runProgram } from "../support/program.ts";
import { makeOdooDatabase } from "../support/odoo-database.ts";
import { waitFor } from "../support/wait.ts";

/** A real backup of Odoo 19 with Sales and its demo data, where the machine has one. */
const realZip = fileURLToPath(new URL("../../../shared/data/odoo19-sales.zip", import.meta.url));

let cluster: ThrowawayCluster;
let filestore: string;
let superuser: Credentials;

beforeAll(async () => {
  cluster = await throwawayCluster({ nodes: 1 });
  filestore = join(cluster.folder, "filestore");
  mkdirSync(filestore);
  cluster.configure({
    odoo: { filestore },
    backup: { enabled: false, drill_schedule: "off", dir: join(cluster.folder, "backups") },
  });
  await cluster.up();
  superuser = cluster.superuser();
});

async function contents(database: string): Promise<Contents> {
  return await withSession({ ...superuser, database }, readDatabaseContents);
}

async function succeed(...args: readonly string[]): Promise<string> {
  const ran = await cluster.run(args, { timeout: 240_000 });
  if (ran.exitCode !== 0) throw new Error(`${args.join(" ")} ended with ${ran.exitCode}: ${ran.stderr}`);
  return ran.stdout;
}

const backupSchema = z.object({ backups: z.object({ id: z.string(), database: z.string() }).array() });

async function backedUp(database: string): Promise<string> {
  await succeed("backup", "create", database);
  const { backups } = backupSchema.parse(await cluster.json(["backup", "list"]));
  return backups.findLast((backup) => backup.database === database)?.id ?? "";
}

test("a zip of Odoo is restored, backed up, drilled, copied, exported and restored: the same all the way", async () => {
  if (existsSync(realZip)) {
    const report = await cluster.json(["restore", realZip, "--as", "sales"], { timeout: 240_000 });
    expect(report).toMatchObject({ version: 1, tables: 402, files: 629, owner: "odoo", notes: [] });
  } else await makeOdooDatabase({ superuser, database: "sales", filestore });
  const expected = await contents("sales");
  const id = await backedUp("sales");
  expect(await succeed("backup", "verify", "--restore", id)).toContain(id);

  await succeed("db", "copy", "sales", "staging", "--neutralize");
  await withSession({ ...superuser, database: "staging" }, async (session) => {
    expect(
      await session.query("SELECT value FROM ir_config_parameter WHERE key = 'database.is_neutralized'"),
    ).toEqual([{ value: "true" }]);
    expect(
      await session.query("SELECT FROM ir_mail_server WHERE active AND smtp_host IS DISTINCT FROM 'invalid'"),
    ).toEqual([]);
  });

  const zip = join(cluster.folder, "exported.zip");
  await succeed("backup", "export", id, "--odoo-zip", zip);
  const restored = await cluster.run(["restore", zip, "--as", "again"], { timeout: 240_000 });
  expect([restored.exitCode, restored.stderr]).toEqual([
    0,
    expect.stringContaining('Note: "again" is live: it has the uuid and the secret of the original'),
  ]);
  const how = { owners: true, definitions: true };
  const withoutUnaccent = (all: Contents): Contents => ({
    ...all,
    unaccent: null,
    // A zip gets the extension that Odoo's template has.
    extensions: all.extensions.filter(({ name }) => name === "plpgsql"),
  });
  expect(compareContents(withoutUnaccent(expected), withoutUnaccent(await contents("again")), how)).toEqual(
    [],
  );
  const files = (database: string) =>
    filesBelow(join(filestore, database)).map((file) => [file.slice(-43), readFileSync(file, "latin1")]);
  expect(files("again")).toEqual(files("sales"));
}, 600_000);

test("what could not be made is told with a status of its own, and its next step runs as it is printed", async () => {
  const file = join(cluster.folder, "vectors.sql");
  writeFileSync(
    file,
    `-- PostgreSQL database dump
SET client_encoding = 'UTF8';
SELECT pg_catalog.set_config('search_path', '', false);
CREATE TABLE public.res_partner (id integer);
CREATE TABLE public.embedding (v public.no_such_vector);
COPY public.embedding (v) FROM stdin;
[1,2,3]
\\.
COPY public.res_partner (id) FROM stdin;
1
\\.
-- PostgreSQL database dump complete
`,
  );
  const { exitCode, stdout, stderr } = await cluster.run(["restore", file, "--as", "vectors"]);
  expect(exitCode).toBe(ERRORS.objects_set_aside.exit);
  expect(stdout).toMatch(/^vectors: 1 table, 1 row, .*compared, without the 2 set aside/);
  expect(stdout).not.toContain("complete");
  expect(stderr).toContain("rows of public.embedding");
  const next = /if you trust it: odoo-pg (.*)$/m.exec(stderr)?.[1]?.split(" ") ?? [];
  expect(next).toContain(cluster.configFile);
  await withSession({ ...superuser, database: "vectors" }, (session) =>
    session.query("CREATE DOMAIN public.no_such_vector AS text"),
  );
  const ran = await runProgram(next, { home: cluster.folder });
  expect([ran.exitCode, ran.stderr]).toEqual([0, ""]);
  await withSession({ ...superuser, database: "vectors" }, async (session) =>
    expect(await session.query("SELECT v FROM public.embedding")).toEqual([{ v: "[1,2,3]" }]),
  );
  const again = await cluster.json(["restore", file, "--as", "vectors_json"]);
  expect(again).toMatchObject({
    set_aside: { rows: true, next: expect.stringContaining(`--config ${cluster.configFile}`) },
  });
});

test("kill -9 of odoo-pg in the middle leaves the old database, and the next command clears away the rest", async () => {
  await makeOdooDatabase({ superuser, database: "victim", filestore, partners: 50_000 });
  const id = await backedUp("victim");
  const before = await contents("victim");
  for (const phase of ["create the database", "load", "compare"]) {
    const running = cluster.start(["restore", id, "--replace", "victim", "--confirm", "victim"]);
    await waitFor(`the restore to ${phase}`, () => running.stderr().includes(phase));
    running.signal("SIGKILL");
    await running.ended;
    expect(compareContents(before, await contents("victim"), { owners: true, definitions: true })).toEqual(
      [],
    );
    expect(filesBelow(join(filestore, "victim"))).toHaveLength(20);
  }
  await waitFor("the sessions of the killed to end", async () => {
    await succeed("restore", id, "--replace", "victim", "--confirm", "victim");
    return await withSession(superuser, async (session) => {
      const left = await session.query(
        "SELECT datname FROM pg_database WHERE datname LIKE 'odoo\\_pg\\_%' UNION SELECT rolname FROM pg_roles WHERE rolname LIKE 'odoo\\_pg\\_%'",
      );
      return left.length === 0;
    });
  });
  expect(readdirSync(filestore).filter((name) => name.includes("odoo"))).toEqual([]);
}, 300_000);

test("nothing severe is done without the name typed", async () => {
  await makeOdooDatabase({ superuser, database: "-Fc", filestore });
  for (const args of [
    ["restore", "x_20250101_0000", "--replace", "-Fc"],
    ["restore", "x_20250101_0000", "--replace", "-Fc", "--confirm", "other"],
    ["db", "drop", "--", "-Fc"],
    ["role", "drop", "odoo"],
  ]) {
    const ran = await cluster.run(args);
    expect(ran.exitCode).toBe(2);
    expect(ran.stderr).toContain("--confirm");
  }
  const keeping = await cluster.run(["restore", "x_20250101_0000", "--as", "new", "--keep-old"]);
  expect([keeping.exitCode, keeping.stderr]).toEqual([2, expect.stringContaining("belongs to --replace")]);
  expect((await cluster.run(["restore", "x_20250101_0000"])).stderr).toContain("--as");
  expect(await cluster.json(["db", "list"])).toMatchObject({
    databases: expect.arrayContaining([expect.objectContaining({ database: "-Fc", owner: "odoo" })]),
  });
});

test("a role's password comes from a file, standard input, or is printed once", async () => {
  const generated = (await succeed("role", "create", "second")).trim();
  expect(generated).toMatch(/^[A-Za-z0-9]{32}$/);
  await cluster.run(["role", "create", "third", "--password-stdin"], { input: "from input\n" });
  for (const [user, password] of [
    ["second", generated],
    ["third", "from input"],
  ] as const) {
    const own = { ...superuser, user, password };
    expect(await withSession(own, (session) => session.query("SELECT current_user::text AS me"))).toEqual([
      { me: user },
    ]);
  }
  expect(await cluster.json(["role", "list"])).toMatchObject({
    roles: expect.arrayContaining([expect.objectContaining({ name: "third", member_of: [] })]),
  });
});
