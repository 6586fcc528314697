import path from "node:path";
import { OdooPgError } from "../../errors.ts";
import { programOf } from "../../postgres/installation.ts";
import { runClientProgram } from "../../postgres/client-program.ts";
import { kindOf, writeFileAtomic } from "../../system/files/files.ts";
import { temporaryDirectory } from "../../system/files/temporary-directory.ts";
import { feed, outputOf } from "../../system/process/pipeline.ts";
import { startupOptions } from "../../system/sql/sql.ts";
import type { BackupSource } from "../../backup/source.ts";
import type { ArchiveEntry, ArchiveList } from "./archive-list.ts";
import type { Filling } from "./filling.ts";
import { assertNamesOwnFiles } from "../reading/dump-folder.ts";
import { loadSettings } from "../target/new-database.ts";
import type { SetAside } from "../target/set-aside.ts";
import { SqlLoader, type SqlLoaded } from "./sql-loader.ts";

/** An archive of pg_dump that is loaded. */
export interface Archive {
  /** For messages. */
  readonly name: string;
  /** Where it is read. */
  readonly file: string;
  readonly list: ArchiveList;
  /** Processes at the same time. */
  readonly jobs: number;
  /** On a truncated tar, pg_restore hangs unless it stops at the first error. */
  readonly tar?: boolean;
  /** Whether extensions that only a superuser may create are accepted from it. */
  readonly trusted: boolean;
  readonly immutableUnaccent: boolean;
  /** As in SqlOrder. */
  readonly rightsKnown?: boolean;
  /** Creates objects that it may take for granted, before what failed is tried again. */
  readonly beforeRetry?: () => Promise<void>;
}

export interface ArchiveLoaded {
  readonly setAside: readonly SetAside[];
  readonly notes: readonly string[];
}

/**
 * The list that pg_restore gives of an archive: the first that is read of any.
 * @throws OdooPgError command_failed with its message; dump_unusable for a folder that names other files than its own
 */
export async function listArchive(source: BackupSource, file: string): Promise<string> {
  if ((await kindOf(file)) === "directory") await assertNamesOwnFiles(file);
  const ran = await runClientProgram(programOf(source.installation, "pg_restore"), ["--list", file], {
    signal: source.signal,
  });
  return ran.stdout;
}

/**
 * Loads an archive (custom, directory or tar format) as the loader. What pg_restore cannot create is tried again, one
 * by one.
 * @throws OdooPgError when rows are missing at the end
 */
export async function loadArchive(
  filling: Filling,
  archive: Archive,
  onTable: (done: number, total: number) => void,
): Promise<ArchiveLoaded> {
  const { list } = archive;
  if (archive.tar === true)
    return await loadAsSql(filling, archive, [...list.first, ...list.load, ...list.last]);
  const total = list.counts.get("TABLE DATA") ?? 0;
  let done = 0;
  const onLine = (line: string): void => {
    if (!line.includes("processing data for table")) return;
    done += 1;
    onTable(Math.min(done, total), total);
  };
  const first = await loadAsSql(filling, archive, list.first);
  const failed = await restoreEntries(filling, archive, list.load, ["--verbose"], { onLine });
  if (failed.length) await archive.beforeRetry?.();
  const rest = await loadAsSql(filling, archive, [...failed, ...list.last], { again: true });
  return bothOf(first, rest);
}

export function bothOf(first: ArchiveLoaded, second: ArchiveLoaded): ArchiveLoaded {
  return {
    setAside: [...first.setAside, ...second.setAside],
    notes: [...first.notes, ...second.notes],
  };
}

/**
 * Loads entries of an archive statement by statement: those that pg_restore cannot restore, or not in the required way.
 * @param how.again whether pg_restore has tried them
 */
export async function loadAsSql(
  filling: Filling,
  { name, file, trusted, immutableUnaccent, rightsKnown = false, beforeRetry }: Archive,
  entries: readonly ArchiveEntry[],
  how: { readonly again: boolean } = { again: false },
): Promise<SqlLoaded> {
  if (!entries.length) return { rows: new Map(), setAside: [], notes: [] };
  const { installation, signal } = filling.source;
  const order = {
    name,
    part: undefined,
    converted: () => false,
    trusted,
    immutableUnaccent,
    rightsKnown,
    ...how,
    ...(beforeRetry ? { beforeRetry } : {}),
  };
  return await withList(entries, async (useList) => {
    const program = programOf(installation, "pg_restore");
    // Anything that it cannot read is an error of the file.
    const args = [useList, "--exit-on-error", "--no-owner", "--no-tablespaces", "--file=-", file];
    return await SqlLoader.load(filling, order, outputOf({ program, args, signal }));
  });
}

async function withList<T>(
  entries: readonly ArchiveEntry[],
  use: (argument: string) => Promise<T>,
): Promise<T> {
  return await temporaryDirectory(undefined, async (folder) => {
    const file = path.join(folder, "list");
    await writeFileAtomic(file, `${entries.map(({ line }) => line).join("\n")}\n`);
    return await use(`--use-list=${file}`);
  });
}

interface Restoring {
  readonly onLine?: (line: string) => void;
}

/**
 * Runs pg_restore on entries of an archive, as the loader, who then owns everything.
 * @returns those that it could not restore
 * @throws OdooPgError when it did not finish
 */
export async function restoreEntries(
  filling: Filling,
  { file, jobs }: Archive,
  entries: readonly ArchiveEntry[],
  args: readonly string[],
  { onLine }: Restoring = {},
): Promise<ArchiveEntry[]> {
  if (!entries.length) return [];
  const failed = new Set<number>();
  let last = "";
  const lines = lineReader((line) => {
    // pg_backup_archiver.c, warn_or_exit_horribly, in locale C. Each process writes this part at once, but lines of several
    // may come one inside of the other.
    for (const [, id] of line.matchAll(/from TOC entry (\d+); \d+ \d+ [A-Z]/g)) failed.add(Number(id));
    if (line.trim() !== "") last = line;
    onLine?.(line);
  });
  try {
    await withList(entries, async (useList) => {
      await pgRestore(filling, [useList, `--jobs=${jobs}`, ...args, file], { onStderr: lines });
    });
  } catch (error) {
    const came = /warning: errors ignored on restore: \d+$/.test(last.trimEnd()) && failed.size > 0;
    if (!(error instanceof OdooPgError) || error.code !== "command_failed" || !came) throw error;
  }
  return entries.filter(({ id }) => failed.has(id));
}

/** Gives on what comes in pieces line by line; the last is given when its end comes. */
function lineReader(onLine: (line: string) => void): (text: string) => void {
  let held = "";
  return (text) => {
    const lines = (held + text).split("\n");
    held = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  };
}

/** Runs pg_restore as the loader. @throws OdooPgError when anything failed. */
export async function pgRestore(
  filling: Filling,
  args: readonly string[],
  options: { readonly input?: AsyncIterable<Buffer>; readonly onStderr?: (text: string) => void } = {},
): Promise<void> {
  const { input = nothing(), onStderr } = options;
  const { source, target } = filling;
  await feed(
    {
      program: programOf(source.installation, "pg_restore"),
      args: [
        `--dbname=${await target.loading.connection("odoo-pg restore")}`,
        "--no-owner",
        "--no-privileges",
        // It belongs to the dumped server; here everything is stored where the database is.
        "--no-tablespaces",
        "--no-password",
        ...args,
      ],
      environment: {
        PGPASSFILE: target.passfile,
        PGOPTIONS: startupOptions(loadSettings(source.processors)),
      },
      signal: source.signal,
      ...(onStderr ? { onStderr } : {}),
    },
    input,
  );
}

async function* nothing(): AsyncGenerator<Buffer> {}
