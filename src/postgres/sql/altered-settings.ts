import { isManaged } from "../../config/parameters.ts";
import { readTextOfOthers } from "../../system/files/held/by-path.ts";
import { inFolder } from "../../system/files/held/folder.ts";
import { writeFileAtomic, type Owner } from "../../system/files/files.ts";

/** The file in a data directory that ALTER SYSTEM writes. */
export const ALTERED_FILE = "postgresql.auto.conf";

/** A setting in it. ALTER SYSTEM writes each on one line. */
export interface AlteredLine {
  readonly name: string;
  /** From 1 on. */
  readonly line: number;
  readonly text: string;
}

/** The settings in a text of postgresql.auto.conf. */
export function alteredLines(auto: string): AlteredLine[] {
  return auto.split("\n").flatMap((text, index) => {
    const name = settingOf(text);
    return name === undefined ? [] : [{ name, line: index + 1, text: text.trim() }];
  });
}

function settingOf(line: string): string | undefined {
  return /^\s*([A-Za-z_][\w.]*)\s*=/.exec(line)?.[1];
}

/** Such a text without what each node has of its own: its port, its places, whom it follows. */
export function withoutOwn(auto: string): string {
  return auto
    .split("\n")
    .filter((line) => !isManaged(settingOf(line)?.toLowerCase() ?? ""))
    .join("\n");
}

/** Has a copy of another node's data directory not take that node's port, log or pid file: ALTER SYSTEM goes before the files. */
export async function forgetOwnSettings(dataDir: string, owner: Owner | undefined): Promise<void> {
  const text = await readTextOfOthers(`${dataDir}/${ALTERED_FILE}`);
  const kept = text === undefined ? undefined : withoutOwn(text);
  if (kept === undefined || kept === text) return;
  await inFolder(dataDir, async (folder) => await writeFileAtomic(folder.at(ALTERED_FILE), kept, { owner }));
}
