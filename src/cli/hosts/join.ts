import { OdooPgError, type ExitStatus } from "../../errors.ts";
import { joinCluster } from "../../hosts/joining/join.ts";
import { readHostRecord, type HostRole } from "../../hosts/documents/record.ts";
import { readInvitation } from "../../hosts/joining/tokens.ts";
import { progressTo } from "../../progress.ts";
import type { Context } from "../context.ts";
import { requireFitForHosts } from "./fit.ts";
import { showProgress } from "../progress.ts";
import { nameOfMachine } from "../../hosts/joining/joining.ts";
import { agentStart } from "../agent-start.ts";
import { hostsSheet } from "./status.ts";

/** Makes this host one of a cluster's, and returns when it is. */
export async function join(
  context: Context,
  text: string,
  options: {
    readonly address: string | undefined;
    readonly name: string | undefined;
    readonly role: HostRole;
  },
): Promise<ExitStatus> {
  const invitation = readInvitation(text);
  if (!invitation) {
    throw new OdooPgError("usage", {
      message: "The invitation cannot be read: it must be ADDRESS:PORT#TOKEN, as odoo-pg ha init prints it.",
      safe: "Nothing was changed.",
      next: "Copy it whole, in quotes.",
    });
  }
  const record = await readHostRecord(context.layout);
  const address = options.address ?? record?.address;
  if (address === undefined) {
    throw new OdooPgError("usage", {
      message: "By which address do the other hosts reach this one?",
      safe: "Nothing was changed.",
      next: "Run the same command with --address ADDRESS.",
    });
  }
  const { role } = options;
  // Settings of one host alone are taken from its own file.
  requireFitForHosts(context.config, "run the same command again");
  const start = await agentStart(context);
  const show = showProgress(context);
  try {
    await joinCluster(
      {
        start,
        invitation,
        address,
        name: options.name ?? nameOfMachine(context.machine.hostname),
        role,
      },
      progressTo(show.event),
    );
  } finally {
    show.end();
  }
  return await hostsSheet(context, { json: false });
}
