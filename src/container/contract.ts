import type { Environment } from "../config/environment.ts";
import { passwordProblem } from "../config/passwords.ts";
import { FIXED, type Place } from "./place.ts";
import { splitWords } from "./words.ts";

/** The variable that says at which `ADDRESS:PORT` of the host a container's console is published. */
export const PUBLISHED_CONSOLE = "CONSOLE_PUBLISHED";

/** Plain data in the form of odoo-pg.yaml. */
export type Document = Readonly<Record<string, unknown>>;

export interface ContractInput {
  /** With the contents of `_FILE` variables in it. */
  readonly env: Environment;
  /** The arguments after the image's name, without `postgres`: `-c NAME=VALUE` and the like. */
  readonly args: readonly string[];
  readonly place: Place;
  /** The name that the node of this container already has. */
  readonly knownNode: string | undefined;
  /** Roles whose password is already kept, or given by the user's own file. */
  readonly passwordsKnown: ReadonlySet<string>;
  /** Random hexadecimal digits, for a replica that is given no name. */
  readonly random: string;
  /** Where to read pg_backup.config, when not where it is mounted. */
  readonly backupConfig?: string | undefined;
  /** Whether the directory of the origin's logs is writable. */
  readonly logsWritable: boolean;
}

/** What a container is to do. */
export interface Contract {
  /** The settings below the user's own file. */
  readonly defaults: Document;
  /** The settings from the command line, above the user's own file. */
  readonly overrides: Document;
  /** The environment as every installation of odoo-pg reads it. */
  readonly environment: Environment;
  /** A database to make at the first launch. */
  readonly database: string | undefined;
  /** The role that databases are for, where it is not Odoo's. */
  readonly owner: string | undefined;
  readonly problems: readonly string[];
}

/** The port of the node inside its container, as in the official image. */
const NODE_PORT = 5432;

/**
 * Lets in everyone who reaches the container's network; the engine decides who that is. TLS and a password are
 * required.
 */
const EVERYBODY = ["0.0.0.0/0", "::/0"];

/**
 * Reads what the environment of a container asks for: the contract of the image odoo/pgsql, and what people expect of a
 * PostgreSQL image (the docker-library image). Pure.
 */
export function readContract(input: ContractInput): Contract {
  const { env, args } = input;
  const role = odooRoleName(env);
  const filestore = env["ODOO_FILESTORE"];
  const problems: string[] = [];
  const follows = Boolean(env["SLAVEHOST"]);
  const environment = follows ? withReplicationPassword(rolesEnvironment(env)) : rolesEnvironment(env);
  problems.push(...unsupported(env), ...missingPassword(follows, environment, input.passwordsKnown));
  const problem = env["POSTGRES_PASSWORD"] ? passwordProblem(env["POSTGRES_PASSWORD"]) : undefined;
  if (problem !== undefined) problems.push(`POSTGRES_PASSWORD: ${problem}`);
  if (!input.place.dataDir.startsWith("/")) problems.push("PGDATA must be an absolute path");
  const { parameters, wrong } = parametersOf(args);
  problems.push(...wrong);
  return {
    defaults: {
      state_dir: input.place.stateDir,
      listen: ["*"],
      networks: EVERYBODY,
      postgres: env["POSTGRES_INITDB_ARGS"] ? { initdb_args: splitWords(env["POSTGRES_INITDB_ARGS"]) } : {},
      nodes: [{ name: nodeName(input, follows), port: NODE_PORT, data_dir: input.place.dataDir }],
      odoo: { ...(role ? { role } : {}), ...(filestore ? { filestore } : {}) },
      // The primary's container makes the backups; a replica's cannot, because the superuser there is the primary's.
      backup: {
        dir: FIXED.backupsDir,
        ...(input.backupConfig === undefined ? {} : { config_file: input.backupConfig }),
        ...(follows ? { enabled: false } : {}),
      },
      // Like the server: with TLS and a password. A port that is not published cannot be reached from outside the
      // engine.
      console: { listen: ["*"] },
      replication_log: { format: "origin", ...(input.logsWritable ? { file: FIXED.replicationLog } : {}) },
    },
    overrides: Object.keys(parameters).length ? { postgres: { parameters } } : {},
    environment,
    database: follows || env["POSTGRES_DB"] === "postgres" ? undefined : env["POSTGRES_DB"] || undefined,
    owner: env["POSTGRES_USER"] === "openerp" ? "openerp" : undefined,
    problems,
  };
}

/** The superuser stays `postgres`, for this container only. Another name is that of Odoo's role. */
export function odooRoleName(env: Environment): string | undefined {
  const user = env["POSTGRES_USER"];
  return user && user !== "postgres" && user !== "openerp" ? user : undefined;
}

/** The password of Odoo's role under the name that odoo-pg has for it; a replica keeps it for its promotion. */
function rolesEnvironment(env: Environment): Environment {
  const { POSTGRES_PASSWORD: password, ...rest } = env;
  if (!password) return rest;
  const variable = env["POSTGRES_USER"] === "openerp" ? "OPENERP_PGSQL_PASSWD" : "ODOO_PGSQL_PASSWD";
  return { [variable]: password, ...rest };
}

/** The role replicator has one password, whichever of the two variables gives it. */
function withReplicationPassword(env: Environment): Environment {
  const own = !env["SLAVEUSER"] || env["SLAVEUSER"] === "replicator";
  const password = env["SLAVEPASSWORD"] || (own ? env["REPLICATOR_PGSQL_PASSWD"] : undefined);
  return password ? { ...env, SLAVEPASSWORD: password } : env;
}

function unsupported(env: Environment): string[] {
  const problems: string[] = [];
  const method = env["POSTGRES_HOST_AUTH_METHOD"];
  if (method && method !== "scram-sha-256") {
    problems.push(
      `POSTGRES_HOST_AUTH_METHOD=${method} is not possible: everyone logs in with a password, by scram-sha-256. Unset it`,
    );
  }
  if (env["POSTGRES_INITDB_WALDIR"]) {
    problems.push(
      "POSTGRES_INITDB_WALDIR is not possible: a reseed renames data and WAL together. Unset it, and put the volume on fast storage",
    );
  }
  return problems;
}

function missingPassword(follows: boolean, env: Environment, known: ReadonlySet<string>): string[] {
  if (follows) {
    if (env["SLAVEPASSWORD"] || known.has("upstream")) return [];
    return [
      "SLAVEHOST is set, and no password to replicate with: set SLAVEPASSWORD_FILE (or SLAVEPASSWORD) to that of the role replicator on the primary",
    ];
  }
  const given = env["ODOO_PGSQL_PASSWD"] || env["OPENERP_PGSQL_PASSWD"];
  if (given || known.has("odoo") || known.has("openerp")) return [];
  return [
    "there is no password, and no default one: set POSTGRES_PASSWORD_FILE (or POSTGRES_PASSWORD) for Odoo's role, or OPENERP_PGSQL_PASSWD for role openerp",
  ];
}

/** A name that stays: it names the replica's slot on its primary. */
function nodeName({ env, knownNode, random }: ContractInput, follows: boolean): string {
  return env["ODOO_PG_NODE"] || knownNode || (follows ? `replica_${random}` : "pg1");
}

/** `-c NAME=VALUE` and `--NAME=VALUE`, as the program postgres takes them. */
function parametersOf(args: readonly string[]): { parameters: Record<string, string>; wrong: string[] } {
  const parameters: Record<string, string> = {};
  const wrong: string[] = [];
  for (let index = 0; index < args.length; index += 1) {
    const arg = args[index] ?? "";
    const setting = arg === "-c" ? args[(index += 1)] : arg.replace(/^(?:-c|--)(?=.)/, "");
    const [, name, value] = /^([^=]+)=(.*)$/s.exec(setting ?? "") ?? [];
    if (name === undefined || value === undefined || (arg === setting && arg !== "-c")) {
      wrong.push(`${JSON.stringify(arg)} is not understood: write -c NAME=VALUE`);
    } else parameters[name.replaceAll("-", "_").toLowerCase()] = value;
  }
  return { parameters, wrong };
}

/** Lays one document over another: sections are joined, everything else is replaced. */
export function mergeDocuments(below: Document, above: Document): Document {
  const result: Record<string, unknown> = { ...below };
  for (const [key, value] of Object.entries(above)) {
    const present = result[key];
    result[key] = isSection(present) && isSection(value) ? mergeDocuments(present, value) : value;
  }
  return result;
}

function isSection(value: unknown): value is Document {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
