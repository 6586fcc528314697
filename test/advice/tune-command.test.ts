import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import { newcomer } from "../support/ordinary-user.ts";
import { runProgram } from "../support/program.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const documentSchema = z.object({
  version: z.literal(1),
  machine: z.object({
    memory_bytes: z.number(),
    cpus: z.number(),
    disk: z.string(),
    memory_from: z.string(),
  }),
  compared_with: z.object({ what: z.string(), why: z.string().nullable() }),
  settings: z
    .object({
      name: z.string(),
      now: z.string(),
      tuned: z.string(),
      differs: z.boolean(),
      to_write: z.boolean(),
      obstacle: z.string().nullable(),
    })
    .array(),
  odoo: z.object({ name: z.string(), value: z.string() }).array(),
  applied: z
    .object({ copy: z.string().nullable(), dry_run: z.boolean(), lines: z.string().array() })
    .nullable(),
  next: z.string().nullable(),
});

const small = ["--memory", "2GB", "--cpus", "2", "--disk", "ssd", "--workers", "3"];

async function tuned(cluster: ThrowawayCluster, args: readonly string[] = small) {
  return documentSchema.parse(await cluster.json(["tune", ...args]));
}

const differing = ({ settings }: z.output<typeof documentSchema>): string[] =>
  settings.flatMap(({ name, differs }) => (differs ? [name] : []));

test("tune --apply writes the difference into the file, up runs it, and a second tune finds none", async () => {
  const cluster = await throwawayCluster();
  const plain = readFileSync(cluster.configFile, "utf8");
  const text = `# the shop's cluster\n${plain.replace("    shared_buffers: 16MB", "    # for the test\n    shared_buffers: 16MB # small\n    max_connections: 400 # two Odoos")}`;
  expect(text).toContain("# two Odoos");
  writeFileSync(cluster.configFile, text);
  chmodSync(cluster.configFile, 0o640);

  const before = await tuned(cluster);
  expect(before.compared_with).toEqual({ what: "the configuration", why: "the cluster was never started" });

  await cluster.up();
  const advice = await tuned(cluster);
  expect(advice.compared_with.what).toBe("what runs on pg1");
  expect(advice.settings.find(({ name }) => name === "shared_buffers")?.now).toBe("16MB");
  expect(differing(advice)).toContain("shared_buffers");
  // More connections than are needed are left alone.
  expect(differing(advice)).not.toContain("max_connections");
  expect(advice.next).toContain("odoo-pg tune --memory 2GB --cpus 2 --disk ssd --workers 3 --apply --config");
  expect(advice.odoo.find(({ name }) => name === "workers")?.value).toBe("3");

  const dry = await cluster.run(["tune", ...small, "--apply", "--dry-run"]);
  expect(dry.exitCode).toBe(0);
  expect(dry.stdout).toMatch(
    /^ {2}- {5}shared_buffers: 16MB # small\n {2}\+ {5}shared_buffers: \d+MB # small$/m,
  );
  expect(dry.stderr).toContain("Dry run: nothing was changed.");
  expect(readFileSync(cluster.configFile, "utf8")).toBe(text);

  const applied = await cluster.run(["tune", ...small, "--apply"]);
  expect(applied.exitCode, applied.stderr).toBe(0);
  expect(applied.stderr).toMatch(
    /^Next: Restart each server for shared_buffers.*: odoo-pg up --config \S+$/m,
  );
  const written = readFileSync(cluster.configFile, "utf8");
  for (const comment of [
    "# the shop's cluster",
    "    # for the test\n",
    " # small",
    "max_connections: 400 # two Odoos",
  ])
    expect(written).toContain(comment);
  expect(statSync(cluster.configFile).mode & 0o777).toBe(0o640);
  const copy = readdirSync(cluster.folder).find((name) => name.startsWith("odoo-pg.yaml.before-"));
  expect(readFileSync(join(cluster.folder, copy ?? ""), "utf8")).toBe(text);
  expect(applied.stderr).toContain(copy);

  const waiting = await tuned(cluster, [...small, "--apply"]);
  expect(waiting.applied).toBeNull();
  expect(waiting.next).toMatch(/: odoo-pg up --config /);

  await cluster.up();
  await cluster.healthy();
  for (const node of ["pg1", "pg2"] as const) {
    const session = await cluster.session(node);
    for (const { name, tuned: value, differs } of advice.settings)
      if (differs) expect(await session.value(`SHOW ${name}`), name).toBe(value);
  }
  const after = await tuned(cluster);
  expect(differing(after)).toEqual([]);
  expect(after.next).toBeNull();
  const again = await cluster.run(["tune", ...small, "--apply"]);
  expect(again.stderr).toContain("Nothing to change.");
  expect(readFileSync(cluster.configFile, "utf8")).toBe(written);

  // What goes over the file is named, and not written in vain.
  const session = await cluster.session("pg1");
  await session.rows("ALTER SYSTEM SET work_mem = '512MB'");
  await session.rows("SELECT pg_reload_conf()");
  const environment = { PGSQL_RANDOM_PAGE_COST: "4" };
  const overruled = documentSchema.parse(await cluster.json(["tune", ...small], { env: environment }));
  const row = (name: string) => overruled.settings.find((setting) => setting.name === name);
  expect(row("work_mem")).toMatchObject({ now: "512MB", differs: true, to_write: false });
  expect(row("work_mem")?.obstacle).toContain("ALTER SYSTEM RESET work_mem");
  expect(row("random_page_cost")).toMatchObject({ differs: false, to_write: false });
}, 180_000);

test("right after the first up of a configuration that sets nothing, tune finds nothing to change", async () => {
  const cluster = await throwawayCluster({ nodes: 1 });
  writeFileSync(
    cluster.configFile,
    readFileSync(cluster.configFile, "utf8").replace(/^postgres:\n.*\n.*\n/m, ""),
  );
  expect(readFileSync(cluster.configFile, "utf8")).not.toContain("shared_buffers");
  await cluster.up();
  const advice = await tuned(cluster, []);
  expect(advice.compared_with.what).toBe("what runs on pg1");
  expect(advice.settings.filter(({ differs, to_write }) => differs || to_write)).toEqual([]);
  expect(advice.next).toBeNull();
  // Another load is another matter.
  expect(differing(await tuned(cluster, ["--workers", "60"]))).toContain("max_connections");

  // The record says what was chosen: by the next up the machine may be another one.
  const record = join(cluster.stateDir, "state.json");
  const chosen = z.looseObject({ settings: z.record(z.string(), z.string()) });
  expect(chosen.parse(JSON.parse(readFileSync(record, "utf8"))).settings).toMatchObject({
    shared_buffers: advice.settings.find(({ name }) => name === "shared_buffers")?.tuned,
  });
}, 180_000);

describe("without a cluster", () => {
  test("tune has nothing to say to the defaults, which go by the machine's own figures, and makes the file for another machine", async () => {
    const { home, user } = await newcomer();
    const run = async (...args: string[]) => await runProgram(["tune", ...args], { home, user });
    const { stdout, stderr, exitCode } = await run();
    expect(exitCode, stderr).toBe(0);
    expect(stderr).toMatch(
      /^Machine {2}[\d.]+ [MG]B memory \((machine|limit of the container)\b.*\), [\d.]+ CPUs?/m,
    );
    expect(stderr).toContain("Nothing to change.");
    expect(stdout).toContain("; for odoo.conf");
    expect((await run("--memory", "1GB")).stdout).toMatch(/^shared_buffers \* /m);
    const applied = await run("--memory", "1GB", "--apply");
    expect(applied.exitCode, applied.stderr).toBe(0);
    expect(applied.stderr).toContain("To undo: rm odoo-pg.yaml");
    expect(readFileSync(join(home, "odoo-pg.yaml"), "utf8")).toMatch(
      /^postgres:\n {2}parameters:\n {4}\w+: /,
    );
    expect((await run("--memory", "1GB", "--apply")).stderr).toContain("Nothing to change.");
  });

  test("a parameter of the environment is not written: the environment goes over the file", async () => {
    const { home, user } = await newcomer();
    const env = { PGSQL_JIT: "on" };
    const document = documentSchema.parse(
      JSON.parse(
        (await runProgram(["tune", "--memory", "1GB", "--apply", "--json"], { home, user, env })).stdout,
      ),
    );
    const jit = document.settings.find(({ name }) => name === "jit");
    expect(jit).toMatchObject({ differs: true, to_write: false });
    expect(jit?.obstacle).toContain("PGSQL_JIT in the environment");
    expect(document.applied?.lines.join("\n")).not.toContain("jit");
  });

  test("a file that cannot be edited is left alone, and its lines are told", async () => {
    const home = temporaryFolder();
    const file = join(home, "odoo-pg.yaml");
    const text = "cluster: ended\n...\n";
    writeFileSync(file, text);
    const { stderr, exitCode } = await runProgram(["tune", "--memory", "1GB", "--apply"], { home });
    expect(exitCode).not.toBe(0);
    expect(stderr).toMatch(/config_unwritable[\s\S]*shared_buffers: /);
    expect(readFileSync(file, "utf8")).toBe(text);
    expect(readdirSync(home)).toEqual(["odoo-pg.yaml"]);
  });

  test("a file that this user may not write is left alone, and its lines are told", async () => {
    const { home, user } = await newcomer();
    const file = join(home, "odoo-pg.yaml");
    writeFileSync(file, "cluster: prod\n");
    chmodSync(home, 0o555);
    const { stderr, exitCode } = await runProgram(["tune", "--memory", "1GB", "--apply"], { home, user });
    chmodSync(home, 0o755);
    expect(stderr).toMatch(
      /config_unwritable[\s\S]*by this user[\s\S]*shared_buffers: [\s\S]*Next: Write them/,
    );
    expect(exitCode).toBe(1);
    expect(readFileSync(file, "utf8")).toBe("cluster: prod\n");
    expect(readdirSync(home)).toEqual(["odoo-pg.yaml"]);
  });

  test.each([
    [["--memory", "16"], "--memory must be from 512MB"],
    [["--memory", "8gb"], 'did you mean "GB"?'],
    [["--cpus", "0"], "--cpus must be a number from 0.1"],
    [["--workers", "2.5"], "--workers must be a whole number"],
    [["--users", "-3"], "--users must be a whole number"],
    [["--disk", "tape"], "--disk must be ssd or hdd"],
  ])("%j is refused", async (args, message) => {
    const home = temporaryFolder();
    const { stderr, exitCode } = await runProgram(["tune", ...args, "--apply"], { home });
    expect(stderr).toContain(message);
    expect(exitCode).toBe(2);
    expect(existsSync(join(home, "odoo-pg.yaml"))).toBe(false);
  });
});
