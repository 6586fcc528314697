import path from "node:path";
import * as z from "zod";
import { lockHolder } from "../store/lock.ts";
import { keptConsistency } from "../store/state.ts";
import type { GivenPasswords } from "../store/secrets.ts";
import {
  asStep,
  command,
  nextStep,
  odooPg,
  printNext,
  sameCommand,
  withConfig,
  type Command,
  type NextStep,
} from "../next-step.ts";
import { layoutOf, type Layout } from "../config/layout.ts";
import type { Origins } from "../config/origins.ts";
import { givenPasswordProblem, type PasswordSource, type Secrets } from "../config/passwords.ts";
import { resolveConfig, type ConfigSources } from "../config/resolve.ts";
import type { Config } from "../config/schema.ts";
import { OdooPgError } from "../errors.ts";
import { kindOf, ownerOf, readTextIfAny, type Owner } from "../system/files/files.ts";
import { refuseChangesBy, refuseChangesByOthers } from "../system/files/held/changers.ts";
import { inFolder } from "../system/files/held/folder.ts";
import { parseJson } from "../system/files/json-file.ts";
import { installOn, type ProgramSearch } from "../system/install.ts";
import { findUser, readMachine, takeRightsOf, type Machine } from "../system/machine.ts";
import { shellWord } from "../shell-word.ts";
import type { Invocation, Output } from "../system/terminal.ts";

/** What every command gets: the resolved configuration and where it came from. */
export interface Context {
  readonly invocation: Invocation;
  readonly output: Output;
  readonly machine: Machine;
  readonly config: Config;
  readonly origins: Origins;
  readonly secrets: Secrets;
  readonly layout: Layout;
  /** The option that a suggested command needs to reach the same cluster: ` --config FILE` or nothing. */
  readonly configFile: string | undefined;
}

/** The configuration file when none is named, in the present folder. */
export const DEFAULT_FILE = "odoo-pg.yaml";

/** A common name of the file elsewhere: without a message, nobody would notice that it is not read. */
const OTHER_NAME = "odoo-pg.yml";

/**
 * The configuration file: --config, ODOO_PG_CONFIG, ./odoo-pg.yaml, or none.
 * @throws OdooPgError config_invalid; state_dir_unusable where root does not believe who wrote the one in this folder
 */
async function readConfigFile(
  invocation: Invocation,
  flag: string | undefined,
): Promise<{ path: string; text: string } | undefined> {
  const named = flag ?? invocation.environment["ODOO_PG_CONFIG"];
  const file = path.resolve(invocation.cwd, named ?? DEFAULT_FILE);
  const kind = await kindOf(file);
  if (kind === "directory") {
    throw new OdooPgError("config_invalid", {
      message: `${named ?? DEFAULT_FILE} is a folder, and the configuration is a file.`,
      safe: "Nothing was changed.",
      next: `Name the file in it, such as: --config ${shellWord(path.join(named ?? DEFAULT_FILE, DEFAULT_FILE))}`,
    });
  }
  // What was not there is not read either: it could have been put there after the look at whose it is.
  if (kind !== undefined) {
    if (named === undefined) refuseFound(file, invocation);
    const text = await readTextIfAny(file);
    if (text !== undefined) return { path: named ?? DEFAULT_FILE, text };
  }
  if (named === undefined) {
    if ((await kindOf(path.resolve(invocation.cwd, OTHER_NAME))) === undefined) return undefined;
    throw new OdooPgError("config_invalid", {
      message: `There is a file ${OTHER_NAME} here, which is not read: the configuration is called ${DEFAULT_FILE}.`,
      safe: "Nothing was changed.",
      next: command("mv", OTHER_NAME, DEFAULT_FILE),
    });
  }
  throw new OdooPgError("config_invalid", {
    message: `There is no configuration file ${named}${flag === undefined ? " (named by ODOO_PG_CONFIG)" : ""}.`,
    safe: "Nothing was changed.",
    next: "Correct the path, or leave it out to use odoo-pg.yaml in this folder or the defaults.",
  });
}

/**
 * Whose folder root happens to be in does not say what root runs, which files root reads, nor as whom root works: so a file
 * that was found, and not named, is held against that before any of it is read. One who has sudo is believed.
 * @throws OdooPgError state_dir_unusable
 */
function refuseFound(file: string, { environment }: Invocation): void {
  const asked = /^\d+$/.exec(environment["SUDO_UID"] ?? "")?.[0];
  try {
    refuseChangesByOthers(file, asked === undefined ? [] : [Number(asked)]);
  } catch (error) {
    if (!(error instanceof OdooPgError)) throw error;
    const { code, message, safe } = error;
    const next = nextStep`Where you trust that user with what root runs, name it: ${sameCommand(["--config", DEFAULT_FILE])}`;
    throw new OdooPgError(code, { message, ...(safe === undefined ? {} : { safe }), next, cause: error });
  }
}

interface Loading {
  /** Instead of the file that `backup.config_file` names. */
  readonly backupFile?: string | undefined;
  /** Instead of the contents of the configuration file: to check whether they would be valid. */
  readonly draft?: string;
  /** The environment variables that the file was made from, by key. */
  readonly variables?: ReadonlyMap<string, string>;
}

export async function loadContext(
  invocation: Invocation,
  output: Output,
  flag: string | undefined,
  more: Loading = {},
): Promise<Context> {
  const { backupFile: namedBackupFile, draft } = more;
  const machine = readMachine();
  const { environment } = invocation;
  const read = await readConfigFile(invocation, flag);
  const whole = draft === undefined ? read : { path: read?.path ?? DEFAULT_FILE, text: draft };
  const file = whole && { ...whole, variables: more.variables };
  let sources: ConfigSources = {
    file,
    env: environment,
    defaults: {
      isRoot: machine.isRoot,
      home: machine.home,
      xdgStateHome: environment["XDG_STATE_HOME"],
      platform: machine.platform,
    },
  };
  let resolved = resolveConfig(sources);
  // Only the configuration says which cluster it is.
  const kept = await keptConsistency(layoutOf(resolved.config.state_dir));
  if (kept) {
    sources = { ...sources, kept: { consistency: kept } };
    resolved = resolveConfig(sources);
  }
  // Only the configuration without it says which file that is.
  const backupFile = namedBackupFile ?? resolved.config.backup.config_file;
  const backupText = await readTextIfAny(backupFile);
  if (backupText === undefined && namedBackupFile !== undefined) {
    throw new OdooPgError("config_invalid", {
      message: `There is no file ${namedBackupFile}.`,
      safe: "Nothing was changed.",
    });
  }
  if (backupText !== undefined) {
    resolved = resolveConfig({ ...sources, pgBackupConfig: { path: backupFile, text: backupText } });
  }
  return {
    invocation,
    output,
    machine,
    ...resolved,
    layout: layoutOf(resolved.config.state_dir),
    configFile: file?.path,
  };
}

/**
 * The same context with the rights of the cluster's owner. Root in another user's state directory, as by `docker exec`,
 * would follow that user's links and trust what that user wrote: so root works there as that user. With `taking`, a
 * state directory that odoo-pg up to 0.1 left to the servers' user is an exception: there the agent is root's, or there
 * is none.
 * @throws OdooPgError state_dir_unusable as `refuseForeignConfig`
 */
export async function asItsUser(context: Context, options: { taking?: boolean } = {}): Promise<Context> {
  if (!context.machine.isRoot) return context;
  const { layout } = context;
  const agent = options.taking ? await lockHolder(layout.lockFile).catch(() => undefined) : undefined;
  const user = options.taking
    ? agent === undefined
      ? undefined
      : await ownerOf(`/proc/${agent}`)
    : await ownerOf(layout.stateDir);
  const other = user === undefined || user.uid === 0 ? undefined : user;
  await refuseForeignConfig(context, other);
  if (!other) return context;
  await takeRightsOf(other);
  return { ...context, machine: readMachine() };
}

/**
 * Root does what a configuration tells it to: it runs hooks and programs as root, and says as whom root works. So root does
 * not believe a file that the servers' user, Odoo's user or everyone may change, nor runs a program that they may change.
 * Another user is trusted with one that is named; one that was found in the folder where root is was held against more than
 * that before it was read. A file cannot say that another than `postgres` is the servers' user, and so be believed.
 * @param other as whom root will work: that user is trusted with what is done so, also by the file that the user started
 *   the cluster with
 * @throws OdooPgError state_dir_unusable
 */
export async function refuseForeignConfig(
  { config, configFile, invocation, layout, machine }: Context,
  other?: Owner,
): Promise<void> {
  if (!machine.isRoot) return;
  const named = configFile === undefined ? [] : [path.resolve(invocation.cwd, configFile)];
  if (other && (await startedWith(layout, other)) === named[0]) return;
  const { filestore } = config.odoo;
  const users = [
    await findUser("postgres"),
    config.user === undefined ? undefined : await findUser(config.user),
    filestore === undefined ? undefined : await ownerOf(filestore),
  ].flatMap((user) => (user && user.uid !== 0 && user.uid !== other?.uid ? [user] : []));
  const believed = other ? named : [...named, config.backup.config_file, ...programsOf(config)];
  for (const file of believed) refuseChangesBy(file, users);
}

/** The configuration file that a user started the cluster with, as that user recorded it. */
async function startedWith({ stateDir, appliedFile }: Layout, { uid }: Owner): Promise<string | undefined> {
  const name = path.basename(appliedFile);
  const text = await inFolder(stateDir, (folder) =>
    folder.look(name)?.uid === uid ? folder.readText(name, LARGEST_RECORD) : undefined,
  ).catch(() => undefined);
  const parsed = parseJson(text ?? "", z.object({ config_file: z.string().nullable() }));
  return parsed.ok ? (parsed.value.config_file ?? undefined) : undefined;
}

/** Bytes. */
const LARGEST_RECORD = 1024 * 1024;

/** The programs that a configuration names by their path. */
function programsOf({ postgres, haproxy, pgbouncer, backup, alarms }: Config): string[] {
  const { bin_dir } = postgres;
  return [
    bin_dir === undefined ? undefined : path.join(bin_dir, "postgres"),
    haproxy.program,
    pgbouncer.program,
    backup.on_success[0],
    backup.on_failure[0],
    alarms.command[0],
  ].flatMap((program) => (program !== undefined && path.isAbsolute(program) ? [program] : []));
}

/** The user that servers run as: as root an unprivileged one, otherwise the present user. */
export async function serverOwner(context: Pick<Context, "config" | "machine">): Promise<Owner | undefined> {
  if (!context.machine.isRoot) return undefined;
  const name = context.config.user ?? "postgres";
  const user = await findUser(name);
  if (user && user.uid !== 0) return user;
  throw new OdooPgError("no_unprivileged_user", {
    message: `odoo-pg was started as root, servers never run as root, and there is no user "${name}" to run them as.`,
    safe: "Nothing was changed.",
    next: `Create one (useradd --system --no-create-home ${name}), set "user" in odoo-pg.yaml, or start odoo-pg as an ordinary user.`,
  });
}

export function searchPath(invocation: Invocation): string {
  return invocation.environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin";
}

export function programSearch({
  invocation,
  machine,
}: Pick<Context, "invocation" | "machine">): ProgramSearch {
  return { searchPath: searchPath(invocation), install: installOn(machine) };
}

/** The passwords that were given by value or by file. @throws OdooPgError config_invalid, without the password in it. */
export async function givenPasswords(secrets: Secrets): Promise<GivenPasswords> {
  const read = async (source: PasswordSource | undefined): Promise<string | undefined> => {
    if (!source) return undefined;
    if (source.kind === "value") return source.value;
    const text = (await readTextIfAny(source.path))?.replace(/\r?\n$/, "");
    const problem = text === undefined ? "there is no such file" : givenPasswordProblem(text);
    if (problem === undefined) return text;
    throw new OdooPgError("config_invalid", {
      message: `The password file ${source.path}: ${problem}.`,
      safe: "Nothing was changed.",
      next: "Write one password of printable ASCII characters into it, in one line.",
    });
  };
  return {
    odoo: await read(secrets.odoo),
    openerp: await read(secrets.openerp),
    replicator: await read(secrets.replicator),
    collectd: await read(secrets.collectd),
    upstream: await read(secrets.upstream),
  };
}

/**
 * The configuration file that commands must name to reach the same cluster: none where it is the one in this folder.
 */
export function namedFile({ configFile }: Pick<Context, "configFile">): string | undefined {
  return configFile === DEFAULT_FILE ? undefined : configFile;
}

/** The same, before there is a context. */
export function fileNamedBy(invocation: Invocation, flag: string | undefined): string | undefined {
  return namedFile({ configFile: flag ?? invocation.environment["ODOO_PG_CONFIG"] });
}

/** The command that was called, with other flags: its configuration is added where it is printed. */
export function again(
  { invocation }: Pick<Context, "invocation">,
  flags: Readonly<Record<string, string>>,
  without: readonly string[] = [],
): Command {
  const gone = ["--config", ...Object.keys(flags), ...without];
  const { args } = invocation;
  const kept = args.filter(
    (arg, at) => !gone.some((flag) => arg === flag || arg.startsWith(`${flag}=`) || args[at - 1] === flag),
  );
  const more = Object.entries(flags).flatMap(([flag, value]) => (value === "" ? [flag] : [flag, value]));
  return odooPg(...kept, ...more);
}

/** A next step as it can be typed here, with the configuration that was named: `odoo-pg up --config FILE`. */
export function suggest(
  context: Pick<Context, "configFile"> & { readonly output: Pick<Output, "called"> },
  next: Command | NextStep,
): string {
  return printNext(withConfig(asStep(next), namedFile(context)), context.output.called);
}
