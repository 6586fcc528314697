import { readState } from "../../store/state.ts";
import type { ExitStatus } from "../../errors.ts";
import type { Context } from "../context.ts";
import { requireCluster } from "../which-cluster.ts";

/** Who became primary, when and why; how long writes paused. */
export async function history(context: Context, options: { json: boolean }): Promise<ExitStatus> {
  await requireCluster(context);
  const entries = (await readState(context.layout))?.history ?? [];
  const { output } = context;
  if (options.json) {
    output.out(
      JSON.stringify({ version: 1, cluster: context.config.cluster, history: entries }, undefined, 2),
    );
    return 0;
  }
  if (!entries.length) output.err("Nothing has happened yet.");
  for (const { at, kind, from, to, why, timeline, writes_paused_ms } of entries) {
    const paused = writes_paused_ms === null ? "" : `, writes paused ${writes_paused_ms} ms`;
    const path = from === null ? to : `${from} → ${to}`;
    output.out(
      `${at.slice(0, 19)}Z  ${kind.padEnd(12)}  ${path}  timeline ${timeline ?? "?"}${paused}  (${why})`,
    );
  }
  return 0;
}
