import path from "node:path";
import { secondDrillSchema, type SecondDrill } from "../model/backups/second-drill.ts";
import { writeFileAtomic } from "../system/files/files.ts";
import { inspectJsonFile } from "../system/files/json-file.ts";

function drillFile(stateDir: string): string {
  return path.join(stateDir, "second-drill.json");
}

/** What drills of a second left; undefined where there was none or its record is damaged: the next one writes it. */
export async function readSecondDrill(stateDir: string): Promise<SecondDrill | undefined> {
  const read = await inspectJsonFile(drillFile(stateDir), secondDrillSchema);
  return read?.ok === true ? read.value : undefined;
}

/** @param changes over what is known by now: a drill takes long, and another one may have ended meanwhile */
export async function changeSecondDrill(
  stateDir: string,
  changes: Partial<Omit<SecondDrill, "version">> & Pick<SecondDrill, "begun_at">,
): Promise<void> {
  const before = await readSecondDrill(stateDir);
  await writeSecondDrill(stateDir, { version: 1, proven: null, failed: null, ...before, ...changes });
}

/** Replaces what is known of drills. */
export async function writeSecondDrill(stateDir: string, drill: SecondDrill): Promise<void> {
  await writeFileAtomic(drillFile(stateDir), `${JSON.stringify(drill, undefined, 2)}\n`, { mode: 0o644 });
}
