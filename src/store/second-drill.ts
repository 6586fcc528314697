import path from "node:path";
import { secondDrillSchema, type SecondDrill } from "../model/second-drill.ts";
import { writeFileAtomic } from "../system/files/files.ts";
import { inspectJsonFile } from "../system/files/json-file.ts";

function drillFile(stateDir: string): string {
  return path.join(stateDir, "second-drill.json");
}

/** What drills of a second left; undefined where there was none, or where the record is damaged: the next one writes it anew. */
export async function readSecondDrill(stateDir: string): Promise<SecondDrill | undefined> {
  const read = await inspectJsonFile(drillFile(stateDir), secondDrillSchema);
  return read?.ok === true ? read.value : undefined;
}

export async function writeSecondDrill(stateDir: string, drill: SecondDrill): Promise<void> {
  await writeFileAtomic(drillFile(stateDir), `${JSON.stringify(drill, undefined, 2)}\n`, { mode: 0o644 });
}
