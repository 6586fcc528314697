import { nextStep, odooPg, type NextStep } from "../../next-step.ts";
import { suggest, type Context } from "../context.ts";
import { usualOdooFile } from "./odoo-file.ts";

/**
 * Says before a backup, not after it, that attachments will not be in it, and how to include them.
 * @param planned whether databases may still have to be migrated: then the plan for that is named
 */
export async function noteAttachments(context: Context, planned = false): Promise<void> {
  const { config, output } = context;
  if (config.odoo.filestore !== undefined || config.upstream) return;
  output.err("Attachments are in no backup: odoo.filestore is not set.");
  output.err(`  Next: ${suggest(context, nextOf(await usualOdooFile(), planned))}`);
}

function nextOf(file: string | undefined, planned: boolean): NextStep {
  const flags = planned ? [] : ["--apply"];
  if (file !== undefined) return [odooPg("adopt", file, ...flags)];
  return nextStep`${odooPg("adopt", "FILE", ...flags)}, with the odoo.conf that Odoo is started with`;
}
