import { timelinesBefore } from "../../model/timeline.ts";
import { FIRST } from "../strangers.ts";
import { branchOf, isOnTheWay, timelineOf, timelineOfHistory, type Lineage } from "./branches.ts";
import { currentOf, type InfoBase, type StanzaInfo } from "./info-text.ts";
import { isSize } from "./limits.ts";
import { walFile } from "./names.ts";
import type { Listed } from "./protocol.ts";

/** Which timelines of a source are of another branch than this host's own server: nothing of them is taken. */
export class SourceBranches {
  #lineage: Lineage | undefined;
  /** By which lineage it was judged. */
  #by = "";
  /** What was judged: of an archive id with a timeline, by its history, and by its WAL. */
  readonly #judged = new Map<string, { readonly mark: string; readonly isLost: boolean }>();

  /**
   * @param lineage how this host's own server came to its timeline; undefined: what is of another branch is not known
   * @returns whether all is to be judged anew
   */
  judgeBy(lineage: Lineage | undefined): boolean {
    const by = JSON.stringify(lineage ?? null);
    this.#lineage = lineage;
    if (this.#by === by) return false;
    this.#by = by;
    this.#judged.clear();
    return true;
  }

  /** Timelines of another branch. */
  get lost(): number[] {
    const found = [...this.#judged].flatMap(([key, { isLost }]) =>
      isLost ? [Number(key.split("/")[1])] : [],
    );
    return [...new Set(found)].sort((a, b) => a - b);
  }

  /** @param folder of segments; an archive id is of no timeline */
  isLost(folder: string): boolean {
    const [id = "", segments] = folder.split("/");
    return segments !== undefined && this.isLostOn(id, timelineOf(segments));
  }

  /** Whether a base backup was made on such a timeline. */
  isLostBase(info: StanzaInfo, base: InfoBase): boolean {
    const { databaseId, archiveStart } = base;
    if (archiveStart === undefined || databaseId !== info.id) return false;
    if (this.#lineage && !isOnTheWay(base, this.#lineage)) return true;
    const version = currentOf(info)?.version ?? "";
    return this.isLostOn(`${version}-${databaseId}`, timelineOf(archiveStart));
  }

  /** @param id of an archive */
  isLostOn(id: string, timeline: number): boolean {
    return ["", "/wal"].some((by) => this.#judged.get(`${id}/${timeline}${by}`)?.isLost === true);
  }

  /** Whether this host's own server is on a timeline, or came by it, to which another one may have been promoted, too. */
  mayHaveRival(timeline: number): boolean {
    return timeline !== FIRST && this.#own.has(timeline);
  }

  get #own(): ReadonlySet<number> {
    const lineage = this.#lineage;
    return new Set(lineage ? [lineage.timeline, ...timelinesBefore(lineage.history)] : []);
  }

  /** WAL of it differs from what is here. */
  noteOtherWal(id: string, timeline: number): void {
    this.#judged.set(`${id}/${timeline}/wal`, { mark: "", isLost: true });
  }

  /**
   * Judges those histories of the source that have the number of a timeline of this host's own server.
   * @param read gives the text of one; undefined where it is gone
   */
  async judge(
    id: string,
    files: readonly Listed[],
    read: (name: string) => Promise<string | undefined>,
  ): Promise<void> {
    const lineage = this.#lineage;
    if (!lineage) return;
    const own = this.#own;
    for (const [name, bytes, at] of files) {
      const timeline = timelineOfHistory(name);
      const file = walFile(name);
      if (timeline === undefined || !file || !own.has(timeline)) continue;
      if (!isSize(file, bytes)) continue;
      const [key, mark] = [`${id}/${timeline}`, `${bytes}:${at}`];
      if (this.#judged.get(key)?.mark === mark) continue;
      const text = await read(name);
      if (text === undefined) continue;
      this.#judged.set(key, { mark, isLost: branchOf(timeline, text, lineage) === "lost" });
    }
  }
}
