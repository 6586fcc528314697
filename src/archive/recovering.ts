import path from "node:path";
import type { Layout } from "../config/layout.ts";
import { OdooPgError } from "../errors.ts";
import type { BaseBackup } from "../model/backups/archive-status.ts";
import { showBytes } from "../model/quantities.ts";
import { historyFile, leadsTo, leftAt, segmentName } from "../model/timeline.ts";
import { nextStep, odooPg } from "../next-step.ts";
import type { Progress } from "../progress.ts";
import { programOf, type Installation } from "../postgres/installation.ts";
import { renderIdent } from "../postgres/render.ts";
import { Superuser } from "../postgres/sql/access/superuser.ts";
import { segmentBytesOf } from "../postgres/wal-end.ts";
import { closeTablespaces, tablespaceLinks } from "../postgres/tablespaces.ts";
import { pause } from "../system/clock.ts";
import { diskSpace, readableBy, readTail, writeFileAtomic, type Owner } from "../system/files/files.ts";
import { readTextOfOthers } from "../system/files/held/by-path.ts";
import { inFolder } from "../system/files/held/folder.ts";
import { currentUser } from "../system/machine.ts";
import { runsAsOwnerOf, workingDirectory } from "../system/files/working-directory.ts";
import { startAttended, type Attended } from "../system/process/attended.ts";
import { sendSignal, waitForEnd } from "../system/process/process.ts";
import { SqlError } from "../system/sql/sql.ts";
import type { OpenRepository } from "./base-backup.ts";
import type { ArchivePlace } from "./place.ts";
import { walOf, type Repository } from "./wal-folder.ts";

/** Names the socket of a recovered cluster, which listens on nothing else: below every port that a node may have. */
const RECOVERING_PORT = 543;

/** What such a cluster calls itself. */
export const RECOVERING = "moment";

/** What a cluster is recovered with. */
export interface Recovering {
  readonly repository: OpenRepository;
  readonly layout: Layout;
  readonly owner: Owner | undefined;
  readonly installation: Installation;
  /** What the primary preloads: what a database uses may need it. */
  readonly preloaded: string;
  /** On which the target may lie, the likeliest first; with the present one. Undefined: the latest in the repository. */
  readonly timelines: readonly (number | undefined)[];
  readonly signal: AbortSignal | undefined;
  readonly progress: Progress;
}

/** One data directory that pgBackRest has written, and where it is to be replayed to. */
interface Replay {
  readonly dataDir: string;
  readonly timeline: number | undefined;
  /** Whether the target is a moment, and not the end of the timeline. */
  readonly isMoment: boolean;
  /** The only one that was written. */
  readonly database?: string | undefined;
  /** The target, for people. */
  readonly upTo: string;
  /** Of the server, over ours. */
  readonly settings?: Readonly<Record<string, string>>;
}

/**
 * Replays WAL up to the target, and works with the server for as long as `use` takes.
 * @param use is given when the last transaction was committed, as the server reports it; undefined where none was replayed
 * @returns what keeps it from the target, or what `use` returns
 */
export async function replayed<T extends object>(
  recovering: Recovering,
  replay: Replay,
  use: (superuser: Superuser, lastChange: string | undefined) => Promise<T | Missed>,
): Promise<T | Missed> {
  const { repository, layout, progress } = recovering;
  const { dataDir } = replay;
  const astray = await guardLiveTablespaces(recovering, dataDir);
  if (astray) return astray;
  progress.step(replay.database ?? null, `replay WAL up to ${replay.upTo}`);
  const log = path.join(repository.place.dir, "moment.log");
  const server = await startRecovering(recovering, dataDir, log, replay.settings);
  const superuser = Superuser.of(layout, { name: RECOVERING, port: RECOVERING_PORT, data_dir: dataDir });
  try {
    const missed = await untilRecovered(recovering, server, superuser, log);
    if (missed) return await whyMissed(missed, recovering, replay);
    return await use(superuser, await lastChangeIn(log));
  } finally {
    await server.end();
  }
}

/**
 * Whether a base backup leads to a timeline, by that one's history in the repository: PostgreSQL 14 and earlier take a
 * checkpoint at the same position of another timeline for the base backup's own. Where this cannot tell, recovery does.
 */
export async function isOnTheWay(
  { repository, stanza }: ArchivePlace,
  base: BaseBackup,
  timeline: number | undefined,
): Promise<boolean> {
  if (timeline === undefined || base.timeline === null || base.timeline === timeline) return true;
  if (base.timeline > timeline) return false;
  const history = await historyOf({ repository, stanza }, timeline);
  return history === undefined || leadsTo(base, timeline, history);
}

async function historyOf(repository: Repository, timeline: number): Promise<string | undefined> {
  const wal = await walOf(repository);
  if (wal === undefined) return undefined;
  return await readTextOfOthers(path.join(wal, historyFile(timeline))).catch(() => undefined);
}

/**
 * What keeps a recovery from a moment that it did not find. It may be that the timeline ended before, and was the cluster's
 * own until then: then all of it is wanted.
 */
async function whyMissed(
  missed: Missed,
  recovering: Recovering,
  { dataDir, isMoment, timeline }: Replay,
): Promise<Missed> {
  if (missed !== "ended_before" || !isMoment || timeline === undefined) return missed;
  const present = Math.max(...recovering.timelines.flatMap((one) => one ?? []));
  return (await wentOn(recovering, dataDir, { left: timeline, present })) ? "went_on" : missed;
}

/**
 * Whether the repository has more of a timeline that was left than the one that is wanted else: its primary went on, and
 * archived what was lost by a promotion. Then a moment at which it was the cluster's own is on it, up to its end.
 */
async function wentOn(
  { repository: { place }, installation, owner }: Recovering,
  dataDir: string,
  { left, present }: { readonly left: number; readonly present: number },
): Promise<boolean> {
  const wal = await walOf(place);
  const lsn = leftAt(left, await historyOf(place, present));
  if (wal === undefined || lsn === undefined) return false;
  const segment = segmentName(left, lsn, await segmentBytesOf(installation, dataDir, owner));
  // pgBackRest: a folder for each of the first 16 digits; a segment that was not full is called .partial.
  const names = await inFolder(path.join(wal, segment.slice(0, 16)), (folder) => folder.names());
  return (names ?? []).some((name) => name.startsWith(`${segment}-`));
}

/**
 * What keeps one base backup, or a part of it, from reaching the target. A tablespace that was made after it is in the WAL
 * with its directory, where the live cluster has its files: recovery must not go there. A timeline that ended before it
 * may be the one on which it was.
 */
export type Missed = "not_reached" | "ended_before" | "went_on" | "needs_all" | "tablespace";

/**
 * Checks that there is room for what is recovered.
 * @param needed bytes
 * @throws OdooPgError disk_full, with the space needed, before anything is written
 */
export async function requireRoom(folder: string, needed: number): Promise<void> {
  const { freeBytes } = await diskSpace(folder);
  if (freeBytes >= needed) return;
  throw new OdooPgError("disk_full", {
    message: `The recovery needs ${showBytes(needed)} in ${folder}, but that disk has only ${showBytes(freeBytes)} left.`,
    safe: "Nothing was changed.",
    next: "Make room there, then run the same command again.",
  });
}

/**
 * Keeps what is recovered from the tablespaces of the live cluster.
 * @returns "tablespace" where it could not be kept from them: before PostgreSQL 15 a recovery empties the directory that
 * it is led to, before it makes the link (tablespace.c, create_tablespace_directories)
 */
async function guardLiveTablespaces(
  { repository, installation, owner }: Recovering,
  dataDir: string,
): Promise<Missed | undefined> {
  const present = (await tablespaceLinks(repository.dataDir)).keys();
  await closeTablespaces(dataDir, owner);
  const own = await tablespaceLinks(dataDir);
  const isOther = [...present].some((id) => !own.has(id));
  return isOther && installation.major < 15 ? "tablespace" : undefined;
}

/** The message for when every base backup that could be used lacks a tablespace. */
export function tablespaceInTheWay(target: string): OdooPgError {
  return new OdooPgError("outside_window", {
    message: `A tablespace was created between the base backup and ${target}: its WAL names files of the live cluster, and is not replayed.`,
    safe: "Nothing was changed.",
    next: nextStep`A base backup is made as soon as there is a new tablespace; whatever comes after it can be brought back: ${odooPg("backup", "window")}`,
  });
}

/** Milliseconds for a server that was killed with its program to be gone. */
const LEFT_TIMEOUT = 10_000;

/**
 * Frees the socket of recoveries from what a killed one has left. The caller holds their lock, so nobody else's server
 * has it. PostgreSQL does not start while the process id in its lock file belongs to a living process, which may be
 * anybody's by now (miscinit.c, CreateLockFile).
 * @param made the data directory of the next one: a process of anybody else than its owner is left alone
 */
async function freeSocket(runDir: string, made: string): Promise<void> {
  const socket = `.s.PGSQL.${RECOVERING_PORT}`;
  await inFolder(runDir, async (folder) => {
    const [first, dataDir] = folder.readText(`${socket}.lock`)?.split("\n") ?? [];
    const pid = Number(first);
    const worksIn = dataDir !== undefined && pid > 1 ? await workingDirectory(pid) : undefined;
    if (dataDir !== undefined && worksIn?.startsWith(dataDir) === true && runsAsOwnerOf(pid, made)) {
      sendSignal(pid, "SIGQUIT");
      if (!(await waitForEnd(pid, LEFT_TIMEOUT))) sendSignal(pid, "SIGKILL");
      await waitForEnd(pid, LEFT_TIMEOUT);
    }
    for (const name of [`${socket}.lock`, socket]) await folder.remove(name);
  });
}

/**
 * A server that lets in only the superuser on its socket, listens on no network and archives nothing. It ends with this
 * process.
 * @param more settings over ours
 */
async function startRecovering(
  { repository, layout, owner, installation, preloaded }: Recovering,
  dataDir: string,
  logFile: string,
  more: Readonly<Record<string, string>> = {},
): Promise<Attended> {
  const { dir } = repository.place;
  await freeSocket(layout.runDir, dataDir);
  const conf = path.join(dir, "moment.conf");
  const hba = path.join(dir, "moment_hba.conf");
  await writeFileAtomic(conf, "# Made by odoo-pg: all is said on the command line.\n", readableBy(owner));
  const ident = path.join(dir, "moment_ident.conf");
  await writeFileAtomic(hba, "local all postgres peer map=odoo_pg\n", readableBy(owner));
  const users = [currentUser().name, owner?.name].flatMap((name) => name ?? []);
  await writeFileAtomic(ident, renderIdent([...new Set(users)]), readableBy(owner));
  // Settings on the command line override what ALTER SYSTEM has written into the data directory.
  const settings = {
    config_file: conf,
    hba_file: hba,
    ident_file: ident,
    listen_addresses: "",
    port: String(RECOVERING_PORT),
    unix_socket_directories: layout.runDir,
    unix_socket_permissions: "0700",
    external_pid_file: "",
    cluster_name: RECOVERING,
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
    // It is thrown away: after a crash it is made again.
    fsync: "off",
    full_page_writes: "off",
    restart_after_crash: "off",
    autovacuum: "off",
    // Damaged data must not pass for whole.
    ignore_invalid_pages: "off",
    zero_damaged_pages: "off",
    logging_collector: "off",
    log_destination: "stderr",
    log_line_prefix: "",
    log_min_messages: "log",
    lc_messages: "C",
    timezone: "UTC",
    log_timezone: "UTC",
    ...more,
  };
  const given = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  return startAttended(programOf(installation, "postgres"), ["-D", dataDir, ...given], { owner, logFile });
}

/** Milliseconds between two checks whether the recovery is done. */
const LOOK_EVERY = 200;

/** @returns undefined when it is recovered, or what keeps it from that */
async function untilRecovered(
  { signal }: Recovering,
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
    // It replays, and lets no session in before the end.
    if (error instanceof SqlError && (error.code === undefined || !error.code.startsWith("28"))) return false;
    throw error;
  }
}

/**
 * Whether a database that was recovered alone is one. Where it was made since by a copy of another one's files (as
 * PostgreSQL 14 and earlier do), it was copied from files that are not there.
 */
export async function isWhole(database: Superuser): Promise<boolean> {
  try {
    await database.use((session) => session.query("SELECT count(*) FROM pg_class"));
    return true;
  } catch (error) {
    // 3D000 invalid_catalog_name: the caller reports that.
    return error instanceof SqlError && error.code === "3D000";
  }
}

/** When the last replayed transaction was committed, as the server reports it; undefined where there was none. */
async function lastChangeIn(log: string): Promise<string | undefined> {
  return /last completed transaction was at log time ([^\n]+)/.exec(await readTail(log, 100_000))?.[1];
}

/** What a server says when a base backup is on another timeline, or lacks its WAL: another may reach the target. */
const NOT_REACHED = [
  /requested recovery stop point is before consistent recovery point/,
  // It was made on a timeline after that was left for the one that is wanted.
  /requested timeline \d+ is not a child of this server's history/,
  /requested timeline \d+ does not contain minimum recovery point/,
  /recovery target timeline \d+ does not exist/,
  // The segment of its checkpoint is missing, or is another timeline's.
  /could not (?:locate required checkpoint record|find redo location)/,
  /WAL ends before (?:end of online backup|consistent recovery point)/,
];

/** What the server's words mean for the next attempt; undefined where another one is useless. */
export function missedBy(words: string): Missed | undefined {
  if (/FATAL: +could not (?:create|remove) symbolic link "pg_tblspc\/\d+"/.test(words)) return "tablespace";
  if (/recovery ended before configured recovery target was reached/.test(words)) return "ended_before";
  if (NOT_REACHED.some((said) => said.test(words))) return "not_reached";
  return /WAL contains references to invalid pages|contains invalid data/.test(words)
    ? "needs_all"
    : undefined;
}

/** What an ended recovery means for the next try. @throws OdooPgError command_failed with the server's last words */
function whyEnded(words: string): Missed {
  const missed = missedBy(words);
  if (missed) return missed;
  const lines = words
    .trim()
    .split("\n")
    .filter((line) => /FATAL|PANIC|ERROR|HINT/.test(line));
  throw new OdooPgError("command_failed", {
    message: `The cluster of that moment does not start:\n  ${lines.slice(-6).join("\n  ")}`,
    safe: "The live cluster was not touched.",
    next: odooPg("backup", "window"),
  });
}
