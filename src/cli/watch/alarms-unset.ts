import type { Config } from "../../config/schema.ts";
import { OdooPgError, type ExitStatus } from "../../errors.ts";
import { nextStep, odooPg } from "../../next-step.ts";
import { oneLine } from "../../printable.ts";
import { shellWord } from "../../shell-word.ts";
import { readTextIfAny } from "../../system/files/files.ts";
import { suggest, type Context } from "../context.ts";
import { editConfiguration, showApplied } from "../edit-configuration.ts";
import { BY_ADDRESS, secretFile } from "./alarms-set.ts";

type Alarms = Config["alarms"];

/** The key of each channel in section `alarms`. */
const KEYS: ReadonlyMap<string, "mail" | "command" | `${(typeof BY_ADDRESS)[number]}_file`> = new Map([
  ["mail", "mail"],
  ...BY_ADDRESS.map((name) => [name, `${name}_file`] as const),
  ["command", "command"],
]);

/**
 * Removes one channel of the alarms: its lines are removed from the configuration file. The secret's file stays, so
 * that this can be undone and the agent, which uses it until the next `up`, does not find it missing.
 * @throws OdooPgError usage for an unknown channel, or one that is not set up; config_unwritable
 */
export async function alarmsUnset(
  context: Context,
  channel: string,
  flags: { readonly dryRun: boolean },
): Promise<ExitStatus> {
  const { output, config } = context;
  const key = KEYS.get(channel);
  if (key === undefined)
    throw new OdooPgError("usage", {
      message: `There is no channel ${JSON.stringify(oneLine(channel, 40))}: it is ${[...KEYS.keys()].join(", ")}.`,
      safe: "Nothing was changed.",
      next: odooPg("alarms", "list"),
    });
  const before = waysIn(config.alarms);
  if (!before.includes(channel)) {
    throw new OdooPgError("usage", {
      message: `Alarms are not sent through ${channel}${before.length ? `, but through ${before.join(", ")}` : " or any other channel"}.`,
      safe: "Nothing was changed.",
      next: odooPg("alarms", "list"),
    });
  }
  const alarms: Alarms = { ...config.alarms, [key]: key === "command" ? [] : undefined };
  const edit = { section: ["alarms"], values: { gone: key }, expected: { ...config, alarms } };
  showApplied(context, await editConfiguration(context, edit, flags.dryRun), flags.dryRun);
  if (waysIn(alarms).length === 0)
    output.err("▲ It is the last channel: from then on nobody is told of an alarm.");
  if (flags.dryRun) return 0;
  const secret = secretFile(context, channel);
  // Only files that `alarms set` wrote are mentioned: other files are their owner's.
  const kept = (await readTextIfAny(secret).catch(() => undefined)) !== undefined;
  if (kept)
    output.err(`Its secret stays in a file; once it is applied, it may be removed: rm ${shellWord(secret)}`);
  output.err(
    `Next: ${suggest(context, nextStep`Apply it; until then the agent still uses it: ${odooPg("up")}`)}`,
  );
  return 0;
}

/** The channels that a configuration names. */
function waysIn(alarms: Alarms): string[] {
  return [...KEYS].flatMap(([channel, key]) => {
    const value = alarms[key];
    return value === undefined || (Array.isArray(value) && value.length === 0) ? [] : [channel];
  });
}
