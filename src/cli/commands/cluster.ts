import type { CommandLine } from "../command-line.ts";

/** Start, stop, get to it. */
export function addClusterCommands({ command, withContext, invocation }: CommandLine): void {
  command("up", "start the cluster of this host, or apply a changed configuration; returns when healthy")
    .option(
      "--foreground",
      "stay in the foreground, and stop the cluster on SIGTERM: for systemd and containers",
    )
    .option("--dry-run", "show what would be done to the servers, change nothing")
    .action(
      withContext(
        async (context, { on }) => {
          const { up } = await import("../cluster/up.ts");
          return await up(context, { foreground: on("foreground"), dryRun: on("dryRun") });
        },
        invocation,
        { taking: true, needs: "place" },
      ),
    );
  command("down", "stop endpoints and servers; the data stays").action(
    withContext(async (context) => await (await import("../cluster/down.ts")).down(context), invocation, {
      taking: true,
    }),
  );
  command("destroy", "remove a stopped cluster with all its data")
    .option("--confirm <name>", "the cluster's name, typed out")
    .action(
      withContext(
        async (context, { text }) => {
          const { destroy } = await import("../cluster/down.ts");
          const confirm = text("confirm");
          return await destroy(context, confirm === undefined ? {} : { confirm });
        },
        invocation,
        { taking: true },
      ),
    );
  command("psql", "psql on a node, or on the node behind an endpoint; arguments for psql after --")
    .argument("[target]", "a node's name, read or write (default)")
    .argument("[args...]", "arguments for psql, after --")
    .action(
      withContext(async (context, { args }) => {
        const { psql } = await import("../cluster/psql.ts");
        const { target, rest } = separate(invocation.args, args);
        return await psql(context, target, rest);
      }),
    );
  command("logs", "show the end of a log")
    .argument("[target]", "a node's name, haproxy, pgbouncer, pgbouncer-read, backup or agent (default)")
    .option("-f, --follow", "keep printing new lines, until Ctrl-C")
    .option("--match <text>", "only lines with this text, in upper or lower case")
    .option("--lines <number>", "how many lines from the end", "100")
    .option("--json", "one JSON document")
    .action(
      withContext(async (context, { args, on, text, json }) => {
        const { logs } = await import("../cluster/logs.ts");
        return await logs(context, args[0], {
          follow: on("follow"),
          match: text("match"),
          lines: text("lines") ?? "",
          json,
        });
      }),
    );
}

/** Tells `psql pg2 -- -c x` from `psql -- -c x`: arguments after the first `--` are for psql alone. */
function separate(
  all: readonly string[],
  args: readonly string[],
): { target: string | undefined; rest: readonly string[] } {
  const dashes = all.indexOf("--");
  if (dashes === -1) return { target: args[0], rest: args.slice(1) };
  const rest = all.slice(dashes + 1);
  // After a first operand, Commander keeps the dashes; before one, it removes them.
  const before = args.slice(0, args.length - rest.length).filter((arg) => arg !== "--");
  return { target: before[0], rest: [...before.slice(1), ...rest] };
}
