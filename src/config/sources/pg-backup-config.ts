import type { Origin, Path } from "../origins.ts";
import type { Problem } from "../problems.ts";

/** One value of the configuration that `pg_backup.config` sets. */
export interface FileSetting {
  readonly path: Path;
  readonly value: unknown;
  readonly origin: Origin;
}

export interface PgBackupConfigReading {
  readonly settings: readonly FileSetting[];
  readonly problems: readonly Problem[];
}

const KEYS: Readonly<Record<string, { path: Path; read: (text: string) => unknown }>> = {
  BACKUP_USER: { path: ["backup", "user"], read: (text) => text },
  BACKUP_DIR: { path: ["backup", "dir"], read: (text) => text },
  BACKUP_ONLY_FILTER: { path: ["backup", "only_filter"], read: (text) => text },
  ENABLE_CUSTOM_BACKUPS: { path: ["backup", "custom"], read: switchOrText },
  ENABLE_PLAIN_BACKUPS: { path: ["backup", "plain"], read: switchOrText },
  DAY_OF_WEEK_TO_KEEP: { path: ["backup", "day_of_week_to_keep"], read: numberOrText },
  DAYS_TO_KEEP: { path: ["backup", "days_to_keep"], read: numberOrText },
  WEEKS_TO_KEEP: { path: ["backup", "weeks_to_keep"], read: numberOrText },
  MONTHS_TO_KEEP: { path: ["backup", "months_to_keep"], read: numberOrText },
};

function switchOrText(text: string): unknown {
  const word = text.toLowerCase();
  if (["yes", "true", "on", "1"].includes(word)) return true;
  return ["no", "false", "off", "0"].includes(word) ? false : text;
}

function numberOrText(text: string): unknown {
  return /^\d+$/.test(text) ? Number(text) : text;
}

/**
 * Reads the backup script's configuration: a shell file of KEY=VALUE lines. It is never executed. Values that a shell
 * would work out (`$HOME`, backquotes) are mistakes; names and lines that mean nothing here are left alone; an empty
 * value counts as not set; of several lines for one name the last counts, as in a shell.
 */
export function readPgBackupConfig(file: {
  readonly path: string;
  readonly text: string;
}): PgBackupConfigReading {
  const settings = new Map<string, FileSetting>();
  const problems: Problem[] = [];
  for (const [index, line] of file.text.split(/\r?\n/).entries()) {
    const [, name, rest] = /^\s*(?:export\s+)?([A-Z_]+)=(.*)$/.exec(line) ?? [];
    if (name === undefined || rest === undefined) continue;
    const key = Object.hasOwn(KEYS, name) ? KEYS[name] : undefined;
    if (!key) continue;
    const origin: Origin = { kind: "file", path: file.path, line: index + 1 };
    const value = shellWord(rest);
    if (value === undefined) {
      problems.push({
        origin,
        message: `${name} holds something that only a shell works out; this file is read, never executed: write the value itself`,
      });
    } else if (saysNothing(name, value)) settings.delete(name);
    else settings.set(name, { path: key.path, value: key.read(value), origin });
  }
  return { settings: [...settings.values()], problems };
}

/** That script takes `false` for no filter, and it was root who ran it: to want that is to want nothing else. */
const SAYS_NOTHING: Readonly<Record<string, string>> = { BACKUP_ONLY_FILTER: "false", BACKUP_USER: "root" };

function saysNothing(name: string, value: string): boolean {
  return value === "" || SAYS_NOTHING[name] === value;
}

/** The value of an assignment: one word, in quotes or not, perhaps with a comment behind it. Undefined for anything else. */
function shellWord(text: string): string | undefined {
  const match = /^(?:"([^"$`\\]*)"|'([^']*)'|([^\s"'$`\\;&|<>()#]*))\s*(?:;\s*)?(?:#.*)?$/.exec(
    text.trimEnd(),
  );
  return match ? (match[1] ?? match[2] ?? match[3] ?? "") : undefined;
}
