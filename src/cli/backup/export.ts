import { nextStep, odooPg } from "../../next-step.ts";
import path from "node:path";
import { findInput } from "../../restore/reading/input.ts";
import { exportOdooZip, streamOdooZip } from "../../restore/export-zip.ts";
import { showBytes } from "../../model/quantities.ts";
import { OdooPgError, type ExitStatus } from "../../errors.ts";
import type { Context } from "../context.ts";
import { onPrimary } from "../source.ts";

const STANDARD_OUTPUT = "-";

/** Writes a backup as a zip for Odoo's own database manager. */
export async function exportBackup(
  context: Context,
  word: string,
  flags: { readonly odooZip: string | undefined; readonly json: boolean },
): Promise<ExitStatus> {
  const { output, invocation } = context;
  const { odooZip } = flags;
  if (odooZip === undefined) {
    throw new OdooPgError("usage", {
      message: "Say where to: --odoo-zip FILE, or - for standard output.",
      safe: "Nothing was changed.",
    });
  }
  if (odooZip === STANDARD_OUTPUT && (flags.json || output.terminal)) {
    throw new OdooPgError("usage", {
      message: flags.json
        ? "With --json the document goes to standard output: name a file for the zip."
        : "A zip is not for a terminal: redirect it to a file or a program.",
      safe: "Nothing was changed.",
    });
  }
  const report = await onPrimary(context, async (source, progress) => {
    const input = await findInput(source.place, invocation.cwd, word);
    if (input.kind !== "backup") {
      throw new OdooPgError("usage", {
        message: `${word} is not a backup of odoo-pg.`,
        safe: "Nothing was changed.",
        next: nextStep`List them: ${odooPg("backup", "list")}`,
      });
    }
    if (odooZip === STANDARD_OUTPUT) {
      const { backup, place } = input;
      return await streamOdooZip({ source, backup, place, progress });
    }
    const file = path.resolve(invocation.cwd, odooZip);
    return await exportOdooZip(source, input.backup, input.place, file, progress);
  });
  if (!report) return 0;
  if (flags.json) output.out(JSON.stringify({ version: 1, ...report }, undefined, 2));
  else output.out(`${report.file}  ${showBytes(report.size_bytes)}, ${report.files} attachments`);
  return 0;
}
