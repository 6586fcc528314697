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

/** What does the same on one host, where there is such a thing. */
const ON_ONE_HOST: Readonly<Record<string, NextText>> = {
  failover: odooPg("promote", "NODE"),
  restart: odooPg("up"),
};

/** Groups of commands that work on the databases: with several hosts, where the primary is. */
const ON_PRIMARY = new Set(["db", "role", "sessions", "backup", "restore"]);

/** Backups of the time when a host had the primary lie there. */
const LIST_OF_BACKUPS = "backup list";

/**
 * The context of a command in a cluster of several hosts: what was applied counts, which came from the store, not the
 * file of this host.
 * @throws OdooPgError refused where the command has no sense here
 */
export async function forHosts(context: Context, command: string): Promise<Context> {
  const record = await readHostRecord(context.layout);
  if (!record) {
    if (!SEVERAL.has(command)) return context;
    throw new OdooPgError("refused", {
      message: "This host is not one of several.",
      safe: "Nothing was changed.",
      next:
        ON_ONE_HOST[command] ??
        nextStep`Begin on the host whose cluster it shall be: ${odooPg("ha", "init", "--address", "ADDRESS")}`,
    });
  }
  const applied = await readApplied(context.layout);
  const own = applied ? { ...context, config: applied.config } : context;
  if (ANYWHERE.has(command) || SEVERAL.has(command)) return own;
  if (!ON_PRIMARY.has(command.split(" ")[0] ?? "")) {
    throw new OdooPgError("refused", {
      message:
        "This cluster has several hosts: Patroni runs its servers, and this command is for one host alone.",
      safe: "Nothing was changed.",
      next: odooPg("status"),
    });
  }
  const primary = (await hostsStatus(context.layout, 3000))?.primary ?? undefined;
  if (primary === record.name) return own;
  if (command === LIST_OF_BACKUPS) {
    const where = primary === undefined ? "and there is none now" : `now ${primary}`;
    context.output.err(
      `Backups are made on the primary's host, ${where}. These lie here, on ${record.name}:`,
    );
    return own;
  }
  throw new OdooPgError("refused", {
    message: `This is done on the primary's host: ${primary === undefined ? "there is none now" : `that is ${primary}`}.`,
    safe: "Nothing was changed.",
    next: primary === undefined ? odooPg("status") : `Run the same command on ${primary}.`,
  });
}
