import { programPlaces } from "../system/program-places.ts";
import { OdooPgError } from "../errors.ts";
import { isExecutable } from "../system/files/files.ts";
import type { ProgramSearch } from "../system/install.ts";
import { run } from "../system/process/process.ts";

/** From which version of pgBackRest on it knows a major version of PostgreSQL. Source: its release notes. */
const KNOWS: readonly (readonly [major: number, minor: number])[] = [
  [18, 55],
  [17, 53],
  [16, 46],
  [15, 41],
  [13, 40],
];

/**
 * Finds pgBackRest, of a version that knows the server's.
 * @throws OdooPgError pgbackrest_missing
 */
export async function findPgbackrest(major: number, machine: ProgramSearch): Promise<string> {
  const needed = KNOWS.find(([first]) => major >= first)?.[1] ?? 0;
  const found: string[] = [];
  for (const candidate of programPlaces("pgbackrest", machine.searchPath)) {
    if (!(await isExecutable(candidate))) continue;
    const said = await run(candidate, ["version"], { timeout: 5000 }).catch(() => undefined);
    const minor = /^pgBackRest 2\.(\d+)/m.exec(said?.stdout ?? "")?.[1];
    if (minor !== undefined && Number(minor) >= needed) return candidate;
    if (minor !== undefined) found.push(`2.${minor} at ${candidate}`);
  }
  throw new OdooPgError("pgbackrest_missing", {
    message: `"backup.any_second" is enabled. No pgBackRest 2.${needed} or later, which PostgreSQL ${major} needs, was found${found.length ? `; found: ${found.join(", ")}` : ""}.`,
    safe: "Nothing was changed.",
    next: machine.install({ apt: "pgbackrest", brew: "pgbackrest" }),
  });
}
