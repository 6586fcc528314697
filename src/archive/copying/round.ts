import { monotonic, now } from "../../system/clock.ts";
import { diskAnswers } from "../../system/files/answering.ts";
import { copyBase, type Copying } from "./base-copy.ts";
import type { Lineage } from "./branches.ts";
import { nextBase, standingOf, type Standing } from "./decide.ts";
import { FileCopy } from "./file-copy.ts";
import { basesIn, stanzaInfo, type InfoBase, type InfoTexts, type StanzaInfo } from "./info-text.ts";
import type { WalLimits } from "./limits.ts";
import { isLabel } from "./names.ts";
import { OwnFolders, type OwnRepository } from "./own.ts";
import type { Look } from "./protocol.ts";
import { floorsOf, retained } from "./retained.ts";
import { Failed, LaterRound } from "./round-end.ts";
import { shedLost, type Shed } from "./shed.ts";
import { AskedSource, type Source } from "./source.ts";
import { SourceBranches } from "./source-branches.ts";
import { KnownWal, WalCopy } from "./wal-copy.ts";

/** Milliseconds for which one round copies: what is archived meanwhile must not wait for a large base backup. */
const SLICE = 20_000;

/** Milliseconds for the disk of the own repository to answer. */
const DISK_TIMEOUT = 5000;

/** By what one round copies. */
export interface RoundOptions {
  /** Whether pgBackRest of this host works in its repository at the same time. */
  readonly isPrimary: boolean;
  /** Which WAL may be true; undefined: any. */
  readonly limits?: WalLimits | undefined;
  /** How this host's own server came to its timeline; undefined: what is of another branch is not known. */
  readonly lineage?: Lineage | undefined;
  /** A timeline to which two primaries were promoted, and what is here of it is not the source's, by what hosts say. */
  readonly rival?: number | undefined;
  /** Labels of the base backups that may be taken; undefined: any. */
  readonly bases?: ReadonlySet<string> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What is known of a source from earlier rounds. */
export class KnownSource {
  readonly wal = new KnownWal();
  readonly branches = new SourceBranches();
  /** Of archive.info and backup.info there, with the marks that they had. */
  infos: { readonly marks: string; readonly texts: InfoTexts } | undefined;
}

/** What earlier rounds tell. */
interface Earlier {
  readonly source: KnownSource;
  /** When the newest segment was archived that is here, in milliseconds since the epoch; 0: none is known. */
  readonly upTo: number;
  /** Whether none came far since this program started: what an earlier one was writing may not be durable. */
  readonly isFirst: boolean;
}

/** One round of copying: what it looks at, and what it takes in which order. Its fields say how far it came, also where it failed. */
export class Round {
  readonly #source: AskedSource;
  readonly #own: OwnRepository;
  readonly #options: RoundOptions;
  readonly #earlier: Earlier;
  #upTo: number;
  #wal: WalCopy | undefined;
  walWhole = false;
  whole = false;
  labels: ReadonlySet<string> = new Set();
  copying: Copying | null = null;
  stale = false;
  older = false;
  aside: string | undefined;
  shed: Shed | undefined;
  tidied = false;

  constructor(source: Source, own: OwnRepository, options: RoundOptions, earlier: Earlier) {
    this.#source = new AskedSource(source, monotonic() + SLICE, options.signal);
    this.#own = own;
    this.#options = options;
    this.#earlier = earlier;
    this.#upTo = earlier.upTo;
  }

  /** As in what earlier rounds tell. */
  get upTo(): number {
    return this.#wal?.upTo ?? this.#upTo;
  }

  /** @throws Failed, LaterRound, Vanished, OdooPgError */
  async run(): Promise<void> {
    const known = this.#earlier.source;
    // What was left out by another lineage is looked at once more.
    if (known.branches.judgeBy(this.#options.lineage)) known.wal.settled.clear();
    const { look, texts } = await this.#lookAtSource();
    const source = this.#readInfos(texts);
    const { repository } = this.#own;
    if (!(await diskAnswers(repository, "write", DISK_TIMEOUT)))
      throw new Failed("failed", `the disk of ${repository} does not answer`);
    const folders = await OwnFolders.open(this.#own);
    try {
      await this.#settle(folders, source, texts);
      await this.#shed(folders);
      await this.#copy(folders, look, source.archive, basesIn(texts.backup));
      // All that is true is taken first.
      const untrue = this.#wal?.untrue;
      if (untrue !== undefined)
        throw new Failed("refused", `${this.#source.name} shows ${untrue}: it is not taken`);
    } finally {
      await this.#note(folders);
      folders.close();
    }
  }

  /** Info files that are new are read before the look that counts: what they name was archived by then. */
  async #lookAtSource(): Promise<{ look: Look; texts: InfoTexts }> {
    const look = await this.#source.look();
    const marks = this.#source.marksOf(look);
    const known = this.#earlier.source;
    if (known.infos?.marks === marks) return { look, texts: known.infos.texts };
    const texts = await this.#source.infoTexts();
    known.infos = { marks, texts };
    return { look: await this.#source.look(), texts };
  }

  #readInfos({ archive, backup }: InfoTexts): { archive: StanzaInfo; backup: StanzaInfo } {
    const read = { archive: stanzaInfo(archive), backup: stanzaInfo(backup) };
    if (!read.archive || !read.backup) {
      this.#earlier.source.infos = undefined;
      throw new Failed(
        "refused",
        `${read.archive ? "backup.info" : "archive.info"} of ${this.#source.name} cannot be read: it is damaged or encrypted`,
      );
    }
    return { archive: read.archive, backup: read.backup };
  }

  /** Makes the own repository one that the source's files fit into. */
  async #settle(
    folders: OwnFolders,
    source: { readonly archive: StanzaInfo; readonly backup: StanzaInfo },
    texts: InfoTexts,
  ): Promise<void> {
    const own = await folders.infos();
    const standing: Standing = standingOf(await folders.stanza(own), source, this.#own.systemIdentifier);
    const { name } = this.#source;
    if (standing === "foreign")
      throw new Failed("foreign", `the repository of ${name} is of another cluster: nothing of it is taken`);
    if (standing === "unfit")
      throw new Failed(
        "foreign",
        `the repository of ${name} does not fit the one that is here, which is of this cluster and stays as it is: nothing of it is taken`,
      );
    if (this.#options.isPrimary && (standing === "aside" || standing === "older"))
      throw new Failed(
        "foreign",
        `the repository of ${name} does not fit the one that is here, into which this host archives: nothing of it is taken`,
      );
    if (standing === "aside") {
      this.aside = await folders.putAside();
      this.#forget();
    }
    if (standing !== "same") await folders.writeInfos(texts);
  }

  /** Puts aside what is here of another branch. On the primary's host that is for whoever takes over: its server archives. */
  async #shed(folders: OwnFolders): Promise<void> {
    const { lineage, rival, isPrimary } = this.#options;
    if (!lineage || isPrimary) return;
    const more = new Set([...(rival === undefined ? [] : [rival]), ...this.#earlier.source.wal.rivals]);
    this.shed = await shedLost(folders, this.#own, lineage, { more, isNewest: false });
    if (this.shed) this.#forget();
  }

  /** Something of the own repository was put aside. */
  #forget(): void {
    this.#earlier.source.wal.forget();
    this.#upTo = 0;
  }

  async #copy(folders: OwnFolders, look: Look, info: StanzaInfo, all: readonly InfoBase[]): Promise<void> {
    const { isPrimary, lineage, limits, bases: allowed } = this.#options;
    const { branches, wal: known } = this.#earlier.source;
    const source = this.#source;
    const bases = all.filter(
      (base) => (allowed?.has(base.label) ?? true) && !branches.isLostBase(info, base),
    );
    known.forgetOthers(look);
    const labels = await folders.labels();
    const named = new Map(
      [...folders.bases(await folders.infos()).filter(({ label }) => labels.has(label)), ...bases].map(
        (base) => [base.label, base] as const,
      ),
    );
    const kept = retained([...named.values()], this.#own.days, now());
    const keptLabels = new Set(kept.map(({ label }) => label));
    const wanted = bases.filter(({ label }) => keptLabels.has(label));
    const here = kept.filter(({ label }) => labels.has(label));
    const next = nextBase(wanted, labels);
    await folders.tidy((name) =>
      isLabel(name)
        ? !labels.has(name) && (isPrimary || wanted.some(({ label }) => label === name))
        : !this.#earlier.isFirst && name.startsWith("part-"),
    );
    this.tidied = true;
    const needed = here.length || !next ? here : [next];
    const files = new FileCopy(source, folders, this.#own);
    const compares = isPrimary && lineage !== undefined;
    const { dataDir } = this.#own;
    const parts = { source, folders, files, branches, known, isPrimary, compares, limits, dataDir };
    const wal = new WalCopy(parts, this.#upTo);
    this.#wal = wal;
    await wal.copy(look, floorsOf(info, needed));
    this.walWhole = wal.untrue === undefined;
    if (this.walWhole && known.newest > 0) wal.upTo = known.newest;
    if (!next) {
      this.whole = true;
      return;
    }
    await wal.copy(look, floorsOf(info, [...here, next]));
    if (branches.isLostBase(info, next)) throw new LaterRound();
    const told = (copying: Copying): void => void (this.copying = copying);
    await copyBase(next.label, { source, files, folders, own: this.#own, told });
    this.copying = null;
    this.older = labels.size > 0 && [...labels].every((label) => next.label < label);
    // On a primary's host what expires meanwhile does not count with this one: its WAL is looked at once more.
    this.whole = !isPrimary && wanted.every(({ label }) => label === next.label || labels.has(label));
  }

  async #note(folders: OwnFolders): Promise<void> {
    this.labels = await folders.labels();
    const named = folders.bases(await folders.infos()).map(({ label }) => label);
    this.stale = named.length !== this.labels.size || named.some((label) => !this.labels.has(label));
  }
}
