import { programFailure } from "../system/process/child.ts";
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
  const ran = await run(program, args, { timeout: 0, ...options });
  if (ran.exitCode === 0) return ran;
  const end = ran.exitCode >= 128 ? "was killed" : `failed (exit status ${ran.exitCode})`;
  throw programFailure(program, end, ran.stderr, { is: TELLING, lines: 12 });
}
