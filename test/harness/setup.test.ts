import {
  chmodSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { execa } from "execa";
import { expect, test } from "vitest";
import { temporaryFolder } from "../support/temporary-folder.ts";

const postgresPrograms = ["postgres", "initdb", "pg_basebackup", "psql"];

/** What the set-up finds missing on a machine on which programs are only in these places. */
async function missingPrograms(
  places: {
    path: readonly string[];
    versioned: readonly string[];
    homebrew: readonly string[];
  },
  asked: readonly string[] = [],
): Promise<unknown> {
  const script = `
    import { missingPrograms } from "./scripts/setup/missing-programs.mjs";
    console.log(JSON.stringify(missingPrograms(${JSON.stringify(places)}, ${JSON.stringify(asked)})));`;
  const { stdout } = await execa(process.execPath, ["--input-type=module", "--eval", script]);
  return JSON.parse(stdout);
}

function install(folder: string, programs: readonly string[], version = "15.4"): string {
  mkdirSync(folder, { recursive: true });
  for (const program of programs) {
    writeFileSync(join(folder, program), `#!/bin/sh\necho "${program} (PostgreSQL) ${version}"\n`);
    chmodSync(join(folder, program), 0o755);
  }
  return folder;
}

/** As the real one does, it says which build it is. */
function writeProgram(folder: string, source: string): void {
  writeFileSync(join(folder, "src", "main.ts"), `export const build = ODOO_PG_BUILD;\n${source}`);
}

/** A clone with one line of source, whose packages are there already. */
function smallClone(source: string): string {
  const folder = temporaryFolder();
  cpSync("scripts", join(folder, "scripts"), { recursive: true });
  cpSync("package.json", join(folder, "package.json"));
  for (const name of ["src", "node_modules"]) mkdirSync(join(folder, name));
  for (const name of ["esbuild", "@esbuild"]) {
    symlinkSync(resolve("node_modules", name), join(folder, "node_modules", name));
  }
  const lock = JSON.stringify({ packages: {} });
  writeFileSync(join(folder, "package-lock.json"), lock);
  writeFileSync(join(folder, "node_modules", ".package-lock.json"), lock);
  writeProgram(folder, source);
  return folder;
}

test("the set-up builds the program when its source is newer, and else says nothing", async () => {
  const folder = smallClone('console.log("first")');
  const setUp = async (): Promise<string> =>
    (await execa(process.execPath, [join(folder, "scripts/setup.mjs")], { all: true })).all;
  const odooPg = async (): Promise<string> =>
    (await execa(process.execPath, [join(folder, "dist/odoo-pg.mjs")])).stdout;

  expect(await setUp()).toBe("Building odoo-pg …");
  expect(await odooPg()).toBe("first");
  expect(await setUp()).toBe("");

  writeProgram(folder, 'console.log("second")');
  expect(await setUp()).toBe("Building odoo-pg …");
  expect(await odooPg()).toBe("second");
});

test("two set-ups at once work one after the other", async () => {
  const folder = smallClone('console.log("built")');
  const setUp = (): Promise<string> =>
    execa(process.execPath, [join(folder, "scripts/setup.mjs")], { all: true }).then(({ all }) => all);

  const outputs = await Promise.all([setUp(), setUp(), setUp()]);

  expect(outputs.filter((output) => output.includes("Building"))).toHaveLength(1);
  expect(readdirSync(join(folder, "dist"))).toEqual([
    "THIRD_PARTY_LICENSES",
    "odoo-pg",
    "odoo-pg.cache",
    "odoo-pg.mjs",
  ]);
});

test("a lock whose holder has died does not stop the set-up", async () => {
  const folder = smallClone("");
  const dead = await execa(process.execPath, ["--print", "process.pid"]);
  mkdirSync(join(folder, "dist"));
  writeFileSync(join(folder, "dist", "setup.lock"), dead.stdout);

  const { exitCode } = await execa(process.execPath, [join(folder, "scripts/setup.mjs")]);

  expect(exitCode).toBe(0);
});

test("the set-up fails with the mistake in the source", async () => {
  const folder = smallClone('import "./absent.ts"');
  const result = await execa(process.execPath, [join(folder, "scripts/setup.mjs")], { reject: false });

  expect(result.exitCode).toBe(1);
  expect(result.stderr).toContain('Could not resolve "./absent.ts"');
});

test("on a bare machine PostgreSQL, HAProxy and openssl are missing", async () => {
  expect(await missingPrograms({ path: [], versioned: [], homebrew: [] })).toEqual([
    "postgresql",
    "haproxy",
    "openssl",
  ]);
});

test("PostgreSQL is found in a versioned folder, in Homebrew and in PATH", async () => {
  const folder = temporaryFolder();
  const rest = install(join(folder, "bin"), ["haproxy", "openssl"]);
  install(join(folder, "debian", "15", "bin"), postgresPrograms);
  install(join(folder, "brew", "postgresql@17", "bin"), postgresPrograms, "17.1 (Homebrew)");
  const inPath = install(join(folder, "own"), postgresPrograms, "13.0");
  const nowhere = { path: [rest], versioned: [], homebrew: [] };

  expect(await missingPrograms(nowhere)).toEqual(["postgresql"]);
  expect(await missingPrograms({ ...nowhere, versioned: [join(folder, "debian")] })).toEqual([]);
  expect(await missingPrograms({ ...nowhere, homebrew: [join(folder, "brew")] })).toEqual([]);
  expect(await missingPrograms({ ...nowhere, path: [rest, inPath] })).toEqual([]);
});

test("what only tests need is missing only where it is asked for", async () => {
  const folder = temporaryFolder();
  const rest = install(
    join(folder, "bin"),
    [...postgresPrograms, "haproxy", "openssl", "prometheus"],
    "15.4",
  );
  const places = { path: [rest], versioned: [], homebrew: [] };

  expect(await missingPrograms(places)).toEqual([]);
  expect(await missingPrograms(places, ["--tests"])).toEqual([
    "prometheus",
    "unzip",
    "zstd",
    "pgbouncer",
    "pgbackrest",
    "restic",
  ]);
  install(rest, ["promtool", "unzip", "zstd", "pgbouncer", "pgbackrest", "restic"]);
  expect(await missingPrograms(places, ["--tests"])).toEqual([]);
});

test("a PostgreSQL that is too old, or has no server programs, does not count", async () => {
  const folder = temporaryFolder();
  const rest = install(join(folder, "bin"), ["haproxy", "openssl"]);
  const old = install(join(folder, "old"), postgresPrograms, "12.22");
  install(join(folder, "debian", "12", "bin"), postgresPrograms);
  install(join(folder, "debian", "17", "bin"), ["psql", "pg_basebackup"]);

  expect(
    await missingPrograms({ path: [rest, old], versioned: [join(folder, "debian")], homebrew: [] }),
  ).toEqual(["postgresql"]);
});

test("the program starts with its code cache, without one, and with one that does not fit", async () => {
  const folder = smallClone('console.log("started")');
  await execa(process.execPath, [join(folder, "scripts/build.mjs")]);
  const started = async (): Promise<string> =>
    (await execa(process.execPath, [join(folder, "dist/odoo-pg.mjs")])).stdout;
  const cache = join(folder, "dist/odoo-pg.cache");
  const made = readFileSync(cache);
  const mark = made.subarray(0, "odoo-pg-build-0123456789abcdef".length);

  expect(await started()).toBe("started");
  for (const data of [
    made.subarray(0, made.length / 2),
    Buffer.concat([mark, Buffer.alloc(5000, 7)]),
    mark,
  ]) {
    writeFileSync(cache, data);
    expect(await started()).toBe("started");
  }
  rmSync(cache);
  expect(await started()).toBe("started");
});
