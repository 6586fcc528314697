import type { StartFailure } from "../model/node-state.ts";
import { nextStep, odooPg, type NextText } from "../next-step.ts";
import path from "node:path";
import { OdooPgError } from "../errors.ts";
import type { NodeLayout } from "../config/layout.ts";
import {
  ensureDirectory,
  readTail,
  realPath,
  removeFile,
  writeFileAtomic,
  type Owner,
} from "../system/files/files.ts";
import { readTextOfOthers, tailOfOthers } from "../system/files/held/by-path.ts";
import { inFolder, type Folder } from "../system/files/held/folder.ts";
import {
  isAlive,
  ownPid,
  processStartSeconds,
  sendSignal,
  startDetached,
  waitForEnd,
} from "../system/process/process.ts";
import { runsAsOwnerOf, workingDirectory } from "../system/files/working-directory.ts";
import { monotonic, pause, waitUntil } from "../system/clock.ts";
import { programOf, type Installation } from "./installation.ts";
import { endOrphans } from "./orphans.ts";

/** A running postmaster, as its postmaster.pid tells. */
export interface Postmaster {
  readonly pid: number;
  /** As miscadmin.h names them: starting, stopping, ready, standby (in recovery, not yet answering). */
  readonly status: "starting" | "stopping" | "ready" | "standby";
  readonly port: number;
}

/** Seconds by which the start in postmaster.pid and the kernel's may differ: the server writes it after its start. */
const START_TOLERANCE = 5;

/**
 * Finds the postmaster of a data directory by postmaster.pid, never by name.
 * Undefined when none runs, also when the process id now belongs to another program or to another node's server.
 */
export async function findPostmaster(dataDir: string): Promise<Postmaster | undefined> {
  const lines = (await readTextOfOthers(path.join(dataDir, "postmaster.pid")))?.split("\n");
  const pid = Number(lines?.[0]);
  if (!lines || !Number.isInteger(pid) || pid <= 1 || !isAlive(pid)) return undefined;
  if (!(await isPostmasterOf(dataDir, pid, Number(lines[2])))) return undefined;
  const status = lines[7]?.trim();
  return {
    pid,
    port: Number(lines[3]),
    status: status === "ready" || status === "standby" || status === "stopping" ? status : "starting",
  };
}

/**
 * Whether a living process is the postmaster that wrote postmaster.pid. After a restart of a container or a host its id
 * may be another node's server. A postmaster works in its data directory (postmaster.c, ChangeToDataDir); where the
 * system does not tell, its start time says. It runs as the owner of its data directory: whoever writes postmaster.pid
 * must not have another's process signalled.
 */
async function isPostmasterOf(dataDir: string, pid: number, started: number): Promise<boolean> {
  if (!runsAsOwnerOf(pid, dataDir)) return false;
  const place = await workingDirectory(pid);
  if (place !== undefined) return place === (await realPath(dataDir));
  const actual = await processStartSeconds(pid);
  return actual === undefined || Math.abs(actual - started) <= START_TOLERANCE;
}

export interface StartOptions {
  readonly installation: Installation;
  readonly files: NodeLayout;
  readonly owner: Owner | undefined;
  readonly node: string;
  /** Milliseconds until a server that is still recovering is reported as such; default 60 000. */
  readonly timeout?: number;
  /** A standby that answers no reads (hot_standby off) counts as up once it replays. */
  readonly warm?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Starts a server and waits until it answers. A server that runs already is left alone; one that is just ending is
 * started again after its end. At `signal` a server that was started here is ended again.
 * @throws OdooPgError node_failed with the server's last words, or timed_out while it still recovers; an AbortError at
 *   `signal`.
 */
export async function startServer(options: StartOptions): Promise<Postmaster> {
  const { installation, files, owner, node } = options;
  const isUp = (server: Postmaster): boolean =>
    server.status === "ready" || (options.warm === true && server.status === "standby");
  let running = await findPostmaster(files.dataDir);
  let launched: number | undefined;
  let ended = false;
  const launch = async (): Promise<void> => {
    await disarmStaleLocks(files, owner);
    await removeFile(files.startLog);
    const started = await startDetached(
      programOf(installation, "postgres"),
      ["-D", files.dataDir, "-c", `config_file=${files.configFile}`],
      { owner, logFile: files.startLog },
    );
    launched = started.pid;
    ended = false;
    void started.ended.then(() => {
      ended = true;
    });
  };
  await ensureDirectory(files.logDir, { mode: 0o700, owner });
  if (!running) await launch();
  const begun = monotonic();
  await waitUntil(
    async () => {
      running = await findPostmaster(files.dataDir);
      // The one that was found at first may have been at its end.
      if (!running && launched === undefined) await launch();
      else if (!running && ended) {
        const orphans = SESSIONS_LEFT.test(await lastWords(files)) && monotonic() - begun < ORPHANS_TIMEOUT;
        if (!orphans) throw await startFailure(node, files);
        await endOrphans(files.dataDir, node);
        await pause(200);
        await launch();
      }
      return running !== undefined && isUp(running);
    },
    {
      what: `node ${node} to answer (it may be replaying WAL after a crash)`,
      timeout: options.timeout ?? 60_000,
      next: nextStep`Follow it: ${odooPg("logs", node, "-f")}`,
      signal: options.signal,
    },
  ).catch(async (error: unknown) => {
    if (options.signal?.aborted && launched !== undefined && !ended) {
      sendSignal(launched, "SIGINT");
      await waitForEnd(launched, ABORT_TIMEOUT);
    }
    throw error;
  });
  if (!running) throw await startFailure(node, files);
  return running;
}

/** Milliseconds for a server to end whose start was given up; one that takes longer is found by its postmaster.pid. */
const ABORT_TIMEOUT = 10_000;

/** PostgreSQL's words when sessions have outlived their killed postmaster: no other may start until they are gone. */
const SESSIONS_LEFT = /pre-existing shared memory block/;
/** Milliseconds that sessions without a postmaster are waited for. */
const ORPHANS_TIMEOUT = 20_000;

/**
 * Replaces the process id in the lock files of a server that is gone (postmaster.pid, and the one beside its socket) by our
 * own. PostgreSQL does not start while that id belongs to a living process, and in a container that starts again the same
 * few ids are soon in use. The id of its own parent it takes for stale (miscinit.c, CreateLockFile). The rest of
 * postmaster.pid stays: by it PostgreSQL still finds sessions of the old server in its shared memory.
 */
export async function disarmStaleLocks(files: NodeLayout, owner: Owner | undefined): Promise<void> {
  await inFolder(files.dataDir, async (folder) => await disarm(folder, "postmaster.pid", () => true));
  const places = [files.dataDir, await realPath(files.dataDir)];
  await inFolder(files.socketDir, async (folder) => {
    for (const name of folder.names())
      if (/^\.s\.PGSQL\.\d+\.lock$/.test(name))
        await disarm(folder, name, (dataDir) => places.includes(dataDir));
  });

  async function disarm(
    folder: Folder,
    name: string,
    isOurs: (dataDir: string | undefined) => boolean,
  ): Promise<void> {
    const [pid, ...rest] = folder.readText(name)?.split("\n") ?? [];
    if (!isOurs(rest[0]) || !(Number(pid) > 1)) return;
    await writeFileAtomic(folder.at(name), [ownPid, ...rest].join("\n"), { owner });
  }
}

/** The last words of a server that has ended: its logger may write them a moment later. */
async function finalWords(files: NodeLayout): Promise<string> {
  const begun = monotonic();
  for (;;) {
    const words = await lastWords(files);
    if (/FATAL|PANIC/.test(words) || monotonic() - begun > WORDS_TIMEOUT) return words;
    await pause(50);
  }
}

/** Milliseconds for the last words of a server to reach its log. */
const WORDS_TIMEOUT = 1500;

/** A standby's words when it stopped at a new tablespace, as `closeTablespaces` has it do. */
const REFUSED_TABLESPACE = /could not create symbolic link "pg_tblspc\/\d+": Permission denied/;

/** The start of a server that failed: its message holds the server's own words, `why` what they mean. */
export class StartError extends OdooPgError {
  readonly why: StartFailure;
  /** The tablespace that a standby did not follow, where that is why. */
  readonly tablespace: string | undefined;

  constructor(node: string, words: string) {
    const why = causeIn(words);
    super("node_failed", {
      message: `Node ${node} does not start. The server's last words:\n${words}`,
      safe: "Its data directory was not changed by odoo-pg.",
      next: afterFailure(why, node),
    });
    this.why = why;
    this.tablespace = REFUSED_TABLESPACE.exec(words)?.[0].split('"')[1];
  }
}

/**
 * The cause, told from PostgreSQL's own English words: it starts with lc_messages = C, and errors of a start have no
 * code.
 */
function causeIn(words: string): StartFailure {
  if (/could not bind|Address already in use/.test(words)) return "port_in_use";
  if (/No space left|Disk quota exceeded/.test(words)) return "disk_full";
  return REFUSED_TABLESPACE.test(words) ? "tablespace_refused" : "other";
}

function afterFailure(why: StartFailure, node: string): NextText {
  const next = {
    port_in_use: "Another program holds the port: stop it or give the node another port.",
    disk_full: nextStep`Make room on the disk, then run: ${odooPg("up")}`,
    tablespace_refused: nextStep`A tablespace was created that it has no directory for. Rebuilt, it gets one: ${odooPg("reseed", node)}`,
    other: nextStep`Read the whole log: ${odooPg("logs", node)}`,
  } satisfies Record<StartFailure, NextText>;
  return next[why];
}

async function startFailure(node: string, files: NodeLayout): Promise<StartError> {
  return new StartError(node, await finalWords(files));
}

/** The last lines that tell why a server ended: from its start log, else what its newest log holds of its last start. */
export async function lastWords(files: NodeLayout): Promise<string> {
  const early = linesOf(await readTail(files.startLog, 4000));
  const log = await newestLog(files);
  const late = linesOf(log === undefined ? "" : await tailOfOthers(log, 4000));
  // The log goes on over restarts: what stands before the last one is not about it.
  const started = late.findLastIndex((line) => line.includes("LOG:  starting PostgreSQL"));
  const candidates = [early, late.slice(Math.max(0, started)), [...early, ...late]];
  const telling = candidates.map((lines) => lines.filter(isTelling)).find((lines) => lines.length > 0);
  return (telling ?? [...early, ...late])
    .slice(-6)
    .map((line) => `  ${line}`)
    .join("\n");
}

function linesOf(text: string): string[] {
  return text.split("\n").filter((line) => line.trim() && !/HINT: {2}Future log output/.test(line));
}

/** The lines of a server's output that say why it ended, without time and process id. */
export function tellingLines(output: string): string {
  const lines = linesOf(output).map((line) => line.replace(/^\d{4}-\d\d-\d\d \S+ \S+ \[\d+\] /, ""));
  const telling = lines.filter(isTelling);
  return (telling.length ? telling : lines)
    .slice(-6)
    .map((line) => `  ${line}`)
    .join("\n");
}

function isTelling(line: string): boolean {
  return /FATAL|PANIC|ERROR|LOG: {2}(?:invalid|could not|unrecognized|parameter)/.test(line);
}

/** The log file that the server writes now, or undefined before it wrote one. */
export async function newestLog(files: NodeLayout): Promise<string | undefined> {
  return await inFolder(files.logDir, (folder) => {
    let newest: { file: string; at: number } | undefined;
    for (const name of folder.names()) {
      if (!/^postgresql-.*\.log$/.test(name)) continue;
      const at = folder.look(name)?.mtimeMs ?? 0;
      if (!newest || at > newest.at) newest = { file: path.join(files.logDir, name), at };
    }
    return newest?.file;
  });
}

/** `fast` ends sessions and checkpoints; `immediate` ends at once and leaves recovery to the next start. Never smart. */
export type StopMode = "fast" | "immediate";

/**
 * Stops a server and waits for its end. None running is fine.
 * @throws OdooPgError timed_out when it does not end within the timeout; it is not killed.
 */
export async function stopServer(
  dataDir: string,
  node: string,
  mode: StopMode,
  timeout = 60_000,
): Promise<void> {
  const running = await findPostmaster(dataDir);
  if (!running) return;
  sendSignal(running.pid, mode === "fast" ? "SIGINT" : "SIGQUIT");
  // A stopped process (SIGSTOP) takes the signal only when it goes on.
  sendSignal(running.pid, "SIGCONT");
  if (!(await waitForEnd(running.pid, timeout))) {
    throw new OdooPgError("timed_out", {
      message: `Still stopping: node ${node} has not finished its shutdown after ${timeout / 1000} s.`,
      safe: "Nothing is lost: it writes its checkpoint.",
      next: nextStep`Run the same command again to go on waiting, or look: ${odooPg("logs", node)}`,
    });
  }
}

/** Has a server read its configuration files again (SIGHUP). */
export async function reloadServer(dataDir: string): Promise<void> {
  const running = await findPostmaster(dataDir);
  if (running) sendSignal(running.pid, "SIGHUP");
}
