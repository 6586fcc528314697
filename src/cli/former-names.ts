import { formerNames } from "../model/alarm-settings.ts";
import type { Context } from "./context.ts";

/** Reports alarms that the configuration calls by their names of version 0.1. */
export function noteFormerNames({ config, output }: Pick<Context, "config" | "output">): void {
  for (const { former, name } of formerNames(config.alarms.rules))
    output.err(`alarms.rules.${former} is now called ${name}; the next version drops the old name.`);
}
