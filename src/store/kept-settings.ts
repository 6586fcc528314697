import { nodeLayoutOf, type Layout } from "../config/layout.ts";
import type { Config } from "../config/schema.ts";
import { parseBytes } from "../config/values/postgres-units.ts";
import { settingsOf01 } from "../config/settings/earlier.ts";
import { settingsToKeep, type Settings } from "../config/settings/table.ts";
import { seeFigures } from "../postgres/figures.ts";
import type { Machine } from "../system/machine.ts";
import type { ClusterState } from "./state.ts";

/** The part of the memory above which one node's shared_buffers may keep servers from starting. */
const MOST_BUFFERS = 1 / 2;

/**
 * The settings that were chosen for a cluster when it was made; for one that is not made yet, or whose machine has
 * shrunk below what they need, what is right on the machine as it is now.
 * @param major of the server, where it is known
 * @param libraries that the servers can load
 */
export async function keptSettings(
  { config, layout, machine }: { config: Config; layout: Layout; machine: Machine },
  state: ClusterState | undefined,
  major: number | undefined,
  libraries: readonly string[] = [],
): Promise<Settings> {
  if (state && state.system_identifier !== null) {
    const settings = state.settings ?? settingsOf01(machine.memoryBytes);
    if (fits(settings, machine.memoryBytes)) return settings;
  }
  const [node] = config.nodes;
  if (!node) throw new Error("A configuration has at least one node.");
  const { figures } = await seeFigures(config, nodeLayoutOf(layout, node).dataDir, machine.platform);
  return settingsToKeep(figures, major, libraries);
}

function fits({ shared_buffers }: Settings, memoryBytes: number): boolean {
  const bytes = parseBytes(shared_buffers ?? 0);
  return typeof bytes === "number" && bytes <= memoryBytes * MOST_BUFFERS;
}
