import type { Config } from "../config/schema.ts";
import { readTextIfAny } from "../system/files/files.ts";
import { postJson } from "../system/network/http.ts";
import { run } from "../system/process/process.ts";
import { messageOf } from "../errors.ts";
import type { RunReport } from "../model/backups/backup-report.ts";

/** Timeout of a hook, in milliseconds. */
const HOOK_TIMEOUT = 60_000;
const WEBHOOK_TIMEOUT = 15_000;

/**
 * Calls the hooks with what happened. A hook that fails does not fail the backup: its output comes back as warnings.
 */
export async function tellHooks(config: Config, report: RunReport): Promise<string[]> {
  const warnings: string[] = [];
  const attempt = async (what: string, act: () => Promise<void>): Promise<void> => {
    try {
      await act();
    } catch (error) {
      warnings.push(`${what}: ${messageOf(error)}`);
    }
  };
  const name = report.ok ? "on_success" : "on_failure";
  const [program, ...args] = config.backup[name];
  if (program !== undefined) {
    await attempt(`backup.${name}`, async () => {
      const ran = await run(program, args, { input: `${JSON.stringify(report)}\n`, timeout: HOOK_TIMEOUT });
      if (ran.exitCode !== 0)
        throw new Error(`exit status ${ran.exitCode}: ${ran.stderr.trim().split("\n").slice(-3).join(" ")}`);
    });
  }
  const file = config.backup.webhook_file;
  if (file !== undefined) {
    await attempt("backup.webhook_file", async () => {
      const address = (await readTextIfAny(file))?.trim();
      if (address === undefined) throw new Error(`there is no file ${file}`);
      await postJson(address, report, WEBHOOK_TIMEOUT);
    });
  }
  return warnings;
}
