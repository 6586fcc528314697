import path from "node:path";
import { forecastsOf, sampleRecordOf } from "../../../observe/sample-record.ts";
import type { Forecast } from "../../../cluster/disk-growth.ts";
import { readBounded } from "../../../system/files/bounded-lines.ts";
import { now } from "../../../system/clock.ts";

const DAY = 86_400_000;

/**
 * When the disk of each node is full, from the agent's samples of the last 24 hours; null for one that does not fill.
 * Nodes of which too little is known are left out.
 * @throws Error when too little is known of all.
 */
export async function knownForecasts(stateDir: string): Promise<ReadonlyMap<string, Forecast | null>> {
  const since = now() - DAY;
  const records = readBounded(path.join(stateDir, "samples.jsonl")).flatMap((line) => {
    const record = sampleRecordOf(line);
    return record && Date.parse(record.at) >= since ? [record] : [];
  });
  const known = forecastsOf(records);
  if (known.size === 0) throw new Error("the agent has taken samples for less than six hours yet");
  return await Promise.resolve(known);
}
