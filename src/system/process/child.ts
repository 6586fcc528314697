import { OdooPgError } from "../../errors.ts";

/** Loaded when the first program is run: a command that runs none must not pay for it. */
export async function loadExeca(): Promise<typeof import("execa")> {
  return await import("execa");
}

/** What children see of our environment. PG* variables and secrets never pass on. */
export function childEnvironment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  return { PATH: process.env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin", LC_ALL: "C", TZ: "UTC", ...extra };
}

/** Lines of a program's last words that an error holds. */
const LINES_SHOWN = 6;

/**
 * A program that failed, as an error with its last words; a full disk is told apart, here alone.
 * @param end how it ended, as it follows its name: `failed (exit status 1)`, `was killed`
 * @param telling picks the lines that say what went wrong; without any of them the last lines stand
 */
export function programFailure(
  program: string,
  end: string,
  words: string,
  telling?: { readonly is: RegExp; readonly lines: number },
): OdooPgError {
  const lines = words.trim().split("\n");
  const told = telling ? lines.filter((line) => telling.is.test(line)).slice(0, telling.lines) : [];
  const text = (told.length ? told : lines.slice(-LINES_SHOWN)).join("\n  ");
  if (/No space left on device|Disk quota exceeded/.test(words)) {
    return new OdooPgError("disk_full", {
      message: `${program} found no room left on the disk:\n  ${text}`,
      safe: "What existed before is unchanged.",
      next: "Make room, then run the same command again.",
    });
  }
  return new OdooPgError("command_failed", { message: `${program} ${end}:\n  ${text}` });
}
