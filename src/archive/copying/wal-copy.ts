import { now } from "../../system/clock.ts";
import { renameEntry, syncFolder } from "../../system/files/folder-files.ts";
import { whoseWal } from "../strangers.ts";
import { timelineOf } from "./branches.ts";
import { lackingIn, type Conflict } from "./decide.ts";
import type { FileCopy } from "./file-copy.ts";
import { isAllowed, isNewer, type WalLimits } from "./limits.ts";
import { walFile } from "./names.ts";
import type { OwnFolders } from "./own.ts";
import type { Listed, Look } from "./protocol.ts";
import { isFolderWanted, type Floors } from "./retained.ts";
import { ifVanished, LaterRound } from "./round-end.ts";
import type { AskedSource, WalAnswer } from "./source.ts";
import type { SourceBranches } from "./source-branches.ts";

/** Files of WAL whose names are kept while all of it is looked through. */
const MOST_KEPT = 200_000;

/** What is known of a source's WAL from earlier rounds. */
export class KnownWal {
  /** Folders that lacked nothing: how they looked on both sides, and from which position on. */
  readonly settled = new Map<
    string,
    { readonly there: string; readonly here: string; readonly floor: string }
  >();
  /** Segments that are here with another content, by their folders. */
  readonly conflicts = new Map<string, readonly Conflict[]>();
  /** Timelines of which what is here was written by another primary than the one that the own server follows. */
  readonly rivals = new Set<number>();
  /** When the newest segment was archived that was listed (milliseconds since the epoch). */
  newest = 0;

  /** What is here has changed otherwise than by copying. */
  forget(): void {
    this.settled.clear();
    this.conflicts.clear();
    this.rivals.clear();
  }

  /** What was known of folders that the source does not have any more. */
  forgetOthers({ folders }: Look): void {
    const listed = new Set(folders.map(({ folder }) => folder));
    for (const known of [this.settled, this.conflicts])
      for (const folder of known.keys()) if (!listed.has(folder)) known.delete(folder);
  }
}

interface WalParts {
  readonly source: AskedSource;
  readonly folders: OwnFolders;
  readonly files: FileCopy;
  readonly branches: SourceBranches;
  readonly known: KnownWal;
  readonly isPrimary: boolean;
  /** Whether what differs is looked for first: one segment tells that nothing of its timeline may be taken, also of those before it. */
  readonly compares: boolean;
  readonly limits: WalLimits | undefined;
  /** Of this host's own server. */
  readonly dataDir: string;
}

/** Copies WAL of a source: folder by folder, the oldest first. */
export class WalCopy {
  readonly #parts: WalParts;
  /** The first file there that cannot be true, and why. */
  untrue: string | undefined;
  /** When the newest segment was archived that is known to be here (milliseconds since the epoch); 0: none is. */
  upTo: number;
  /** What folders of the source hold, where all of it is looked through first. */
  readonly #listed = new Map<string, WalAnswer>();
  #kept = 0;

  /** @param upTo by earlier rounds */
  constructor(parts: WalParts, upTo: number) {
    this.#parts = parts;
    this.upTo = upTo;
  }

  /** @throws LaterRound, Failed */
  async copy(look: Look, floors: Floors): Promise<void> {
    const { branches, compares, limits } = this.#parts;
    const sorted = look.folders.toSorted((a, b) => (a.folder < b.folder ? -1 : 1));
    const open: { readonly folder: string; readonly floor: string }[] = [];
    for (const { folder, mark } of sorted) {
      if (!isFolderWanted(folder, floors) || isNewer(folder, limits)) continue;
      const floor = floors.get(folder.split("/")[0] ?? "") ?? "";
      if (!(await this.#isSettled(folder, mark, floor))) open.push({ folder, floor });
    }
    if (compares) for (const { folder, floor } of open) await this.#compare(folder, floor);
    for (const { folder, floor } of open)
      if (branches.isLost(folder)) this.#leave();
      else await this.#copyFolder(folder, floor);
  }

  /** Nothing is taken of another branch. A new primary knows which its own is. */
  #leave(): void {
    const { branches, isPrimary } = this.#parts;
    if (isPrimary) return;
    this.untrue ??= `a timeline ${branches.lost.join(", ")} that is not the one of this number which this host's server follows`;
  }

  /** Finds what a folder of the source has with another content than the own repository. */
  async #compare(folder: string, floor: string): Promise<void> {
    const { source, folders, branches, known, limits } = this.#parts;
    const [id = "", segments] = folder.split("/");
    const answer = await source.walFiles(folder);
    if (!answer) return;
    this.#kept += answer.files.length;
    if (this.#kept <= MOST_KEPT) this.#listed.set(folder, answer);
    if (segments === undefined) return await this.#judge(id, answer.files);
    const here = (await folders.walIn(folder)) ?? [];
    const found = lackingIn(folder, answer.files, here, floor, limits);
    const conflicts = found.conflicts.filter(isWhole);
    if (!conflicts.length) return;
    known.conflicts.set(folder, conflicts);
    branches.noteOtherWal(id, timelineOf(segments));
  }

  async #judge(id: string, files: readonly Listed[]): Promise<void> {
    const { source, branches } = this.#parts;
    await branches.judge(id, files, async (name) => {
      const text = await source.piece({ wal: id, name }, 0, name).catch(ifVanished);
      return text?.toString("utf8");
    });
  }

  async #isSettled(folder: string, mark: string | null, floor: string): Promise<boolean> {
    const settled = this.#parts.known.settled.get(folder);
    if (!settled || settled.there !== mark || settled.floor > floor) return false;
    return settled.here === (await this.#parts.folders.walMark(folder));
  }

  async #copyFolder(folder: string, floor: string): Promise<void> {
    const { source, folders, branches, known, limits, isPrimary } = this.#parts;
    const answer = this.#listed.get(folder) ?? (await source.walFiles(folder));
    if (!answer) return;
    const [id = "", segments] = folder.split("/");
    if (segments === undefined) await this.#judge(id, answer.files);
    const listed = answer.files.filter(([name]) => !branches.isLostOn(id, timelineOf(name)));
    const isLeft = listed.length < answer.files.length;
    if (isLeft) this.#leave();
    const found = lackingIn(folder, listed, (await folders.walIn(folder)) ?? [], floor, limits);
    const { files, wrong, beyond } = found;
    const conflicts = found.conflicts.filter(isWhole);
    if (conflicts[0] !== undefined && !isPrimary)
      this.untrue ??= `${conflicts[0].key}, which is here with another content`;
    if (conflicts.length) known.conflicts.set(folder, conflicts);
    else known.conflicts.delete(folder);
    if (await this.#isOther(id, conflicts)) return this.#leave();
    // A new primary knows by itself what it needs, and wants nothing of later.
    if (wrong[0] !== undefined && !isPrimary) this.untrue ??= `${wrong[0]} with a size that it cannot have`;
    else if (beyond[0] !== undefined && !isPrimary && folder.includes("/"))
      this.untrue ??= `${beyond[0]}, which is far ahead of what this host's server has received`;
    if (files.length) await this.#take(folder, files);
    for (const [name, , at] of answer.files) {
      const file = walFile(name);
      if (file?.checksum !== undefined && (!limits || isAllowed(file, limits)))
        known.newest = Math.max(known.newest, Math.min(at, now()));
    }
    const own = await folders.walMark(folder);
    const isAll = !isLeft && !wrong.length && !beyond.length && !conflicts.length;
    if (answer.mark !== null && own !== null && isAll)
      known.settled.set(folder, { there: answer.mark, here: own, floor });
  }

  /**
   * Whether WAL that differs is the source's fault, by what this host's own server has.
   * @throws LaterRound where what is here has to go aside first
   */
  async #isOther(id: string, conflicts: readonly Conflict[]): Promise<boolean> {
    const { branches, known, isPrimary, dataDir } = this.#parts;
    const [first] = conflicts;
    if (first === undefined || isPrimary || !branches.mayHaveRival(timelineOf(first.key))) return false;
    const timeline = timelineOf(first.key);
    const whose = await whoseWal(conflicts, dataDir);
    if (whose === "here") branches.noteOtherWal(id, timeline);
    if (whose !== "there") return whose === "here";
    known.rivals.add(timeline);
    throw new LaterRound();
  }

  async #take(folder: string, files: readonly Listed[]): Promise<void> {
    const { folders, files: parts } = this.#parts;
    await folders.makingWal(folder, async (own) => {
      try {
        for (const [name, bytes, at] of files) {
          const part = await parts.take({ wal: folder, name }, bytes, at).catch(ifVanished);
          if (part === undefined) continue;
          // pgBackRest of a new primary may have archived it meanwhile.
          const { key } = walFile(name) ?? {};
          const isHere =
            key !== undefined &&
            own.names().some((other) => other.startsWith(key) && walFile(other)?.key === key);
          await folders.inMaking([], async (making) => {
            if (isHere) await making.remove(part);
            else await renameEntry(making, part, own, name);
          });
          if (folder.includes("/")) this.upTo = Math.max(this.upTo, at);
        }
      } finally {
        await syncFolder(own);
      }
    });
  }
}

/** Whether it is a whole segment: each primary that began a timeline has its own part of the one before it. */
function isWhole({ key }: Conflict): boolean {
  return !key.endsWith(".partial");
}
