import { now } from "../../system/clock.ts";
import type { Copying } from "./base-copy.ts";
import type { OwnRepository } from "./own.ts";
import { problemOf, type CopyProblem } from "./round-end.ts";
import { KnownSource, Round, type RoundOptions } from "./round.ts";
import type { Shed } from "./shed.ts";
import type { Source } from "./source.ts";

/** Segments that are named of those that are here with another content. */
const MOST_CONFLICTS = 20;

/** How far a copy of a repository is. */
export interface CopyState {
  /** Whose repository was looked at. */
  readonly source: string;
  /** When, in ISO 8601. */
  readonly at: string;
  /** Whether all WAL is here that was listed there and that a base backup here, or the next one to come, needs. */
  readonly walWhole: boolean;
  /** Whether all base backups are, too. */
  readonly whole: boolean;
  /** When the newest segment was archived there up to which nothing is missing here, in ISO 8601; null: not known yet. */
  readonly upTo: string | null;
  /** Labels of base backups that are whole here. */
  readonly bases: readonly string[];
  /** The one that is being copied. */
  readonly copying: Copying | null;
  /** Whether backup.info names others than these: `pgbackrest expire` puts it right. */
  readonly stale: boolean;
  /** Whether this round brought a base backup that is older than all that were here: nothing is to expire by it yet. */
  readonly older: boolean;
  /** Where a repository of another cluster lies since, that was here before. */
  readonly aside: string | undefined;
  /** Segments that are here with another content than there: they stay as they are. */
  readonly conflicts: readonly string[];
  /** What was put aside of the own repository, as it was of another branch of the cluster's history. */
  readonly shed: Shed | undefined;
  /** Timelines that are there of another branch: nothing of them is taken. */
  readonly lost: readonly number[];
  readonly problem: CopyProblem | null;
}

/**
 * Copies the repository of another host's pgBackRest into this host's own, as far as that lacks something. Nothing is
 * removed: what has expired, pgBackRest removes here as there. Each file is written beside and renamed, a base backup as a
 * whole, so that it may be cut off at any point.
 */
export class RepositoryCopier {
  readonly #known = new Map<string, KnownSource>();
  #upTo = 0;
  #isFirst = true;

  /** One round: looks at the source, and copies for some seconds. Never two at once into the same repository. */
  async fetch(source: Source, own: OwnRepository, options: RoundOptions): Promise<CopyState> {
    const known = this.#known.get(source.name) ?? new KnownSource();
    this.#known.set(source.name, known);
    const round = new Round(source, own, options, {
      source: known,
      upTo: this.#upTo,
      isFirst: this.#isFirst,
    });
    let problem: CopyProblem | null = null;
    try {
      await round.run();
    } catch (error) {
      problem = problemOf(error, options.signal);
    }
    this.#upTo = round.upTo;
    if (round.tidied) this.#isFirst = false;
    return {
      source: source.name,
      at: new Date(now()).toISOString(),
      walWhole: round.walWhole,
      whole: round.whole && problem === null,
      upTo: round.upTo === 0 ? null : new Date(round.upTo).toISOString(),
      bases: [...round.labels].sort(),
      copying: round.copying,
      stale: round.stale,
      older: round.older,
      aside: round.aside,
      conflicts: [...known.wal.conflicts.values()]
        .flat()
        .slice(0, MOST_CONFLICTS)
        .map(({ key }) => key),
      shed: round.shed,
      lost: known.branches.lost,
      problem,
    };
  }
}
