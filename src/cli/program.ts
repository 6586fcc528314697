import type { Invocation } from "../system/terminal.ts";
import { newCommandLine, type CommandLine } from "./command-line.ts";
import { addBackupCommands } from "./commands/backups.ts";
import { addClusterCommands } from "./commands/cluster.ts";
import { addHostsCommands } from "./commands/hosts.ts";
import { addHiddenCommands } from "./commands/hidden.ts";
import { addOdooCommands } from "./commands/odoo.ts";
import { addReplicationCommands } from "./commands/replication.ts";
import { addSetUpCommands } from "./commands/set-up.ts";
import { addWatchCommands } from "./commands/watch.ts";
import { loadContext } from "./context.ts";
import { VERSION } from "./setup/version.ts";

/** Every command there is. */
export function commandLine(invocation: Invocation, load: typeof loadContext = loadContext): CommandLine {
  const line = newCommandLine(invocation, VERSION, load);
  line.group("Cluster");
  addClusterCommands(line);
  line.group("Status and checks");
  addWatchCommands(line);
  line.group("Primary and replicas");
  addReplicationCommands(line);
  line.group("Several hosts");
  addHostsCommands(line);
  line.group("Backups");
  addBackupCommands(line);
  line.group("Odoo");
  addOdooCommands(line);
  line.group("Setup");
  addSetUpCommands(line);
  addHiddenCommands(line, runProgram);
  return line;
}

/**
 * Runs one command line and returns its exit status. Commands are loaded when they are called: `status` must not pay
 * for what `up` needs.
 */
export async function runProgram(
  invocation: Invocation,
  /** Instead of the configuration's file and environment. */
  load: typeof loadContext = loadContext,
): Promise<number> {
  const line = commandLine(invocation, load);
  if (invocation.args[0] === "complete" || invocation.args[0] === "completion") {
    const { addCompletion } = await import("./setup/completion.ts");
    addCompletion(line.root);
  }
  return await line.run();
}
