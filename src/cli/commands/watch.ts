import type { Command } from "commander";
import type { CommandLine } from "../command-line.ts";
import { readHostRecord } from "../../hosts/documents/record.ts";
import type { Context } from "../context.ts";

/** Commands that show how the cluster is and what happened. */
export function addWatchCommands({ command, add, withContext, invocation, root }: CommandLine): void {
  command("status", "is all well: nodes, lag, slots, disks, endpoints, and what to do next")
    .option("--json", "one JSON document")
    .option("--watch", "again every 2 s, until Ctrl-C")
    .option("--full", "messages in full, however long they are")
    .action(
      withContext(async (context, { on, json }) => {
        // A container with only the endpoints.
        if (invocation.environment["ENDPOINTS_FOR"])
          return await (await import("../cluster/endpoints-status.ts")).endpointsStatus(context, { json });
        if (await readHostRecord(context.layout)) {
          if (on("watch")) return await (await import("../hosts/status.ts")).watchHosts(context);
          return await (await import("../hosts/status.ts")).hostsSheet(context, { json });
        }
        const { status } = await import("../cluster/status.ts");
        return await status(context, { json, watch: on("watch"), full: on("full") }, context.output);
      }),
    );
  command(
    "doctor",
    "what is wrong, here and in Odoo's databases, and what to do; changes nothing without --fix",
  )
    .option("--odoo-conf <file>", "check this odoo.conf too")
    .option("--fix <code>", "fix findings with this code, where that is safe")
    .option("--dry-run", "with --fix: show the statements, run none")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context, { text, on, json }) => {
        const { doctor } = await import("../watch/doctor.ts");
        const [odooConf, fix] = [text("odooConf"), text("fix")];
        return await doctor(context, { odooConf, fix, dryRun: on("dryRun"), json });
      }),
    );
  const statements = command("statements", "what takes the primary's time: list, changes, plan, enable");
  add(statements, "list", "statements by the time they took, longest first")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context, { json }) => {
        const { statementsList } = await import("../watch/statements.ts");
        return await statementsList(context, { json });
      }),
    );
  add(statements, "changes", "which are new, slower or run more often than in the same hours yesterday")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context, { json }) => {
        const { statementsChanges } = await import("../watch/statements.ts");
        return await statementsChanges(context, { json });
      }),
    );
  add(statements, "plan", "the plan for a statement, for any values; nothing is executed")
    .argument("<id>", "as `odoo-pg statements list` prints it")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context, { args: [id = ""], json }) => {
        const { statementsPlan } = await import("../watch/statements.ts");
        return await statementsPlan(context, id, { json });
      }),
    );
  add(
    statements,
    "enable",
    "make the servers of an older cluster count them; `odoo-pg up` then restarts them",
  )
    .option("--dry-run", "show what would be written, change nothing")
    .action(
      withContext(async (context, { on }) => {
        const { statementsEnable } = await import("../watch/statements.ts");
        return await statementsEnable(context, { dryRun: on("dryRun") });
      }),
    );
  command("console", "the address of the console, with a link that signs in once")
    .option("--passwords", "also name the files with the passwords of viewer and operator")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context, { on, json }) => {
        const { consoleLink } = await import("../watch/console.ts");
        return await consoleLink(context, { passwords: on("passwords"), json });
      }),
    );
  addAlarms(command("alarms", "which are active; set up, take back and test the channels that report them"));
  command("events", "what happened to the cluster, and who asked for it")
    .option("--since <time>", "24h, 30m, 7d or a date; default 7d")
    .option("-f, --follow", "keep printing what happens")
    .option("--json", "one JSON document; with --follow one object a line")
    .action(
      withContext(async (context, { text, on, json }) => {
        const { events } = await import("../cluster/events.ts");
        return await events(context, { since: text("since"), follow: on("follow"), json });
      }),
    );

  // The name of the command up to 0.1.
  addAlarms(root.command("alerts", { hidden: true }), (context) =>
    context.output.err("odoo-pg alerts is now called odoo-pg alarms; the next version drops the old name."),
  );

  function addAlarms(group: Command, note: (context: Context) => void = () => {}): void {
    add(group, "list", "which alarms are on, and since when")
      .option("--json", "one JSON document")
      .action(
        withContext(async (context, { json }) => {
          note(context);
          return await (await import("../watch/alarms.ts")).alarmsList(context, { json });
        }),
      );
    add(group, "set", "set up one channel: a test goes through it first, then it is written")
      .argument("<channel>", "mail, webhook, slack, telegram or healthchecks")
      .option("--host <name>", "mail: the mail server")
      .option("--port <port>", "mail: its port; the default depends on --security")
      .option("--security <how>", "mail: starttls (default), tls or none")
      .option("--user <name>", "mail: the login; its password is read from standard input")
      .option("--from <address>", "mail: the sender")
      .option("--to <addresses>", "mail: the recipients, separated by commas")
      .option("--secret-file <file>", "take the address, or the password, from this file")
      .option("--untried", "write it even if the test does not arrive")
      .option("--dry-run", "show what would be written, send and change nothing")
      .action(
        withContext(async (context, { args: [channel = ""], text, on }) => {
          note(context);
          const flags = {
            host: text("host"),
            port: text("port"),
            security: text("security"),
            user: text("user"),
            from: text("from"),
            to: text("to"),
            secretFile: text("secretFile"),
            untried: on("untried"),
            dryRun: on("dryRun"),
          };
          return await (await import("../watch/alarms-set.ts")).alarmsSet(context, channel, flags);
        }),
      );
    add(group, "unset", "remove one channel: its lines are removed from the configuration file")
      .argument("<channel>", "mail, webhook, slack, telegram, healthchecks or command")
      .option("--dry-run", "show what would be written, change nothing")
      .action(
        withContext(async (context, { args: [channel = ""], on }) => {
          note(context);
          const { alarmsUnset } = await import("../watch/alarms-unset.ts");
          return await alarmsUnset(context, channel, { dryRun: on("dryRun") });
        }),
      );
    add(group, "test", "send a test through each channel of `alarms`")
      .option("--json", "one JSON document")
      .action(
        withContext(async (context, { json }) => {
          note(context);
          return await (await import("../watch/alarms.ts")).alarmsTest(context, { json });
        }),
      );
  }
}
