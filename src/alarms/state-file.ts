import path from "node:path";
import * as z from "zod";
import { readTextIfAny, writeFileAtomic, type Owner } from "../system/files.ts";
import { alarmsStateSchema } from "./decide.ts";
import { queueStateSchema } from "./queue.ts";

const savedSchema = alarmsStateSchema.extend({
  version: z.literal(1),
  channels: z.record(z.string(), queueStateSchema),
});

/** Which alarms are on, and what is still to be told by which channel. */
export type SavedAlarms = z.output<typeof savedSchema>;

function alarmsFile(stateDir: string): string {
  return path.join(stateDir, "alarms.json");
}

/**
 * What the last agent left. Undefined where there was none, or where the file is damaged or of a newer odoo-pg.
 * @throws OdooPgError state_dir_unusable when it may not be read
 */
export async function readAlarms(stateDir: string): Promise<SavedAlarms | undefined> {
  const text = await readTextIfAny(alarmsFile(stateDir));
  if (text === undefined) return undefined;
  try {
    return savedSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** @throws OdooPgError disk_full, state_dir_unusable */
export async function writeAlarms(
  stateDir: string,
  saved: SavedAlarms,
  owner: Owner | undefined,
): Promise<void> {
  await writeFileAtomic(alarmsFile(stateDir), `${JSON.stringify(saved, undefined, 2)}\n`, { owner });
}
