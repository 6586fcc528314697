import path from "node:path";
import { changedLines } from "../advice/tune/line-diff.ts";
import { withoutKey, withValues } from "../advice/tune/yaml-edit.ts";
import type { Config } from "../config/schema.ts";
import { messageOf, OdooPgError } from "../errors.ts";
import { stamp } from "../model/time-stamp.ts";
import { nextStep, odooPg } from "../next-step.ts";
import { shellWord } from "../shell-word.ts";
import { now } from "../system/clock.ts";
import {
  permissionsOf,
  readTextIfAny,
  realPath,
  removeFile,
  writeFileAtomic,
} from "../system/files/files.ts";
import { DEFAULT_FILE, loadContext, type Context } from "./context.ts";
import { checkParameters } from "./setup/config.ts";

/** A change of the configuration file. */
export interface ConfigurationEdit {
  /** Where in the file. */
  readonly section: readonly string[];
  /** Values to write, as YAML on one line, by their keys; or the key to remove with everything below it. */
  readonly values: ReadonlyMap<string, string> | { readonly gone: string };
  /** The configuration with the change: if the result differs, it is not written. */
  readonly expected: Config;
}

/** The result of an edit, or of its dry run. */
export interface Applied {
  readonly file: string;
  /** The old file; null where there was none, and in a dry run. */
  readonly copy: string | null;
  readonly lines: readonly string[];
}

/**
 * Writes values into the configuration file, or removes a key from it. Nothing else in it changes. The new text is read
 * by the same schema and PostgreSQL's own parser before it replaces the old one, of which a copy stays.
 * @throws OdooPgError config_unwritable, config_invalid, parameter_invalid
 */
export async function editConfiguration(
  context: Context,
  { section, values, expected }: ConfigurationEdit,
  dryRun: boolean,
): Promise<Applied> {
  const { invocation, output, configFile } = context;
  const named = configFile ?? DEFAULT_FILE;
  // A link stays a link.
  const written = path.resolve(invocation.cwd, named);
  const file = (await realPath(written)) ?? written;
  const before = await readTextIfAny(file);
  const after =
    "gone" in values
      ? withoutKey(before ?? "", section, values.gone)
      : withValues(before ?? "", section, values);
  const unwritable = (why: string, cause?: unknown): OdooPgError =>
    new OdooPgError("config_unwritable", {
      message: `${named} cannot be changed: ${why} ${byHand(section, values)}`,
      safe: "Nothing was changed.",
      next: nextStep`${"gone" in values ? "Take it out" : "Write them"} yourself, then: ${odooPg("up")}`,
      cause,
    });
  if (after === undefined) throw unwritable("it is written in a form that odoo-pg does not edit.");
  const draft = await loadContext(invocation, output, configFile, { draft: after });
  if (inOrder(draft.config) !== inOrder(expected)) throw unwritable("other values would change with it.");
  await checkParameters(draft);
  const lines = changedLines(before ?? "", after);
  if (dryRun) return { file: named, copy: null, lines };

  const permissions = (await permissionsOf(file)) ?? { mode: 0o644 };
  const copy = before === undefined ? null : `${file}.before-${stamp(now())}`;
  try {
    if (before !== undefined && copy !== null) await writeFileAtomic(copy, before, permissions);
    await writeFileAtomic(file, after, permissions);
  } catch (error) {
    if (copy !== null) await removeFile(copy).catch(() => {});
    throw unwritable(messageOf(error), error);
  }
  return { file: named, copy, lines };
}

function byHand(section: readonly string[], values: ConfigurationEdit["values"]): string {
  const where = section.join(".");
  if ("gone" in values) return `What has to go is ${values.gone}, below ${where}.`;
  return `These lines belong below ${where}:\n${[...values].map(([name, value]) => `  ${name}: ${value}`).join("\n")}`;
}

export function showApplied(context: Context, { file, copy, lines }: Applied, dryRun: boolean): void {
  const { out, err } = context.output;
  out(`\n${file}:`);
  for (const line of lines) out(`  ${line}`);
  if (dryRun) {
    err("Dry run: nothing was changed.");
    return;
  }
  err(copy === null ? `Written: ${file}` : `Written: ${file}; the old one is ${copy}`);
  err(copy === null ? `To undo: rm ${shellWord(file)}` : `To undo: cp ${shellWord(copy)} ${shellWord(file)}`);
}

/** A configuration as text, whatever the order of its keys. */
function inOrder(config: Config): string {
  return JSON.stringify(config, (_key, value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  );
}
