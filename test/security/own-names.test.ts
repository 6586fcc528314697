import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import { makeOdooDatabase } from "../support/odoo-database.ts";
import { connect, type Session } from "../support/pg.ts";

/** Each name that odoo-pg gives to databases of its own, and drops or renames by it; one for each form. */
const NAMES = [
  "odoo_pg_template",
  "odoo_pg_template_old",
  ...["template", "template_old", "new"].flatMap((kind) =>
    ["00000000", "00000001", "00000002", "00000003", "00000004"].map((mark) => `odoo_pg_${kind}_${mark}`),
  ),
];
/** What a role with CREATEDB can make of its databases. */
const FORMS = [
  "",
  "IS_TEMPLATE true",
  "ALLOW_CONNECTIONS false",
  "CONNECTION LIMIT 0",
  "IS_TEMPLATE true ALLOW_CONNECTIONS false CONNECTION LIMIT 0",
];

let cluster: ThrowawayCluster;
let admin: Session;
let files: string;
let password: string;

beforeAll(async () => {
  cluster = await throwawayCluster({ nodes: 1 });
  const filestore = join(cluster.folder, "filestore");
  cluster.configure({
    backup: { dir: join(cluster.folder, "backups"), schedule: "off", drill_schedule: "off" },
    odoo: { filestore },
  });
  await cluster.up();
  await makeOdooDatabase({ superuser: cluster.superuser(), database: "shop", filestore, attachments: 2 });
  admin = await cluster.session("pg1");
  const ran = await cluster.run(["role", "create", "tenant"]);
  expect(ran.exitCode, ran.stderr).toBe(0);
  password = ran.stdout.trim();
  const own = await asTenant();
  for (const [number, name] of NAMES.entries())
    await own.rows(`CREATE DATABASE ${name} ${FORMS[number % FORMS.length] ?? ""}`);
  await own.close();
  // Its Odoo has put attachments there.
  files = join(filestore, "odoo_pg_new_00000000");
  mkdirSync(files);
  writeFileSync(join(files, "attachment"), "of the tenant");
}, 180_000);

async function asTenant(): Promise<Session> {
  return await connect({ port: cluster.ports.write, user: "tenant", password, database: "postgres" });
}

/** Nothing of the tenant's was touched. */
async function expectUntouched(): Promise<void> {
  const rows = await admin.rows(
    "SELECT datname AS name FROM pg_database WHERE pg_get_userbyid(datdba) = 'tenant'",
  );
  expect(rows.map(({ name }) => String(name)).sort()).toEqual(NAMES.toSorted());
  expect(readFileSync(join(files, "attachment"), "utf8")).toBe("of the tenant");
}

const backupSchema = z.object({ backups: z.object({ id: z.string() }).array() });

test.each([
  ["up", () => ["up"]],
  ["backup create", () => ["backup", "create", "shop"]],
  ["a restore", async () => ["restore", await newest(), "--as", "again"]],
  [
    "a restore that replaces",
    async () => ["restore", await newest(), "--replace", "again", "--confirm", "again"],
  ],
  ["a copy", () => ["db", "copy", "shop", "copied"]],
  ["a rename", () => ["db", "rename", "copied", "renamed", "--yes"]],
  ["a drop", () => ["db", "drop", "renamed", "--confirm", "renamed"]],
  ["a drill", () => ["backup", "restore-check"]],
] as const)(
  "databases of a tenant by names of odoo-pg's own, and its locks, keep nobody from: %s",
  async (name, args) => {
    // As after a reboot.
    if (name === "up") process.kill(cluster.agent(), "SIGKILL");
    // The number of the lock by which changes of names wait for each other: in this database everybody may take it.
    if (name === "a rename") await (await asTenant()).rows("SELECT pg_advisory_lock(3328, hashtext(''))");
    const ran = await cluster.run([...(await args())], { timeout: 120_000 });
    expect(ran.exitCode, ran.stdout + ran.stderr).toBe(0);
    if (["up", "a restore", "a copy"].includes(name))
      expect(ran.stdout + ran.stderr).toContain("database odoo_pg_new_00000000 of role tenant and 16 more: ");
    await expectUntouched();
  },
);

async function newest(): Promise<string> {
  const { backups } = backupSchema.parse(await cluster.json(["backup", "list"]));
  return backups.at(-1)?.id ?? "none";
}
