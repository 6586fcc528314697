import path from "node:path";
import * as z from "zod";
import type { Layout } from "../config/layout.ts";
import type { Environment } from "../config/environment.ts";
import { messageOf, OdooPgError } from "../errors.ts";
import { isExecutable, kindOf, namesIn, writeFileAtomic } from "../system/files/files.ts";
import { readJsonFile } from "../system/files/json-file.ts";
import type { Log } from "../system/log.ts";
import { runOrFail } from "../system/process/process.ts";
import type { Superuser } from "../postgres/sql/access/superuser.ts";
import { quoteSqlIdentifier as id } from "../system/sql/sql.ts";
import { giveDatabases } from "./adopt.ts";
import { FIXED } from "./place.ts";

/**
 * Progress of a first launch; the file exists from before the first start. `adopted`: the data was another
 * PostgreSQL's, so no script is run on it.
 */
const recordSchema = z.object({ adopted: z.boolean(), complete: z.boolean(), done: z.string().array() });
type FirstLaunch = z.output<typeof recordSchema>;

function recordFile(layout: Layout): string {
  return path.join(layout.stateDir, "first-launch.json");
}

/**
 * The record of the first launch; undefined on a replica, whose data is its primary's.
 * @throws OdooPgError state_dir_unusable when the record is damaged
 */
export async function readFirstLaunch(layout: Layout): Promise<FirstLaunch | undefined> {
  return await readJsonFile(recordFile(layout), recordSchema, {
    code: "state_dir_unusable",
    safe: "Nothing was changed.",
    next: 'Put the file back from a copy. It keeps scripts from running twice; when all are done it holds {"adopted":false,"complete":true,"done":[]}.',
  });
}

export async function recordFirstLaunch(layout: Layout, record: FirstLaunch): Promise<void> {
  await writeFileAtomic(recordFile(layout), `${JSON.stringify(record)}\n`);
}

export interface FirstLaunchOptions {
  readonly layout: Layout;
  readonly superuser: Superuser;
  readonly pgdata: string;
  readonly searchPath: string;
  /** The container's environment: scripts of the official image rely on variables of their own. */
  readonly environment: Environment;
  /** The role that databases are for. */
  readonly owner: string;
  readonly template: string;
  /** POSTGRES_DB. */
  readonly database: string | undefined;
  readonly log: Log;
}

/**
 * What happens once, after the servers are up for the first time. Data that was another PostgreSQL's goes to Odoo's role.
 * In a new cluster the database that was asked for is created, and the scripts in /docker-entrypoint-initdb.d are run in the
 * order of their names, as superuser; the databases that they created or filled are then given to Odoo's role. An interrupted
 * first launch goes on with the script at which it was interrupted. @throws OdooPgError command_failed, with the script's last words
 */
export async function finishFirstLaunch(options: FirstLaunchOptions): Promise<void> {
  const { layout, log } = options;
  const record = await readFirstLaunch(layout);
  if (!record || record.complete) return;
  if (record.adopted) {
    await giveToRole(options, true);
    return await recordFirstLaunch(layout, { ...record, complete: true });
  }
  if (options.database !== undefined) await ensureDatabase(options, options.database);
  const done = [...record.done];
  for (const name of await namesIn(FIXED.initScriptsDir)) {
    if (done.includes(name)) continue;
    const file = path.join(FIXED.initScriptsDir, name);
    if ((await kindOf(file)) !== "file") continue;
    await runScript(options, file, log);
    done.push(name);
    await recordFirstLaunch(layout, { ...record, done });
  }
  // In the official image, Odoo connects as the role that the scripts run as.
  await giveToRole(options, false);
  await recordFirstLaunch(layout, { ...record, complete: true, done });
}

async function giveToRole({ superuser, owner, log }: FirstLaunchOptions, theirs: boolean): Promise<void> {
  for (const name of await giveDatabases(superuser, owner, theirs))
    log("info", `database ${name} belongs to role ${owner} now`);
}

/**
 * Until the scripts have run, the database belongs to the superuser and is closed to others: anything put there before
 * would run with the rights of the scripts.
 */
async function ensureDatabase({ superuser, template }: FirstLaunchOptions, name: string): Promise<void> {
  await superuser.use(async (session) => {
    const found = await session.query("SELECT FROM pg_database WHERE datname = $1", [name]);
    if (!found.length)
      await session.query(`CREATE DATABASE ${id(name)} TEMPLATE ${id(template)} ALLOW_CONNECTIONS false`);
    await session.query(
      `REVOKE ALL ON DATABASE ${id(name)} FROM PUBLIC; ALTER DATABASE ${id(name)} ALLOW_CONNECTIONS true`,
    );
  });
}

/** The program that unpacks a compressed script, by its ending. */
const UNPACK: Readonly<Record<string, string>> = { ".gz": "gzip -dc", ".xz": "xz -dc", ".zst": "zstd -dcq" };

async function runScript(options: FirstLaunchOptions, file: string, log: Log): Promise<void> {
  const database = options.database ?? "postgres";
  // They create their objects where every role finds them. No other role was here before them.
  const access = await options.superuser.in(database).clientOfOperator({ search_path: '"$user", public' });
  // In a script POSTGRES_USER is the superuser, as in the official image.
  const environment = {
    ...ownVariables(options.environment),
    PATH: options.searchPath,
    ...access.environment,
    PGHOST: access.host,
    PGPORT: String(access.port),
    PGUSER: access.user,
    PGDATABASE: database,
    PGDATA: options.pgdata,
    POSTGRES_USER: access.user,
    POSTGRES_DB: database,
  };
  const command = await commandFor(file);
  if (!command) return log("info", `${file} is ignored: neither .sh nor .sql`);
  log("info", `run ${file}`);
  try {
    // No timeout: loading a dump takes time.
    await runOrFail(command[0], command[1], { environment, timeout: 0 });
  } catch (error) {
    throw new OdooPgError("command_failed", {
      message: `${file}: ${messageOf(error)}`,
      safe: "Scripts before it are done; the data stays.",
      next: "Correct the script and start the container again: it goes on with this script.",
      cause: error,
    });
  }
}

/** Without the variables that would redirect client programs. */
function ownVariables(environment: Environment): Record<string, string> {
  const kept = Object.entries(environment).filter(([name]) => !/^PG[A-Z]+$/.test(name));
  return Object.fromEntries(kept.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}

async function commandFor(file: string): Promise<[string, string[]] | undefined> {
  const psql = "psql -X -v ON_ERROR_STOP=1 --no-password -q";
  if (file.endsWith(".sh")) return (await isExecutable(file)) ? [file, []] : ["bash", ["-e", file]];
  if (file.endsWith(".sql"))
    return ["psql", ["-X", "-v", "ON_ERROR_STOP=1", "--no-password", "-q", "-f", file]];
  const unpack = UNPACK[path.extname(file)];
  if (!unpack || !/\.sql\.[a-z]+$/.test(file)) return undefined;
  return ["bash", ["-e", "-o", "pipefail", "-c", `${unpack} "$1" | ${psql}`, "bash", file]];
}
