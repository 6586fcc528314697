import { programPlaces } from "../../system/program-places.ts";
import { OdooPgError } from "../../errors.ts";
import { isExecutable } from "../../system/files/files.ts";
import { run } from "../../system/process/process.ts";
import type { ProgramSearch } from "../../system/install.ts";
import { isAtLeast } from "../../system/program-version.ts";

/** Lowest version that works: Debian 12 has it. */
export const OLDEST_PGBOUNCER = [1, 18] as const;

/** The program pgbouncer. */
export interface PgbouncerProgram {
  readonly path: string;
  readonly version: readonly [number, number];
}

async function inspect(program: string): Promise<PgbouncerProgram | undefined> {
  if (!(await isExecutable(program))) return undefined;
  const said = await run(program, ["--version"], { timeout: 5000 }).catch(() => undefined);
  const match = /^PgBouncer (?:version )?(\d+)\.(\d+)/im.exec(said?.stdout ?? "");
  return match ? { path: program, version: [Number(match[1]), Number(match[2])] } : undefined;
}

/**
 * Finds PgBouncer: the configured program, else PATH, /usr/sbin, Homebrew.
 * @throws OdooPgError pgbouncer_missing
 */
export async function findPgbouncer(
  configured: string | undefined,
  machine: ProgramSearch,
): Promise<PgbouncerProgram> {
  const oldest = OLDEST_PGBOUNCER.join(".");
  const found: PgbouncerProgram[] = [];
  for (const candidate of configured === undefined
    ? programPlaces("pgbouncer", machine.searchPath)
    : [configured]) {
    const program = await inspect(candidate);
    if (program && isAtLeast(program.version, OLDEST_PGBOUNCER)) return program;
    if (program) found.push(program);
  }
  const others = found.map(({ version, path: where }) => `${version.join(".")} at ${where}`).join(", ");
  const inspected =
    configured === undefined
      ? `No PgBouncer ${oldest} or later was found`
      : `pgbouncer.program ${configured} is no PgBouncer ${oldest} or later`;
  throw new OdooPgError("pgbouncer_missing", {
    message: `An endpoint has "pooling: transaction". ${inspected}${others && `; found: ${others}`}.`,
    safe: "Nothing was changed.",
    next:
      configured === undefined
        ? machine.install({ apt: "pgbouncer", brew: "pgbouncer" })
        : "Correct pgbouncer.program, or leave it out so that PgBouncer is looked for.",
  });
}
