import path from "node:path";
import { ArchiveKeeper } from "../../agent/backups/archive-keeper.ts";
import { OperationQueue } from "../../agent/operation-queue.ts";
import { RepositoryService } from "../../archive/copying/serve.ts";
import { removeLeftMoments } from "../../archive/moment.ts";
import { findPgbackrest } from "../../archive/program.ts";
import { readArchive } from "../../archive/record.ts";
import { forgetRepository } from "../../archive/repository-mark.ts";
import { archivedEnd, segmentsReady } from "../../archive/segments-ready.ts";
import { writeConfigurations } from "../../archive/setup.ts";
import { archiveWarnings } from "../../cluster/backups/archive.ts";
import { isQueueFull, windowOf, type Window } from "../../cluster/backups/window.ts";
import type { Config } from "../../config/schema.ts";
import { toOdooPgError } from "../../errors.ts";
import { ownPrimary, type Runtime } from "../../members/runtime.ts";
import { factsOf, type ServerFacts } from "../../model/observation.ts";
import type { Progress } from "../../progress.ts";
import { monotonic } from "../../system/clock.ts";
import { diskSpace } from "../../system/files/files.ts";
import type { OneHost } from "../agent/host.ts";
import { LONGEST_PROBLEM, type HostReport } from "../documents/report.ts";
import { CopyKeeper } from "./copy-keeper.ts";
import { commandOf, endedByOff } from "./decide.ts";
import { OtherRepositories, RECORD } from "./other-repositories.ts";
import { OwnArchive, type ArchiveParts } from "./own-archive.ts";
import { Takeover } from "./takeover.ts";

/** Milliseconds between two tries to find pgBackRest, or to prepare a repository whose disk may be missing. */
const PREPARE_AGAIN = 60_000;

/** Milliseconds between two searches for what a restore has left. */
const TIDY_EVERY = 60_000;

/**
 * Any second back over several hosts: on the primary's host the agent takes WAL into that host's repository, as an agent of
 * one host does; on the others it keeps a copy of it. Who takes over begins with what the copies lack.
 */
export class HostArchive {
  readonly #host: OneHost;
  readonly #parts: ArchiveParts;
  readonly #keeper: ArchiveKeeper;
  #pgbackrest: string | undefined;
  /** Why nothing can be archived or copied here. */
  #problem: string | undefined;
  /** Whether pgBackRest was found when it was looked for last; else it is the one that archived so far, if any. */
  #isFound = false;
  /** Whether WAL was given up before this host's repository was taken over. */
  #gaveUp = false;
  /** Whether this host's server is the primary: what it archives by is then the keeper's to change. */
  #isLeading = false;
  /** For which configuration the server's command was chosen, and for which the rest was prepared last. */
  #leadsOf: Config | undefined;
  #preparedOf: Config | undefined;
  #isPrepared = false;
  #preparing = false;
  #preparedAt = -Infinity;
  /** With what the keeper works; undefined while this host is not the primary's. */
  #kept: Runtime | undefined;
  /** Whether it takes WAL by the pgBackRest that is known now. */
  #isBegun = false;
  readonly #own: OwnArchive;
  readonly #copy: CopyKeeper;
  readonly #takeover: Takeover;
  readonly #service = new RepositoryService();
  #window: Window | null = null;
  /** What is wrong while this host archives; null where nothing is. */
  #trouble: string | null = null;
  #tidiedAt = -Infinity;

  constructor(host: OneHost, parts: ArchiveParts) {
    this.#host = host;
    this.#parts = parts;
    this.#own = new OwnArchive(host, parts);
    const others = new OtherRepositories(this.#own);
    this.#copy = new CopyKeeper(this.#own, others);
    this.#takeover = new Takeover(this.#own, others, async (runtime) => await this.#keeper.load(runtime));
    const { program, searchPath, install, node } = parts;
    this.#keeper = new ArchiveKeeper({
      program,
      searchPath,
      install,
      turns: new OperationQueue(host.log),
      server: {
        apply: async ({ archiveCommand }) => await node.archiveBy(archiveCommand?.(node.own.node)),
        drop: async () => await node.archiveBy(undefined),
      },
    });
  }

  /** What this host says of any second; null where its own file turns it off. */
  get report(): HostReport["any_second"] {
    if (!this.#own.isOn) return null;
    return { window: this.#window, copy: this.#copy.report, problem: this.#window && this.#trouble };
  }

  /**
   * Before the server's files are written: what they say of archiving. What this host's file has turned off is noted before
   * the server knows. pgBackRest and the repository's disk are seen to in the background: only a host that has no command yet
   * waits for them, once, for some seconds at most.
   */
  async prepare(): Promise<void> {
    if (!this.#host.installation) return;
    const config = this.#own.config;
    if (config !== this.#leadsOf) {
      await this.#lead();
      this.#leadsOf = config;
    }
    if (!this.#own.isOn || this.#preparing) return;
    const isRecent = this.#isPrepared || monotonic() - this.#preparedAt < PREPARE_AGAIN;
    if (config === this.#preparedOf && isRecent) return;
    const isFirst = this.#preparedAt === -Infinity;
    this.#preparing = true;
    this.#preparedOf = config;
    this.#preparedAt = monotonic();
    const equipped = this.#equip(config)
      .catch((error: unknown) => this.#host.log("error", `any second: ${toOdooPgError(error).message}`))
      .finally(() => (this.#preparing = false));
    // Else its server's files would be written twice.
    if (isFirst && this.#parts.node.archiveCommand === undefined) await equipped;
  }

  /** Chooses by what this host's server archives, from the next time on that its files are written. */
  async #lead(): Promise<void> {
    const { node } = this.#parts;
    const config = this.#own.config;
    if (!this.#own.isOn) {
      await forgetRepository(this.#own.place);
      const { runtime } = node;
      if (runtime && this.#kept) await this.#keeper.endIfOff({ ...runtime, config });
      // Also where this program has not seen to it yet: it may have been started for that.
      await this.#own.note(endedByOff);
      this.#pgbackrest = undefined;
      this.#isFound = false;
      this.#preparedOf = undefined;
      this.#kept = undefined;
      this.#isLeading = false;
      this.#copy.forget();
      node.archiveCommand = undefined;
      return;
    }
    const { archiving: record } = await readArchive(this.#host.layout);
    // The keeper has the server archive before its record says so.
    if (this.#isLeading) return;
    node.archiveCommand = commandOf({
      enabled: true,
      program: this.#pgbackrest,
      record,
      place: this.#own.place,
      node: node.own.node.name,
      gaveUp: this.#gaveUp,
    });
  }

  /** Finds pgBackRest, and writes what it is told. */
  async #equip(config: Config): Promise<void> {
    const { installation, layout, owner, log } = this.#host;
    if (!installation) return;
    const messageOf = (error: unknown): { readonly problem: string } => ({
      problem: toOdooPgError(error).message,
    });
    const [sought, written] = [
      await findPgbackrest(installation.major, this.#parts).catch(messageOf),
      // Its disk may be missing: what cannot be archived stays, and is seen to fail.
      await writeConfigurations(config, layout, this.#own.place, owner).then(() => undefined, messageOf),
    ];
    const { archiving: record } = await readArchive(layout);
    if (!this.#own.isOn) return;
    const found = typeof sought === "string" ? sought : undefined;
    const program = found ?? this.#pgbackrest ?? record?.program;
    const problem = typeof sought === "string" ? written?.problem : sought.problem;
    if (problem !== undefined) log("error", `any second: ${problem}`);
    if (program !== this.#pgbackrest || (found !== undefined) !== this.#isFound) this.#isBegun = false;
    this.#pgbackrest = program;
    this.#isFound = found !== undefined;
    this.#problem = problem;
    this.#isPrepared = problem === undefined;
    await this.#lead();
  }

  /** @param leads whether this host's server is the primary, and no other can be */
  async tick(leads: boolean): Promise<void> {
    const { runtime } = this.#parts.node;
    if (!runtime || !this.#own.isOn) return;
    const program = this.#pgbackrest;
    const facts = factsOf(ownPrimary(runtime)?.observation);
    this.#isLeading = leads;
    if (facts?.in_recovery === true) this.#gaveUp = false;
    // What it gave up as the primary it is to archive when it is that again.
    if (!leads && this.#parts.node.archiveCommand === undefined) this.#leadsOf = undefined;
    if (program === undefined || (!leads && !this.#isFound)) {
      this.#copy.tell({ up_to: this.#copy.upTo, bytes_left: 0, problem: this.#problem ?? null });
      this.#window = null;
      return;
    }
    if (!leads) {
      this.#kept = undefined;
      this.#window = null;
      this.#takeover.forget();
      await this.#copy.tick(runtime, program);
      await this.#tidy();
      return;
    }
    if (!facts || facts.in_recovery) return;
    if (this.#kept !== runtime || !this.#isBegun) await this.#begin(runtime, program, facts);
    await this.#keeper.tick(runtime);
    this.#window = await this.#seeWindow(facts);
    await this.#takeover.fetchRest(runtime, program);
  }

  async #begin(runtime: Runtime, program: string, facts: ServerFacts): Promise<void> {
    try {
      await this.#takeover.begin(runtime, program, { facts, gaveUp: this.#gaveUp });
    } catch (error) {
      const { message } = toOdooPgError(error);
      this.#copy.tell({ up_to: null, bytes_left: 0, problem: this.#problem ?? message });
      await this.#keepRoom(facts);
      throw error;
    }
    this.#isBegun = false;
    await this.#keeper.load(runtime);
    this.#kept = runtime;
    const { node } = this.#parts;
    const command = runtime.archiveCommand?.(node.own.node);
    if (command !== node.archiveCommand) await node.archiveBy(command);
    this.#gaveUp = false;
    // From here on the keeper gives up what fills the disk, and notes it: also where no pgBackRest answers.
    const isFound = this.#isFound;
    const problem = isFound
      ? await this.#keeper.begin(runtime, this.#progress).then(
          () => undefined,
          (error: unknown) => toOdooPgError(error).message,
        )
      : this.#problem;
    if (problem === undefined) this.#copy.forget();
    else this.#copy.tell({ up_to: null, bytes_left: 0, problem });
    await this.#takeover.noteUnfetched(runtime);
    const isSame = isFound === this.#isFound && program === this.#pgbackrest;
    this.#isBegun = isSame && (problem === undefined || !isFound);
  }

  /**
   * WAL must not fill the disk while this host's repository cannot be taken over: it is given up as later on, each time that
   * it has come to that. What is lost by that is found missing when it is taken over.
   */
  async #keepRoom({ wal_segment_bytes: segmentBytes }: ServerFacts): Promise<void> {
    const { node } = this.#parts;
    const { dataDir } = node.files;
    const { waiting } = await segmentsReady(dataDir);
    if (
      !isQueueFull({ segments: waiting.length, segmentBytes }, await diskSpace(path.join(dataDir, "pg_wal")))
    )
      return;
    if (!this.#gaveUp) this.#host.log("error", "WAL cannot be archived and fills the disk: it is given up");
    this.#gaveUp = true;
    await node.archiveBy(undefined);
  }

  /** What a restore has left that was killed, or that ended after this host was the primary's. */
  async #tidy(): Promise<void> {
    if (monotonic() - this.#tidiedAt < TIDY_EVERY) return;
    this.#tidiedAt = monotonic();
    await removeLeftMoments(this.#own.place);
  }

  async #seeWindow(facts: ServerFacts): Promise<Window> {
    const { archiving, status } = await readArchive(this.#host.layout);
    const end = await archivedEnd(this.#parts.node.files.dataDir, facts, status);
    const primary = { name: this.#parts.node.own.node.name, facts };
    const [wrong] = archiveWarnings({ enabled: true, primary, status, archiving });
    this.#trouble = wrong?.message.slice(0, LONGEST_PROBLEM) ?? null;
    return windowOf({ bases: status?.bases ?? [], archiving, end });
  }

  /**
   * Answers the agent of another host with a database.
   * @param path below /any-second/
   * @param asker which one, and when the answer has left this host
   */
  async answer(
    path: string,
    body: string,
    asker: { readonly from: string; readonly sent: Promise<void> },
  ): ReturnType<RepositoryService["answer"]> {
    if (path === RECORD) return { status: 200, body: (await this.#own.told(this.#copy.upTo)) ?? {} };
    if (!this.#own.isOn) return { status: 404, body: { error: "any second is off here" } };
    return await this.#service.answer(this.#own.place, path, body, asker);
  }

  get #progress(): Progress {
    const { log } = this.#host;
    return {
      step: (node, text) => log("info", `${node ?? "cluster"}: ${text}`),
      bytes: () => {},
      note: (text) => log("warn", text),
    };
  }
}
