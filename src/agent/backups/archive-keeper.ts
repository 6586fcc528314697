import path from "node:path";
import { archivePlaceOf } from "../../archive/place.ts";
import { findPgbackrest } from "../../archive/program.ts";
import { segmentsReady } from "../../archive/segments-ready.ts";
import { prepareStanza } from "../../archive/pgbackrest.ts";
import { removeLeftMoments } from "../../archive/moment.ts";
import { readArchiveStatus, readArchiving, writeArchiving } from "../../archive/record.ts";
import { forgetRepository } from "../../archive/repository-mark.ts";
import { archiveCommand, markOfCommand } from "../../archive/render.ts";
import { pgbackrestOf, writeConfigurations } from "../../archive/setup.ts";
import {
  archivedBefore,
  baseLackedFrom,
  isArchivingFailing,
  isQueueFull,
} from "../../cluster/backups/window.ts";
import { nextTime, parseSchedule } from "../../config/values/cron.ts";
import { ARCHIVE_TIMEOUT_SECONDS } from "../../config/settings/archiving.ts";
import type { Archiving } from "../../model/backups/archive-status.ts";
import { factsOf, type ServerFacts } from "../../model/observation.ts";
import { historyFile, leadsTo } from "../../model/timeline.ts";
import { tablespaceLinks } from "../../postgres/tablespaces.ts";
import type { NodeHandle } from "../../members/node-handle.ts";
import { ownPrimary, requireOwnPrimary, type Runtime } from "../../members/runtime.ts";
import { toOdooPgError } from "../../errors.ts";
import type { Progress } from "../../progress.ts";
import { monotonic, now } from "../../system/clock.ts";
import { deviceOf, diskSpace } from "../../system/files/files.ts";
import { readTextOfOthers } from "../../system/files/held/by-path.ts";
import { removeLeftTemporaries } from "../../system/files/temporary-directory.ts";
import type { ProgramSearch } from "../../system/install.ts";
import { startDetached } from "../../system/process/process.ts";
import { Mutex } from "../../system/mutex.ts";
import { recordAnew, withPrimary, type Left } from "./archived-primary.ts";
import { takeFromFormer } from "./former-primary.ts";
import type { OperationQueue } from "../operation-queue.ts";

/** Milliseconds between two looks at the disk, and at what is due. */
const EVERY = 2000;

/** Milliseconds after which archiving is tried again once WAL was given up: a repository may be back by then. */
const AGAIN = 300_000;

/** Milliseconds for the disk of a lost primary to be back, before what it had not archived counts as lost. */
const PATIENCE = 10_000;

/** Milliseconds until a base backup that failed, or that was made in vain, is tried again. */
const RETRY = 60_000;

/** Milliseconds until what has expired is tried to be removed again: no copy elsewhere is begun while that waits. */
const EXPIRE_AGAIN = 1_800_000;

/** Milliseconds between two looks for leftovers of a killed restore. */
const TIDY_EVERY = 60_000;

interface Options extends ProgramSearch {
  readonly program: readonly [string, string];
  readonly turns: OperationQueue;
  readonly server: ArchivingServer;
}

/** How the server of a primary learns by which command it archives; the runtime says which. */
export interface ArchivingServer {
  /** Has it archive by the command of the runtime. May restart it, where archive_mode is off. @throws OdooPgError */
  readonly apply: (runtime: Runtime, progress: Progress) => Promise<void>;
  /** Has it archive nothing any more, where it does so by the command with this mark. All else of its configuration stays as it is. */
  readonly drop: (runtime: Runtime, primary: NodeHandle, mark: string) => Promise<void>;
}

/**
 * Takes WAL into the repository of any second, and has base backups made. WAL that cannot be taken there is given up
 * before it fills the disk: that gap is noted, and a new base backup begins what comes after it.
 */
export class ArchiveKeeper {
  readonly #options: Options;
  #record: Archiving | undefined;
  #lookedAt = -Infinity;
  #running = false;
  #failedAt = -Infinity;
  #changing = false;
  #roomSeenAt = -Infinity;
  #keepingRoom = false;
  #unreadSince: number | undefined;
  #gaveUpAt: number | undefined;
  #tidiedAt = -Infinity;
  /** A change of what the primary archives with, and of the record, is completed before the next one begins. */
  readonly #command = new Mutex();

  constructor(options: Options) {
    this.#options = options;
  }

  /** @throws OdooPgError pgbackrest_missing */
  async check({ config, installation }: Runtime): Promise<void> {
    if (config.backup.any_second.enabled) await findPgbackrest(installation.major, this.#options);
  }

  /** Resumes what was there: nodes get the command that they run with. */
  async load(runtime: Runtime): Promise<void> {
    const { config, layout, state, owner } = runtime;
    const place = archivePlaceOf(config, layout);
    const record = await readArchiving(place.recordFile);
    this.#record = record?.system_identifier === state.system_identifier ? record : undefined;
    if (!record && config.backup.any_second.enabled && state.system_identifier !== null)
      await this.#begunAnew(runtime, state.system_identifier);
    if (config.backup.any_second.enabled) {
      try {
        await writeConfigurations(config, layout, place, owner);
      } catch (error) {
        // Where there is no record either, whoever begins to archive is told.
        if (!this.#record && toOdooPgError(error).code !== "repository_missing") throw error;
        // Its disk may be missing: the cluster keeps serving, and archiving fails by itself, which is seen.
        runtime.log("warn", `the repository of any second cannot be used: ${toOdooPgError(error).message}`);
      }
    }
    this.#lead(runtime);
  }

  /** Makes a record where there are base backups without one: nobody may rely on what came after them. */
  async #begunAnew(runtime: Runtime, systemIdentifier: string): Promise<void> {
    const status = await readArchiveStatus(runtime.layout.stateDir);
    if (!status?.bases.length) return;
    const { major } = runtime.installation;
    const program = await findPgbackrest(major, this.#options).catch(() => undefined);
    if (program === undefined) return;
    const record = recordAnew(status.bases, { program, system_identifier: systemIdentifier });
    if (!record) return;
    runtime.log(
      "error",
      `the record of any second was lost or damaged: everything after ${record.since} counts as missing`,
    );
    await this.#note(runtime, record);
  }

  /** Restores what applied before a refused configuration, which has left its own for pgBackRest. */
  async back(runtime: Runtime): Promise<void> {
    this.#lead(runtime);
    try {
      await this.load(runtime);
    } catch (error) {
      runtime.log("warn", `the repository of any second cannot be used: ${String(error)}`);
    }
  }

  #lead(runtime: Runtime): void {
    const { config, layout } = runtime;
    const record = this.#record;
    const place = archivePlaceOf(config, layout);
    runtime.archiveCommand =
      config.backup.any_second.enabled && record?.archiving === true
        ? (node) => archiveCommand(record.program, place, node)
        : undefined;
  }

  /**
   * Where the configuration takes no WAL any more: notes it before the first server knows. Whatever that `up` comes to,
   * what is missing from then on is known to be missing: also WAL that waits now, and the segment that is written.
   */
  async endIfOff(runtime: Runtime): Promise<void> {
    const record = this.#record;
    if (runtime.config.backup.any_second.enabled) return;
    await forgetRepository(archivePlaceOf(runtime.config, runtime.layout));
    if (record?.archiving !== true) return;
    await this.#command.run(async () => {
      const primary = ownPrimary(runtime);
      const seen = primary && (await archivedUntil(runtime, primary, record));
      await this.#note(runtime, { ...record, archiving: false, since: seen?.at ?? record.since });
    });
  }

  /** Begins to take WAL, where the configuration has it so. The primary runs. @throws OdooPgError */
  async begin(runtime: Runtime, progress: Progress): Promise<void> {
    const record = this.#record;
    if (!runtime.config.backup.any_second.enabled) return;
    const program = await findPgbackrest(runtime.installation.major, this.#options);
    if (record?.archiving === true && record.program === program) return;
    const { node, files } = requireOwnPrimary(runtime);
    progress.step(node.name, "take WAL into the repository");
    const { repository } = archivePlaceOf(runtime.config, runtime.layout);
    if ((await deviceOf(files.dataDir)) === (await deviceOf(repository)))
      progress.note(
        "the repository of any second is on the same disk as the data: both would be lost with it (backup.any_second.repository)",
      );
    await this.#command.run(async () => await this.#take(runtime, program, progress));
  }

  async #take(runtime: Runtime, program: string, progress: Progress): Promise<void> {
    const { config, layout, owner, state } = runtime;
    const place = archivePlaceOf(config, layout);
    const primary = requireOwnPrimary(runtime);
    await prepareStanza(pgbackrestOf(program, place, primary.node, owner), place);
    const before = this.#record;
    runtime.archiveCommand = (node) => archiveCommand(program, place, node);
    try {
      await this.#options.server.apply(runtime, progress);
    } catch (error) {
      this.#lead(runtime);
      throw error;
    }
    // What failed before was for another reason: a base backup for this begin waits for nothing.
    this.#failedAt = -Infinity;
    // Noted when it is so: what is written before may be missing.
    const at = iso();
    await this.#note(runtime, {
      ...before,
      format: 1,
      program,
      system_identifier: state.system_identifier ?? "",
      archiving: true,
      since: at,
      gaps: [
        ...(before?.gaps ?? []),
        ...(before?.archiving === false ? [{ from: before.since, to: at }] : []),
      ],
    });
  }

  async #note(runtime: Runtime, record: Archiving): Promise<void> {
    await writeArchiving(archivePlaceOf(runtime.config, runtime.layout).recordFile, record);
    this.#record = record;
    this.#lead(runtime);
  }

  /** Checks whether WAL piles up, and whether a base backup is due. */
  async tick(runtime: Runtime): Promise<void> {
    await Promise.all([this.#keepRoom(runtime), this.#look(runtime)]);
  }

  /**
   * Looks at the primary at once, where it was made the primary just now: an operation on the one before, such as its
   * reseed, removes the notes of what that one had not archived.
   */
  async beforeOperation(runtime: Runtime): Promise<void> {
    const primary = ownPrimary(runtime);
    if (!runtime.config.backup.any_second.enabled || !primary) return;
    if (this.#record?.primary === undefined || this.#record.primary.node === primary.node.name) return;
    await primary.observe();
    await this.#command.run(async () => await this.#lookAtPrimary(runtime, 0));
  }

  /**
   * Gives up waiting WAL before it fills the disk. This does not wait for its turn: an operation may take hours, and may
   * be what writes so much. So the one setting is changed in the primary's file, whatever else that may hold by now; where
   * an operation has rewritten the file meanwhile, the next look finds that.
   */
  async #keepRoom(runtime: Runtime): Promise<void> {
    if (!this.#record || this.#keepingRoom || monotonic() - this.#roomSeenAt < EVERY) return;
    this.#roomSeenAt = monotonic();
    this.#keepingRoom = true;
    try {
      await this.#command.run(async () => await this.#giveUpIfFull(runtime));
    } finally {
      this.#keepingRoom = false;
    }
  }

  async #giveUpIfFull(runtime: Runtime): Promise<void> {
    const [record, primary] = [this.#record, ownPrimary(runtime)];
    const facts = factsOf(primary?.observation);
    if (!record || !primary || !facts || facts.in_recovery) return;
    const { segments, at: since } = await archivedUntil(runtime, primary, record);
    const disk = await diskSpace(path.join(primary.files.dataDir, "pg_wal"));
    if (!isQueueFull({ segments, segmentBytes: facts.wal_segment_bytes }, disk)) return;
    if (record.archiving) {
      runtime.log(
        "error",
        `WAL cannot be archived and fills the disk: what comes after ${since} is given up`,
      );
      this.#gaveUpAt = now();
      await this.#note(runtime, { ...record, archiving: false, since });
    }
    const place = archivePlaceOf(runtime.config, runtime.layout);
    await this.#options.server.drop(runtime, primary, markOfCommand(place, primary.node));
  }

  async #look(runtime: Runtime): Promise<void> {
    if (!runtime.config.backup.any_second.enabled || !this.#record || this.#changing) return;
    if (monotonic() - this.#lookedAt < EVERY || !this.#options.turns.empty) return;
    this.#lookedAt = monotonic();
    const place = archivePlaceOf(runtime.config, runtime.layout);
    if (monotonic() - this.#tidiedAt > TIDY_EVERY) {
      this.#tidiedAt = monotonic();
      await removeLeftMoments(place);
      await removeLeftTemporaries();
    }
    const seen = await this.#command.run(async () => await this.#lookAtPrimary(runtime, PATIENCE));
    if (!seen) return;
    const { record, segments, primary } = seen;
    if (!record.archiving && now() - (this.#gaveUpAt ?? 0) >= AGAIN && segments <= 1) {
      this.#gaveUpAt = now();
      await this.#change(runtime, async (progress) => {
        await this.#command.run(async () => {
          // An `up` that came first may have had it archive again.
          if (this.#record?.archiving === false) await this.#take(runtime, record.program, progress);
        });
      });
      return;
    }
    if (record.archiving) await this.#startDue(runtime, record, primary);
  }

  /**
   * Notes who the primary is, and what another one has left. Nothing, where none is seen or something was just noted as lost.
   * @param patience milliseconds to wait for that one's disk
   */
  async #lookAtPrimary(
    runtime: Runtime,
    patience: number,
  ): Promise<{ record: Archiving; segments: number; primary: OnTimeline } | undefined> {
    const [known, primary] = [this.#record, ownPrimary(runtime)];
    const facts = factsOf(primary?.observation);
    if (!known || !primary || !facts || facts.in_recovery) return undefined;
    const { segments, at } = await archivedUntil(runtime, primary, known);
    const seen = {
      node: primary.node.name,
      waits: segments > 0 || isArchivingFailing(facts),
      archived_at: at,
      timeline: facts.timeline,
    };
    const before = known.primary;
    const isOther = before !== undefined && before.node !== seen.node;
    const left = isOther ? await leftBy(runtime, known, before, primary, facts) : undefined;
    if (isOther && !left) {
      this.#unreadSince ??= monotonic();
      if (monotonic() - this.#unreadSince < patience) return undefined;
    }
    this.#unreadSince = undefined;
    const { record, lostWith } = withPrimary(known, seen, left, iso());
    if (record !== known) await this.#note(runtime, record);
    if (lostWith) {
      const { node, archived_at: from } = lostWith;
      runtime.log(
        "error",
        `WAL that ${node} had not archived yet is missing in the repository, from ${from} on`,
      );
      return undefined;
    }
    return { record, segments, primary: { dataDir: primary.files.dataDir, timeline: facts.timeline } };
  }

  async #change(runtime: Runtime, act: (progress: Progress) => Promise<void>): Promise<void> {
    const { log } = runtime;
    const progress: Progress = {
      step: (node, text) => log("info", `${node ?? "cluster"}: ${text}`),
      bytes: () => {},
      note: (text) => log("warn", text),
    };
    this.#changing = true;
    this.#gaveUpAt = now();
    try {
      await this.#options.turns.run("archiving", progress, async () => await act(progress));
    } finally {
      this.#changing = false;
    }
  }

  /** Whether what a base backup was made for is so. */
  async #isDone(type: DueBase, ...as: Parameters<typeof dueBase>): Promise<boolean> {
    try {
      return (await dueBase(...as)) !== type;
    } catch {
      return false;
    }
  }

  async #startDue(runtime: Runtime, record: Archiving, primary: OnTimeline): Promise<void> {
    if (this.#running || monotonic() - this.#failedAt < RETRY) return;
    const type = await dueBase(runtime, record, primary);
    if (!type) return;
    const { layout, log } = runtime;
    const [node, program] = this.#options.program;
    log("info", type === "expire" ? "what has expired is to be removed" : `a base backup (${type}) is due`);
    this.#running = true;
    try {
      const { ended } = await startDetached(
        node,
        [program, "scheduled-backup", "--state-dir", layout.stateDir, "--kind", type],
        { logFile: layout.backupLog },
      );
      void ended.then(async (status) => {
        // One that has failed is due again, and so is one that did not do what it was for: not at once. What is due for
        // another reason, such as a promotion meanwhile, waits for nothing.
        const isDone = status === 0 && (await this.#isDone(type, runtime, record, primary));
        if (!isDone) this.#failedAt = monotonic();
        this.#running = false;
      });
    } catch (error) {
      this.#running = false;
      throw error;
    }
  }
}

/** Up to when all of a primary's WAL is archived, in ISO 8601, and how many segments wait. It need not run. */
async function archivedUntil(
  { layout }: Runtime,
  { node, files, observation }: NodeHandle,
  record: Archiving,
): Promise<{ segments: number; at: string }> {
  const { waiting, finishedAt, doneAt } = await segmentsReady(files.dataDir);
  const status = await readArchiveStatus(layout.stateDir);
  const { primary } = record;
  const at = archivedBefore(
    {
      lastArchivedAt: factsOf(observation)?.archiver?.last_archived_at ?? doneAt ?? null,
      waiting: finishedAt,
      bases: status?.bases ?? [],
      since: Date.parse(record.since),
      seen: primary?.node === node.name ? Date.parse(primary.archived_at) : undefined,
    },
    ARCHIVE_TIMEOUT_SECONDS,
  );
  return { segments: waiting.length, at: new Date(at).toISOString() };
}

/** What the repository has of a node that is no longer the primary; undefined where its disk cannot be read. */
async function leftBy(
  { config, layout, owner, nodes }: Runtime,
  { program }: Archiving,
  seen: NonNullable<Archiving["primary"]>,
  primary: NodeHandle,
  facts: ServerFacts,
): Promise<Left | undefined> {
  const former = nodes.get(seen.node);
  if (!former?.files) return undefined;
  const place = archivePlaceOf(config, layout);
  const status = await readArchiveStatus(layout.stateDir);
  return await takeFromFormer(
    { place, pgbackrest: pgbackrestOf(program, place, primary.node, owner) },
    {
      dataDir: former.files.dataDir,
      pgbackrest: pgbackrestOf(program, place, former.node, owner),
    },
    seen,
    status?.bases ?? [],
    {
      dataDir: primary.files.dataDir,
      timeline: facts.timeline,
      segmentBytes: facts.wal_segment_bytes,
      at: facts.current_lsn ?? 0n,
    },
  );
}

/** A primary, and the timeline that it is on. */
interface OnTimeline {
  readonly dataDir: string;
  readonly timeline: number;
}

type DueBase = "full" | "diff" | "expire";

/**
 * Which base backup is due: a full one where none is whole up to now, or leads here, else as scheduled. Where none is, what
 * the last one had to leave is removed.
 */
async function dueBase(
  { config, layout }: Runtime,
  record: Archiving,
  { dataDir, timeline }: OnTimeline,
): Promise<DueBase | undefined> {
  const { full_schedule, diff_schedule } = config.backup.any_second;
  const status = await readArchiveStatus(layout.stateDir);
  const from = baseLackedFrom(record.gaps, status?.bases ?? []);
  // pgBackRest tells in whole seconds when one began: one of this second would count as begun before.
  if (from !== undefined) return now() < Math.ceil(from / 1000) * 1000 ? undefined : "full";
  if (status === undefined) return "full";
  const last = status.bases.at(-1);
  if (last && last.timeline !== null && last.timeline !== timeline) {
    const history = await readTextOfOthers(path.join(dataDir, "pg_wal", historyFile(timeline)));
    if (!leadsTo(last, timeline, history)) return "full";
  }
  // WAL leads whoever replays it to the directory that a tablespace was told, which is the live cluster's.
  const tablespaces = [...(await tablespaceLinks(dataDir)).keys()];
  if (tablespaces.some((id) => !status.tablespaces.includes(id))) return "diff";
  const isDue = (text: string, begun: string | null): boolean => {
    const schedule = text === "off" ? "off" : parseSchedule(text);
    if (typeof schedule === "string") return false;
    const next = nextTime(schedule, begun === null ? Date.parse(record.since) : Date.parse(begun));
    return next !== undefined && next <= now();
  };
  const { full, diff } = status.begun;
  if (status.error !== null && full !== null && (diff === null || full > diff)) return "full";
  if (isDue(full_schedule, full)) return "full";
  if (status.error !== null) return "diff";
  if (isDue(diff_schedule, diff !== null && (full === null || diff > full) ? diff : full)) return "diff";
  const isLeft =
    status.expiry_skipped_since !== null && now() - Date.parse(status.written_at) >= EXPIRE_AGAIN;
  return isLeft ? "expire" : undefined;
}

function iso(): string {
  return new Date(now()).toISOString();
}
