import type { NodeConfig } from "../../config/layout.ts";
import { OdooPgError } from "../../errors.ts";
import { hostsStatus } from "../../hosts/ask-agent.ts";
import { readHostRecord } from "../../hosts/documents/record.ts";
import { nextStep, odooPg, type NextText } from "../../next-step.ts";
import { readApplied } from "../../store/state.ts";
import type { Context } from "../context.ts";

/** Commands that are used on every host, however many there are. */
const ANYWHERE = new Set([
  "up",
  "down",
  "status",
  "psql",
  "logs",
  "odoo-conf",
  "adopt",
  "config check",
  "config show",
  "systemd",
  "compose",
  "container-setup",
  "container-health",
  "ha init",
  "join",
  "switchover",
  "reseed",
  "alarms list",
  "alarms test",
  "events",
  "console",
]);

/** Commands that examine the server of a host, or its machine. */
const WITH_SERVER = new Set(["doctor", "tune"]);

/** Commands that need several hosts. */
const SEVERAL = new Set([
  "ha invite",
  "ha remove",
  "ha disband",
  "ha force-new-cluster",
  "failover",
  "restart",
  "pause",
  "resume",
  "leave",
]);

/** The command that does the same on one host, where there is one. */
const ON_ONE_HOST: Readonly<Record<string, NextText>> = {
  failover: nextStep`Planned, with nothing lost: ${odooPg("switchover", "--dry-run")}. When the primary is gone: ${odooPg("promote", "--help")}`,
  restart: nextStep`What a changed setting needs is restarted by ${odooPg("up")}. All of it: ${odooPg("down")}, then ${odooPg("up")}`,
};

const OWN_ALARMS = nextStep`Each host's own file says how alarms are sent: write it below alarms there, then: ${odooPg("up")}`;

/** The command that does over several hosts what another one does on one. */
const OVER_HOSTS: Readonly<Record<string, NextText>> = {
  promote: nextStep`Planned, with nothing lost: ${odooPg("switchover")}. By force: ${odooPg("failover", "HOST")}`,
  rejoin: nextStep`An old primary comes back by itself. Where it does not, on that host: ${odooPg("reseed")}`,
  "replication status": odooPg("status"),
  history: nextStep`Patroni has it: its log is in ha/log of the state directory. Now: ${odooPg("status")}`,
  destroy: nextStep`On each host but the primary's: ${odooPg("leave")}. Then on that one: ${odooPg("ha", "disband")}`,
  "statements changes": nextStep`Over several hosts no history of statements is kept. Since they are counted: ${odooPg("statements", "list")}`,
  "alarms set": OWN_ALARMS,
  "alarms unset": OWN_ALARMS,
  "statements enable": nextStep`Write shared_preload_libraries: pg_stat_statements into postgres.parameters of this host's file, beside what is there, then: ${odooPg("up")}`,
};

/** Groups of commands that work on the databases: with several hosts, where the primary is. */
const ON_PRIMARY = new Set([
  "db",
  "role",
  "sessions",
  "backup",
  "restore",
  "statements list",
  "statements plan",
]);

/** Backups from the time when a host had the primary are there. */
const LIST_OF_BACKUPS = "backup list";

/**
 * The context of a command in a cluster of several hosts: it uses what was applied, which came from the store, not the
 * file of this host.
 * @throws OdooPgError refused where the command makes no sense here
 */
export async function forHosts(context: Context, command: string): Promise<Context> {
  const record = await readHostRecord(context.layout);
  if (!record) {
    if (!SEVERAL.has(command)) return context;
    throw new OdooPgError("refused", {
      message: `${command} is for several hosts, and this cluster has one.`,
      safe: "Nothing was changed.",
      next:
        ON_ONE_HOST[command] ??
        nextStep`Begin on the host whose cluster it is to be: ${odooPg("ha", "init", "--address", "ADDRESS")}`,
    });
  }
  const applied = await readApplied(context.layout);
  const own = applied ? { ...context, config: applied.config } : context;
  if (ANYWHERE.has(command) || SEVERAL.has(command)) return own;
  if (WITH_SERVER.has(command)) {
    if (record.role === "database") return own;
    throw new OdooPgError("refused", {
      message: `${record.name} has no database: there is no server to look at.`,
      safe: "Nothing was changed.",
      next: `Run the same command on ${(await primaryOf(context)) ?? "a host with a database"}.`,
    });
  }
  if (!ON_PRIMARY.has(command.split(" ")[0] ?? "") && !ON_PRIMARY.has(command)) {
    throw new OdooPgError("refused", {
      message:
        "This cluster has several hosts: Patroni runs its servers, and this command is for one host alone.",
      safe: "Nothing was changed.",
      next: OVER_HOSTS[command] ?? odooPg("status"),
    });
  }
  const primary = await primaryOf(context);
  if (primary === record.name) return own;
  if (command === LIST_OF_BACKUPS) {
    const where = primary === undefined ? "and there is none now" : `now ${primary}`;
    context.output.err(
      `Backups are made on the primary's host, ${where}. These are here, on ${record.name}:`,
    );
    return own;
  }
  throw new OdooPgError("refused", {
    message: `This is done on the primary's host: ${primary === undefined ? "there is none now" : `that is ${primary}`}.`,
    safe: "Nothing was changed.",
    next: primary === undefined ? odooPg("status") : `Run the same command on ${primary}.`,
  });
}

/** The primary's host, as this host's agent sees it. */
async function primaryOf({ layout }: Context): Promise<string | undefined> {
  return (await hostsStatus(layout, 3000))?.primary ?? undefined;
}

/** The node of this host that a name stands for: with several hosts its server has the host's name, too. */
export async function nodeCalled(
  { config, layout }: Pick<Context, "config" | "layout">,
  name: string | undefined,
): Promise<NodeConfig | undefined> {
  const found = config.nodes.find((node) => node.name === name);
  if (found || name === undefined) return found;
  const record = await readHostRecord(layout);
  return record?.name === name ? config.nodes.find((node) => node.name === record.node) : undefined;
}
