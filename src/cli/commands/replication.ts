import { type Command, Option } from "commander";
import type { OperationRequest } from "../../cluster/documents/agent-report.ts";
import { readHostRecord } from "../../hosts/documents/record.ts";
import type { Call, CommandLine } from "../command-line.ts";

/** Who is primary, and how the others follow. */
export function addReplicationCommands({ command, add, withContext }: CommandLine): void {
  const operation = (name: string, description: string): Command =>
    command(name, description)
      .option("--dry-run", "show the plan, change nothing")
      .option("--json", "one JSON document");
  const operate = (request: (call: Call) => OperationRequest) =>
    withContext(async (context, call) => {
      const asked = request(call);
      return await (await import("../cluster/operate.ts")).operate(context, asked, { json: call.json });
    });

  operation("switchover", "make a replica the primary; nothing is lost")
    .option(
      "--to <node>",
      "the new primary: a node, or with several hosts a host (else the replica that is least behind)",
    )
    .action(
      withContext(async (context, { text, on, json }) => {
        const [to, dryRun] = [text("to"), on("dryRun")];
        if (await readHostRecord(context.layout)) {
          const { hostsSwitchover } = await import("../hosts/orders.ts");
          return await hostsSwitchover(context, { to, dryRun, json });
        }
        const { operate } = await import("../cluster/operate.ts");
        const request = { operation: "switchover", dry_run: dryRun } as const;
        return await operate(context, to === undefined ? request : { ...request, to }, { json });
      }),
    );
  operation("promote", "make a replica the primary when the primary is gone")
    .argument("<node>", "the replica")
    .addOption(
      new Option("--fence <mode>", "first stop a primary that is still running").choices([
        "fast",
        "immediate",
      ]),
    )
    .option("--allow-data-loss", "proceed although the replica lacks data; the refusal says how much")
    .option("--confirm <name>", "the cluster's name, typed out, with --allow-data-loss")
    .action(
      operate(({ args, text, on }) => {
        const fence = text("fence");
        const confirm = text("confirm");
        return {
          operation: "promote",
          node: args[0] ?? "",
          allow_data_loss: on("allowDataLoss"),
          dry_run: on("dryRun"),
          ...(fence === "fast" || fence === "immediate" ? { fence } : {}),
          ...(confirm === undefined ? {} : { confirm }),
        };
      }),
    );
  operation("rejoin", "make an old primary a replica again (pg_rewind on a copy; the old data is kept)")
    .argument("<node>", "the old primary")
    .option("--reseed", "copy everything again if pg_rewind cannot do it")
    .option("--discard-old", "remove the old data once the node streams")
    .action(
      operate(({ args, on }) => ({
        operation: "rejoin",
        node: args[0] ?? "",
        reseed: on("reseed"),
        discard_old: on("discardOld"),
        dry_run: on("dryRun"),
      })),
    );
  operation("reseed", "rebuild a replica from the primary; the old data is kept")
    .argument("[node]", "the replica; optional if there is one node")
    .option("--discard-old", "remove the old data once the copy streams")
    .action(
      withContext(async (context, { args, on, json }) => {
        if (await readHostRecord(context.layout)) {
          const { hostsReseed } = await import("../hosts/orders.ts");
          return await hostsReseed(context, args[0], { json, dryRun: on("dryRun") });
        }
        const nodes = context.config.nodes.map(({ name }) => name);
        const request = {
          operation: "reseed",
          node: args[0] ?? (nodes.length === 1 ? nodes[0] : undefined) ?? "",
          discard_old: on("discardOld"),
          dry_run: on("dryRun"),
        } as const;
        return await (await import("../cluster/operate.ts")).operate(context, request, { json });
      }),
    );
  add(
    command("replication", "the state of replication"),
    "status",
    "positions, lag and slots of each replica",
  )
    .option("--json", "one JSON document")
    .action(
      withContext(async (context, { json }) => {
        const { replicationStatus } = await import("../cluster/replication.ts");
        return await replicationStatus(context, { json });
      }),
    );
  command("history", "who became primary, when and why; how long writes paused")
    .option("--json", "one JSON document")
    .action(
      withContext(
        async (context, { json }) => await (await import("../cluster/history.ts")).history(context, { json }),
      ),
    );
}
