import type { Origin, Path } from "./origins.ts";
import { parameterProblem } from "./parameters.ts";
import { givenPasswordProblem, type PasswordSource } from "./passwords.ts";
import type { Problem } from "./problems.ts";

/** `PGSQL_WORK_MEM=32MB` sets PostgreSQL's parameter work_mem. */
const PARAMETER_PREFIX = "PGSQL_";

/** Variables that start like a parameter, but have another meaning. */
export const RESERVED_VARIABLES: readonly string[] = ["PGSQL_HOT_STANDBY"];

/** The roles whose passwords may come from the environment, and the variables. `_FILE` behind the name gives a file. */
export const PASSWORD_VARIABLES = {
  odoo: "ODOO_PGSQL_PASSWD",
  openerp: "OPENERP_PGSQL_PASSWD",
  replicator: "REPLICATOR_PGSQL_PASSWD",
  collectd: "COLLECTD_PGSQL_PASSWD",
} as const;

export type EnvironmentRole = keyof typeof PASSWORD_VARIABLES;

/** The same, in the order in which they are read and reported. */
export const ENVIRONMENT_ROLES: readonly EnvironmentRole[] = ["odoo", "openerp", "replicator", "collectd"];

export type Environment = Readonly<Record<string, string | undefined>>;

/** Variables that set one value of the configuration, over the file, and where. The schema checks the value as it does the file's. */
const SETTING_VARIABLES: Readonly<Record<string, { path: Path; read: (value: string) => unknown }>> = {
  SLAVEHOST: { path: ["upstream", "host"], read: (value) => value },
  SLAVEPORT: { path: ["upstream", "port"], read: numberOrText },
  SLAVEUSER: { path: ["upstream", "user"], read: (value) => value },
  SLAVEPASSWORD_FILE: { path: ["upstream", "password_file"], read: (value) => value },
  PGSQL_HOT_STANDBY: { path: ["upstream", "hot_standby"], read: switchOrText },
  BACKUPS: { path: ["backup", "enabled"], read: switchOrText },
  BACKUP_ONLY_FILTER: { path: ["backup", "only_filter"], read: (value) => value },
};

/**
 * Variables of the image odoo/pgsql that its own scripts take for not set when they say `false`. As a host nobody would
 * be found by it, and as a password everybody would guess it.
 */
export const UNSET_BY_FALSE: readonly string[] = [
  "OPENERP_PGSQL_PASSWD",
  "REPLICATOR_PGSQL_PASSWD",
  "SLAVEHOST",
  "SLAVEUSER",
  "BACKUP_ONLY_FILTER",
];

/** Variables that may stand there empty: Compose files hand on what is not set like that. */
const MAY_BE_EMPTY: readonly string[] = [
  ...Object.keys(SETTING_VARIABLES),
  ...[...Object.values(PASSWORD_VARIABLES), "SLAVEPASSWORD"].flatMap((name) => [name, `${name}_FILE`]),
];

/** The environment without variables that stand there and say nothing. */
export function withoutUnset(env: Environment): Environment {
  return Object.fromEntries(
    Object.entries(env).filter(
      ([name, value]) =>
        !(value === "" && MAY_BE_EMPTY.includes(name)) &&
        !(value === "false" && UNSET_BY_FALSE.includes(name)),
    ),
  );
}

function numberOrText(value: string): unknown {
  return /^\d+$/.test(value) ? Number(value) : value;
}

/** As PostgreSQL writes switches; anything else is left for the schema to refuse. */
function switchOrText(value: string): unknown {
  const word = value.toLowerCase();
  if (["on", "true", "yes", "1"].includes(word)) return true;
  return ["off", "false", "no", "0"].includes(word) ? false : value;
}

/** One value of the configuration that the environment sets. */
export interface EnvironmentSetting {
  readonly path: Path;
  readonly value: unknown;
  readonly origin: Origin;
}

function readSettings(env: Environment): EnvironmentSetting[] {
  return Object.entries(SETTING_VARIABLES).flatMap(([name, { path, read }]) => {
    const value = env[name];
    if (value === undefined) return [];
    // A primary answers reads whatever this says: it means something only where there is an upstream.
    if (name === "PGSQL_HOT_STANDBY" && !env["SLAVEHOST"]) return [];
    return [{ path, value: read(value), origin: { kind: "environment" as const, name } }];
  });
}

export interface EnvironmentReading {
  readonly settings: readonly EnvironmentSetting[];
  readonly parameters: ReadonlyMap<string, { readonly value: string; readonly origin: Origin }>;
  readonly passwords: Readonly<Partial<Record<EnvironmentRole | "upstream", PasswordSource>>>;
  readonly problems: readonly Problem[];
}

/** Reads what the environment says about the configuration; everything else in it is left alone. */
export function readEnvironment(given: Environment): EnvironmentReading {
  const env = withoutUnset(given);
  const { parameters, problems } = readParameters(env);
  const passwords: Partial<Record<EnvironmentRole, PasswordSource>> = {};
  for (const role of ENVIRONMENT_ROLES) {
    const source = readPassword(env, PASSWORD_VARIABLES[role], problems);
    if (source !== undefined) passwords[role] = source;
  }
  const upstream = readPassword(env, "SLAVEPASSWORD", problems);
  return {
    settings: readSettings(env),
    parameters,
    passwords: upstream ? { ...passwords, upstream } : passwords,
    problems,
  };
}

function readParameters(env: Environment): {
  parameters: Map<string, { value: string; origin: Origin }>;
  problems: Problem[];
} {
  const parameters = new Map<string, { value: string; origin: Origin }>();
  const problems: Problem[] = [];
  for (const variable of Object.keys(env).sort()) {
    const value = env[variable];
    if (
      value === undefined ||
      !variable.startsWith(PARAMETER_PREFIX) ||
      RESERVED_VARIABLES.includes(variable)
    ) {
      continue;
    }
    const origin: Origin = { kind: "environment", name: variable };
    const name = variable.slice(PARAMETER_PREFIX.length).toLowerCase();
    const message = parameters.has(name)
      ? `"${name}" is set twice by the environment (upper and lower case are the same here)`
      : parameterProblem(name, value);
    if (message === undefined) parameters.set(name, { value, origin });
    else problems.push({ origin, message });
  }
  return { parameters, problems };
}

function readPassword(env: Environment, variable: string, problems: Problem[]): PasswordSource | undefined {
  const value = env[variable];
  const path = env[`${variable}_FILE`];
  const origin: Origin = { kind: "environment", name: path === undefined ? variable : `${variable}_FILE` };
  const report = (message: string): void => void problems.push({ origin, message });
  if (value !== undefined && path !== undefined) {
    report(`${variable} is set too, and only one of them can count: unset one`);
  } else if (value !== undefined) {
    const message = givenPasswordProblem(value);
    if (message === undefined) return { kind: "value", value, origin };
    report(message);
  } else if (path !== undefined) {
    // The message does not repeat the value: it may be a password in the wrong variable.
    if (/^\/[^\0\r\n]+$/.test(path)) return { kind: "file", path, origin };
    report("must be the absolute path of a file that holds the password");
  }
  return undefined;
}
