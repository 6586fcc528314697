import { spawn } from "node:child_process";
import { join } from "node:path";
import { installation, serverOwner } from "../postgres/throwaway-node.ts";
import type { ThrowawayCluster } from "../support/cluster.ts";
import { atEnd } from "../support/scope.ts";
import { waitFor } from "../support/wait.ts";

/** Starts a node's server by hand, past odoo-pg, as a well-meaning person might; returns what stops it. */
export async function startByHand(cluster: ThrowawayCluster, node: string): Promise<() => Promise<void>> {
  const directory = join(cluster.stateDir, "nodes", node);
  const owner = await serverOwner();
  const { binDir } = await installation();
  const child = spawn(
    join(binDir, "postgres"),
    ["-D", join(directory, "data"), "-c", `config_file=${join(directory, "postgresql.conf")}`],
    { cwd: "/", stdio: "ignore", ...owner },
  );
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGINT");
    await waitFor(`${node} to end`, () => child.exitCode !== null || child.signalCode !== null);
  };
  atEnd(stop);
  return stop;
}
