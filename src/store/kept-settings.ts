import { nodeLayoutOf, type Layout } from "../config/layout.ts";
import type { Config } from "../config/schema.ts";
import { settingsOf01 } from "../config/settings/earlier.ts";
import { settingsToKeep, type Settings } from "../config/settings/table.ts";
import { seeFigures } from "../postgres/figures.ts";
import type { Machine } from "../system/machine.ts";
import type { ClusterState } from "./state.ts";

/**
 * The settings that were chosen for a cluster when it was made; for one that is not made yet, what is right on the machine
 * as it is now.
 * @param major of the server, where it is known
 */
export async function keptSettings(
  { config, layout, machine }: { config: Config; layout: Layout; machine: Machine },
  state: ClusterState | undefined,
  major: number | undefined,
): Promise<Settings> {
  if (state && state.system_identifier !== null) return state.settings ?? settingsOf01(machine.memoryBytes);
  const [node] = config.nodes;
  if (!node) throw new Error("A configuration has at least one node.");
  const { figures } = await seeFigures(config, nodeLayoutOf(layout, node).dataDir, machine.platform);
  return settingsToKeep(figures, major);
}
