import { installPackages, packagesFit } from "./packages.mjs";
import { installPrograms } from "./install-programs.mjs";
import { missingPrograms } from "./missing-programs.mjs";
import { buildProgram, programIsStale } from "./program.mjs";
import { debian13IsHere, unpackDebian13 } from "./debian-13.mjs";
import { withLock } from "./lock.mjs";
import { SetupError } from "./setup-error.mjs";

/**
 * Brings the clone to the state in which `odoo-pg` and its tests run. Steps already done are only checked. Ends the
 * process with the status of the error when a step fails.
 */
export async function setUp() {
  const besideFits = () => !process.argv.includes("--hosts") || debian13IsHere();
  try {
    if (packagesFit() && !programIsStale() && missingPrograms().length === 0 && besideFits()) return;
    await withLock(async () => {
      // Checked again: another set-up may have done it while this one waited.
      if (!packagesFit()) await installPackages();
      if (programIsStale()) await buildProgram();
      const missing = missingPrograms();
      if (missing.length > 0) await installPrograms(missing);
      if (!besideFits()) await unpackDebian13();
    });
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.error(error.message);
    process.exitCode = error.exit;
  }
}
