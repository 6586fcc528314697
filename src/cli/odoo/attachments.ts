import { nextStep, odooPg, type NextStep } from "../../next-step.ts";
import { suggest, type Context } from "../context.ts";
import { usualOdooFile } from "./odoo-file.ts";

/** Says before a backup, not after it, that attachments will not be in it, and what puts them there. */
export async function noteAttachments(context: Context): Promise<void> {
  const { config, output } = context;
  if (config.odoo.filestore !== undefined || config.upstream) return;
  output.err("Attachments are in no backup: odoo.filestore is not set.");
  output.err(`  Next: ${suggest(context, nextOf(await usualOdooFile()))}`);
}

function nextOf(file: string | undefined): NextStep {
  if (file !== undefined) return [odooPg("adopt", file, "--apply")];
  return nextStep`${odooPg("adopt", "FILE", "--apply")}, with the odoo.conf that Odoo is started with`;
}
