import type { ExitStatus } from "../../errors.ts";
import type { RecordedEvent } from "../../events/event.ts";
import { readEvents } from "../../events/journal.ts";
import { momentOf } from "../../events/since.ts";
import { printableLine } from "../../printable.ts";
import { now, pause } from "../../system/clock.ts";
import { onSignals } from "../../system/process/process.ts";
import type { Context } from "../context.ts";
import { requireCluster } from "../which-cluster.ts";

const DEFAULT_SINCE = "7d";

/** Milliseconds between two reads with --follow, and by how much clocks and writers may overtake each other. */
const POLL_EVERY = 500;
const OVERTAKING = 5000;

/**
 * What happened to the cluster and who asked for it, oldest first; with `follow` also what happens from now on, with
 * `json` one JSON object a line there.
 * @returns 0, or 130 when following was interrupted
 */
export async function events(
  context: Context,
  options: { readonly since?: string | undefined; readonly follow: boolean; readonly json: boolean },
): Promise<ExitStatus> {
  const { output, layout } = context;
  await requireCluster(context);
  const since = momentOf(options.since ?? DEFAULT_SINCE, now());
  const found = readEvents(layout.stateDir, since);
  if (options.json && !options.follow) {
    output.out(JSON.stringify({ version: 1, cluster: context.config.cluster, events: found }, undefined, 2));
    return 0;
  }
  const print = (event: RecordedEvent): void =>
    output.out(options.json ? JSON.stringify(event) : sentence(event));
  if (!found.length && !options.follow)
    output.err(`Nothing happened since ${new Date(since).toISOString().slice(0, 16)}Z.`);
  found.forEach(print);
  if (!options.follow) return 0;
  const ended = new AbortController();
  onSignals(["SIGINT", "SIGTERM"], () => ended.abort());
  let printed = found.map((event) => JSON.stringify(event));
  while (!ended.signal.aborted) {
    await pause(POLL_EVERY, ended.signal).catch(() => {});
    const recent = readEvents(layout.stateDir, Math.max(since, now() - OVERTAKING));
    for (const event of recent) if (!printed.includes(JSON.stringify(event))) print(event);
    printed = recent.map((event) => JSON.stringify(event));
  }
  return 130;
}

function sentence({ at, kind, by, text }: RecordedEvent): string {
  return `${at.slice(0, 19)}Z  ${kind.replaceAll("_", " ").padEnd(13)}  ${printableLine(text)}  (${printableLine(by)})`;
}
