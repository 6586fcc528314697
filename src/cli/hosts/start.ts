import type { AgentStart } from "../../agent/control/client.ts";
import { searchPath, serverOwner, type Context } from "../context.ts";
import { BUILD, VERSION } from "../setup/version.ts";

/** How this host's agent is started. */
export async function agentStart(context: Context): Promise<AgentStart> {
  const owner = await serverOwner(context);
  return {
    layout: context.layout,
    owner,
    user: owner ? (context.config.user ?? "postgres") : undefined,
    program: context.invocation.program,
    searchPath: searchPath(context.invocation),
    version: VERSION,
    build: BUILD,
    config: context.config,
  };
}

/** The name of a host, from that of the machine: characters that a slot's name may not have become "_". */
export function nameOfMachine(hostname: string): string {
  const name = (hostname.split(".")[0] ?? "").toLowerCase().replaceAll(/[^a-z0-9_]/g, "_");
  return (/^[a-z]/.test(name) ? name : `h${name}`).slice(0, 31);
}
