import type { ExitStatus } from "../../errors.ts";
import { newInvitation } from "../../hosts/ask-agent.ts";
import { foundCluster } from "../../hosts/joining/found.ts";
import { progressTo } from "../../progress.ts";
import type { Context } from "../context.ts";
import { showProgress } from "../progress.ts";
import { nameOfMachine } from "../../hosts/joining/joining.ts";
import { agentStart } from "../agent-start.ts";

/** Makes this host's running cluster the first of several hosts, and prints how the next one joins. */
export async function haInit(
  context: Context,
  options: { readonly address: string; readonly name: string | undefined },
): Promise<ExitStatus> {
  const start = await agentStart(context);
  context.output.err(
    "Note: with several hosts the console is a simpler page, without graphs and lists. Back to one host: odoo-pg ha disband",
  );
  const show = showProgress(context);
  try {
    await foundCluster(
      {
        start,
        machine: context.machine,
        address: options.address,
        name: options.name ?? nameOfMachine(context.machine.hostname),
      },
      progressTo(show.event),
    );
  } finally {
    show.end();
  }
  context.output.err("This host is the first of several. No session was ended.");
  return await invite(context, { endpointsOnly: false });
}

/** Prints how another host joins: with a token that is valid for an hour and one host. */
export async function invite(
  { layout, output }: Context,
  options: { readonly endpointsOnly: boolean },
): Promise<ExitStatus> {
  const invitation = await newInvitation(layout, options.endpointsOnly);
  output.err("On the next host, within an hour (one host for each token; another: odoo-pg ha invite):");
  const more = options.endpointsOnly ? " --endpoints-only" : "";
  output.out(`odoo-pg join '${invitation}' --address ITS-ADDRESS${more}`);
  if (!options.endpointsOnly)
    output.err(
      "with --witness for a host that only votes; for one with an Odoo alone: odoo-pg ha invite --endpoints-only",
    );
  return 0;
}
