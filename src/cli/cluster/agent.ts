import { Agent } from "../../agent/agent.ts";
import { HostAgent } from "../../hosts/agent/host-agent.ts";
import { readHostRecord } from "../../hosts/documents/record.ts";
import { OdooPgError, type ExitStatus } from "../../errors.ts";
import { layoutOf } from "../../config/layout.ts";
import { openLog } from "../../system/log.ts";
import { findUser, readMachine } from "../../system/machine.ts";
import { onSignals } from "../../system/process/process.ts";
import { agentOptions } from "../agent-start.ts";
import type { Invocation } from "../../system/terminal.ts";

/** The detached agent that `up` starts. A signal ends the agent alone: the servers outlive it. */
export async function runAgent(
  invocation: Invocation,
  options: { stateDir: string; user?: string },
): Promise<ExitStatus> {
  const machine = readMachine();
  const owner = options.user === undefined ? undefined : await findUser(options.user);
  if (options.user !== undefined && !owner) {
    throw new OdooPgError("no_unprivileged_user", { message: `There is no user "${options.user}".` });
  }
  const layout = layoutOf(options.stateDir);
  const log = openLog(layout.agentLog, owner, false);
  const given = agentOptions({ invocation, machine }, { stateDir: options.stateDir, owner, log });
  const several = (await readHostRecord(layout)) !== undefined;
  const agent = several ? await HostAgent.load({ ...given, layout }) : new Agent(given);
  onSignals(["SIGTERM", "SIGINT", "SIGHUP"], () => agent.stop());
  await agent.open();
  await agent.run();
  return 0;
}
