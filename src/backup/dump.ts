import { runClientProgram } from "../postgres/client-program.ts";
import { programOf } from "../postgres/installation.ts";
import { diskSpace, removeTree } from "../system/files/files.ts";
import type { SuperuserSession } from "../system/sql/sql.ts";
import type { Snapshot } from "./snapshot.ts";
import type { BackupSource } from "./source.ts";

/**
 * Timeout of pg_dump for a table, in milliseconds. The backup's session has locked all of them before: see `gaveWay`.
 */
const DUMP_LOCK_TIMEOUT = 10_000;

/**
 * First major version whose pg_dump has zstd, where it was built with it.
 * https://www.postgresql.org/docs/16/app-pgdump.html (--compress)
 */
const FIRST_WITH_ZSTD = 16;

/**
 * Room, in sizes of the database, in which a passing backup is not compressed: rows as text can be larger than their
 * pages, and what is restored from it may lie on the same disk.
 */
const ROOM_UNCOMPRESSED = 4;

export interface DumpRequest {
  readonly source: BackupSource;
  /** The one that exported the snapshot; it stays open. */
  readonly session: SuperuserSession;
  readonly snapshot: Pick<Snapshot, "snapshot" | "database" | "encoding" | "bytes">;
  /** A folder that is not there yet (directory format), or a file. */
  readonly target: string;
  readonly format: "directory" | "plain";
  /** Processes that read at the same time; only the directory format can use more than one. */
  readonly jobs: number;
  /** Called with the name of each table, schema first, when its rows begin. */
  readonly onTable: (table: string) => void;
}

/**
 * Runs pg_dump and returns the compression that it used, as --compress takes it. pg_dump makes its files durable itself.
 * @throws OdooPgError disk_full, command_failed, interrupted; then nothing of the dump is left.
 */
export async function dump(request: DumpRequest): Promise<string> {
  let compression = await compressionFor(request);
  for (;;) {
    try {
      await runPgDump(request, compression);
      return compression;
    } catch (error) {
      await removeTree(request.target);
      const words = error instanceof Error ? error.message : "";
      if (!compression.startsWith("zstd") || !/does not support compression/.test(words)) throw error;
      compression = "gzip:1";
    }
  }
}

async function compressionFor({ source, snapshot }: DumpRequest): Promise<string> {
  const { freeBytes } = await diskSpace(source.place.dir);
  if (source.isPassing && freeBytes > ROOM_UNCOMPRESSED * snapshot.bytes) return "none";
  return source.installation.major >= FIRST_WITH_ZSTD ? "zstd:3" : "gzip:1";
}

/**
 * Whether a dump lost its lock to a session that waits for an exclusive lock: a worker of a parallel dump, or pg_dump
 * itself, would wait for that session, that session for the backup's session, and the backup's session for the dump.
 */
export function gaveWay(error: unknown): boolean {
  return (
    error instanceof Error && /could not obtain lock on relation|due to lock timeout/.test(error.message)
  );
}

async function runPgDump(request: DumpRequest, compression: string): Promise<void> {
  const { source, session, format } = request;
  const { snapshot, database, encoding } = request.snapshot;
  const access = await source.superuser.in(database).client("odoo-pg backup", session);
  // Before 16 it takes a level alone.
  const level = compression === "none" ? "0" : compression.split(":")[1];
  await runClientProgram(
    programOf(source.installation, "pg_dump"),
    [
      `--format=${format}`,
      `--file=${request.target}`,
      `--compress=${source.installation.major >= FIRST_WITH_ZSTD ? compression : level}`,
      ...(format === "directory" ? [`--jobs=${request.jobs}`] : []),
      ...(source.isPassing ? ["--no-sync"] : []),
      `--snapshot=${snapshot}`,
      // The encoding of the database, whatever its owner has set for clients.
      `--encoding=${encoding}`,
      `--lock-wait-timeout=${DUMP_LOCK_TIMEOUT}`,
      "--no-password",
      "--verbose",
      `--dbname=${access.connection}`,
    ],
    {
      environment: access.environment,
      signal: source.signal,
      onStderr: tableReader(request.onTable),
    },
  );
}

/** pg_dump --verbose says `pg_dump: dumping contents of table "public.res_partner"`. */
function tableReader(onTable: (table: string) => void): (text: string) => void {
  let rest = "";
  return (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const table = /dumping contents of table "(.+)"$/.exec(line)?.[1];
      if (table !== undefined) onTable(table);
    }
  };
}
