import { Command, CommanderError, Help, Option } from "commander";
import type { OperationRequest } from "../agent/report.ts";
import { OdooPgError, toOdooPgError } from "../errors.ts";
import { openOutput, type Invocation, type Output } from "../system/terminal.ts";
import { loadContext, nextFor, type Context } from "./context.ts";
import { EXAMPLES } from "./examples.ts";
import { VERSION } from "./version.ts";

type Flags = Record<string, unknown>;

/** Examples come before everything else in each command's help. */
class HelpWithExamples extends Help {
  override formatHelp(command: Command, helper: Help): string {
    const group = command.parent?.parent ? `${command.parent.name()} ` : "";
    const examples = EXAMPLES[`${group}${command.name()}`];
    const head = examples ? `Examples:\n${examples.map((line) => `  ${line}`).join("\n")}\n\n` : "";
    return head + super.formatHelp(command, helper);
  }
}

/**
 * Runs one command line and returns its exit status. Commands are loaded when they are called: `status` must not pay
 * for what `up` needs.
 */
export async function runProgram(
  invocation: Invocation,
  /** In the place of the configuration's file and environment. */
  load: typeof loadContext = loadContext,
): Promise<number> {
  let result: number = 0;
  let output = openOutput(undefined);
  let json = false;
  let configFlag: string | undefined;
  const root = new Command("odoo-pg");

  /** Loads the configuration, then runs the command. */
  const withContext =
    (
      act: (context: Context, flags: Flags, args: readonly string[]) => Promise<number> | number,
      where: Invocation = invocation,
    ) =>
    async (...received: unknown[]): Promise<void> => {
      const command = received.at(-1);
      if (!(command instanceof Command)) return;
      const flags: Flags = command.optsWithGlobals();
      output = openOutput(flags["color"] === false ? false : undefined);
      json = flags["json"] === true;
      configFlag = text(flags["config"]);
      const context = await load(where, output, text(flags["config"]));
      result = await act(context, flags, command.args);
    };
  // What makes files for containers to come knows of no cluster: in an image the configuration is named before it is there.
  const beforeCluster = {
    ...invocation,
    environment: { ...invocation.environment, ODOO_PG_CONFIG: undefined },
  };

  root
    .description("PostgreSQL for Odoo: a replicated cluster, fresh reads, safe operations.")
    .version(VERSION, "-V, --version", "print the version")
    .option("--config <file>", "configuration (else ODOO_PG_CONFIG, ./odoo-pg.yaml, or the defaults)")
    .option("--no-color", "no colours (NO_COLOR and TERM=dumb say the same)")
    .helpOption("-h, --help", "print help")
    .showSuggestionAfterError(true)
    .showHelpAfterError("(odoo-pg --help lists the commands)")
    .addHelpText("after", "\nShell completion: odoo-pg completion bash|zsh|fish prints a script.")
    .enablePositionalOptions()
    .configureHelp({})
    .exitOverride();
  root.createHelp = () => new HelpWithExamples();

  const command = (name: string, description: string): Command => add(root, name, description);

  command("up", "start the cluster of this host, or apply a changed configuration; returns when healthy")
    .option("--foreground", "stay, and stop the cluster at SIGTERM: for systemd and containers")
    .action(
      withContext(
        async (context, flags) =>
          await (await import("./up.ts")).up(context, { foreground: flags["foreground"] === true }),
      ),
    );
  command("down", "stop endpoints and servers; the data stays").action(
    withContext(async (context) => await (await import("./down.ts")).down(context)),
  );
  command("destroy", "remove a stopped cluster with all its data")
    .option("--confirm <name>", "the cluster's name, typed")
    .action(
      withContext(async (context, flags) => {
        const confirm = text(flags["confirm"]);
        return await (await import("./down.ts")).destroy(context, confirm === undefined ? {} : { confirm });
      }),
    );
  command("status", "is all well: nodes, lag, slots, disks, endpoints, and what to do next")
    .option("--json", "one JSON document")
    .option("--watch", "again every 2 s, until Ctrl-C")
    .action(
      withContext(async (context, flags) => {
        // A container that has the endpoints alone.
        if (invocation.environment["ENDPOINTS_FOR"])
          return await (await import("./endpoints-status.ts")).endpointsStatus(context, { json });
        const { status } = await import("./status.ts");
        return await status(context, { json, watch: flags["watch"] === true }, output);
      }),
    );
  command(
    "doctor",
    "what is not as it should be, here and in Odoo's databases, and what to do; changes nothing",
  )
    .option("--odoo-conf <file>", "look at this odoo.conf too")
    .option("--json", "one JSON document")
    .action(
      withContext(
        async (context, flags) =>
          await (await import("./doctor.ts")).doctor(context, { odooConf: text(flags["odooConf"]), json }),
      ),
    );
  command("odoo-conf", "the lines for odoo.conf, with the password")
    .option("--json", "one JSON document")
    .action(
      withContext(
        async (context, flags) =>
          await (await import("./odoo-conf.ts")).odooConf(context, { json: flags["json"] === true }),
      ),
    );
  command("psql", "psql on a node, or through an endpoint; arguments for psql after --")
    .argument("[target]", "a node's name, read or write (default)")
    .argument("[args...]", "arguments for psql, after --")
    .showHelpAfterError("(what psql itself is to get stands behind --: odoo-pg psql pg1 -- -c 'SELECT 1')")
    .action(
      withContext(async (context, _flags, args) => {
        const split = separate(invocation.args, args);
        return await (await import("./psql.ts")).psql(context, split.target, split.rest);
      }),
    );
  command("logs", "the end of a log")
    .argument("[target]", "a node's name, haproxy or agent (default)")
    .option("-f, --follow", "go on with what is added, until Ctrl-C")
    .action(
      withContext(
        async (context, flags, args) =>
          await (await import("./logs.ts")).logs(context, args[0], { follow: flags["follow"] === true }),
      ),
    );
  const operation = (name: string, description: string): Command =>
    command(name, description)
      .option("--dry-run", "show the plan, change nothing")
      .option("--json", "one JSON document");
  const run = (
    request: (flags: Flags, args: readonly string[], nodes: readonly string[]) => OperationRequest,
  ) =>
    withContext(async (context, flags, args) => {
      const names = context.config.nodes.map(({ name }) => name);
      return await (await import("./operate.ts")).operate(context, request(flags, args, names), { json });
    });
  operation("switchover", "hand the part of the primary over to a replica; nothing is lost")
    .option("--to <node>", "the new primary (else the replica that is least behind)")
    .action(
      run((flags) => {
        const to = text(flags["to"]);
        return {
          operation: "switchover",
          dry_run: flags["dryRun"] === true,
          ...(to === undefined ? {} : { to }),
        };
      }),
    );
  operation("promote", "make a replica the primary when the primary is gone")
    .argument("<node>", "the replica")
    .addOption(
      new Option("--fence <mode>", "stop a primary that still runs, first").choices(["fast", "immediate"]),
    )
    .option("--allow-data-loss", "go on although the replica lacks something; the refusal names how much")
    .option("--confirm <name>", "the cluster's name, typed, with --allow-data-loss")
    .action(
      run((flags, args) => {
        const fence = flags["fence"];
        const confirm = text(flags["confirm"]);
        return {
          operation: "promote",
          node: args[0] ?? "",
          allow_data_loss: flags["allowDataLoss"] === true,
          dry_run: flags["dryRun"] === true,
          ...(fence === "fast" || fence === "immediate" ? { fence } : {}),
          ...(confirm === undefined ? {} : { confirm }),
        };
      }),
    );
  operation("rejoin", "make an old primary a replica again (pg_rewind on a copy; the old data is kept)")
    .argument("<node>", "the old primary")
    .option("--reseed", "copy everything anew when pg_rewind cannot do it")
    .option("--discard-old", "remove the old data once the node streams")
    .action(
      run((flags, args) => ({
        operation: "rejoin",
        node: args[0] ?? "",
        reseed: flags["reseed"] === true,
        discard_old: flags["discardOld"] === true,
        dry_run: flags["dryRun"] === true,
      })),
    );
  operation("reseed", "make a replica anew from the primary; the old data is kept")
    .argument("[node]", "the replica; may be left out where there is one node")
    .option("--discard-old", "remove the old data once the copy streams")
    .action(
      run((flags, args, nodes) => ({
        operation: "reseed",
        node: args[0] ?? (nodes.length === 1 ? nodes[0] : undefined) ?? "",
        discard_old: flags["discardOld"] === true,
        dry_run: flags["dryRun"] === true,
      })),
    );
  add(command("replication", "how replication is"), "status", "positions, lag and slots of each replica")
    .option("--json", "one JSON document")
    .action(
      withContext(
        async (context) => await (await import("./replication.ts")).replicationStatus(context, { json }),
      ),
    );
  command("history", "who became primary, when and why; how long writes paused")
    .option("--json", "one JSON document")
    .action(withContext(async (context) => await (await import("./history.ts")).history(context, { json })));
  command("events", "what happened to the cluster, and who asked for it")
    .option("--since <time>", "24h, 30m, 7d or a date; default 7d")
    .option("-f, --follow", "go on printing what happens")
    .option("--json", "one JSON document; with --follow one object a line")
    .action(
      withContext(
        async (context, flags) =>
          await (
            await import("./events.ts")
          ).events(context, { since: text(flags["since"]), follow: flags["follow"] === true, json }),
      ),
    );
  const backup = command("backup", "backups: make, list, verify, prove by restoring, remove");
  add(backup, "create", "back up databases now, with their attachments")
    .argument("[databases...]", "names of databases")
    .option("--all", "every database, as the schedule does")
    .option("--json", "one JSON document")
    .action(
      withContext(
        async (context, flags, args) =>
          await (
            await import("./backup.ts")
          ).backupCreate(context, args, { all: flags["all"] === true, json }),
      ),
    );
  add(backup, "list", "the backups, the oldest first")
    .option("--database <name>", "of one database only")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context, flags) => {
        const database = text(flags["database"]);
        return await (
          await import("./backup.ts")
        ).backupList(context, { json, ...(database === undefined ? {} : { database }) });
      }),
    );
  add(backup, "show", "all that a backup says of itself")
    .argument("<id>", "as backup list prints it, or its path")
    .option("--json", "one JSON document")
    .action(
      withContext(
        async (context, _flags, args) =>
          await (await import("./backup.ts")).backupShow(context, args[0] ?? "", { json }),
      ),
    );
  add(backup, "verify", "read backups whole and check every checksum")
    .argument("[ids...]", "as backup list prints them, or paths")
    .option("--all", "every backup")
    .option("--restore", "restore into a scratch database too, compare, and drop it")
    .option("--json", "one JSON document")
    .action(
      withContext(
        async (context, flags, args) =>
          await (
            await import("./backup.ts")
          ).backupVerify(context, args, {
            all: flags["all"] === true,
            restore: flags["restore"] === true,
            json,
          }),
      ),
    );
  add(backup, "prune", "remove backups that have had their time, and attachments that none names")
    .option("--dry-run", "show what would go, remove nothing")
    .option("--json", "one JSON document")
    .action(
      withContext(
        async (context, flags) =>
          await (
            await import("./backup.ts")
          ).backupPrune(context, { dryRun: flags["dryRun"] === true, json }),
      ),
    );
  const config = command("config", "look at the configuration");
  add(config, "check", "check file, programs and parameters; changes nothing")
    .option("--json", "one JSON document")
    .action(async (...received: unknown[]) => {
      const called = received.at(-1);
      if (!(called instanceof Command)) return;
      const flags: Flags = called.optsWithGlobals();
      const { configCheck } = await import("./config.ts");
      result = await configCheck(invocation, output, text(flags["config"]), { json: flags["json"] === true });
    });
  add(config, "show", "every value and where it comes from")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context, flags) =>
        (await import("./config.ts")).configShow(context, { json: flags["json"] === true }),
      ),
    );
  command("tune", "settings of PostgreSQL and Odoo for this machine and load, as a difference to what runs")
    .option(
      "--memory <size>",
      "memory of nodes (and Odoo, where it runs here), such as 16GB (else the machine's)",
    )
    .option("--cpus <number>", "processors (else the machine's)")
    .option("--disk <kind>", "ssd or hdd (else as the system tells)")
    .option("--workers <number>", "Odoo's workers, on all its hosts together")
    .option("--users <number>", "people who work in Odoo at the same time")
    .option("--apply", "write the settings into the configuration file; `odoo-pg up` then applies them")
    .option("--dry-run", "with --apply: show what would be written, write nothing")
    .option("--json", "one JSON document")
    .action(
      withContext(
        async (context, flags) =>
          await (
            await import("./tune.ts")
          ).tune(context, {
            memory: text(flags["memory"]),
            cpus: text(flags["cpus"]),
            disk: text(flags["disk"]),
            workers: text(flags["workers"]),
            users: text(flags["users"]),
            apply: flags["apply"] === true,
            dryRun: flags["dryRun"] === true,
            json,
          }),
      ),
    );
  command("restore", "restore a backup, a dump or a zip of Odoo; compared before it counts")
    .argument("<backup>", "id of a backup, or a path: backup, file of pg_dump (.gz, .zst), Odoo's zip")
    .option("--as <database>", "into a new database")
    .option(
      "--replace <database>",
      "in the place of a database, which stays as it is until the new one is proven",
    )
    .option("--confirm <database>", "the name of the replaced database, typed")
    .option("--keep-old", "keep the replaced database under another name")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context, flags, args) => {
        const { restore } = await import("./restore.ts");
        return await restore(context, args[0] ?? "", {
          as: text(flags["as"]),
          replace: text(flags["replace"]),
          confirm: text(flags["confirm"]),
          keepOld: flags["keepOld"] === true,
          json,
        });
      }),
    );
  const db = command("db", "databases with their filestores: list, copy, rename, drop");
  add(db, "list", "databases, owners, sizes, sessions")
    .option("--json", "one JSON document")
    .action(withContext(async (context) => await (await import("./db.ts")).dbList(context, { json })));
  add(db, "copy", "copy a database with its attachments, while others work in it")
    .argument("<source>", "the database")
    .argument("<copy>", "name of the copy")
    .option("--neutralize", "make the copy harmless before any Odoo can see it: for staging")
    .option("--replace", "replace a database of that name")
    .option("--confirm <database>", "the name of the replaced database, typed")
    .option("--keep-old", "keep the replaced database under another name")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context, flags, args) => {
        const { dbCopy } = await import("./db.ts");
        return await dbCopy(context, args[0] ?? "", args[1] ?? "", {
          neutralize: flags["neutralize"] === true,
          replace: flags["replace"] === true,
          confirm: text(flags["confirm"]),
          keepOld: flags["keepOld"] === true,
          json,
        });
      }),
    );
  add(db, "rename", "rename a database with its filestore")
    .argument("<database>", "the present name")
    .argument("<name>", "the new name")
    .option("--yes", "end the sessions in it")
    .action(
      withContext(
        async (context, flags, args) =>
          await (
            await import("./db.ts")
          ).dbRename(context, args[0] ?? "", args[1] ?? "", { yes: flags["yes"] === true }),
      ),
    );
  add(db, "drop", "drop a database with its filestore")
    .argument("<database>", "the database")
    .option("--confirm <database>", "its name, typed")
    .action(
      withContext(
        async (context, flags, args) =>
          await (await import("./db.ts")).dbDrop(context, args[0] ?? "", { confirm: text(flags["confirm"]) }),
      ),
    );
  const role = command("role", "roles for more Odoos: create, list, drop");
  add(role, "create", "a role with login and CREATEDB, member of openerp, never a superuser")
    .argument("<name>", "the role")
    .option("--password-file <file>", "file with its password (else generated and printed once)")
    .option("--password-stdin", "its password comes on standard input")
    .option("--json", "one JSON document")
    .action(
      withContext(
        async (context, flags, args) =>
          await (
            await import("./role.ts")
          ).roleCreate(context, args[0] ?? "", {
            passwordFile: text(flags["passwordFile"]),
            passwordStdin: flags["passwordStdin"] === true,
            json,
          }),
      ),
    );
  add(role, "list", "roles and what they own")
    .option("--json", "one JSON document")
    .action(withContext(async (context) => await (await import("./role.ts")).roleList(context, { json })));
  add(role, "drop", "drop a role that owns nothing")
    .argument("<name>", "the role")
    .option("--confirm <name>", "its name, typed")
    .action(
      withContext(
        async (context, flags, args) =>
          await (
            await import("./role.ts")
          ).roleDrop(context, args[0] ?? "", { confirm: text(flags["confirm"]) }),
      ),
    );
  const sessions = command("sessions", "who is connected to the primary: list, kill, cancel, terminate");
  add(sessions, "list", "sessions, what they run and what blocks them")
    .argument("[database]", "only in this database")
    .option("--json", "one JSON document")
    .action(
      withContext(
        async (context, _flags, args) =>
          await (await import("./sessions.ts")).sessionsList(context, args[0], { json }),
      ),
    );
  add(sessions, "kill", "end the sessions in a database; never one's own, replication or odoo-pg's")
    .argument("<database>", "the database")
    .option("--cancel", "only cancel what they run")
    .option("--json", "one JSON document")
    .action(
      withContext(
        async (context, flags, args) =>
          await (
            await import("./sessions.ts")
          ).sessionsKill(context, args[0] ?? "", { cancel: flags["cancel"] === true, json }),
      ),
    );
  for (const [name, description] of [
    ["cancel", "cancel what one session runs; the session stays"],
    ["terminate", "end one session; what it has not committed is undone"],
  ] as const) {
    add(sessions, name, description)
      .argument("<pid>", "the session, as sessions list prints it")
      .option("--dry-run", "show the session, change nothing")
      .option("--json", "one JSON document")
      .action(
        withContext(
          async (context, flags, args) =>
            await (
              await import("./sessions.ts")
            ).sessionsEnd(context, name, args[0] ?? "", { dryRun: flags["dryRun"] === true, json }),
        ),
      );
  }
  command("console", "the address of the console, with a link that signs in once")
    .option("--passwords", "name the files of the passwords of viewer and operator too")
    .option("--json", "one JSON document")
    .action(
      withContext(
        async (context, flags) =>
          await (
            await import("./console.ts")
          ).consoleLink(context, { passwords: flags["passwords"] === true, json }),
      ),
    );
  add(backup, "export", "a backup as a zip that Odoo's database manager restores")
    .argument("<backup>", "id or path of the backup")
    .option("--odoo-zip <file>", "the file to write")
    .option("--json", "one JSON document")
    .action(
      withContext(
        async (context, flags, args) =>
          await (
            await import("./export.ts")
          ).exportBackup(context, args[0] ?? "", { odooZip: text(flags["odooZip"]), json }),
      ),
    );
  const alerts = command("alerts", "alarms: try the channels, list what is on");
  add(alerts, "test", "send a test through each channel of `alarms`")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context) => await (await import("./alerts.ts")).alertsTest(context, { json })),
    );
  add(alerts, "list", "which alarms are on, and since when")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context) => await (await import("./alerts.ts")).alertsList(context, { json })),
    );
  command("systemd", "print a unit that keeps the agent running").action(
    withContext(async (context) => (await import("./systemd.ts")).systemd(context)),
  );
  root
    .command("agent", { hidden: true })
    .requiredOption("--state-dir <dir>")
    .option("--user <name>")
    .action(async (flags: { stateDir: string; user?: string }) => {
      result = await (await import("./agent.ts")).runAgent(invocation, flags);
    });
  root
    .command("as-applied", { hidden: true })
    .requiredOption("--state-dir <dir>")
    .option("--while-input-open")
    .argument("<args...>")
    .action(async (_args: readonly string[], flags: { stateDir: string; whileInputOpen?: boolean }) => {
      result = await (await import("./as-applied.ts")).asApplied(invocation, flags, runProgram);
    });
  root
    .command("scheduled-backup", { hidden: true })
    .requiredOption("--state-dir <dir>")
    .requiredOption("--kind <kind>")
    .action(async (flags: { stateDir: string; kind: string }) => {
      result = await (await import("./scheduled-backup.ts")).scheduledBackup(invocation, output, flags);
    });
  command("compose", "write a compose.yaml for containers, with generated passwords beside it")
    .option("--replicas <number>", "replicas, each a service with a volume of its own", "1")
    .option("--odoo", "start Odoo too, without its profile")
    .option("--pgadmin", "start pgAdmin too, without its profile")
    .option("--directory <dir>", "folder to write to", ".")
    .option("--print", "print it, write nothing")
    .action(
      withContext(
        async (context, flags) =>
          await (
            await import("./compose.ts")
          ).compose(context, {
            replicas: Number(flags["replicas"]),
            odoo: flags["odoo"] === true,
            pgadmin: flags["pgadmin"] === true,
            directory: text(flags["directory"]) ?? ".",
            print: flags["print"] === true,
          }),
        beforeCluster,
      ),
    );
  root
    .command("container-setup", { hidden: true })
    .action(
      withContext(
        async (context) => await (await import("./compose.ts")).containerSetup(context),
        beforeCluster,
      ),
    );
  root
    .command("origin", { hidden: true })
    .argument("<command>")
    .argument("[args...]")
    .action(async (name: string, args: readonly string[]) => {
      const { namedBackupConfig, originCommand } = await import("./origin.ts");
      const backupFile = namedBackupConfig(name, args);
      const context = await loadContext(invocation, output, undefined, backupFile);
      result = await originCommand(context, name, args);
    });
  root
    .command("container", { hidden: true })
    .argument("[args...]")
    .action(async (args: readonly string[]) => {
      result = await (await import("./container.ts")).container(invocation, output, args);
    });
  root
    .command("container-health", { hidden: true })
    .action(
      withContext(async (context) => await (await import("./container-health.ts")).containerHealth(context)),
    );
  if (invocation.args[0] === "complete" || invocation.args[0] === "completion") {
    const { addCompletion } = await import("./completion.ts");
    addCompletion(root);
  }

  try {
    await root.parseAsync([...invocation.args], { from: "user" });
    return result;
  } catch (thrown) {
    // Commander has already printed its own words: help and version end well, a mistake in the usage with 2.
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
    const error = toOdooPgError(thrown);
    printError(output, error, json, configFlag);
    return error.exit;
  }
}

function add(parent: Command, name: string, description: string): Command {
  const command = parent
    .command(name)
    .description(description)
    .option("--config <file>", "configuration (else ODOO_PG_CONFIG, ./odoo-pg.yaml, or the defaults)")
    .exitOverride();
  command.createHelp = () => new HelpWithExamples();
  return command;
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** Tells `psql pg2 -- -c x` from `psql -- -c x`: what stands behind the first `--` is for psql alone. */
function separate(
  all: readonly string[],
  args: readonly string[],
): { target: string | undefined; rest: readonly string[] } {
  const dashes = all.indexOf("--");
  if (dashes === -1) return { target: args[0], rest: args.slice(1) };
  const rest = all.slice(dashes + 1);
  // Behind a first operand Commander keeps the dashes, before it takes them away.
  const before = args.slice(0, args.length - rest.length).filter((arg) => arg !== "--");
  return { target: before[0], rest: [...before.slice(1), ...rest] };
}

/** What happened, what is safe, what to do next. With --json the error is the one document. */
function printError(output: Output, error: OdooPgError, json: boolean, configFile: string | undefined): void {
  if (json) {
    output.out(JSON.stringify({ version: 1, error: error.toJSON() }, undefined, 2));
    return;
  }
  output.err(`Error (${error.code}): ${error.message}`);
  if (error.safe !== undefined) output.err(`  Safe: ${error.safe}`);
  if (error.next === undefined) return;
  output.err(`  Next: ${nextFor(configFile, error.next)}`);
}
