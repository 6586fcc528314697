import type { Config } from "../../config/schema.ts";
import { OdooPgError } from "../../errors.ts";
import { unfitForHosts } from "../../hosts/decisions/settings/configure.ts";
import { nextStep, type NextText } from "../../next-step.ts";

/** @param again the command that is given again with another configuration. @throws OdooPgError refused */
export function requireFitForHosts(config: Config, again: NextText): void {
  const unfit = unfitForHosts(config);
  if (!unfit) return;
  throw new OdooPgError("refused", {
    message: `Not with several hosts: ${unfit.why}.`,
    safe: "Nothing was changed.",
    next: nextStep`Write ${unfit.write} into the configuration file, then: ${again}`,
  });
}
