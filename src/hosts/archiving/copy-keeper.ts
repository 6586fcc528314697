import type { Lineage } from "../../archive/copying/branches.ts";
import { limitsOfCopy } from "../../archive/copying/limits.ts";
import { historyOf } from "../../archive/push-lacking.ts";
import { readArchive, writeArchiveStatus, writeArchiving } from "../../archive/record.ts";
import { ownPrimary, type Runtime } from "../../members/runtime.ts";
import { factsOf, type ServerFacts } from "../../model/observation.ts";
import { writeSecondDrill } from "../../store/second-drill.ts";
import { monotonic } from "../../system/clock.ts";
import type { CopyReport } from "../documents/report.ts";
import { copyReport, isNews } from "./copied.ts";
import { rivalOf } from "./decide.ts";
import { withoutBranches } from "./lost-branch.ts";
import type { OtherRepositories } from "./other-repositories.ts";
import type { OwnArchive } from "./own-archive.ts";
import type { Travelling } from "./travelling.ts";

/** Milliseconds between two rounds of a copy. */
const COPY_EVERY = 10_000;

/** On a host that is not the primary's: keeps a copy of the primary's repository, and of what is known of it. */
export class CopyKeeper {
  readonly #own: OwnArchive;
  readonly #others: OtherRepositories;
  #report: CopyReport | null = null;
  #copiedAt = -Infinity;
  /** What this host's own server has seen while it was a replica: its newest timeline, and its furthest position. */
  #seen: { readonly timeline: number; readonly received: bigint; readonly segmentBytes: number } | undefined;

  constructor(own: OwnArchive, others: OtherRepositories) {
    this.#own = own;
    this.#others = others;
  }

  /** How the copy is; null where there is none, as on the primary's host. */
  get report(): CopyReport | null {
    return this.#report;
  }

  /** ISO 8601, up to when all is here. */
  get upTo(): string | null {
    return this.#report?.up_to ?? null;
  }

  /** There is nothing to say of a copy. */
  forget(): void {
    this.#report = null;
  }

  /** Says how the copy is, and logs what keeps it from being whole. */
  tell(copy: CopyReport): void {
    if (copy.problem !== null && copy.problem !== this.#report?.problem)
      this.#own.host.log("warn", `the copy of the repository of any second: ${copy.problem}`);
    else if (copy.problem === null && (this.#report?.problem ?? null) !== null)
      this.#own.host.log("info", "the copy of the repository of any second goes on");
    this.#report = copy;
  }

  /**
   * Fetches from the primary's host what this one lacks. What it says is kept only once all of it is here, and where it is
   * news: a primary that has not taken over yet says what it knew as a copy.
   */
  async tick(runtime: Runtime, program: string): Promise<void> {
    const facts = factsOf(ownPrimary(runtime)?.observation);
    this.#see(facts);
    if (monotonic() - this.#copiedAt < COPY_EVERY) return;
    this.#copiedAt = monotonic();
    const leader = this.#own.parts.view()?.leader;
    const host = this.#others.answering.find(({ name }) => name === leader);
    if (!host) return;
    const before = this.#report ?? { up_to: null, bytes_left: 0, problem: null };
    const seen = this.#seen;
    if (!seen) {
      this.tell({
        ...before,
        problem: "this host's own server has not said yet how far it is",
        lasts: false,
      });
      return;
    }
    const told = await this.#others.ask(host, runtime, seen.timeline);
    if (typeof told === "string") {
      this.tell({ ...before, problem: told, lasts: false });
      return;
    }
    const { archiving: recorded } = await readArchive(this.#own.host.layout);
    const state = await this.#others.fetch(host, runtime, {
      isPrimary: false,
      limits: limitsOfCopy(seen.timeline, seen.received, seen.segmentBytes),
      lineage: facts && (await this.#lineage(facts)),
      rival: facts && recorded && rivalOf(recorded, told.archiving, facts.timeline),
    });
    const { shed } = state;
    if (shed) await this.#own.note((record) => record && withoutBranches(record, shed.timelines));
    const { archiving: own } = await readArchive(this.#own.host.layout);
    const isKept =
      state.walWhole &&
      isNews(told, own, {
        leader: host.name,
        timeline: facts?.timeline,
        systemIdentifier: runtime.state.system_identifier,
      });
    if (isKept) await this.#keep(told, program);
    const known = shed ? { ...before, up_to: null } : before;
    this.tell(copyReport(known, state, isKept ? told.up_to : known.up_to));
    if (state.stale) await this.#own.expire(program, state.older);
  }

  async #lineage({ timeline }: ServerFacts): Promise<Lineage> {
    const { dataDir } = this.#own.parts.node.files;
    return { timeline, history: await historyOf({ dataDir, timeline }) };
  }

  /** Notes how far this host's own server is: what its copy takes is bound by that. */
  #see(facts: ServerFacts | undefined): void {
    if (!facts) return;
    const positions = [facts.receive_lsn, facts.replay_lsn, facts.current_lsn, this.#seen?.received];
    this.#seen = {
      timeline: Math.max(facts.timeline, this.#seen?.timeline ?? 0),
      received: positions.reduce<bigint>(
        (most, one) => (typeof one === "bigint" && one > most ? one : most),
        0n,
      ),
      segmentBytes: facts.wal_segment_bytes,
    };
  }

  /** @param program this host's own pgBackRest: what another host names is never run */
  async #keep({ archiving, status, drill }: Travelling, program: string): Promise<void> {
    const { layout } = this.#own.host;
    if (status) await writeArchiveStatus(layout.stateDir, status);
    if (drill) await writeSecondDrill(layout.stateDir, drill);
    await writeArchiving(this.#own.place.recordFile, { ...archiving, program });
  }
}
