import { nextStep, odooPg } from "../next-step.ts";
import path from "node:path";
import * as z from "zod";
import { move, writeFileAtomic } from "../system/files/files.ts";
import { readJsonFile } from "../system/files/json-file.ts";
import { alarmsStateSchema } from "./decide.ts";
import { queueStateSchema } from "./queue.ts";

const savedSchema = alarmsStateSchema.extend({
  version: z.literal(1),
  channels: z.record(z.string(), queueStateSchema),
});

/** The active alarms, and what each channel still has to send. */
export type SavedAlarms = z.output<typeof savedSchema>;

function alarmsFile(stateDir: string): string {
  return path.join(stateDir, "alarms.json");
}

/**
 * What the last agent left; undefined where there was none.
 * @throws OdooPgError state_dir_unusable when it is damaged, or may not be read
 */
export async function readAlarms(stateDir: string): Promise<SavedAlarms | undefined> {
  return await readJsonFile(alarmsFile(stateDir), savedSchema, {
    code: "state_dir_unusable",
    safe: "Nothing was changed.",
    next: nextStep`The agent sets it aside when it starts, and reports the alarms that are on again: ${odooPg("up")}`,
  });
}

/** Puts a damaged file beside, in place of one that was put there before. @returns where it lies now */
export async function setAlarmsAside(stateDir: string): Promise<string> {
  const aside = `${alarmsFile(stateDir)}.damaged`;
  await move(alarmsFile(stateDir), aside);
  return aside;
}

/** @throws OdooPgError disk_full, state_dir_unusable */
export async function writeAlarms(stateDir: string, saved: SavedAlarms): Promise<void> {
  await writeFileAtomic(alarmsFile(stateDir), `${JSON.stringify(saved, undefined, 2)}\n`);
}
