import type { CommandLine } from "../command-line.ts";

/** Odoo's configuration, databases, roles and sessions. */
export function addOdooCommands(line: CommandLine): void {
  const { command, withContext } = line;
  command("odoo-conf", "print the lines for odoo.conf, with the password")
    .option("--from <file>", "this odoo.conf, with these lines in place of its own")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context, { text, json }) => {
        const { odooConf } = await import("../odoo/odoo-conf.ts");
        return await odooConf(context, { from: text("from"), json });
      }),
    );
  command("adopt", "what an existing Odoo has, by its odoo.conf, and the steps to move it here")
    .argument("<odoo.conf>", "the file that Odoo is started with")
    .option("--apply", "write where Odoo's files are to the configuration file")
    .option("--dry-run", "with --apply: show what would be written, write nothing")
    .option("--json", "one JSON document")
    .action(
      withContext(
        async (context, { args, on, json }) => {
          const { adopt } = await import("../odoo/adopt.ts");
          return await adopt(context, args[0] ?? "", { apply: on("apply"), dryRun: on("dryRun"), json });
        },
        line.invocation,
        { needs: "configuration" },
      ),
    );
  addDatabases(line);
  addRoles(line);
  addSessions(line);
}

function addDatabases({ command, add, withContext }: CommandLine): void {
  const db = command("db", "databases with their filestores: list, copy, rename, drop");
  add(db, "list", "databases, owners, sizes, sessions")
    .option("--json", "one JSON document")
    .action(
      withContext(
        async (context, { json }) => await (await import("../odoo/db.ts")).dbList(context, { json }),
      ),
    );
  add(db, "copy", "copy a database with its attachments, while it is in use")
    .argument("<source>", "the database")
    .argument("<copy>", "name of the copy")
    .option("--neutralize", "make the copy harmless before any Odoo can see it: for staging")
    .option("--replace", "replace a database of that name")
    .option("--confirm <database>", "the name of the database to replace, typed out")
    .option("--keep-old", "keep the replaced database under another name")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context, { args, on, text, json }) => {
        const { dbCopy } = await import("../odoo/db.ts");
        return await dbCopy(context, args[0] ?? "", args[1] ?? "", {
          neutralize: on("neutralize"),
          replace: on("replace"),
          confirm: text("confirm"),
          keepOld: on("keepOld"),
          json,
        });
      }),
    );
  add(db, "rename", "rename a database with its filestore")
    .argument("<database>", "the present name")
    .argument("<name>", "the new name")
    .option("--yes", "end the sessions in it")
    .action(
      withContext(async (context, { args, on }) => {
        const { dbRename } = await import("../odoo/db.ts");
        return await dbRename(context, args[0] ?? "", args[1] ?? "", { yes: on("yes") });
      }),
    );
  add(db, "drop", "drop a database with its filestore")
    .argument("<database>", "the database")
    .option("--confirm <database>", "its name, typed out")
    .action(
      withContext(async (context, { args, text }) => {
        const { dbDrop } = await import("../odoo/db.ts");
        return await dbDrop(context, args[0] ?? "", { confirm: text("confirm") });
      }),
    );
}

function addRoles({ command, add, withContext }: CommandLine): void {
  const role = command("role", "roles for more Odoo instances: create, list, drop");
  add(role, "create", "a role for another Odoo: login and CREATEDB, never a superuser")
    .argument("<name>", "the role")
    .option("--password-file <file>", "file with its password (else generated and printed once)")
    .option("--password-stdin", "read its password from standard input")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context, { args, text, on, json }) => {
        const { roleCreate } = await import("../odoo/role.ts");
        return await roleCreate(context, args[0] ?? "", {
          passwordFile: text("passwordFile"),
          passwordStdin: on("passwordStdin"),
          json,
        });
      }),
    );
  add(role, "list", "roles and what they own")
    .option("--json", "one JSON document")
    .action(
      withContext(
        async (context, { json }) => await (await import("../odoo/role.ts")).roleList(context, { json }),
      ),
    );
  add(role, "drop", "drop a role that owns nothing")
    .argument("<name>", "the role")
    .option("--confirm <name>", "its name, typed out")
    .action(
      withContext(async (context, { args, text }) => {
        const { roleDrop } = await import("../odoo/role.ts");
        return await roleDrop(context, args[0] ?? "", { confirm: text("confirm") });
      }),
    );
}

function addSessions({ command, add, withContext }: CommandLine): void {
  const sessions = command("sessions", "who is connected to the primary: list, kill, cancel, terminate");
  add(sessions, "list", "sessions, what they run and what blocks them")
    .argument("[database]", "only in this database")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context, { args, json }) => {
        const { sessionsList } = await import("../cluster/sessions.ts");
        return await sessionsList(context, args[0], { json });
      }),
    );
  add(sessions, "kill", "end the sessions in a database; never your own, replication's or odoo-pg's")
    .argument("<database>", "the database")
    .option("--cancel", "only cancel what they run")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context, { args, on, json }) => {
        const { sessionsKill } = await import("../cluster/sessions.ts");
        return await sessionsKill(context, args[0] ?? "", { cancel: on("cancel"), json });
      }),
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
        withContext(async (context, { args, on, json }) => {
          const { sessionsEnd } = await import("../cluster/sessions.ts");
          return await sessionsEnd(context, name, args[0] ?? "", { dryRun: on("dryRun"), json });
        }),
      );
  }
}
