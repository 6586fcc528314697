import path from "node:path";
import { STATEMENT_COUNTS } from "../config/settings/plain.ts";
import { OdooPgError } from "../errors.ts";
import { isExecutable, kindOf, namesIn } from "../system/files/files.ts";
import { ALL_PACKAGES, type ProgramSearch } from "../system/install.ts";
import { run } from "../system/process/process.ts";

/** Lowest major version that works. Source: Odoo 19.0 `release.py`, MIN_PG_VERSION. */
const OLDEST_MAJOR = 13;

/** The programs without which nothing works; one missing means a client-only installation. */
const NEEDED = [
  "postgres",
  "initdb",
  "pg_basebackup",
  "pg_rewind",
  "pg_controldata",
  "psql",
  "pg_dump",
  "pg_restore",
];

/** PostgreSQL's programs of one version. */
export interface Installation {
  readonly binDir: string;
  readonly major: number;
  /** As the server says it, such as `15.18 (Debian 15.18-0+deb12u1)`. */
  readonly version: string;
}

export function programOf(installation: Installation, name: string): string {
  return path.join(installation.binDir, name);
}

/** Where packages keep the libraries of a server: Debian's and Red Hat's, Homebrew's and those built from source. */
const LIBRARY_FOLDERS = ["../lib", "../lib/postgresql"];

/** Those of the libraries that odoo-pg has servers load which are installed. */
export async function librariesOf({ binDir }: Pick<Installation, "binDir">): Promise<readonly string[]> {
  const files = LIBRARY_FOLDERS.flatMap((folder) =>
    [".so", ".dylib"].map((ending) => path.join(binDir, folder, `${STATEMENT_COUNTS}${ending}`)),
  );
  const found = await Promise.all(files.map(async (file) => (await kindOf(file)) !== undefined));
  return found.includes(true) ? [STATEMENT_COUNTS] : [];
}

export interface InstallationOptions {
  readonly version?: number | undefined;
  readonly bin_dir?: string | undefined;
}

function majorOf(version: string): number | undefined {
  const match = /(\d+)(?:\.\d+|devel|beta\d+|rc\d+)/.exec(version);
  return match?.[1] === undefined ? undefined : Number(match[1]);
}

async function inspect(binDir: string): Promise<Installation | undefined> {
  for (const program of NEEDED) {
    if (!(await isExecutable(path.join(binDir, program)))) return undefined;
  }
  const said = await run(path.join(binDir, "postgres"), ["--version"]).catch(() => undefined);
  const version = /\(PostgreSQL\) (.+)/.exec(said?.stdout ?? "")?.[1];
  const major = version === undefined ? undefined : majorOf(version);
  return version === undefined || major === undefined ? undefined : { binDir, major, version };
}

/** How a certain version comes to be there: the system's own packages have one version only. */
function installVersion(
  version: number,
  seen: readonly string[],
  machine: Pick<ProgramSearch, "install">,
): string {
  const command = machine.install({
    apt: `postgresql-${version} haproxy openssl`,
    brew: `postgresql@${version} haproxy`,
  });
  const otherwise = seen.length ? ', or take "postgres.version" away to use one that is installed' : "";
  return `${command} (packages of every version: https://www.postgresql.org/download)${otherwise}`;
}

async function* candidates(searchPath: string): AsyncGenerator<string> {
  const debian = "/usr/lib/postgresql";
  const numbered = (names: string[]): string[] =>
    names
      .filter((name) => /(^|@)\d+$/.test(name))
      .sort((a, b) => Number(/\d+$/.exec(b)?.[0]) - Number(/\d+$/.exec(a)?.[0]));
  for (const version of numbered(await namesIn(debian))) yield path.join(debian, version, "bin");
  const pgConfig = await run("pg_config", ["--bindir"]).catch(() => undefined);
  if (pgConfig?.exitCode === 0) yield pgConfig.stdout.trim();
  for (const homebrew of ["/opt/homebrew/opt", "/usr/local/opt", "/home/linuxbrew/.linuxbrew/opt"]) {
    const formulae = (await namesIn(homebrew)).filter((name) => name.startsWith("postgresql@"));
    for (const formula of numbered(formulae)) yield path.join(homebrew, formula, "bin");
  }
  for (const directory of searchPath.split(":")) if (directory.startsWith("/")) yield directory;
}

/**
 * Finds PostgreSQL: the configured programs, Debian's versioned folders (highest first), pg_config, Homebrew, PATH.
 * @throws OdooPgError postgres_missing with the command that installs it.
 */
export async function findInstallation(
  options: InstallationOptions,
  machine: ProgramSearch,
): Promise<Installation> {
  if (options.bin_dir !== undefined) {
    const found = await inspect(options.bin_dir);
    if (
      found &&
      found.major >= OLDEST_MAJOR &&
      (options.version === undefined || found.major === options.version)
    )
      return found;
    throw new OdooPgError("postgres_missing", {
      message: found
        ? `postgres.bin_dir ${options.bin_dir} holds PostgreSQL ${found.version}; needed is ${options.version ?? `${OLDEST_MAJOR} or later`}.`
        : `postgres.bin_dir ${options.bin_dir} does not hold all of PostgreSQL's programs (${NEEDED.join(", ")}).`,
      safe: "Nothing was changed.",
      next: "Correct postgres.bin_dir, or leave it out so that PostgreSQL is looked for.",
    });
  }
  const seen: string[] = [];
  for await (const directory of candidates(machine.searchPath)) {
    const found = await inspect(directory);
    if (!found) continue;
    if (found.major >= OLDEST_MAJOR && (options.version === undefined || found.major === options.version))
      return found;
    seen.push(`${found.version} in ${directory}`);
  }
  const wanted = options.version === undefined ? `${OLDEST_MAJOR} or later` : String(options.version);
  throw new OdooPgError("postgres_missing", {
    message: `No PostgreSQL ${wanted} with server and client programs was found${seen.length ? `; installed: ${[...new Set(seen)].join(", ")}` : ""}.`,
    safe: "Nothing was changed.",
    next:
      options.version === undefined
        ? machine.install(ALL_PACKAGES)
        : installVersion(options.version, seen, machine),
  });
}
