import { OdooPgError } from "../errors.ts";
import { run, type Ran, type RunOptions } from "../system/process/process.ts";

/** Lines with which PostgreSQL's programs tell what went wrong, among the many of --verbose. */
const TELLING = /^\S+: (?:error|fatal|detail|hint|warning)|^(?:DETAIL|HINT|ERROR|FATAL):|^Command was:/;

/**
 * Runs one of PostgreSQL's client programs, however much it says. An exit status other than 0 is an error that holds
 * its complaints only.
 * @throws OdooPgError disk_full, command_failed, interrupted, program_missing.
 */
export async function runClientProgram(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Ran> {
  const ran = await run(program, args, { limit: 0, ...options });
  if (ran.exitCode === 0) return ran;
  const lines = ran.stderr.trim().split("\n");
  const telling = lines.filter((line) => TELLING.test(line));
  const words = (telling.length ? telling : lines.slice(-6)).slice(0, 12).join("\n  ");
  if (/No space left on device|Disk quota exceeded/.test(words)) {
    throw new OdooPgError("disk_full", {
      message: `${program} found no room left on the disk:\n  ${words}`,
      safe: "What existed before is unchanged.",
      next: "Make room, then run the same command again.",
    });
  }
  // 128 stands for an end by a signal.
  const end = ran.exitCode === 128 ? "was killed" : `failed (exit status ${ran.exitCode})`;
  throw new OdooPgError("command_failed", { message: `${program} ${end}:\n  ${words}` });
}
