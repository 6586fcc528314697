import { execa } from "execa";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { throwawayCluster, type ThrowawayCluster } from "../../support/cluster.ts";
import { makeOdooDatabase } from "../../support/odoo-database.ts";
import { program } from "../../support/program.ts";

// An Odoo with a PostgreSQL of its own, brought over by what is printed, as it stands.

let old: ThrowawayCluster;
let cluster: ThrowawayCluster;
let conf: string;
let filestore: string;

beforeAll(async () => {
  [old, cluster] = await Promise.all([
    throwawayCluster({ nodes: 1 }),
    throwawayCluster({
      nodes: 1,
      config: { backup: { enabled: true, schedule: "off", drill_schedule: "off" } },
    }),
  ]);
  old.configure({});
  cluster.configure({ backup: { dir: join(cluster.folder, "backups") } });
  await old.up();
  filestore = join(old.folder, "data", "filestore");
  mkdirSync(filestore, { recursive: true });
  await makeOdooDatabase({ superuser: old.superuser(), database: "shop", filestore, attachments: 3 });
  mkdirSync(join(filestore, "shop\u001b[2Jowned"));
  conf = join(old.folder, "odoo.conf");
  writeFileSync(
    conf,
    `[options]
; ours
admin_passwd = master
db_host = 127.0.0.1
db_port = ${old.ports.nodes[0]}
db_user = odoo
db_password = ${old.password("odoo")}
data_dir = ${join(old.folder, "data")}
addons_path = ${old.folder},
    ${cluster.folder}
workers = 4
`,
  );
}, 120_000);

const planSchema = z.object({
  leads_here: z.boolean(),
  filestore: z.string().nullable(),
  databases: z
    .object({ database: z.string(), attachments: z.boolean(), here: z.boolean().nullable() })
    .array(),
  plan: z.object({ next: z.string() }).array(),
});

/** Types what was printed, in a shell. */
async function type(line: string): Promise<{ stderr: string; exitCode?: number | undefined }> {
  return await execa("bash", ["-c", line], {
    cwd: cluster.folder,
    env: {
      PATH: `${join(dirname(program()), "bin")}:${process.env["PATH"] ?? ""}`,
      HOME: cluster.folder,
      PGPASSWORD: old.password("odoo"),
    },
    extendEnv: false,
    reject: false,
  });
}

test("the plan brings database and attachments over, by its lines as they stand", async () => {
  const plan = planSchema.parse(await cluster.json(["adopt", conf]));
  expect(plan).toMatchObject({
    leads_here: false,
    filestore,
    databases: [{ database: "shop", attachments: true, here: null }],
  });
  const words = await cluster.run(["adopt", conf]);
  expect(words.stdout).not.toContain(old.password("odoo"));
  expect(words.stdout).toContain(`Filestore ${filestore}`);
  const steps = plan.plan.flatMap(({ next }) => next.split("\n"));
  const typed = steps.flatMap((step) => /(?:^|: )((?:\(umask|odoo-pg|mv -T) .*)$/.exec(step)?.[1] ?? []);
  // Up, dump, restore, say where the files are, up, back up, make the new file, put it in place.
  expect(typed.length).toBe(8);
  for (const line of typed) {
    const ran = await type(line);
    expect([line, ran.exitCode, ran.stderr]).toEqual([line, 0, expect.any(String)]);
  }
  const after = planSchema.parse(await cluster.json(["adopt", conf]));
  expect(after).toMatchObject({
    leads_here: true,
    databases: [{ database: "shop", attachments: true, here: true }],
    plan: [],
  });
  const list = z
    .object({
      backups: z.object({ database: z.string(), filestore: z.object({ included: z.boolean() }) }).array(),
    })
    .parse(await cluster.json(["backup", "list"]));
  expect(list.backups).toEqual([{ database: "shop", filestore: { included: true } }]);
  const written = readFileSync(conf, "utf8");
  expect(written).toContain("; ours\nadmin_passwd = master\n");
  expect(written).toContain(`db_port = ${cluster.ports.write}\n`);
  expect(written).toContain("workers = 4\n");
  const session = await cluster.session("write", "odoo", "shop");
  expect(await session.value("SELECT count(*)::int FROM ir_attachment WHERE store_fname IS NOT NULL")).toBe(
    4,
  );
  await session.close();
}, 180_000);

test("a database that comes after the filestore was named is brought over by its lines, too, and keeps its folder", async () => {
  await makeOdooDatabase({ superuser: old.superuser(), database: "branch", filestore, attachments: 2 });
  const before = readdirSync(join(filestore, "branch"));
  const refused = await cluster.run(["restore", "shop.dump", "--as", "branch"], { cwd: cluster.folder });
  expect([refused.exitCode, refused.stderr]).toEqual([2, expect.stringContaining("Next: Move it away")]);
  const { plan } = planSchema.parse(await cluster.json(["adopt", `${conf}.old`]));
  const lines = plan.map(({ next }) => next.split("\n")).find(([first]) => first?.startsWith("Bring branch"));
  expect(lines?.[2]).toMatch(/^\(mv -T .*branch .*branch.aside && trap .* && odoo-pg .*restore .*\)$/);
  for (const line of lines?.slice(1) ?? []) {
    const ran = await type(line);
    expect([line, ran.exitCode, ran.stderr]).toEqual([line, 0, expect.any(String)]);
  }
  expect(readdirSync(join(filestore, "branch"))).toEqual(before);
  const after = planSchema.parse(await cluster.json(["adopt", `${conf}.old`]));
  expect(after.databases.find(({ database }) => database === "branch")).toMatchObject({ here: true });
});

test("a backup without attachments says so before it begins, with what puts them there", async () => {
  cluster.configure({ backup: { dir: join(cluster.folder, "backups") } });
  const { stderr } = await cluster.run(["backup", "create", "shop"]);
  const said = stderr.split("\n");
  expect(said[0]).toBe("Attachments are in no backup: odoo.filestore is not set.");
  expect(said[1]).toMatch(/^ {2}Next: odoo-pg adopt FILE --apply --config \S+, with the odoo\.conf/);
});

test.each([
  ["that is a folder", "/", "is not a file"],
  ["that is not there", "nowhere.conf", "there is no such file"],
])("a file %s is refused in one sentence", async (_, file, why) => {
  const { stderr, exitCode } = await cluster.run(["adopt", file]);
  expect(exitCode).toBe(2);
  expect(stderr).toContain(why);
});

test("a link to what only root may read tells nothing of it", async () => {
  const link = join(cluster.folder, "link.conf");
  const secret = join(cluster.folder, "secret");
  symlinkSync(secret, link);
  for (const text of ["root:$y$hash-of-root:19000::::::\n", "[options]\nadmin_passwd = hash-of-root\n"]) {
    writeFileSync(secret, text);
    for (const args of [
      ["adopt", link],
      ["odoo-conf", "--from", link],
      ["doctor", "--odoo-conf", link],
    ]) {
      const { stdout, stderr } = await cluster.run(args);
      expect(stdout + stderr).not.toContain("hash-of-root");
      expect(stderr).toContain("is a link: name the file it points to");
    }
  }
});
