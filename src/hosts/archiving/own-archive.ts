import { mergedTimelines } from "../../archive/continuity.ts";
import { expireCopy } from "../../archive/base-backup.ts";
import type { OwnRepository } from "../../archive/copying/own.ts";
import type { Pgbackrest } from "../../archive/pgbackrest.ts";
import { archivePlaceOf, type ArchivePlace } from "../../archive/place.ts";
import { readArchive, writeArchiving } from "../../archive/record.ts";
import { archivedEnd } from "../../archive/segments-ready.ts";
import { pgbackrestOf } from "../../archive/setup.ts";
import { windowDays } from "../../config/sections/backup.ts";
import type { Config } from "../../config/schema.ts";
import { ownPrimary, type Runtime } from "../../members/runtime.ts";
import type { Archiving, TimelineChange } from "../../model/backups/archive-status.ts";
import { factsOf } from "../../model/observation.ts";
import { readSecondDrill } from "../../store/second-drill.ts";
import type { ProgramSearch } from "../../system/install.ts";
import { Mutex } from "../../system/mutex.ts";
import type { OneHost } from "../agent/host.ts";
import type { OwnNode } from "../agent/own-server/own-node.ts";
import type { ClusterDocument } from "../documents/record.ts";
import type { StoreView } from "../documents/store-view.ts";
import { isTaken } from "./decide.ts";
import type { Travelling } from "./travelling.ts";

export interface ArchiveParts extends ProgramSearch {
  readonly program: readonly [string, string];
  readonly node: OwnNode;
  /** Who this host is in the cluster. */
  readonly name: string;
  readonly document: () => ClusterDocument;
  readonly view: () => StoreView | undefined;
  /** Whether another host's agent answers. */
  readonly answers: (host: string) => boolean;
}

/** This host's own repository, and the record of what is in it. */
export class OwnArchive {
  readonly host: OneHost;
  readonly parts: ArchiveParts;
  /** A change of the record is written before the next one reads it. */
  readonly #notes = new Mutex();

  constructor(host: OneHost, parts: ArchiveParts) {
    this.host = host;
    this.parts = parts;
  }

  get config(): Config {
    return this.parts.node.own.config;
  }

  get place(): ArchivePlace {
    return archivePlaceOf(this.config, this.host.layout);
  }

  /** The repository, as it is copied into. @param systemIdentifier of the cluster */
  repository(systemIdentifier: string): OwnRepository {
    const { repository, stanza, markFile } = this.place;
    return {
      repository,
      stanza,
      markFile,
      owner: this.host.owner,
      systemIdentifier,
      days: windowDays(this.config.backup.any_second.window),
      dataDir: this.parts.node.files.dataDir,
    };
  }

  get isOn(): boolean {
    return this.host.installation !== undefined && this.config.backup.any_second.enabled;
  }

  pgbackrest(program: string): Pgbackrest {
    return pgbackrestOf(program, this.place, this.parts.node.own.node, this.host.owner);
  }

  /**
   * Changes the record. What was turned off meanwhile stays off.
   * @param change undefined where there is nothing to change
   * @returns whether it was changed
   */
  async note(change: (record: Archiving | undefined) => Archiving | undefined): Promise<boolean> {
    return await this.#notes.run(async () => {
      const changed = change((await readArchive(this.host.layout)).archiving);
      if (!changed) return false;
      if (changed.archiving && !this.isOn) throw new Error("any second was turned off meanwhile");
      await writeArchiving(this.place.recordFile, changed);
      return true;
    });
  }

  /**
   * What this host says of its repository to the others; undefined where it has nothing to say.
   * @param copiedUpTo ISO 8601, where this host has a copy of the primary's
   */
  async told(copiedUpTo: string | null): Promise<Travelling | undefined> {
    const { node, view } = this.parts;
    const { layout } = this.host;
    const { runtime } = node;
    if (!runtime || !this.isOn) return undefined;
    const { archiving, status } = await readArchive(layout);
    if (!archiving) return undefined;
    const facts = factsOf(ownPrimary(runtime)?.observation);
    const leads = facts?.in_recovery === false && isTaken(archiving, node.own.node.name, facts.timeline);
    const upTo = await archivedEnd(node.files.dataDir, facts, status);
    const timelines = this.timelines(archiving, runtime, view()?.history ?? []);
    return {
      format: 1,
      up_to: leads ? new Date(upTo).toISOString() : copiedUpTo,
      archiving: { ...archiving, timelines },
      status: status ?? null,
      drill: (await readSecondDrill(layout.stateDir)) ?? null,
    };
  }

  /** Which changes of the primary are known, from a record, from before there were several hosts, and from the store. */
  timelines(
    { timelines = [] }: Archiving,
    { state }: Runtime,
    more: readonly { readonly at: string; readonly timeline: number | null }[],
  ): TimelineChange[] {
    return mergedTimelines(timelines, [...state.history, ...more]);
  }

  /**
   * Removes what has expired, as on the primary's host; what leads to the base backups is made anew by it.
   * @param keepsAll that alone
   * @throws OdooPgError locked, command_failed
   */
  async expire(program: string, keepsAll: boolean): Promise<void> {
    const { place } = this;
    await expireCopy({ place, pgbackrest: this.pgbackrest(program) }, this.host.layout, keepsAll);
  }
}
