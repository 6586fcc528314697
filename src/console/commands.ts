import { isBackupId } from "../backup/naming.ts";
import type { Action } from "../model/console-actions.ts";
import { command, nextStep, odooPg, type NextStep } from "../next-step.ts";

/** What an action shows before it is done: by the dry run of its command, or in words where that has none. */
export type Plan =
  | { readonly kind: "dry run"; readonly args: readonly string[] }
  | { readonly kind: "words"; readonly lines: readonly string[] };

/** Where a secret is that was given for setup. */
export function givenFile(dir: string): string {
  return `${dir}/console_given`;
}

/** Where an uploaded file is. */
export function uploadFile(dir: string, id: string): string {
  return `${dir}/${id}.zip`;
}

/**
 * The command of each action, as its arguments after `odoo-pg`: the one place where the page becomes a command. No
 * shell reads them, and a name is never taken for an option.
 * @param uploads the folder of uploaded files
 * @param secrets the folder of secrets
 */
export function argumentsOf(action: Action, uploads = ".", secrets = "."): readonly string[] {
  let args: readonly string[];
  switch (action.kind) {
    case "backup":
      args = ["backup", "create", ...(action.database === undefined ? ["--all"] : operands(action.database))];
      break;
    case "prove":
      args = ["backup", "restore-check", ...(action.backup === undefined ? [] : operands(action.backup))];
      break;
    case "prove_second":
      args = ["backup", "verify", "--any-second"];
      break;
    case "restore_copy":
      args = ["restore", `--as=${action.as}`, ...harmless(action), ...operands(action.backup)];
      break;
    case "restore_upload":
      args = ["restore", `--as=${action.as}`, ...harmless(action), uploadFile(uploads, action.upload)];
      break;
    case "restore_moment":
      args = [
        "restore",
        `--at=${action.at}`,
        `--as=${action.as}`,
        ...harmless(action),
        ...operands(action.database),
      ];
      break;
    case "switchover":
      args = ["switchover", ...(action.to === undefined ? [] : ["--to", action.to])];
      break;
    case "reseed":
    case "rejoin":
      args = [action.kind, ...operands(action.node)];
      break;
    case "copy":
      args = ["db", "copy", ...harmless(action), ...operands(action.source, action.copy)];
      break;
    case "refresh_staging": {
      const { source, copy } = action;
      args = ["db", "copy", "--neutralize", "--replace", `--confirm=${copy}`, ...operands(source, copy)];
      break;
    }
    case "rename_database":
      args = ["db", "rename", "--yes", ...operands(action.database, action.to)];
      break;
    case "drop_database":
      args = ["db", "drop", `--confirm=${action.database}`, ...operands(action.database)];
      break;
    case "accept_setting":
      args = ["tune", "--apply", `--only=${action.setting}`];
      break;
    case "count_statements":
      args = ["statements", "enable"];
      break;
    case "fix":
      args = ["doctor", "--fix", action.code];
      break;
    case "test_alarms":
      args = ["alarms", "test"];
      break;
    case "set_alarm":
      args = ["alarms", "set", action.channel, `--secret-file=${givenFile(secrets)}`];
      break;
    case "unset_alarm":
      args = ["alarms", "unset", action.channel];
      break;
    case "set_mail": {
      const { host, port, security, user, from, to, password } = action;
      args = [
        "alarms",
        "set",
        "mail",
        `--host=${host}`,
        ...(port === undefined ? [] : [`--port=${port}`]),
        `--security=${security}`,
        ...(user === undefined ? [] : [`--user=${user}`]),
        `--from=${from}`,
        `--to=${to}`,
        ...(password ? [`--secret-file=${givenFile(secrets)}`] : []),
      ];
      break;
    }
    case "apply":
      args = ["up"];
      break;
    case "cancel_session":
      args = ["sessions", "cancel", String(action.pid)];
      break;
    case "terminate_session":
      args = ["sessions", "terminate", String(action.pid)];
      break;
  }
  return args;
}

/** The action that has this command, by its arguments after `odoo-pg`; undefined where the page has none for it. */
export function actionOf(args: readonly string[]): Action | undefined {
  const last = args.at(-1) ?? "";
  const candidates: readonly Action[] = [
    { kind: "backup" },
    { kind: "backup", database: last },
    { kind: "prove" },
    { kind: "prove", backup: last },
    { kind: "prove_second" },
    { kind: "switchover" },
    { kind: "switchover", to: last },
    { kind: "reseed", node: last },
    { kind: "rejoin", node: last },
    { kind: "fix", code: last },
    { kind: "test_alarms" },
    { kind: "count_statements" },
    { kind: "apply" },
  ];
  return candidates.find((candidate) => isSame(argumentsOf(candidate), args));
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((arg, index) => arg === other[index]);
}

export function planOf(action: Action): Plan {
  let plan: Plan;
  switch (action.kind) {
    case "backup":
      plan = words(
        action.database === undefined
          ? "Every database is backed up now, with its attachments, as the schedule does."
          : `Database "${action.database}" is backed up now, with its attachments.`,
        "No database is changed. Expired backups are removed afterwards, as after every run.",
      );
      break;
    case "prove":
      plan = words(
        `${action.backup === undefined ? "The newest backup of each database" : `Backup ${action.backup}`} is restored into a scratch database and compared, which is dropped afterwards.`,
        "No database that exists is changed. It needs as much room as the original meanwhile.",
      );
      break;
    case "prove_second":
      plan = words(
        "All of the repository is read. Then a random second of it is brought back beside the cluster.",
        "Every row and every attachment of that second is read, and each table and index is checked where amcheck is installed.",
        "No database that exists is changed. It needs the room of the cluster meanwhile, and removes what it made.",
      );
      break;
    case "restore_copy":
      plan = words(
        `Backup ${action.backup} is restored into the new database "${action.as}", and compared before it counts.`,
        "No database that exists is changed. It needs as much room as the original.",
        harmlessOrLive(action),
      );
      break;
    case "restore_upload":
      plan = words(
        `The uploaded file is restored into the new database "${action.as}", and removed afterwards.`,
        "No database that exists is changed. Anything wrong with the file is reported.",
        harmlessOrLive(action),
      );
      break;
    case "restore_moment":
      plan = words(
        `Database "${action.database}" as it was at ${action.at} is made beside the live one, as "${action.as}", with the attachments of that second.`,
        "No database that exists is changed. It needs the room of the cluster meanwhile, and as much as the original.",
        harmlessOrLive(action),
      );
      break;
    case "copy":
      plan = words(
        `Database "${action.source}" is copied to the new database "${action.copy}", while others work in it.`,
        action.neutralize
          ? "The copy is made harmless before any Odoo can see it: its scheduled actions and mail servers are off."
          : `The copy is LIVE: an Odoo that opens it sends mail and runs scheduled actions as "${action.source}" does.`,
        `"${action.source}" is not changed. The copy needs as much room as the original.`,
      );
      break;
    case "refresh_staging":
      plan = words(
        `Database "${action.source}" is copied, and the copy made harmless: scheduled actions and mail servers are off.`,
        `Then it takes the place of "${action.copy}", which is lost with all that was done in it.`,
        `"${action.source}" is not changed. If anything fails, "${action.copy}" stays as it is.`,
      );
      break;
    case "rename_database":
      plan = words(
        `Database "${action.database}" is called "${action.to}" from then on, with its filestore.`,
        "Sessions in it are ended. An Odoo that names it in its configuration has to be changed.",
      );
      break;
    case "drop_database":
      plan = words(
        `Database "${action.database}" goes, with its filestore. Only its backups can bring it back.`,
        "Its backups stay until they expire.",
      );
      break;
    case "test_alarms":
      plan = words("A test is sent through each channel that the configuration names. Nothing else happens.");
      break;
    case "set_alarm":
    case "set_mail":
      plan = words(
        `A test is sent ${action.kind === "set_mail" ? `by mail to ${action.to}` : `through ${action.channel}`}. If it does not arrive, nothing is changed, and you see why.`,
        "Then it is written into the configuration file; the secret goes into a file of mode 0600 that nobody is shown.",
        "The agent uses it from the next `up` on: “Apply the configuration” does that.",
      );
      break;
    case "count_statements":
    case "accept_setting":
    case "fix":
    case "apply":
    case "unset_alarm":
      plan = { kind: "dry run", args: [...argumentsOf(action), "--dry-run"] };
      break;
    case "switchover":
    case "reseed":
    case "rejoin":
    case "cancel_session":
    case "terminate_session":
      plan = dryRunOf(argumentsOf(action));
      break;
  }
  return plan;
}

function dryRunOf(args: readonly string[]): Plan {
  const named = args[0] === "sessions" ? 2 : 1;
  return { kind: "dry run", args: [...args.slice(0, named), "--dry-run", ...args.slice(named)] };
}

/** Commands that work with the configuration file: they use its present text, not what was applied last. */
export const WITH_FILE: readonly Action["kind"][] = [
  "accept_setting",
  "count_statements",
  "set_alarm",
  "unset_alarm",
  "set_mail",
  "apply",
];

/** Why an action is impossible, and what to do about it. */
export interface ActionProblem {
  readonly message: string;
  readonly next: NextStep;
}

/** What is wrong with an action, beyond what its command itself reports. */
export function problemOf(action: Action, configFile: string | undefined): ActionProblem | undefined {
  // A command also takes the path of a file. From the page, only backups that odoo-pg has made are restored.
  const backup = action.kind === "restore_copy" || action.kind === "prove" ? action.backup : undefined;
  if (backup !== undefined && (backup.includes("/") || !isBackupId(backup)))
    return { message: `"${backup}" is not the id of a backup.`, next: [odooPg("backup", "list")] };
  if (WITH_FILE.includes(action.kind) && configFile === undefined)
    return {
      message: `This cluster was started without a configuration file: there is ${action.kind === "apply" ? "nothing to apply" : "none to write into"}.`,
      next: nextStep`Create an empty one in the folder where you run odoo-pg (${command("touch", "odoo-pg.yaml")}), then: ${odooPg("up")}`,
    };
  return undefined;
}

function words(...lines: readonly string[]): Plan {
  return { kind: "words", lines };
}

function harmless({ neutralize }: { readonly neutralize: boolean }): readonly string[] {
  return neutralize ? ["--neutralize"] : [];
}

function harmlessOrLive(action: { readonly as: string; readonly neutralize: boolean }): string {
  return action.neutralize
    ? `"${action.as}" is made harmless before any Odoo can see it: its scheduled actions and mail servers are off.`
    : `"${action.as}" is LIVE: its scheduled actions and mail servers are on, as in the original.`;
}

function operands(...names: readonly string[]): string[] {
  return names.some((name) => name.startsWith("-")) ? ["--", ...names] : [...names];
}
