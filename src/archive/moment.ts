import path from "node:path";
import { nodeLayoutOf, type Layout, type NodeConfig } from "../config/layout.ts";
import { OdooPgError } from "../errors.ts";
import { odooPg } from "../next-step.ts";
import type { BaseBackup } from "../model/archive-status.ts";
import { programOf, type Installation } from "../postgres/installation.ts";
import { endOrphans } from "../postgres/orphans.ts";
import { stopServer } from "../postgres/server.ts";
import { Superuser } from "../postgres/sql/superuser.ts";
import type { Progress } from "../progress.ts";
import { lockHolder, releaseLock, takeLock } from "../store/lock.ts";
import { now, pause } from "../system/clock.ts";
import {
  ensureDirectory,
  passableFor,
  readableBy,
  readTail,
  writeFileAtomic,
  type Owner,
} from "../system/files/files.ts";
import { inFolder, makeFolder, removeIn } from "../system/files/folder.ts";
import { ownPid } from "../system/process/process.ts";
import { SqlError } from "../system/sql/sql.ts";
import { startAttended, type Attended } from "../system/process/attended.ts";
import type { OpenRepository } from "./base-backup.ts";
import type { ArchivePlace } from "./place.ts";
import { writeBase } from "./pgbackrest.ts";
import { targetArguments, targetWords, type Target } from "./target.ts";

/** Names the socket of a recovered cluster, which listens on nothing else: below every port that a node may have. */
const PORT = 543;

const NAME = "moment";

export interface MomentWish {
  readonly repository: OpenRepository;
  readonly layout: Layout;
  /** The primary, whose names of this host's users count for the recovered cluster too. */
  readonly node: NodeConfig;
  readonly owner: Owner | undefined;
  readonly installation: Installation;
  readonly target: Target;
  /** From which it can be reached, the likeliest first. */
  readonly bases: readonly BaseBackup[];
  readonly timeline: number;
  /** The only database that is wanted. */
  readonly database: string | undefined;
  /** What the primary preloads: what a database uses may need it. */
  readonly preloaded: string;
  readonly processors: number;
  readonly progress: Progress;
  readonly signal: AbortSignal | undefined;
}

/** The cluster as it was, running beside the live one for as long as something is copied out of it. */
export interface RecoveredMoment {
  readonly superuser: Superuser;
  readonly dataDir: string;
  /** When the last transaction in it was committed, as the server says it; undefined where none was replayed. */
  readonly lastChange: string | undefined;
  readonly base: string;
}

/** What keeps one base backup, or a part of it, from reaching the target. */
type Missed = "not_reached" | "needs_all";

/**
 * Recovers the cluster of another moment, for as long as `use` takes. It archives nothing, listens on no network, and ends
 * with this process; what a killed one has left is removed by the next, and by the agent.
 * @throws OdooPgError locked while another one is made, outside_window, command_failed, disk_full
 */
export async function withMoment<T>(
  wish: MomentWish,
  use: (moment: RecoveredMoment) => Promise<T>,
): Promise<T> {
  const { place } = wish.repository;
  await takeLock(place.momentLock, ownPid);
  try {
    await clearMoments(place);
    await ensureDirectory(place.moments, passableFor(wish.owner));
    return await fromAnyBase(wish, use);
  } finally {
    await clearMoments(place);
    await releaseLock(place.momentLock, ownPid);
  }
}

/** Removes what a killed odoo-pg has left, unless one is at work. */
export async function removeLeftMoments(place: ArchivePlace): Promise<void> {
  if ((await lockHolder(place.momentLock)) !== undefined) return;
  const left = await inFolder(place.moments, (folder) => folder.names());
  if (!left?.length) return;
  await takeLock(place.momentLock, ownPid);
  try {
    await clearMoments(place);
  } finally {
    await releaseLock(place.momentLock, ownPid);
  }
}

/** The caller holds the lock. */
async function clearMoments({ moments }: ArchivePlace): Promise<void> {
  const names = (await inFolder(moments, (folder) => folder.names())) ?? [];
  for (const name of names) {
    const dataDir = path.join(moments, name, "data");
    await stopServer(dataDir, NAME, "immediate");
    await endOrphans(dataDir, NAME);
    await removeIn(path.join(moments, name));
  }
}

async function fromAnyBase<T>(wish: MomentWish, use: (moment: RecoveredMoment) => Promise<T>): Promise<T> {
  const { place } = wish.repository;
  const attempts = wish.bases.flatMap((base) => [
    ...(wish.database === undefined ? [] : [{ base, only: wish.database }]),
    { base, only: undefined },
  ]);
  let skipped: string | undefined;
  for (const { base, only } of attempts) {
    // A base backup that cannot reach the target with one database cannot with all of them.
    if (base.label === skipped) continue;
    const tried = await fromBase(wish, base, only, use);
    if (tried.ok) return tried.value;
    if (tried.missed === "not_reached") skipped = base.label;
    else wish.progress.note("one database alone cannot be recovered to that moment: all are");
    await clearMoments(place);
  }
  throw new OdooPgError("outside_window", {
    message: `The WAL in the repository ends before ${targetWords(wish.target)}.`,
    safe: "Nothing was changed.",
    next: odooPg("backup", "window"),
  });
}

async function fromBase<T>(
  wish: MomentWish,
  base: BaseBackup,
  only: string | undefined,
  use: (moment: RecoveredMoment) => Promise<T>,
): Promise<{ ok: true; value: T } | { ok: false; missed: Missed }> {
  const { repository, layout, owner, progress } = wish;
  const { place, pgbackrest } = repository;
  const folder = path.join(place.moments, String(now()));
  const dataDir = path.join(folder, "data");
  await makeFolder(folder, 0o700, owner);
  for (const name of ["data", "tablespaces", "locks"])
    await makeFolder(path.join(folder, name), 0o700, owner);
  progress.step(only ?? null, `write base backup ${base.label}`);
  const written = await writeBase(pgbackrest, [
    `--pg1-path=${dataDir}`,
    `--lock-path=${path.join(folder, "locks")}`,
    `--tablespace-map-all=${path.join(folder, "tablespaces")}`,
    `--set=${base.label}`,
    `--process-max=${Math.max(1, wish.processors)}`,
    ...targetArguments(wish.target),
    "--target-action=promote",
    // Never the latest that is there: one that somebody's trial has archived would lead astray.
    `--target-timeline=${wish.timeline}`,
    "--archive-mode=off",
    ...(only === undefined ? [] : [`--db-include=${only}`]),
  ]);
  if (!written) return { ok: false, missed: "needs_all" };
  progress.step(only ?? null, `replay WAL up to ${targetWords(wish.target)}`);
  const log = path.join(place.dir, "moment.log");
  const server = await start(wish, dataDir, log);
  const superuser = Superuser.of(layout, { name: NAME, port: PORT, data_dir: dataDir });
  try {
    const missed = await untilRecovered(wish, server, superuser, log);
    if (missed) return { ok: false, missed };
    if (only !== undefined && !(await isWhole(superuser.in(only)))) return { ok: false, missed: "needs_all" };
    const words = await readTail(log, 100_000);
    const lastChange = /last completed transaction was at log time ([^\n]+)/.exec(words)?.[1];
    return { ok: true, value: await use({ superuser, dataDir, lastChange, base: base.label }) };
  } finally {
    await server.end();
  }
}

/** A server that takes nobody in but the superuser at its socket, and leaves no trace elsewhere. */
async function start(wish: MomentWish, dataDir: string, logFile: string): Promise<Attended> {
  const { repository, layout, owner, installation, preloaded } = wish;
  const { dir } = repository.place;
  const conf = path.join(dir, "moment.conf");
  const hba = path.join(dir, "moment_hba.conf");
  await writeFileAtomic(conf, "# Made by odoo-pg: all is said on the command line.\n", readableBy(owner));
  await writeFileAtomic(hba, "local all postgres peer map=odoo_pg\n", readableBy(owner));
  // Said on the command line, they go before what ALTER SYSTEM has written into the data directory.
  const settings = {
    config_file: conf,
    hba_file: hba,
    ident_file: nodeLayoutOf(layout, wish.node).identFile,
    listen_addresses: "",
    port: String(PORT),
    unix_socket_directories: layout.runDir,
    unix_socket_permissions: "0700",
    external_pid_file: "",
    cluster_name: NAME,
    ssl: "off",
    hot_standby: "off",
    archive_mode: "off",
    archive_command: "",
    wal_level: "minimal",
    max_wal_senders: "0",
    primary_conninfo: "",
    synchronous_standby_names: "",
    shared_preload_libraries: preloaded,
    max_locks_per_transaction: "1024",
    max_wal_size: "4GB",
    // It is thrown away: after a crash it is made anew.
    fsync: "off",
    full_page_writes: "off",
    restart_after_crash: "off",
    autovacuum: "off",
    // What is damaged must not pass for whole.
    ignore_invalid_pages: "off",
    zero_damaged_pages: "off",
    logging_collector: "off",
    log_destination: "stderr",
    log_line_prefix: "",
    log_min_messages: "log",
    lc_messages: "C",
    timezone: "UTC",
    log_timezone: "UTC",
  };
  const given = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  return startAttended(programOf(installation, "postgres"), ["-D", dataDir, ...given], { owner, logFile });
}

/** Milliseconds between two looks whether the recovery is done. */
const LOOK_EVERY = 200;

async function untilRecovered(
  { signal }: MomentWish,
  server: Attended,
  superuser: Superuser,
  log: string,
): Promise<Missed | undefined> {
  for (;;) {
    signal?.throwIfAborted();
    if (server.ended()) return whyEnded(await readTail(log, 100_000));
    if (await isRecovered(superuser)) return undefined;
    await pause(LOOK_EVERY, signal);
  }
}

async function isRecovered(superuser: Superuser): Promise<boolean> {
  try {
    return await superuser.use(async (session) => {
      const [row] = await session.query("SELECT pg_is_in_recovery() AS recovering");
      return row?.["recovering"] === false;
    });
  } catch (error) {
    // It replays, and takes nobody in before the end.
    if (error instanceof SqlError && (error.code === undefined || !error.code.startsWith("28"))) return false;
    throw error;
  }
}

/**
 * Whether a database that was recovered alone is one. Where it was made since by a copy of another one's files (as
 * PostgreSQL 14 and earlier do), it was copied from files that are not there.
 */
async function isWhole(database: Superuser): Promise<boolean> {
  try {
    await database.use((session) => session.query("SELECT count(*) FROM pg_class"));
    return true;
  } catch (error) {
    // 3D000 invalid_catalog_name: who uses it says so.
    return error instanceof SqlError && error.code === "3D000";
  }
}

/** What a recovery that ended says of the next attempt. @throws OdooPgError command_failed with the server's last words */
function whyEnded(words: string): Missed {
  if (/recovery ended before configured recovery target was reached/.test(words)) return "not_reached";
  if (/requested recovery stop point is before consistent recovery point/.test(words)) return "not_reached";
  if (/WAL contains references to invalid pages|contains invalid data/.test(words)) return "needs_all";
  const lines = words
    .trim()
    .split("\n")
    .filter((line) => /FATAL|PANIC|ERROR|HINT/.test(line));
  throw new OdooPgError("command_failed", {
    message: `The cluster of that moment does not come up:\n  ${lines.slice(-6).join("\n  ")}`,
    safe: "The live cluster was not touched.",
    next: odooPg("backup", "window"),
  });
}
