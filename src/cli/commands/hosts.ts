import { Option } from "commander";
import type { CommandLine } from "../command-line.ts";

/** A cluster of several hosts. */
export function addHostsCommands({ command, add, withContext, invocation }: CommandLine): void {
  const ha = command("ha", "several hosts: another takes over when the primary's is lost");
  add(ha, "init", "make this host's running cluster the first of several; no session is ended")
    .requiredOption("--address <ip>", "the address at which the other hosts reach this one")
    .option("--name <name>", "the name of this host (else the machine's)")
    .action(
      withContext(async (context, { text }) => {
        const { haInit } = await import("../hosts/init.ts");
        return await haInit(context, { address: text("address") ?? "", name: text("name") });
      }),
    );
  add(ha, "invite", "create a token with which one more host can join")
    .option("--endpoints-only", "only for a host with endpoints alone, for an Odoo")
    .action(
      withContext(
        async (context, { on }) =>
          await (await import("../hosts/init.ts")).invite(context, { endpointsOnly: on("endpointsOnly") }),
      ),
    );
  add(ha, "remove", "remove a host that is lost for good")
    .argument("<host>", "its name")
    .option("--confirm <host>", "its name, typed out")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context, { args, text, json }) => {
        const { removeHost } = await import("../hosts/orders.ts");
        return await removeHost(context, args[0] ?? "", { confirm: text("confirm"), json });
      }),
    );
  add(ha, "disband", "make the primary's host the only one again; no session on it is ended")
    .option("--confirm <name>", "the cluster's name, typed out")
    .action(
      withContext(async (context, { text }) => {
        const { disband } = await import("../hosts/orders.ts");
        return await disband(context, text("confirm"));
      }),
    );
  add(ha, "force-new-cluster", "let this host decide alone when the majority is lost for good")
    .option("--confirm <name>", "the cluster's name, typed out")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context, { text, json }) => {
        const { forceNewCluster } = await import("../hosts/orders.ts");
        return await forceNewCluster(context, { confirm: text("confirm"), json });
      }),
    );
  command("join", "join this host to a cluster: as a replica that may take over, a witness, or endpoints")
    .argument("<invitation>", "ADDRESS:PORT#TOKEN, as ha init prints it")
    .option("--address <ip>", "the address at which the other hosts reach this one")
    .option("--name <name>", "the name of this host (else the machine's)")
    .addOption(new Option("--witness", "only vote: no database here").conflicts("endpointsOnly"))
    .option("--endpoints-only", "endpoints for an Odoo here: no database, no vote, no access to the store")
    .action(
      withContext(
        async (context, { args, text, on }) => {
          const { join } = await import("../hosts/join.ts");
          return await join(context, args[0] ?? "", {
            address: text("address"),
            name: text("name"),
            role: on("witness") ? "witness" : on("endpointsOnly") ? "endpoints" : "database",
          });
        },
        invocation,
        { needs: "place" },
      ),
    );
  command("failover", "force a replica on another host to be the primary; says what may be lost")
    .argument("[host]", "the new primary's host")
    .option("--allow-data-loss", "proceed although the host may lack acknowledged commits")
    .option("--confirm <name>", "the cluster's name, typed out, with --allow-data-loss")
    .option("--dry-run", "say what would be lost, change nothing")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context, { args, text, on, json }) => {
        const { failover } = await import("../hosts/orders.ts");
        return await failover(context, args[0], {
          allowDataLoss: on("allowDataLoss"),
          confirm: text("confirm"),
          dryRun: on("dryRun"),
          json,
        });
      }),
    );
  command("restart", "restart the servers of several hosts, one by one, the primary last after a switchover")
    .argument("[host]", "only this host's")
    .option("--dry-run", "show the order, change nothing")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context, { args, on, json }) => {
        const { restart } = await import("../hosts/orders.ts");
        return await restart(context, args[0], { dryRun: on("dryRun"), json });
      }),
    );
  command("pause", "for a time, no other host takes over: before work on hosts or the network")
    .option("--for <time>", "how long, such as 30m or 2h", "1h")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context, { text, json }) => {
        const { pause } = await import("../hosts/orders.ts");
        return await pause(context, text("for") ?? "1h", { json });
      }),
    );
  command("resume", "end a pause")
    .option("--json", "one JSON document")
    .action(
      withContext(
        async (context, { json }) => await (await import("../hosts/orders.ts")).resume(context, { json }),
      ),
    );
  command("leave", "take this host out of the cluster; its data is kept aside")
    .option("--json", "one JSON document")
    .action(
      withContext(
        async (context, { json }) => await (await import("../hosts/orders.ts")).leave(context, { json }),
      ),
    );
}
