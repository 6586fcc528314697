import { RepositoryCopier, type CopyState } from "../../archive/copying/copier.ts";
import type { Lineage } from "../../archive/copying/branches.ts";
import type { WalLimits } from "../../archive/copying/limits.ts";
import type { Runtime } from "../../members/runtime.ts";
import { every, now } from "../../system/clock.ts";
import { databasesOf } from "../documents/host-config.ts";
import type { Host } from "../documents/record.ts";
import type { OwnArchive } from "./own-archive.ts";
import { shedWords } from "./lost-branch.ts";
import { repositorySource } from "./repository-source.ts";
import { askOtherAgent } from "../ask-other-agent.ts";
import { believed, travellingSchema, type Travelling } from "./travelling.ts";

/** Where an agent says what it knows of its repository; beside what shows the repository itself. */
export const ANY_SECOND = "/any-second/";
export const RECORD = `${ANY_SECOND}record`;

/** Milliseconds for another agent to say what it knows. */
const RECORD_TIMEOUT = 5000;

/** Milliseconds between two looks whether somebody else leads, while a round copies. */
const LEADER_EVERY = 500;

/** The repositories of the other hosts with a database, as their agents show them. */
export class OtherRepositories {
  readonly #own: OwnArchive;
  readonly #copier = new RepositoryCopier();
  #conflicts = "";

  constructor(own: OwnArchive) {
    this.#own = own;
  }

  /** Those whose agents answer. */
  get answering(): readonly Host[] {
    return this.all.filter(({ name }) => this.#own.parts.answers(name));
  }

  get all(): readonly Host[] {
    const { document, name } = this.#own.parts;
    return databasesOf(document()).filter((host) => host.name !== name);
  }

  /**
   * What a host says of its repository.
   * @param timeline the newest that this host's own server knows
   * @returns why there is none, where it says nothing or nothing that can be
   */
  async ask(
    { name, address }: Pick<Host, "name" | "address">,
    { state }: Runtime,
    timeline: number | undefined,
  ): Promise<Travelling | string> {
    const question = { path: RECORD, timeout: RECORD_TIMEOUT };
    const told = await askOtherAgent(address, question, travellingSchema, this.#own.host.identity);
    if (!told) return `${name} says nothing of a repository`;
    const here = { now: now(), systemIdentifier: state.system_identifier ?? undefined, timeline };
    const judged = believed(told, here);
    return judged.ok ? judged.told : `what ${name} says of its repository is not taken: ${judged.problem}`;
  }

  /**
   * One round of copying from another host; it ends where somebody else comes to lead.
   * @param isPrimary whether this host's server is the primary
   * @param patience milliseconds; undefined: as long as a round takes
   */
  async fetch(
    host: Host,
    { state }: Runtime,
    {
      isPrimary,
      limits,
      lineage,
      rival,
      bases,
      patience,
    }: {
      readonly isPrimary: boolean;
      readonly limits?: WalLimits;
      readonly lineage?: Lineage | undefined;
      /** A timeline to which two hosts were promoted, where what is here of it is of the other one. */
      readonly rival?: number | undefined;
      readonly bases?: ReadonlySet<string>;
      readonly patience?: number;
    },
  ): Promise<CopyState> {
    const { identity, log } = this.#own.host;
    const { view } = this.#own.parts;
    // The store may be late: who copied from whom when this began does not end it.
    const expected = [view()?.leader, isPrimary ? this.#own.parts.name : host.name, undefined];
    const changed = new AbortController();
    const unwatch = every(LEADER_EVERY, () => {
      if (!expected.includes(view()?.leader)) changed.abort();
    });
    const own = this.#own.repository(state.system_identifier ?? "");
    const ends = [changed.signal, ...(patience === undefined ? [] : [AbortSignal.timeout(patience)])];
    const found = await this.#copier
      .fetch(repositorySource(identity, host), own, {
        isPrimary,
        limits,
        lineage,
        rival,
        bases,
        signal: AbortSignal.any(ends),
      })
      .finally(unwatch);
    const conflicts = found.conflicts.join(", ");
    if (conflicts !== this.#conflicts && conflicts !== "")
      log("error", `any second: ${host.name} has other WAL of the same name: ${conflicts}`);
    this.#conflicts = conflicts;
    if (found.shed) log("warn", shedWords(found.shed));
    if (found.aside !== undefined)
      log("warn", `any second: a repository of another cluster was put aside: ${found.aside}`);
    return found;
  }
}
