import { Argument } from "commander";
import type { CommandLine } from "../command-line.ts";

/** Copies for the day on which everything else is lost, and the way back. */
export function addBackupCommands({ command, add, withContext }: CommandLine): void {
  const backup = command("backup", "backups: create, list, verify, prove by restoring, export, remove");
  add(backup, "create", "back up databases now, with their attachments")
    .argument("[databases...]", "names of databases")
    .option("--all", "every database, as the schedule does")
    .option("--prove", "then restore each into a scratch database, compare, drop it")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context, { args, on, json }) => {
        const { backupCreate } = await import("../backup/backup.ts");
        return await backupCreate(context, args, { all: on("all"), prove: on("prove"), json });
      }),
    );
  add(backup, "list", "the backups, the oldest first")
    .option("--database <name>", "for one database only")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context, { text, json }) => {
        const { backupList } = await import("../backup/backup.ts");
        const database = text("database");
        return await backupList(context, { json, ...(database === undefined ? {} : { database }) });
      }),
    );
  add(backup, "window", "which seconds can be brought back (backup.any_second)")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context, { json }) => {
        const { backupWindow } = await import("../backup/window.ts");
        return await backupWindow(context, { json });
      }),
    );
  add(backup, "show", "everything about one backup")
    .argument("<id>", "as backup list prints it, or its path")
    .option("--differences", "the differences found when it was last restored, one per line")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context, { args, on, json }) => {
        const { backupShow } = await import("../backup/backup.ts");
        return await backupShow(context, args[0] ?? "", { differences: on("differences"), json });
      }),
    );
  add(backup, "verify", "read backups in full and check every checksum")
    .argument("[ids...]", "as backup list prints them, or paths")
    .option("--all", "every backup")
    .option("--restore", "as backup restore-check")
    .option("--any-second", "recover a second of the window, and read all databases in full")
    .option("--at <time>", "with --any-second: which one; else a random one")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context, { args, on, text, json }) => {
        if (on("anySecond") || text("at") !== undefined) {
          const { verifyAnySecond } = await import("../backup/verify-any-second.ts");
          return await verifyAnySecond(context, args, { at: text("at"), json });
        }
        const { backupVerify } = await import("../backup/backup.ts");
        return await backupVerify(context, args, { all: on("all"), restore: on("restore"), json });
      }),
    );
  add(
    backup,
    "restore-check",
    "restore backups into a scratch database, compare, and drop it, as the schedule does",
  )
    .argument("[ids...]", "as backup list prints them, or paths; else the newest of each database")
    .option("--all", "every backup")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context, { args, on, json }) => {
        const { backupRestoreCheck } = await import("../backup/backup.ts");
        return await backupRestoreCheck(context, args, { all: on("all"), json });
      }),
    );
  add(backup, "prune", "remove expired backups, and attachments that no backup needs")
    .option("--dry-run", "show what would go, remove nothing")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context, { on, json }) => {
        const { backupPrune } = await import("../backup/backup.ts");
        return await backupPrune(context, { dryRun: on("dryRun"), json });
      }),
    );
  add(backup, "copy", "copy what is new elsewhere now (backup.offsite)")
    .option("--to <name>", "to one place only")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context, { text, json }) => {
        const { backupCopy } = await import("../backup/copy.ts");
        return await backupCopy(context, { to: text("to"), json });
      }),
    );
  add(
    backup,
    "fetch",
    "recreate on an empty host what a copy elsewhere holds: backups, attachments, the cluster",
  )
    .option("--from <name>", "from which place; else the first in backup.offsite")
    .option("--json", "one JSON document")
    .action(
      withContext(
        async (context, { text, json }) => {
          const { backupFetch } = await import("../backup/fetch.ts");
          return await backupFetch(context, { from: text("from"), json });
        },
        undefined,
        { needs: "nothing" },
      ),
    );
  add(backup, "key", "the passphrase of a copy elsewhere; nobody can read the copy without it")
    .addArgument(
      new Argument(
        "<what>",
        "show: print what to keep elsewhere; confirm: prove that you keep it, by typing it",
      ).choices(["show", "confirm"]),
    )
    .option("--of <name>", "of one place only")
    .action(
      withContext(async (context, { args, text }) => {
        const { backupKeyConfirm, backupKeyShow } = await import("../backup/copy.ts");
        const act = args[0] === "confirm" ? backupKeyConfirm : backupKeyShow;
        return await act(context, text("of"));
      }),
    );
  add(backup, "export", "write a backup as a zip that Odoo's database manager can restore")
    .argument("<backup>", "id or path of the backup")
    .option("--odoo-zip <file>", "the file to write; - is standard output")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context, { args, text, json }) => {
        const { exportBackup } = await import("../backup/export.ts");
        return await exportBackup(context, args[0] ?? "", { odooZip: text("odooZip"), json });
      }),
    );
  command("restore", "restore a backup, a dump or a zip of Odoo; it is compared before it counts")
    .argument(
      "[backup]",
      "id of a backup, or a path: backup, pg_dump file, Odoo's zip; compressed or not; with --at a database",
    )
    .option("--at <time>", "the database as of that second: 2026-11-21 09:41:07, in this host's time zone")
    .option("--before-xid <xid>", "the database as it was before a transaction")
    .option("--lsn <position>", "the database as of a WAL position")
    .option("--require-attachments", "with --at: refuse if an attachment of that second is missing")
    .option(
      "--cluster-as <dir>",
      "the whole cluster as a data directory: as of --at, or with all archived WAL",
    )
    .option("--as <database>", "into a new database")
    .option("--replace <database>", "in place of a database, which is kept until the new one is proven")
    .option("--confirm <database>", "the name of the database to replace, typed out")
    .option("--keep-old", "keep the replaced database under another name")
    .option("--neutralize", "make it harmless before any Odoo can see it: for staging")
    .option("--database <name>", "which database, if the file holds several (pg_dumpall)")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context, { args, text, on, json }) => {
        const moment = { at: text("at"), beforeXid: text("beforeXid"), lsn: text("lsn") };
        const clusterAs = text("clusterAs");
        if (clusterAs !== undefined) {
          const { restoreCluster } = await import("../backup/restore-cluster.ts");
          return await restoreCluster(context, clusterAs, { moment, json });
        }
        const { restore } = await import("../backup/restore.ts");
        return await restore(context, args[0], {
          as: text("as"),
          replace: text("replace"),
          confirm: text("confirm"),
          keepOld: on("keepOld"),
          neutralize: on("neutralize"),
          moment,
          requireAttachments: on("requireAttachments"),
          database: text("database"),
          json,
        });
      }),
    );
}
