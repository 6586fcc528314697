import { randomBytes } from "node:crypto";
import path from "node:path";
import { parse, stringify } from "yaml";
import { ensurePasswords, readPassword, type GivenPasswords } from "../../store/secrets.ts";
import { prepareStateDirectory } from "../../store/possession.ts";
import { followsUpstream, readApplied, readState } from "../../store/state.ts";
import { keptSettings } from "../../store/kept-settings.ts";
import { layoutOf, nodeLayoutOf, UPSTREAM, type Layout } from "../../config/layout.ts";
import { pooledEndpoints } from "../../config/pooling.ts";
import { withoutUnset, type Environment } from "../../config/environment.ts";
import { adoptDataDirectory } from "../../container/adopt.ts";
import { mergeDocuments, readContract, type Contract, type Document } from "../../container/contract.ts";
import { EndpointsAgent } from "../../container/endpoints-agent.ts";
import { fileVariables, withFileContents } from "../../container/file-variables.ts";
import { finishFirstLaunch, readFirstLaunch, recordFirstLaunch } from "../../container/first-launch.ts";
import {
  FIXED,
  HOME,
  placeOf,
  placesOfOtherData,
  wayToOtherData,
  type OtherData,
  type Place,
} from "../../container/place.ts";
import { watchedNodes } from "../../container/watched-nodes.ts";
import { findHaproxy } from "../../endpoints/haproxy.ts";
import { OdooPgError, type ExitStatus } from "../../errors.ts";
import { findInstallation, type Installation } from "../../postgres/installation.ts";
import { Superuser } from "../../postgres/sql/access/superuser.ts";
import {
  isMountPoint,
  isWritable,
  kindOf,
  leadLink,
  namesIn,
  ownerOf,
  readTextIfAny,
  removeLink,
  writeFileAtomic,
} from "../../system/files/files.ts";
import { openLog, type Log } from "../../system/log.ts";
import { onSignals } from "../../system/process/process.ts";
import type { Invocation, Output } from "../../system/terminal.ts";
import { givenPasswords, loadContext, searchPath, type Context, programSearch } from "../context.ts";
import { up } from "../cluster/up.ts";

/** Runs the process of a container: a node of PostgreSQL with its agent, or the endpoints of nodes elsewhere. */
export async function container(
  invocation: Invocation,
  output: Output,
  args: readonly string[],
): Promise<ExitStatus> {
  const environment = await readFileVariables(withoutUnset(invocation.environment));
  const inside = { ...invocation, environment };
  const forScripts = { ...invocation.environment, POSTGRES_PASSWORD: environment["POSTGRES_PASSWORD"] };
  try {
    return environment["ENDPOINTS_FOR"]
      ? await serveEndpoints(inside, output, environment["ENDPOINTS_FOR"])
      : await runNode(inside, output, args, forScripts);
  } catch (error) {
    throw await forContainer(error);
  }
}

/** The variables behind the keys of the generated file. */
const VARIABLES: ReadonlyMap<string, string> = new Map([
  ["odoo.role", "POSTGRES_USER"],
  ["odoo.filestore", "ODOO_FILESTORE"],
  ["nodes[0].name", "ODOO_PG_NODE"],
  ["postgres.initdb_args", "POSTGRES_INITDB_ARGS"],
]);

/** A file that cannot be read or written is a volume or a mounted file here, and the solution is on the host. */
async function forContainer(error: unknown): Promise<unknown> {
  if (!(error instanceof OdooPgError)) return error;
  if (error.code === "config_invalid") return invalid([error.message]);
  if (error.code !== "state_dir_unusable") return error;
  const user = (await ownerOf("/proc/self"))?.uid;
  return new OdooPgError("state_dir_unusable", {
    message: error.message,
    safe: error.safe ?? "Nothing was changed.",
    next: `The servers run as the user with id ${user}: on the host, give the volume to that id (chown -R ${user}), or let it read the file (chmod a+r); then start the container again.`,
    cause: error,
  });
}

function invalid(problems: readonly string[]): OdooPgError {
  return new OdooPgError("config_invalid", {
    message: problems.join("\n"),
    safe: "Nothing was changed.",
    next: "Correct the variables of the container, or the file that is named (docs/docker.md), then start it again.",
  });
}

/** The environment with what its `_FILE` variables name. @throws OdooPgError config_invalid */
async function readFileVariables(env: Environment): Promise<Environment> {
  const { files, problems } = fileVariables(env);
  const contents = new Map<string, string>();
  const wrong = [...problems];
  for (const [name, file] of files) {
    try {
      const text = await readTextIfAny(file);
      if (text === undefined) wrong.push(`${name}_FILE: there is no file ${file}`);
      else contents.set(name, text);
    } catch {
      wrong.push(`${name}_FILE: the user that the container runs as cannot read ${file}`);
    }
  }
  if (wrong.length) throw invalid(wrong);
  return withFileContents(env, contents);
}

/** @param forScripts the variables that scripts of the first launch see: as in the official image, its password too */
async function runNode(
  invocation: Invocation,
  output: Output,
  args: readonly string[],
  forScripts: Environment,
): Promise<ExitStatus> {
  const pgdata = invocation.environment["PGDATA"] ?? path.join(HOME, "data");
  const version = (await readTextIfAny(path.join(pgdata, "PG_VERSION")))?.trim();
  const installation = await findInstallation({}, { searchPath: searchPath(invocation), install: () => "" });
  if (version !== undefined) refuseOtherMajor({ directory: pgdata, version }, installation.major);
  const isMount = (await kindOf(pgdata)) === "directory" && (await isMountPoint(pgdata));
  const place = placeOf(pgdata, { version, isMountPoint: isMount });
  if ((await readTextIfAny(path.join(place.dataDir, "PG_VERSION"))) === undefined)
    await refuseToPassBy(pgdata, place.dataDir, installation.major);
  const layout = layoutOf(place.stateDir);
  const own = await readOwnFile(invocation, output);
  const env = await withoutOldPrimary(invocation.environment, layout, output);
  const follows = Boolean(env["SLAVEHOST"]);
  const logsWritable = await isWritable(FIXED.logDir);
  const contract = readContract({
    env,
    args: args[0] === "postgres" ? args.slice(1) : args,
    place,
    knownNode: (await readApplied(layout))?.config.nodes[0]?.name,
    passwordsKnown: await knownPasswords(layout, own),
    backupConfig: (await kindOf(FIXED.givenBackupConfig)) && FIXED.givenBackupConfig,
    random: randomBytes(4).toString("hex"),
    logsWritable,
  });
  if (contract.problems.length) throw invalid(contract.problems);
  const context = await writeConfiguration(invocation, output, place, contract, own);
  refuseOtherBackupUser(context);
  const given = await givenPasswords(context.secrets);
  await prepareStateDirectory(layout, undefined);
  await leadBackupLog(layout.backupLog, logsWritable);
  if (!follows) await prepareFirstLaunch(context, installation, given);
  return await up(context, {
    foreground: {
      log: containerLog(layout, follows && logsWritable),
      afterUp: async (log) => await settle(context, place, contract, forScripts, log),
    },
  });
}

/**
 * A replica that was promoted stays a primary, whatever its variables still say: they are not updated in an emergency.
 */
async function withoutOldPrimary(env: Environment, layout: Layout, output: Output): Promise<Environment> {
  const state = await readState(layout);
  const promoted = state && !followsUpstream(state) && state.history.some(({ from }) => from === UPSTREAM);
  if (!promoted || !env["SLAVEHOST"]) return env;
  output.err(`SLAVEHOST=${env["SLAVEHOST"]} is ignored: this node was promoted. Take the variable out.`);
  return withoutUpstream(env);
}

function withoutUpstream(env: Environment): Environment {
  return {
    ...env,
    SLAVEHOST: undefined,
    SLAVEPORT: undefined,
    SLAVEUSER: undefined,
    SLAVEPASSWORD: undefined,
  };
}

/**
 * Records that this is a first launch, and takes over another PostgreSQL's data. May be repeated until it is complete.
 */
async function prepareFirstLaunch(
  { config, layout, output }: Context,
  installation: Installation,
  given: GivenPasswords,
): Promise<void> {
  const [node] = config.nodes;
  if (!node) return;
  const files = nodeLayoutOf(layout, node);
  let record = await readFirstLaunch(layout);
  if (!record) {
    if ((await readState(layout)) !== undefined) return;
    await prepareStateDirectory(layout, undefined);
    const adopted = (await kindOf(path.join(files.dataDir, "PG_VERSION"))) === "file";
    record = { adopted, complete: false, done: [] };
    await recordFirstLaunch(layout, record);
  }
  if (!record.adopted || record.complete) return;
  output.err(`${files.dataDir} was made by another PostgreSQL ${installation.major}: taking it over`);
  const { postgres } = await ensurePasswords(layout, given, undefined);
  await adoptDataDirectory(installation, files, postgres);
}

/** @throws OdooPgError data_directory_unusable: no major version is converted. */
function refuseOtherMajor({ directory, version }: OtherData, major: number): void {
  if (version === String(major)) return;
  throw new OdooPgError("data_directory_unusable", {
    message: `${directory} was made by ${version === undefined ? "another PostgreSQL" : `PostgreSQL ${version}`}, and this image has PostgreSQL ${major}.`,
    safe: "It was left as it is.",
    next: `Dump it with the image that made it and restore it here: docs/migrate.md, "Another major version".`,
  });
}

/**
 * @throws OdooPgError data_directory_unusable: no new cluster is created beside old data, whose owner would miss it.
 */
async function refuseToPassBy(pgdata: string, dataDir: string, major: number): Promise<void> {
  const roots = [pgdata, path.dirname(pgdata)];
  const names = new Map(
    await Promise.all(roots.map(async (root) => [root, await namesIn(root).catch(() => [])] as const)),
  );
  for (const directory of placesOfOtherData(pgdata, dataDir, (root) => names.get(root) ?? [])) {
    const found = await dataAt(directory);
    if (!found || (found.version === undefined && pgdata.startsWith(`${directory}/`))) continue;
    refuseOtherMajor(found, major);
    throw new OdooPgError("data_directory_unusable", {
      message: `There is no data in ${dataDir}, where PGDATA has it, but there is in ${directory}: a new, empty cluster beside it is hardly what you want.`,
      safe: "It was left as it is, and nothing was created.",
      next: wayToOtherData(directory),
    });
  }
}

async function dataAt(directory: string): Promise<OtherData | undefined> {
  try {
    const text = await readTextIfAny(path.join(directory, "PG_VERSION"));
    return text === undefined ? undefined : { directory, version: text.trim() };
  } catch {
    // Another user's, as a data directory is: its name says enough.
    return { directory, version: undefined };
  }
}

/**
 * The user's own configuration, checked by itself so that errors name its own lines. @throws OdooPgError config_invalid
 */
async function readOwnFile(invocation: Invocation, output: Output): Promise<Document> {
  const text = await readTextIfAny(FIXED.ownFile);
  if (text === undefined) return {};
  const environment = withoutUpstream(invocation.environment);
  await loadContext({ ...invocation, environment }, output, FIXED.ownFile);
  const document: unknown = parse(text);
  return typeof document === "object" && document !== null ? { ...document } : {};
}

async function knownPasswords(layout: Layout, own: Document): Promise<ReadonlySet<string>> {
  const kept = await Promise.all(
    (["odoo", "openerp", "upstream"] as const).map(async (role) =>
      (await readPassword(layout, role)) === undefined ? [] : [role],
    ),
  );
  const files = own["password_files"];
  return new Set([
    ...kept.flat(),
    ...(typeof files === "object" && files !== null ? Object.keys(files) : []),
  ]);
}

/** Writes the container's settings where every command finds them, and reads them as every command does. */
async function writeConfiguration(
  invocation: Invocation,
  output: Output,
  place: Place,
  contract: Pick<Contract, "defaults" | "overrides" | "environment">,
  own: Document,
): Promise<Context> {
  const document = mergeDocuments(mergeDocuments(contract.defaults, own), contract.overrides);
  const head = `# Made at each start from the container's variables and ${FIXED.ownFile}: change those.\n`;
  await writeFileAtomic(FIXED.configFile, head + stringify(document), { mode: 0o644 });
  if (place.stateDir !== FIXED.stateLink) await leadLink(FIXED.stateLink, place.stateDir);
  return await loadContext({ ...invocation, environment: contract.environment }, output, FIXED.configFile, {
    variables: VARIABLES,
  });
}

/**
 * No process here could give files to another user, nor the agent keep files that belong to one. @throws OdooPgError
 * config_invalid
 */
function refuseOtherBackupUser({ config, machine }: Context): void {
  const { user } = config.backup;
  if (user === undefined || user === machine.userName) return;
  throw invalid([
    `backups cannot belong to user ${JSON.stringify(user)} (BACKUP_USER, backup.user): in a container they belong to ${machine.userName}, as whom the servers run. Leave it empty`,
  ]);
}

/** Makes the log of backups a file where the origin had it: seen from outside the container, a link would be broken. */
async function leadBackupLog(log: string, writable: boolean): Promise<void> {
  if (!writable) return await removeLink(log);
  await removeLink(FIXED.backupLog);
  await leadLink(log, FIXED.backupLog);
}

/**
 * Writes the agent's output to the engine's log and its own; where the origin logged how a replica was made, there too.
 */
function containerLog(layout: Layout, seeding: boolean): Log {
  const own = openLog(layout.agentLog, undefined, true);
  const seed = seeding ? openLog(FIXED.seedLog, undefined, false) : undefined;
  return (level, text) => {
    own(level, text);
    seed?.(level, text);
  };
}

/** Runs once the servers are up: the connection for client programs, the adoption, and the first launch. */
async function settle(
  context: Context,
  place: Place,
  contract: Contract,
  forScripts: Environment,
  log: Log,
): Promise<void> {
  const { config, layout } = context;
  const [node] = config.nodes;
  if (!node || config.upstream) return;
  await finishFirstLaunch({
    layout,
    superuser: Superuser.of(layout, node),
    pgdata: place.dataDir,
    searchPath: searchPath(context.invocation),
    environment: forScripts,
    owner: contract.owner ?? config.odoo.role,
    template: config.odoo.template,
    database: contract.database,
    log,
  });
}

async function serveEndpoints(invocation: Invocation, output: Output, nodes: string): Promise<ExitStatus> {
  const place: Place = { dataDir: path.join(HOME, "data"), stateDir: FIXED.stateLink };
  const defaults = {
    state_dir: place.stateDir,
    listen: ["*"],
    networks: ["0.0.0.0/0", "::/0"],
    nodes: watchedNodes(nodes),
    // An agent that only observes the servers cannot make commits wait.
    endpoints: { read: { consistency: "bounded" } },
    backup: { enabled: false },
  };
  const own = await readOwnFile(invocation, output);
  const environment = { ...invocation.environment };
  const context = await writeConfiguration(
    invocation,
    output,
    place,
    { defaults, overrides: {}, environment },
    own,
  );
  const { collectd } = await givenPasswords(context.secrets);
  if (collectd === undefined) {
    throw invalid([
      "ENDPOINTS_FOR is set, and no password to look at the nodes with: set COLLECTD_PGSQL_PASSWD_FILE (or COLLECTD_PGSQL_PASSWD) to the same as on the nodes",
    ]);
  }
  if (context.config.endpoints.read.consistency === "read-your-writes") {
    throw invalid([
      "endpoints.read.consistency: read-your-writes needs the agent that runs the primary; these endpoints only look at it: choose bounded or eventual",
    ]);
  }
  const [pooled] = pooledEndpoints(context.config);
  if (pooled !== undefined) {
    throw invalid([
      `endpoints.${pooled}.pooling: who may log in at a pooler is known to the agent that runs the primary alone; these endpoints only look at it: choose none`,
    ]);
  }
  const agent = new EndpointsAgent({
    served: {
      config: context.config,
      machine: context.machine,
      upstream: undefined,
      // The nodes are not asked: they are assumed to run on machines like this one.
      kept: await keptSettings(context, undefined, undefined),
      elsewhere: true,
    },
    layout: context.layout,
    haproxy: await findHaproxy(undefined, programSearch(context)),
    password: collectd,
    log: openLog(context.layout.agentLog, undefined, true),
  });
  onSignals(["SIGTERM", "SIGINT"], () => agent.stop());
  await agent.open();
  await agent.run();
  return 0;
}
