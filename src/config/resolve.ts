import { nextStep, odooPg } from "../next-step.ts";
import { OdooPgError } from "../errors.ts";
import { conflicts } from "./conflicts.ts";
import { ENVIRONMENT_ROLES, type EnvironmentReading, readEnvironment } from "./environment.ts";
import { formatPath, leaves, type Origin, type Origins, type Path } from "./origins.ts";
import type { PasswordRole, PasswordSource, Secrets } from "./passwords.ts";
import { formatProblem, mayBeEmpty, type Problem, problemsOf } from "./problems.ts";
import { type Config, configSchema, type Consistency, resolvedConfigSchema } from "./schema.ts";
import { type PgBackupConfigReading, readPgBackupConfig } from "./sources/pg-backup-config.ts";
import { lineOf, readYaml, type YamlFile, type YamlReading } from "./sources/yaml.ts";
import { defaultStateDir, stateDirProblem, type Surroundings } from "./state-dir.ts";

export interface ConfigSources {
  /** The configuration file, if there is one; `path` is what messages and origins call it. */
  readonly file?: YamlFile | undefined;
  /** The file that `backup.config_file` names, if there is one. */
  readonly pgBackupConfig?: YamlFile | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly defaults: Surroundings;
  /** What the cluster was made with, where it is there. */
  readonly kept?: { readonly consistency: Consistency } | undefined;
}

export interface ResolvedConfig {
  readonly config: Config;
  readonly origins: Origins;
  readonly secrets: Secrets;
}

const DEFAULT: Origin = { kind: "default" };
const KEPT: Origin = { kind: "kept" };
const CONSISTENCY: Path = ["endpoints", "read", "consistency"];
const NOTHING_READ: YamlReading = { value: {}, lines: new Map(), problems: [] };

/**
 * The configuration from its sources: defaults, over them the file, over that pg_backup.config, over that the environment.
 * Throws `config_invalid`, whose message lists all mistakes, one a line.
 */
export function resolveConfig({ file, pgBackupConfig, env, defaults, kept }: ConfigSources): ResolvedConfig {
  const environment = readEnvironment(env);
  const backupFile: PgBackupConfigReading =
    pgBackupConfig === undefined ? { settings: [], problems: [] } : readPgBackupConfig(pgBackupConfig);
  const reading = file === undefined ? NOTHING_READ : readYaml(file, YAML_RULES);
  if (reading.problems.length > 0) throw invalid([...reading.problems, ...environment.problems]);

  const placeOf = (path: Path): Origin | undefined => {
    const name = file?.variables?.get(formatPath(path));
    if (name !== undefined) return { kind: "environment", name };
    const line = lineOf(reading.lines, path);
    return file === undefined || line === undefined ? undefined : { kind: "file", path: file.path, line };
  };
  const setPlaceOf = (path: Path): Origin | undefined =>
    settingOrigin(path, environment) ?? settingOrigin(path, backupFile) ?? placeOf(path);
  const { draft, sound, problems } = validate(
    withSettings(withSettings(reading.value, backupFile), environment),
    (path) => nearestPlace(path, setPlaceOf),
  );
  problems.push(...backupFile.problems);
  const consistencyIsSet = setPlaceOf(CONSISTENCY) !== undefined;
  const originAt = (path: Path): Origin =>
    environmentOrigin(path, environment) ??
    setPlaceOf(path) ??
    (kept && formatPath(path) === formatPath(CONSISTENCY) ? KEPT : DEFAULT);

  const given = draft === undefined ? undefined : withEnvironment(draft, environment);
  const merged = given && !consistencyIsSet ? withConsistency(given, kept?.consistency) : given;
  if (merged === undefined) throw invalid([...problems, ...environment.problems]);
  for (const { about, path, message } of conflicts(merged)) {
    if (about.every(sound)) problems.push({ origin: originAt(path), path, message });
  }
  const stateDir = merged.state_dir ?? defaultStateDir(merged.cluster, defaults);
  const tooLong = stateDirProblem(stateDir);
  if (tooLong !== undefined && sound("cluster") && sound("state_dir")) {
    problems.push({ origin: DEFAULT, path: ["state_dir"], message: `the default ${tooLong}` });
  }
  problems.push(...environment.problems);
  if (problems.length > 0) throw invalid(problems);

  const listen = merged.listen ?? (merged.networks.length > 0 ? ["*"] : ["127.0.0.1"]);
  const config = resolvedConfigSchema.parse({ ...merged, state_dir: stateDir, listen });
  const origins = new Map(leaves(config).map(({ path }) => [formatPath(path), originAt(path)]));
  return { config, origins, secrets: secretsOf(config, environment, originAt) };
}

type Draft = ReturnType<typeof configSchema.parse>;

/** What reads may miss by default. */
function withConsistency(draft: Draft, kept: Consistency | undefined): Draft {
  const { endpoints, upstream, postgres } = draft;
  const promises = !upstream && postgres.parameters["synchronous_commit"] === undefined;
  const consistency = promises ? (kept ?? endpoints.read.consistency) : "bounded";
  return { ...draft, endpoints: { ...endpoints, read: { ...endpoints.read, consistency } } };
}

const YAML_RULES = {
  mayBeEmpty: (path: Path) => mayBeEmpty(configSchema, path),
  keepsNumbersAsWritten: ([section, key]: Path) => section === "postgres" && key === "parameters",
};

interface Validation {
  /** The configuration as far as it is valid: a top-level key that holds a mistake has its default. */
  readonly draft: Draft | undefined;
  readonly sound: (section: keyof Draft) => boolean;
  readonly problems: Problem[];
}

function validate(value: YamlReading["value"], originAt: (path: Path) => Origin): Validation {
  const result = configSchema.safeParse(value, { reportInput: true });
  if (result.success) return { draft: result.data, sound: () => true, problems: [] };
  const problems = problemsOf(result.error, configSchema, originAt);
  const faulty = new Set(problems.map(({ path }) => path?.[0]));
  const rest = Object.fromEntries(Object.entries(value).filter(([key]) => !faulty.has(key)));
  // The rest is still checked, so that one run names all mistakes.
  const draft = configSchema.safeParse(rest).data;
  return { draft, sound: (section) => !faulty.has(section), problems };
}

/** Where a path is written, or else the section that it is missing from. */
function nearestPlace(path: Path, placeOf: (path: Path) => Origin | undefined): Origin {
  const found = placeOf(path);
  if (found !== undefined || path.length === 0) return found ?? DEFAULT;
  return nearestPlace(path.slice(0, -1), placeOf);
}

/** What single values are set by, over the file. */
type Settings = Pick<EnvironmentReading, "settings"> | PgBackupConfigReading;

function settingOrigin(path: Path, { settings }: Settings): Origin | undefined {
  return settings.find((setting) => formatPath(setting.path) === formatPath(path))?.origin;
}

/** Lays the values that the environment or pg_backup.config sets over those of the file, before all are checked. */
function withSettings(value: YamlReading["value"], { settings }: Settings): YamlReading["value"] {
  const result: Record<string, unknown> = { ...value };
  for (const { path, value: set } of settings) {
    const [section, key] = path.map(String);
    if (section === undefined || key === undefined) continue;
    const present = result[section];
    result[section] = { ...(typeof present === "object" ? present : {}), [key]: set };
  }
  return result;
}

function environmentOrigin([section, ...rest]: Path, environment: EnvironmentReading): Origin | undefined {
  if (section === "postgres" && rest[0] === "parameters") {
    return environment.parameters.get(rest.slice(1).join("."))?.origin;
  }
  if (section !== "password_files") return undefined;
  return environmentPassword(String(rest[0]), environment)?.origin;
}

function environmentPassword(role: string, { passwords }: EnvironmentReading): PasswordSource | undefined {
  const known = [...ENVIRONMENT_ROLES, "upstream" as const].find((name) => name === role);
  return known && passwords[known];
}

/** The environment goes over the file. A password that it gives takes the place of the file's password file. */
function withEnvironment(draft: Draft, environment: EnvironmentReading): Draft {
  const fromEnvironment = [...environment.parameters].map(([name, { value }]) => [name, value] as const);
  const parameters = Object.fromEntries(
    [...Object.entries(draft.postgres.parameters), ...fromEnvironment].sort(([a], [b]) => (a < b ? -1 : 1)),
  );
  const files = { ...draft.password_files };
  for (const role of ENVIRONMENT_ROLES) {
    const source = environmentPassword(role, environment);
    if (source?.kind === "file") files[role] = source.path;
    if (source?.kind === "value") delete files[role];
  }
  return { ...draft, postgres: { ...draft.postgres, parameters }, password_files: files };
}

function secretsOf(
  config: Config,
  environment: EnvironmentReading,
  originAt: (path: Path) => Origin,
): Secrets {
  const secrets: Partial<Record<PasswordRole, PasswordSource>> = {};
  for (const role of ENVIRONMENT_ROLES) {
    const path = config.password_files[role];
    const given = environmentPassword(role, environment);
    if (given !== undefined) secrets[role] = given;
    else if (path !== undefined)
      secrets[role] = { kind: "file", path, origin: originAt(["password_files", role]) };
  }
  const upstream = config.upstream?.password_file;
  const given = environmentPassword("upstream", environment);
  if (given !== undefined) secrets.upstream = given;
  else if (upstream !== undefined) {
    secrets.upstream = { kind: "file", path: upstream, origin: originAt(["upstream", "password_file"]) };
  }
  return secrets;
}

function invalid(problems: readonly Problem[]): OdooPgError {
  const line = ({ origin }: Problem): number =>
    origin.kind === "file" ? origin.line : Number.MAX_SAFE_INTEGER;
  const sorted = problems.toSorted((a, b) => line(a) - line(b));
  return new OdooPgError("config_invalid", {
    message: sorted.map(formatProblem).join("\n"),
    safe: "Nothing was changed.",
    next: nextStep`Correct it, then look again with: ${odooPg("config", "check")}`,
  });
}
