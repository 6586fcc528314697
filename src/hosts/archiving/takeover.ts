import { recordAnew } from "../../agent/backups/archived-primary.ts";
import type { CopyState } from "../../archive/copying/copier.ts";
import type { Lineage } from "../../archive/copying/branches.ts";
import { limitsOfPrimary, type WalLimits } from "../../archive/copying/limits.ts";
import { withHoles } from "../../archive/continuity.ts";
import { listBases, prepareStanza } from "../../archive/pgbackrest.ts";
import { begunAt, heldBefore, historyOf, pushLacking, type NewPrimary } from "../../archive/push-lacking.ts";
import { readArchive, writeArchiveStatus } from "../../archive/record.ts";
import { toOdooPgError } from "../../errors.ts";
import { ownPrimary, type Runtime } from "../../members/runtime.ts";
import type { Archiving } from "../../model/backups/archive-status.ts";
import { factsOf, type ServerFacts } from "../../model/observation.ts";
import { writeSecondDrill } from "../../store/second-drill.ts";
import { monotonic, now } from "../../system/clock.ts";
import type { Host } from "../documents/record.ts";
import {
  basesToTake,
  commandOf,
  healed,
  isRival,
  isTaken,
  leftBy,
  taken,
  toldBefore,
  wholeUpTo,
  withEarlier,
} from "./decide.ts";
import { shedBefore, shedWords, withoutBranches } from "./lost-branch.ts";
import type { OtherRepositories } from "./other-repositories.ts";
import type { OwnArchive } from "./own-archive.ts";
import { newestOf, type Travelling } from "./travelling.ts";

/** Milliseconds between two rounds of what could not be fetched at the beginning. */
const FETCH_EVERY = 10_000;

/** Milliseconds for which a new primary fetches WAL that other hosts have, before what is missing counts as lost. */
const FETCH_PATIENCE = 30_000;

/** A gap of the time before this primary, which other hosts may fill. */
type OpenGap = NonNullable<NonNullable<Archiving["unfetched"]>["open"]>;

/** What a new primary does for its host's repository to be the one into which WAL goes. */
export class Takeover {
  readonly #own: OwnArchive;
  readonly #others: OtherRepositories;
  /** Called when the record was changed. */
  readonly #noted: (runtime: Runtime) => Promise<void>;
  /** It is in the record, too. */
  #open: OpenGap | undefined;
  /** Other hosts from which a new primary has not fetched all yet, also those that have not answered. In the record, too. */
  #fetchFrom = new Set<string>();
  /** Whether the record has gaps, of which some may be filled. */
  #mayHeal = false;
  /** Whether something came of that, so that the gap may be filled. */
  #isFuller = false;
  /** What kept it from fetching from each; "" where nothing did. */
  readonly #problems = new Map<string, string>();
  /** Which WAL and base backups a new primary takes from them. */
  #wanted:
    | { readonly limits: WalLimits; readonly lineage: Lineage; readonly bases: ReadonlySet<string> }
    | undefined;
  /** Whether pgBackRest does not know of all base backups that were fetched. */
  #isStale = false;
  #fetchedAt = -Infinity;

  constructor(own: OwnArchive, others: OtherRepositories, noted: (runtime: Runtime) => Promise<void>) {
    this.#own = own;
    this.#others = others;
    this.#noted = noted;
  }

  /** Another host's server is the primary. */
  forget(): void {
    this.#open = undefined;
    this.#wanted = undefined;
  }

  /**
   * Makes this host's repository the one into which WAL goes, where another host's was it before. What is missing in it of
   * the time since everything was there, also of this primary's own, is a gap.
   * @param gaveUp whether WAL was given up before
   * @throws OdooPgError where the repository takes nothing, Error where the server does not say how far it is
   */
  async begin(
    runtime: Runtime,
    program: string,
    { facts, gaveUp }: { readonly facts: ServerFacts; readonly gaveUp: boolean },
  ): Promise<void> {
    const { layout, log } = this.#own.host;
    const { node } = this.#own.parts.node.own;
    const own = (await readArchive(layout)).archiving;
    if (own && isTaken(own, node.name, facts.timeline)) {
      // An earlier program may have taken it over.
      this.#fetchFrom = new Set(own.unfetched?.hosts);
      this.#open = own.unfetched?.open;
      this.#mayHeal = own.gaps.length > 0;
      this.#isFuller = this.#open !== undefined;
      return;
    }
    const { place } = this.#own;
    const pgbackrest = this.#own.pgbackrest(program);
    await prepareStanza(pgbackrest, place);
    await this.#shed(runtime);
    const told = await this.#own.told(null);
    const all = [
      ...(told ? [{ told, isHere: true }] : []),
      ...(await this.#fetchAll(runtime, facts, told)),
    ].filter(
      ({ told: { archiving } }) =>
        archiving.system_identifier === runtime.state.system_identifier &&
        !isRival(archiving, node.name, facts.timeline),
    );
    const known = newestOf(all.map((one) => one.told));
    if (!known) {
      // Nobody has archived anything yet, or nobody knows of it: what came after the first base backup cannot be counted on.
      const bases = await listBases(pgbackrest, runtime.state.system_identifier ?? "");
      const of = { program, system_identifier: runtime.state.system_identifier ?? "" };
      const anew = recordAnew(bases.slice(0, 1), of);
      await this.#own.note(() => anew);
      return;
    }
    if (this.#isStale) await this.#fitInfo(runtime, program);
    const here = newestOf(all.flatMap((one) => (one.isHere ? [one.told] : [])));
    const of = await this.#seePrimary(runtime);
    const begun = await begunAt(of);
    const records = {
      known: leftBy(known.archiving, of.timeline, begun),
      here: here && leftBy(here.archiving, of.timeline, begun),
    };
    const bases = await listBases(pgbackrest, known.archiving.system_identifier);
    // What is finished from here on waits until it is archived: what was finished before is looked for.
    const command = commandOf({ enabled: true, program, record: undefined, place, node: node.name });
    await this.#own.parts.node.archiveBy(command);
    const primary = await this.#seePrimary(runtime);
    const whole = Date.parse(wholeUpTo(records));
    const { pushed, missing, leads, unsure } = await pushLacking(
      { place, pgbackrest },
      bases,
      whole,
      primary,
    );
    const lacks = !leads || missing.length > 0 || gaveUp;
    const by = { node: node.name, timeline: primary.timeline, program };
    const { record: begunRecord, gap } = taken({ ...records, lacks, unsure }, by, iso());
    const gaps = withHoles(begunRecord.gaps, await heldBefore(place, bases, whole, primary));
    const record = { ...begunRecord, gaps };
    const timelines = this.#own.timelines(record, runtime, [
      ...(this.#own.parts.view()?.history ?? []),
      ...(begun === undefined ? [] : [{ at: new Date(begun).toISOString(), timeline: facts.timeline }]),
    ]);
    if (known.status) await writeArchiveStatus(layout.stateDir, { ...known.status, bases });
    if (known.drill) await writeSecondDrill(layout.stateDir, known.drill);
    this.#mayHeal = gaps.length > 0;
    this.#open = gap && known.archiving.archiving ? { gap, since: known.archiving.since } : undefined;
    await this.#own.note(() => ({ ...record, timelines, unfetched: this.#unfetched }));
    log(
      "info",
      `any second: WAL of timeline ${facts.timeline} goes into this host's repository; ${pushed} segments of before were taken into it, too`,
    );
    for (const { from, to } of gaps.filter((one) => !begunRecord.gaps.includes(one)))
      log(
        "error",
        `WAL is missing in this host's repository between two base backups, from ${from} to ${to}`,
      );
    if (gap)
      log(
        "error",
        `WAL is missing in the repository, from ${gap.from} on${missing.length ? `: ${missing.length} segments, the first is ${missing[0] ?? ""}` : ""}`,
      );
  }

  /** Puts aside what is in the repository of branches that this primary does not go on from. */
  async #shed(runtime: Runtime): Promise<void> {
    const { timeline, segmentBytes, at } = await this.#seePrimary(runtime);
    const own = this.#own.repository(runtime.state.system_identifier ?? "");
    const shed = await shedBefore(own, await this.#lineage(timeline), { segmentBytes, at });
    if (!shed) return;
    this.#isStale = true;
    this.#own.host.log("warn", shedWords(shed));
    await this.#own.note((record) => record && withoutBranches(record, shed.timelines));
  }

  /** How the server of this host came to its timeline. */
  async #lineage(timeline: number): Promise<Lineage> {
    const { dataDir } = this.#own.parts.node.files;
    return { timeline, history: await historyOf({ dataDir, timeline }) };
  }

  /** The primary as it is now. @throws Error where it does not say how far it has written */
  async #seePrimary(runtime: Runtime): Promise<NewPrimary> {
    const server = ownPrimary(runtime);
    await server?.observe();
    const facts = factsOf(server?.observation);
    if (!facts || facts.in_recovery || facts.current_lsn === null)
      throw new Error("this host's server does not say how far it has written");
    return {
      dataDir: this.#own.parts.node.files.dataDir,
      timeline: facts.timeline,
      segmentBytes: facts.wal_segment_bytes,
      at: facts.current_lsn,
    };
  }

  get #unfetched(): NonNullable<Archiving["unfetched"]> {
    const open = this.#open;
    return { hosts: [...this.#fetchFrom].sort(), ...(open ? { open } : {}) };
  }

  /** Keeps what is still to be fetched for the next program. */
  async noteUnfetched(runtime: Runtime): Promise<void> {
    const unfetched = this.#unfetched;
    const isNoted = await this.#own.note((record) =>
      !record || JSON.stringify(record.unfetched ?? { hosts: [] }) === JSON.stringify(unfetched)
        ? undefined
        : { ...record, unfetched },
    );
    if (isNoted) await this.#noted(runtime);
  }

  /** What the other hosts know, and whether all WAL of theirs is here. @param own what this one knows */
  async #fetchAll(
    runtime: Runtime,
    { timeline, wal_segment_bytes: segmentBytes }: ServerFacts,
    own: Travelling | undefined,
  ): Promise<{ readonly told: Travelling; readonly isHere: boolean }[]> {
    this.#fetchFrom = new Set(this.#others.all.map(({ name }) => name));
    const said: { readonly host: Host; readonly told: Travelling }[] = [];
    for (const host of this.#others.answering) {
      const told = await this.#others.ask(host, runtime, timeline);
      if (typeof told === "string") this.#tell(host.name, told);
      else said.push({ host, told });
    }
    const lineage = await this.#lineage(timeline);
    this.#wanted = {
      limits: limitsOfPrimary(timeline, lineage.history, segmentBytes),
      lineage,
      bases: basesToTake(
        own,
        said.map(({ host, told }) => ({ host: host.name, told })),
      ),
    };
    const found: { readonly told: Travelling; readonly isHere: boolean }[] = [];
    for (const { host, told } of said) {
      const { walWhole, lost } = await this.#fetchOne(host, runtime);
      // What it knows of a branch that is lost is not of this cluster's history.
      if (lost.includes(told.archiving.primary?.timeline ?? 0))
        this.#tell(host.name, `what ${host.name} knows is of a timeline that the cluster did not go on from`);
      else found.push({ told, isHere: walWhole });
    }
    return found;
  }

  /** @param withBases whether base backups are taken, too */
  async #fetchOne(host: Host, runtime: Runtime, withBases = true): Promise<CopyState> {
    const state = await this.#others.fetch(host, runtime, {
      isPrimary: true,
      ...this.#wanted,
      ...(withBases ? {} : { bases: new Set<string>() }),
      patience: FETCH_PATIENCE,
    });
    this.#isStale ||= state.stale;
    if (state.whole && withBases) this.#fetchFrom.delete(host.name);
    this.#isFuller ||= state.walWhole;
    this.#tell(host.name, state.problem ? `${host.name}: ${state.problem.text}` : "");
    return state;
  }

  /** Logs what keeps this host from fetching from another one, when that changes. */
  #tell(host: string, problem: string): void {
    if (problem !== "" && problem !== this.#problems.get(host))
      this.#own.host.log("warn", `any second: ${problem}`);
    this.#problems.set(host, problem);
  }

  /** What could not be fetched at the beginning. With it, what counted as missing may be there. */
  async fetchRest(runtime: Runtime, program: string): Promise<void> {
    const isDue = this.#fetchFrom.size > 0 || this.#isStale || (this.#isFuller && this.#mayHeal);
    if (!isDue || monotonic() - this.#fetchedAt < FETCH_EVERY) return;
    this.#fetchedAt = monotonic();
    for (const host of this.#others.answering)
      if (this.#fetchFrom.has(host.name)) await this.#fetchLater(host, runtime);
    if (this.#isStale) await this.#fitInfo(runtime, program);
    if (this.#isFuller && !this.#isStale && this.#mayHeal) await this.#heal(runtime, program);
    await this.noteUnfetched(runtime);
  }

  /** Of a host that had not answered, or not all of it yet. */
  async #fetchLater(host: Host, runtime: Runtime): Promise<void> {
    const facts = factsOf(ownPrimary(runtime)?.observation);
    if (!facts) return;
    const told = await this.#others.ask(host, runtime, facts.timeline);
    if (typeof told === "string") return this.#tell(host.name, told);
    const own = await this.#own.told(null);
    const lineage = await this.#lineage(facts.timeline);
    // Also an agent that has just started takes nothing else.
    this.#wanted = {
      limits: limitsOfPrimary(facts.timeline, lineage.history, facts.wal_segment_bytes),
      lineage,
      bases: new Set([...(this.#wanted?.bases ?? []), ...basesToTake(own, [{ host: host.name, told }])]),
    };
    if (own && withEarlier(own.archiving, told.archiving)) {
      // Whether it is of this history, only its WAL tells.
      const { walWhole, lost } = await this.#fetchOne(host, runtime, false);
      if (!walWhole) return;
      const { node } = this.#own.parts.node.own;
      const { timeline } = facts;
      const begun = await begunAt({ dataDir: this.#own.parts.node.files.dataDir, timeline });
      const earlier = toldBefore(told.archiving, { node: node.name, timeline, begun, lost });
      // Before its base backups are here, which must not seem to lead up to now.
      const isMore = await this.#own.note((record) => record && earlier && withEarlier(record, earlier));
      if (isMore) await this.#noted(runtime);
    }
    await this.#fetchOne(host, runtime);
  }

  /** Has pgBackRest know the base backups that were fetched; while it makes one here, the next round tries again. */
  async #fitInfo(runtime: Runtime, program: string): Promise<void> {
    const { layout, log } = this.#own.host;
    try {
      await this.#own.expire(program, true);
    } catch (error) {
      log(
        "warn",
        `any second: base backups of other hosts are not known yet: ${toOdooPgError(error).message}`,
      );
      return;
    }
    this.#isStale = false;
    const bases = await listBases(this.#own.pgbackrest(program), runtime.state.system_identifier ?? "");
    const { status } = await readArchive(layout);
    if (status) await writeArchiveStatus(layout.stateDir, { ...status, bases });
  }

  /** Takes back the gap of the beginning, and those between base backups, where nothing is missing any more. */
  async #heal(runtime: Runtime, program: string): Promise<void> {
    const { place } = this.#own;
    const pgbackrest = this.#own.pgbackrest(program);
    const bases = await listBases(pgbackrest, runtime.state.system_identifier ?? "");
    const primary = await this.#seePrimary(runtime);
    this.#isFuller = false;
    const open = this.#open;
    const found =
      open && (await pushLacking({ place, pgbackrest }, bases, Date.parse(open.gap.from), primary));
    const isHealed = found?.leads === true && !found.missing.length;
    if (isHealed) this.#open = undefined;
    const before = await heldBefore(place, bases, open ? Date.parse(open.gap.from) : Infinity, primary);
    const isFilled = await this.#own.note((record) => {
      if (!record) return undefined;
      const known = open && isHealed ? healed(record, open.gap, open.since) : record;
      const gaps = withHoles(known.gaps, before);
      const isSame = JSON.stringify(gaps) === JSON.stringify(record.gaps);
      return isSame ? undefined : { ...known, gaps, unfetched: this.#unfetched };
    });
    if (!isFilled) return;
    await this.#noted(runtime);
    if (isHealed)
      this.#own.host.log("info", `any second: what was missing from ${open?.gap.from ?? ""} on is here now`);
  }
}

function iso(): string {
  return new Date(now()).toISOString();
}
