import type { ExitStatus } from "../../errors.ts";
import { newInvitation } from "../../hosts/ask-agent.ts";
import { foundCluster } from "../../hosts/joining/found.ts";
import { progressTo } from "../../progress.ts";
import { installOn } from "../../system/install.ts";
import type { Context } from "../context.ts";
import { showProgress } from "../progress.ts";
import { agentStart, nameOfMachine } from "./start.ts";

/** Makes this host's running cluster the first of several hosts, and prints how the next one joins. */
export async function haInit(
  context: Context,
  options: { readonly address: string; readonly name: string | undefined },
): Promise<ExitStatus> {
  const start = await agentStart(context);
  context.output.err(
    "Note: with several hosts metrics and the console do not run yet. Back to one host: odoo-pg ha disband",
  );
  const show = showProgress(context);
  try {
    await foundCluster(
      {
        start,
        machine: context.machine,
        install: installOn(context.machine),
        address: options.address,
        name: options.name ?? nameOfMachine(context.machine.hostname),
      },
      progressTo(show.event),
    );
  } finally {
    show.end();
  }
  context.output.err("This host is the first of several. No session was ended.");
  return await invite(context);
}

/** Prints how another host joins: with a token that is good for an hour and one host. */
export async function invite({ layout, output }: Context): Promise<ExitStatus> {
  const invitation = await newInvitation(layout);
  output.err("On the next host, within an hour (one host for each token; another: odoo-pg ha invite):");
  output.out(`odoo-pg join '${invitation}' --address ITS-ADDRESS`);
  output.err("with --witness for a host that only votes, --endpoints-only for one with an Odoo alone.");
  return 0;
}
