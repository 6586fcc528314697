import { OdooPgError } from "../errors.ts";
import type { BaseBackup } from "../model/backups/archive-status.ts";
import type { Owner } from "../system/files/files.ts";
import { programFailure } from "../system/process/child.ts";
import { run, runOrFail, type Ran } from "../system/process/process.ts";
import { readInfo } from "./info.ts";
import type { Missed } from "./recovering.ts";
import { noteRepository, requireRepository, type MarkedPlace } from "./repository-mark.ts";

/** pgBackRest as one node uses it. It always works with the rights of the user that the servers run as. */
export interface Pgbackrest {
  readonly program: string;
  readonly conf: string;
  readonly stanza: string;
  readonly owner: Owner | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Milliseconds for what only reads and writes a few small files. */
const SHORT = 120_000;

/** Exit status for a stanza whose files belong to another cluster, such as an earlier one of the same name. */
const STANZA_OF_ANOTHER = 28;

async function call(
  { program, conf, stanza, owner, signal }: Pgbackrest,
  command: string,
  args: readonly string[],
  timeout: number,
): Promise<Ran> {
  return await run(program, [`--config=${conf}`, `--stanza=${stanza}`, ...args, command], {
    owner,
    signal,
    timeout,
  });
}

async function callOrFail(
  { program, conf, stanza, owner, signal }: Pgbackrest,
  command: string,
  args: readonly string[],
  timeout: number,
): Promise<Ran> {
  return await runOrFail(program, [`--config=${conf}`, `--stanza=${stanza}`, ...args, command], {
    owner,
    signal,
    timeout,
  });
}

/**
 * Prepares the repository for a cluster's WAL. May be run again.
 * @throws OdooPgError command_failed, disk_full, repository_missing
 */
export async function prepareStanza(pgbackrest: Pgbackrest, place: MarkedPlace): Promise<void> {
  await requireRepository(place);
  const made = await call(pgbackrest, "stanza-create", [], SHORT);
  if (made.exitCode === STANZA_OF_ANOTHER) await callOrFail(pgbackrest, "stanza-upgrade", [], SHORT);
  else if (made.exitCode !== 0) await callOrFail(pgbackrest, "stanza-create", [], SHORT);
  await noteRepository(place);
}

/** What an archive_command has sent may go on beside, and two of one segment would write the same file: it is waited for. */
const ALONE = 'command -v flock >/dev/null && exec flock -w 60 "$@"; shift; exec "$@"';

/**
 * Takes one segment into the repository, as a server's archive_command does; one that is there already stays as it is.
 * @param file its path in a data directory of the cluster
 */
export async function takeSegment(pgbackrest: Pgbackrest, file: string): Promise<void> {
  const { program, conf, stanza, owner, signal } = pgbackrest;
  const words = [conf, program, `--config=${conf}`, `--stanza=${stanza}`, "archive-push", file];
  const ran = await run("sh", ["-c", ALONE, "sh", ...words], { owner, signal, timeout: SHORT });
  if (ran.exitCode !== 0) throw programFailure(program, `failed (exit status ${ran.exitCode})`, ran.stderr);
}

/** By how much the databases go first, where they and a base backup want the same processor. */
const NICENESS = 10;

/**
 * Makes a base backup; the first one is always full. It has no timeout: the time depends on the cluster's size.
 * @param processors that it may use, as far as the databases leave them
 */
export async function makeBase(
  { program, conf, stanza, owner, signal }: Pgbackrest,
  type: "full" | "diff",
  processors: number,
): Promise<void> {
  const given = [`--type=${type}`, `--process-max=${Math.max(1, processors)}`];
  await runOrFail(program, [`--config=${conf}`, `--stanza=${stanza}`, ...given, "backup"], {
    owner,
    signal,
    timeout: 0,
    niceness: NICENESS,
  });
}

/** Removes base backups and WAL that the window no longer needs. */
export async function expireBases(pgbackrest: Pgbackrest): Promise<void> {
  await callOrFail(pgbackrest, "expire", [], 0);
}

/** Has backup.info name the base backups that are whole in the repository, and no others. Nothing is removed. */
export async function rebuildInfo(pgbackrest: Pgbackrest): Promise<void> {
  await callOrFail(pgbackrest, "expire", ["--repo1-retention-full=9999999"], SHORT);
}

/**
 * Reads all of the repository, and compares each file with its checksum.
 * @returns what is damaged or missing, in pgBackRest's words; it reports this with exit status 0
 */
export async function readRepository(pgbackrest: Pgbackrest): Promise<string[]> {
  const { stdout } = await callOrFail(pgbackrest, "verify", ["--output=text"], 0);
  // Later versions say nothing where all is well.
  if (!/^status: error$/m.test(stdout)) return [];
  return stdout.split("\n").flatMap((line) => (line.startsWith(" ") ? [line.trim()] : []));
}

/** The base backups in the repository, the oldest first. */
export async function listBases(pgbackrest: Pgbackrest, systemIdentifier: string): Promise<BaseBackup[]> {
  const { stdout } = await callOrFail(pgbackrest, "info", ["--output=json"], SHORT);
  return readInfo(stdout, pgbackrest.stanza, systemIdentifier);
}

/** Exit status where a database is to be included that the base backup does not have. */
const NO_SUCH_DATABASE = 80;

/** Exit status where the base backup's timeline was left for the one that is wanted before it was made. */
const OF_ANOTHER_TIMELINE = 58;

/**
 * Writes a base backup as a data directory that recovers up to a target.
 * @param args what says where, which and how far
 * @returns undefined when it is written, or what keeps it from that: it does not have the database that alone is wanted,
 * or does not lead to the timeline
 */
export async function writeBase(
  pgbackrest: Pgbackrest,
  args: readonly string[],
): Promise<Missed | undefined> {
  const ran = await call(pgbackrest, "restore", args, 0);
  if (ran.exitCode === 0) return undefined;
  if (ran.exitCode === NO_SUCH_DATABASE) return "needs_all";
  if (ran.exitCode === OF_ANOTHER_TIMELINE) return "not_reached";
  throw new OdooPgError("command_failed", {
    message: `pgbackrest restore failed (exit status ${ran.exitCode}): ${ran.stderr.trim().split("\n").slice(-6).join("\n  ")}`,
    safe: "The live cluster was not touched.",
  });
}
