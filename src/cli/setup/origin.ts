import { createRole } from "../../odoo/more-roles.ts";
import { endSessions } from "../../odoo/sessions.ts";
import { listDatabases } from "../../restore/databases.ts";
import { newHandle } from "../../members/runtime.ts";
import { readState } from "../../store/state.ts";
import { backupPlaceOf } from "../../backup/place.ts";
import { formatLsn } from "../../model/lsn.ts";
import { replicationLogLine, replicationReport } from "../../cluster/replication.ts";
import type { NodeObservation } from "../../model/observation.ts";
import { givenPasswordProblem } from "../../config/passwords.ts";
import { OdooPgError, type ExitStatus } from "../../errors.ts";
import { GROUP_ROLE } from "../../odoo/roles.ts";
import { observeServer } from "../../postgres/sql/observing/facts.ts";
import { Superuser } from "../../postgres/sql/access/superuser.ts";
import { now } from "../../system/clock.ts";
import { createNow } from "../backup/backup.ts";
import { serverOwner, type Context } from "../context.ts";
import { showProgress } from "../progress.ts";
import { restore } from "../backup/restore.ts";
import { onPrimary } from "../source.ts";
import { showTable } from "../table.ts";

/** A command of the image odoo/pgsql: its arguments, and what it does now. */
interface OriginCommand {
  readonly usage: string;
  readonly arguments: number;
  readonly run: (context: Context, args: readonly string[]) => Promise<ExitStatus>;
}

/**
 * The commands of the image odoo/pgsql by their names, with their arguments and their meaning, made safe: a backup is
 * whole or does not exist, a database is replaced only when the new one is proven, no password is in a statement.
 */
const COMMANDS: Readonly<Record<string, OriginCommand>> = {
  "backupDatabase.sh": {
    usage: "DATABASE",
    arguments: 1,
    run: async (context, [name = ""]) => await backUp(context, [name]),
  },
  "pg_backup.sh": { usage: "[-c FILE]", arguments: 0, run: async (context) => await backUp(context, []) },
  "dropAndImportDB.sh": { usage: "DATABASE DUMP", arguments: 2, run: replaceDatabase },
  "pgCreateRole.sh": { usage: "ROLE PASSWORD", arguments: 2, run: makeRole },
  "pgKillSessions.sh": { usage: "DATABASE", arguments: 1, run: killSessions },
  "pgClientReplicationStatus.sh": { usage: "", arguments: 0, run: showClients },
  "pgReplicationStatus.sh": { usage: "", arguments: 0, run: showReplica },
};

/** The configuration file that `pg_backup.sh -c FILE` names, if it does. @throws OdooPgError usage */
export function namedBackupConfig(command: string, args: readonly string[]): string | undefined {
  if (command !== "pg_backup.sh" || args.length === 0) return undefined;
  if (args.length === 2 && args[0] === "-c" && args[1]) return args[1];
  throw new OdooPgError("usage", { message: "Usage: pg_backup.sh [-c FILE]", safe: "Nothing was done." });
}

/** Runs one of them. @throws OdooPgError usage */
export async function originCommand(
  context: Context,
  name: string,
  args: readonly string[],
): Promise<ExitStatus> {
  const command = COMMANDS[name];
  // pg_backup.sh's were read with the configuration.
  const wrong = name !== "pg_backup.sh" && args.length !== command?.arguments;
  if (command && !wrong && !args.includes("")) return await command.run(context, args);
  throw new OdooPgError("usage", {
    message: command ? `Usage: ${name} ${command.usage}` : `There is no command ${name}.`,
    safe: "Nothing was done.",
  });
}

/** Prints the path of each backup, as the origin did. */
async function backUp(context: Context, names: readonly string[]): Promise<ExitStatus> {
  const { output, config } = context;
  const servers = (await serverOwner(context))?.name ?? context.machine.userName;
  if (config.backup.user !== undefined && config.backup.user !== servers) {
    throw new OdooPgError("config_invalid", {
      message: `Backups cannot belong to user ${JSON.stringify(config.backup.user)} (BACKUP_USER): here they belong to ${servers}.`,
      safe: "Nothing was done.",
      next: "Leave BACKUP_USER empty.",
    });
  }
  const report = await createNow(
    context,
    names,
    "command",
    showProgress(context),
    new AbortController().signal,
  );
  const { dir } = backupPlaceOf(config);
  for (const { database, id, error } of report.databases) {
    if (id === null) output.err(`${database}: ${error ?? "no backup"}`);
    else output.out(`${dir}/${id}.dump`);
  }
  if (!report.databases.length) {
    const filter = config.backup.only_filter;
    const why = filter === undefined ? "" : ` whose name contains ${JSON.stringify(filter)}`;
    output.err(`There is no database${why} to back up.`);
  }
  return report.ok ? 0 : 1;
}

/** Its command names the database to replace: no further confirmation is needed. */
async function replaceDatabase(
  context: Context,
  [database = "", dump = ""]: readonly string[],
): Promise<ExitStatus> {
  const databases = await onPrimary(context, async (source) => await listDatabases(source));
  const exists = databases.some((one) => one.database === database);
  const target = exists
    ? { as: undefined, replace: database, confirm: database }
    : { as: database, replace: undefined, confirm: undefined };
  return await restore(context, dump, {
    ...target,
    keepOld: false,
    neutralize: false,
    database: undefined,
    json: false,
  });
}

async function makeRole(
  context: Context,
  [name = "", password = ""]: readonly string[],
): Promise<ExitStatus> {
  const problem = givenPasswordProblem(password);
  if (problem !== undefined)
    throw new OdooPgError("usage", { message: `${problem}.`, safe: "Nothing was done." });
  const kept = ["postgres", "replicator", "collectd", GROUP_ROLE, context.config.odoo.role];
  await onPrimary(
    context,
    async (source) =>
      await source.superuser.use(async (session) => await createRole(session, name, password, kept)),
  );
  context.output.out(`User ${name} created`);
  return 0;
}

/** Those on this node: a replica has clients of its own. */
async function killSessions(context: Context, [database = ""]: readonly string[]): Promise<ExitStatus> {
  const end = async (superuser: Superuser): Promise<number> =>
    await superuser.use(async (session) => await endSessions(session, database, "terminate"));
  const { config, layout } = context;
  const [node] = config.nodes;
  const ended =
    config.upstream && node
      ? await end(Superuser.of(layout, node))
      : await onPrimary(context, async (source) => await end(source.superuser));
  context.output.out(`${ended} sessions ended in ${database}`);
  return 0;
}

/** On a primary: its replicas, wherever they run. */
async function showClients(context: Context): Promise<ExitStatus> {
  const facts = await onPrimary(context, async (source) => await source.superuser.use(observeServer));
  showTable(
    context.output,
    ["REPLICA", "CLIENT", "STATE", "SYNC", "SENT", "REPLAYED", "BYTES BEHIND"],
    facts.standbys.map((standby) => [
      standby.application_name,
      standby.client_addr ?? "local",
      standby.state,
      standby.sync_state,
      standby.sent_lsn === null ? "?" : formatLsn(standby.sent_lsn),
      standby.replay_lsn === null ? "?" : formatLsn(standby.replay_lsn),
      standby.sent_lsn === null || standby.replay_lsn === null
        ? "?"
        : String(standby.sent_lsn - standby.replay_lsn),
    ]),
  );
  return 0;
}

/** On a replica: TIMESTAMP 'lag' 'last replay' 'received' 'replayed', as in the origin's log. */
async function showReplica({ layout, config, output }: Context): Promise<ExitStatus> {
  const [node] = config.nodes;
  if (!node || (await readState(layout)) === undefined) {
    throw new OdooPgError("not_running", { message: `Cluster ${config.cluster} has not been started yet.` });
  }
  const handle = newHandle(layout, node);
  const look = await handle.observe();
  await handle.disconnect();
  const nobody: NodeObservation = {
    name: "upstream",
    at: now(),
    answer: { kind: "none", silence: { kind: "not_looked_at" } },
    lastSeen: undefined,
  };
  const at = new Date(now()).toISOString();
  const [replica] = replicationReport(config.cluster, nobody, [look]).replicas;
  if (!replica?.answers) {
    const reason = replica?.reason ?? "does not answer";
    throw new OdooPgError("not_running", { message: `Node ${node.name} ${reason}.` });
  }
  output.out(replicationLogLine("origin", at, config.cluster, replica));
  return 0;
}
