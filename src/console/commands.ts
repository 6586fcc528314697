import { isBackupId } from "../backup/naming.ts";
import type { Action } from "../model/console-actions.ts";

/** What an action shows before it is done: by the dry run of its command, or in words where that has none. */
export type Plan =
  | { readonly kind: "dry run"; readonly args: readonly string[] }
  | { readonly kind: "words"; readonly lines: readonly string[] };

/**
 * The command of each action, as its arguments behind `odoo-pg`: the one place where the page becomes a command. No
 * shell reads them, and a name is never taken for an option.
 */
export function argumentsOf(action: Action): readonly string[] {
  if (action.kind === "backup") {
    const { database } = action;
    return ["backup", "create", ...(database === undefined ? ["--all"] : operands(database))];
  }
  if (action.kind === "restore_copy") return ["restore", "--as", action.as, ...operands(action.backup)];
  if (action.kind === "copy_neutralized")
    return ["db", "copy", "--neutralize", ...operands(action.source, action.copy)];
  if (action.kind === "switchover")
    return ["switchover", ...(action.to === undefined ? [] : ["--to", action.to])];
  if (action.kind === "cancel_session") return ["sessions", "cancel", String(action.pid)];
  if (action.kind === "terminate_session") return ["sessions", "terminate", String(action.pid)];
  return [action.kind, ...operands(action.node)];
}

export function planOf(action: Action): Plan {
  if (action.kind === "backup") {
    return words(
      action.database === undefined
        ? "Every database is backed up now, with its attachments, as the schedule does."
        : `Database "${action.database}" is backed up now, with its attachments.`,
      "No database is changed. Expired backups are removed afterwards, as after every run.",
    );
  }
  if (action.kind === "restore_copy") {
    return words(
      `Backup ${action.backup} is restored into the new database "${action.as}", and compared before it counts.`,
      "No database that exists is changed. It needs as much room as the original.",
      `"${action.as}" is live: its scheduled actions and mail servers are on. For a trial, make a neutralised copy of it.`,
    );
  }
  if (action.kind === "copy_neutralized") {
    return words(
      `Database "${action.source}" is copied to the new database "${action.copy}", while others work in it.`,
      "The copy is made harmless before any Odoo can see it: its scheduled actions and mail servers are off.",
      `"${action.source}" is not changed. The copy needs as much room as the original.`,
    );
  }
  const args = argumentsOf(action);
  const named = args[0] === "sessions" ? 2 : 1;
  return { kind: "dry run", args: [...args.slice(0, named), "--dry-run", ...args.slice(named)] };
}

/** What is wrong with an action, beyond what its command says itself. */
export function problemOf(action: Action): string | undefined {
  // A command takes the path of a file, too. From the page, only what odoo-pg has made is restored.
  if (action.kind === "restore_copy" && (action.backup.includes("/") || !isBackupId(action.backup)))
    return `"${action.backup}" is not the id of a backup`;
  return undefined;
}

function words(...lines: readonly string[]): Plan {
  return { kind: "words", lines };
}

function operands(...names: readonly string[]): string[] {
  return names.some((name) => name.startsWith("-")) ? ["--", ...names] : [...names];
}
