import { ensureAgent } from "../../agent/client.ts";
import type { ExitStatus } from "../../errors.ts";
import { HostAgent } from "../../hosts/agent/host-agent.ts";
import { hostsStatus } from "../../hosts/ask-agent.ts";
import { takePossession } from "../../store/possession.ts";
import { waitUntil } from "../../system/clock.ts";
import { installOn } from "../../system/install.ts";
import { openLog } from "../../system/log.ts";
import { onSignals } from "../../system/process/process.ts";
import { searchPath, serverOwner, type Context } from "../context.ts";
import { BUILD, VERSION } from "../setup/version.ts";
import { agentStart } from "./start.ts";
import { hostsSheet } from "./status.ts";

/** Milliseconds for the cluster to have a primary, as this host sees it: another host may be about to take over. */
const PRIMARY_TIMEOUT = 60_000;

/**
 * `up` on one of several hosts: sees to it that its agent runs, which sees to etcd, Patroni and the endpoints. In the
 * foreground it is the agent itself; its end ends nothing else.
 */
export async function hostsUp(
  context: Context,
  options: { readonly foreground: boolean },
): Promise<ExitStatus> {
  const { layout, machine, invocation } = context;
  if (!options.foreground) {
    await ensureAgent(await agentStart(context));
    const hasPrimary = async (): Promise<boolean> =>
      ((await hostsStatus(layout, 2000))?.primary ?? null) !== null;
    // What there is is shown in any case.
    await waitUntil(hasPrimary, { what: "a primary", timeout: PRIMARY_TIMEOUT, interval: 200 }).catch(
      () => {},
    );
    return await hostsSheet(context, { json: false });
  }
  const owner = await serverOwner(context);
  await takePossession(layout, owner, context.config);
  const agent = await HostAgent.load({
    stateDir: layout.stateDir,
    layout,
    owner,
    machine,
    searchPath: searchPath(invocation),
    install: installOn(machine),
    version: VERSION,
    build: BUILD,
    program: invocation.program,
    log: openLog(layout.agentLog, owner, true),
  });
  const unhook = onSignals(["SIGTERM", "SIGINT", "SIGHUP"], () => agent.stop());
  await agent.open();
  await agent.run();
  unhook();
  return 0;
}
