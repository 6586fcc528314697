import type { CommandLine } from "../command-line.ts";
import { beforeCluster } from "./before-cluster.ts";

/** Placeholders for hosts that are not named yet. */
const EXAMPLE_ADDRESSES = "10.0.0.1,10.0.0.2,10.0.0.3";

/** Configuration, sizes, and the files with which other programs start odoo-pg. */
export function addSetUpCommands({ command, add, withContext, plainly, invocation }: CommandLine): void {
  const config = command("config", "look at the configuration");
  add(config, "check", "check file, programs and parameters; changes nothing")
    .option("--json", "one JSON document")
    .action(
      plainly(async (output, { text, json }) => {
        const { configCheck } = await import("../setup/config.ts");
        return await configCheck(invocation, output, text("config"), { json });
      }),
    );
  add(config, "show", "every value and where it comes from")
    .option("--json", "one JSON document")
    .action(
      withContext(
        async (context, { json }) => {
          const { configShow } = await import("../setup/config.ts");
          return configShow(context, { json });
        },
        invocation,
        { needs: "configuration" },
      ),
    );
  command("tune", "settings of PostgreSQL and Odoo for this machine and load, compared with the running ones")
    .option(
      "--memory <size>",
      "memory of nodes (and Odoo, where it runs here), such as 16GB (else the machine's)",
    )
    .option("--cpus <number>", "CPUs (else the machine's)")
    .option("--disk <kind>", "ssd or hdd (else what the system reports)")
    .option("--workers <number>", "Odoo's workers, on all its hosts together")
    .option("--users <number>", "people who work in Odoo at the same time")
    .option("--apply", "write the settings to the configuration file; `odoo-pg up` then applies them")
    .option("--only <setting>", "with --apply: only this setting")
    .option("--dry-run", "with --apply: show what would be written, write nothing")
    .option("--json", "one JSON document")
    .action(
      withContext(
        async (context, { text, on, json }) => {
          const { tune } = await import("../watch/tune.ts");
          return await tune(context, {
            memory: text("memory"),
            cpus: text("cpus"),
            disk: text("disk"),
            workers: text("workers"),
            users: text("users"),
            apply: on("apply"),
            only: text("only"),
            dryRun: on("dryRun"),
            json,
          });
        },
        invocation,
        { needs: "configuration" },
      ),
    );
  command("systemd", "print a systemd unit that keeps the agent running").action(
    withContext(async (context) => (await import("../setup/systemd.ts")).systemd(context), invocation, {
      needs: "configuration",
    }),
  );
  command("compose", "write a compose.yaml for containers, with generated passwords beside it")
    .option("--replicas <number>", "number of replicas, each a service with its own volume", "1")
    .option("--odoo", "start Odoo too, without its profile")
    .option("--pgadmin", "start pgAdmin too, without its profile")
    .option("--ha", "an example with three hosts: a folder for each, and one to try all three on a laptop")
    .option(
      "--addresses <list>",
      "with --ha: those of the three hosts, the witness's last",
      EXAMPLE_ADDRESSES,
    )
    .option("--directory <dir>", "folder to write to", ".")
    .option("--print", "print it, write nothing")
    .action(
      withContext(
        async (context, { text, on }) => {
          if (on("ha")) {
            const { composeHosts } = await import("../setup/compose-hosts.ts");
            return await composeHosts(context, {
              addresses: text("addresses") ?? "",
              directory: text("directory") ?? ".",
              print: on("print"),
              others: ["odoo", "pgadmin"].filter(on),
            });
          }
          const { compose } = await import("../setup/compose.ts");
          return await compose(context, {
            replicas: text("replicas") ?? "",
            odoo: on("odoo"),
            pgadmin: on("pgadmin"),
            directory: text("directory") ?? ".",
            print: on("print"),
          });
        },
        beforeCluster(invocation),
        { needs: "nothing" },
      ),
    );
}
