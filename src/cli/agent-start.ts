import type { AgentOptions } from "../agent/agent.ts";
import type { AgentStart } from "../agent/control/client.ts";
import { programSearch, serverOwner, type Context } from "./context.ts";
import { BUILD, VERSION } from "./setup/version.ts";

/** How this host's agent is started. @throws OdooPgError no_unprivileged_user */
export async function agentStart(context: Context): Promise<AgentStart> {
  const { layout, config, invocation } = context;
  const owner = await serverOwner(context);
  return {
    layout,
    owner,
    user: owner ? (config.user ?? "postgres") : undefined,
    program: invocation.program,
    ...programSearch(context),
    version: VERSION,
    build: BUILD,
    config,
  };
}

/** An agent that is this very process. */
export function agentOptions(
  context: Pick<Context, "invocation" | "machine">,
  own: Pick<AgentOptions, "stateDir" | "owner" | "log">,
): AgentOptions {
  const { invocation, machine } = context;
  return {
    ...own,
    machine,
    ...programSearch(context),
    version: VERSION,
    build: BUILD,
    program: invocation.program,
  };
}
