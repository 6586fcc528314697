import { readdirSync, readFileSync, statSync } from "node:fs";

/** A process of this host, as it was started. */
export interface CommandLine {
  readonly pid: number;
  /** User id that it runs as. */
  readonly uid: number;
  readonly args: readonly string[];
}

/** How every process of this host was started, as far as this user may see it; nothing where there is no /proc. */
export function commandLines(): CommandLine[] {
  return namesIn("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const { uid } = statSync(`/proc/${name}`);
        const text = readFileSync(`/proc/${name}/cmdline`, "utf8");
        return text === "" ? [] : [{ pid: Number(name), uid, args: text.replace(/\0$/, "").split("\0") }];
      } catch {
        // It ended meanwhile.
        return [];
      }
    });
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
