import path from "node:path";
import { sampleRecordOf } from "../../../agent/sample-record.ts";
import { daysLeft, enoughIsKnown, type FreeAt } from "../../../cluster/disk-growth.ts";
import { readBounded } from "../../../system/bounded-lines.ts";
import { now } from "../../../system/clock.ts";

const DAY = 86_400_000;

/**
 * Days until the disk of each node is full, from the agent's samples of the last 24 hours; null for one that does not
 * fill. Nodes of which too little is known are left out.
 * @throws Error when too little is known of all.
 */
export async function knownDaysLeft(stateDir: string): Promise<ReadonlyMap<string, number | null>> {
  const since = now() - DAY;
  const looks = new Map<string, FreeAt[]>();
  for (const line of readBounded(path.join(stateDir, "samples.jsonl"))) {
    const record = sampleRecordOf(line);
    const at = Date.parse(record?.at ?? "");
    if (!record || !(at >= since)) continue;
    for (const { name, disk_free_bytes: bytes } of record.nodes) {
      if (bytes === null) continue;
      const present = looks.get(name);
      if (present) present.push({ at, bytes });
      else looks.set(name, [{ at, bytes }]);
    }
  }
  const known = [...looks].filter(([, free]) => enoughIsKnown(free));
  if (known.length === 0) throw new Error("the agent has taken too few samples yet");
  return new Map(known.map(([name, free]) => [name, daysLeft(free)]));
}
