import type { CommandLine } from "../command-line.ts";
import { asItsUser, loadContext } from "../context.ts";
import type { RunProgram } from "../as-applied.ts";
import { beforeCluster } from "./before-cluster.ts";

/** Commands that the program and its image call themselves. @param again runs another command line */
export function addHiddenCommands(line: CommandLine, again: RunProgram): void {
  addAgentsOwn(line, again);
  addContainersOwn(line);
}

function addAgentsOwn({ root, plainly, invocation }: CommandLine, again: RunProgram): void {
  root
    .command("agent", { hidden: true })
    .requiredOption("--state-dir <dir>")
    .option("--user <name>")
    .action(
      plainly(async (_output, { text }) => {
        const { runAgent } = await import("../cluster/agent.ts");
        const user = text("user");
        return await runAgent(invocation, {
          stateDir: text("stateDir") ?? "",
          ...(user === undefined ? {} : { user }),
        });
      }),
    );
  root
    .command("as-applied", { hidden: true })
    .requiredOption("--state-dir <dir>")
    .option("--while-input-open")
    .option("--tell-progress")
    .argument("<args...>")
    .action(
      plainly(async (_output, { text, on }) => {
        const { asApplied } = await import("../as-applied.ts");
        const flags = {
          stateDir: text("stateDir") ?? "",
          whileInputOpen: on("whileInputOpen"),
          tellProgress: on("tellProgress"),
        };
        return await asApplied(invocation, flags, again);
      }),
    );
  root
    .command("scheduled-backup", { hidden: true })
    .requiredOption("--state-dir <dir>")
    .requiredOption("--kind <kind>")
    .option("--to <name>")
    .action(
      plainly(async (output, { text }) => {
        const { scheduledBackup } = await import("../backup/scheduled-backup.ts");
        const flags = { stateDir: text("stateDir") ?? "", kind: text("kind") ?? "", to: text("to") };
        return await scheduledBackup(invocation, output, flags);
      }),
    );
  root
    .command("keep-attachments", { hidden: true })
    .requiredOption("--state-dir <dir>")
    .action(
      plainly(async (output, { text }) => {
        const { keepAttachments } = await import("../backup/keep-attachments.ts");
        return await keepAttachments(invocation, output, text("stateDir") ?? "");
      }),
    );
}

function addContainersOwn({ root, withContext, plainly, invocation }: CommandLine): void {
  root
    .command("container-setup", { hidden: true })
    .action(
      withContext(
        async (context) => await (await import("../setup/compose.ts")).containerSetup(context),
        beforeCluster(invocation),
        { needs: "nothing" },
      ),
    );
  root
    .command("origin", { hidden: true })
    .argument("<command>")
    .argument("[args...]")
    .action(
      plainly(async (output, { args }) => {
        const { namedBackupConfig, originCommand } = await import("../setup/origin.ts");
        const [name = "", ...rest] = args;
        const context = await loadContext(invocation, output, undefined, {
          backupFile: namedBackupConfig(name, rest),
        });
        return await originCommand(await asItsUser(context), name, rest);
      }),
    );
  root
    .command("container", { hidden: true })
    .argument("[args...]")
    .action(
      plainly(
        async (output, { args }) =>
          await (await import("../setup/container.ts")).container(invocation, output, args),
      ),
    );
  root
    .command("container-health", { hidden: true })
    .action(
      withContext(
        async (context) => await (await import("../setup/container-health.ts")).containerHealth(context),
      ),
    );
}
