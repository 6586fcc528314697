import { Cached } from "../../system/cached.ts";
import type { Runtime } from "../../members/runtime.ts";
import type { Samples } from "../../observe/samples.ts";
import type { StatusSource } from "../../observe/status-source.ts";
import { readCatalogue } from "../../backup/catalogue.ts";
import { backupPlaceOf } from "../../backup/place.ts";
import type { BackupStatus } from "../../model/backups/backup-report.ts";
import type { StatusDocument } from "../../cluster/documents/status.ts";
import { NewestEvents } from "../../events/journal.ts";
import type { KnownFacts, OdooFactsCache } from "../../odoo/facts-cache.ts";
import { every, monotonic, now } from "../../system/clock.ts";
import type { NodeDisk, Sample } from "../../cluster/documents/console.ts";
import type { ConsoleListener, ConsoleSource, GatheredDocument } from "../source.ts";
import { ActivityReader } from "./activity-reader.ts";
import { databasesOf } from "./databases.ts";
import { PrimarySession } from "./primary-session.ts";
import { lastBackups, recoveryOf, type KnownBackup } from "./recovery.ts";
import { essenceOf } from "./same-document.ts";
import { verdictOf } from "./verdict.ts";

/** Milliseconds between two reads while a page is open. */
const GATHER_EVERY = 1000;

/** Milliseconds between two requests for Odoo's facts, and how long answers to one may still arrive. */
const FACTS_EVERY = 60_000;
const FACTS_COMING = 10_000;

/** How often the folder of the backups is read, besides whenever a run has ended. */
const BACKUPS = { every: 60_000, timeout: 300 };

const EVENTS_SHOWN = 100;

/** Milliseconds without a request after which no page counts as open. */
const IDLE_AFTER = 10_000;

export interface GathererParts {
  readonly stateDir: string;
  /** How odoo-pg is typed on this host, wherever one is. */
  readonly called: string;
  readonly runtime: () => Runtime | undefined;
  readonly statusSource: StatusSource;
  readonly samples: Samples;
  readonly odoo: OdooFactsCache;
}

/** Gathers what the console shows, while a page is open; nothing otherwise. */
export class Gatherer implements ConsoleSource {
  readonly #parts: GathererParts;
  readonly #session: PrimarySession;
  readonly #activity: ActivityReader;
  readonly #events: NewestEvents;
  readonly #listeners = new Set<ConsoleListener>();
  #stop: (() => void) | undefined;
  #gathering = false;
  #last = "";
  #askedAt = 0;
  #facts: { readonly at: number; readonly known: ReadonlyMap<string, KnownFacts> } | undefined;
  #catalogue: { readonly of: string; readonly backups: Cached<readonly KnownBackup[]> } | undefined;
  #backups: readonly KnownBackup[] | undefined;

  constructor(parts: GathererParts) {
    this.#parts = parts;
    this.#session = new PrimarySession(parts.runtime);
    this.#activity = new ActivityReader(this.#session);
    this.#events = new NewestEvents(parts.stateDir, EVENTS_SHOWN);
  }

  get called(): string {
    return this.#parts.called;
  }

  configFile(): string | undefined {
    return this.#parts.runtime()?.configFile;
  }

  /** @throws OdooPgError not_running while nothing was applied */
  async document(): Promise<GatheredDocument> {
    this.#askedAt = monotonic();
    this.#keepGathering();
    const { statusSource } = this.#parts;
    const [status, activity, record, events] = await Promise.all([
      statusSource.status(),
      this.#activity.activity(),
      statusSource.backups(),
      this.#events.read(),
    ]);
    const time = now();
    const backups = await this.#backupsKnown(record);
    const names = this.#activity.databases();
    return {
      version: 1,
      at: new Date(time).toISOString(),
      cluster: status.cluster,
      config_file: this.configFile() ?? null,
      called: this.called,
      verdict: verdictOf(status),
      recovery: recoveryOf({ enabled: this.#backupsEnabled(), backups, record, now: time }),
      status,
      disks: await this.#disks(status),
      databases: databasesOf({
        names,
        sizes: statusSource.databaseSizes(names),
        facts: this.#odooFacts(names),
        lastBackups: lastBackups(backups ?? []),
      }),
      activity,
      events,
    };
  }

  async samples(): Promise<readonly Sample[]> {
    return await Promise.resolve(this.#parts.samples.list());
  }

  subscribe(listener: ConsoleListener): () => void {
    this.#listeners.add(listener);
    const unsubscribe = this.#parts.samples.subscribe((sample) => listener.sample(sample));
    // A new follower gets the document at once.
    this.#last = "";
    this.#keepGathering();
    void this.#gather();
    return () => {
      unsubscribe();
      this.#listeners.delete(listener);
    };
  }

  /** Closes what is kept open for followers. */
  async close(): Promise<void> {
    this.#stop?.();
    this.#stop = undefined;
    this.#listeners.clear();
    await this.#session.close();
  }

  #keepGathering(): void {
    this.#stop ??= every(GATHER_EVERY, () => {
      if (this.#listeners.size > 0) void this.#gather();
      else if (monotonic() - this.#askedAt > IDLE_AFTER) void this.close();
    });
  }

  /** Sends the document when it has changed. While nothing was applied there is none. */
  async #gather(): Promise<void> {
    if (this.#gathering) return;
    this.#gathering = true;
    try {
      const document = await this.document();
      const essence = essenceOf(document);
      if (essence === this.#last) return;
      this.#last = essence;
      for (const listener of this.#listeners) listener.document(document);
    } catch {
      // The next read reports it.
    } finally {
      this.#gathering = false;
    }
  }

  #backupsEnabled(): boolean {
    const backup = this.#parts.runtime()?.config.backup;
    return backup?.enabled === true && backup.schedule !== "off";
  }

  async #disks(status: StatusDocument): Promise<NodeDisk[]> {
    const { statusSource, samples, runtime } = this.#parts;
    const growth = samples.forecasts();
    const nodes = runtime()?.config.nodes ?? [];
    return await Promise.all(
      nodes
        .filter(({ name }) => status.nodes.some((seen) => seen.name === name))
        .map(async (node) => {
          const disk = await statusSource.disk(node);
          return {
            node: node.name,
            free_bytes: disk?.freeBytes ?? null,
            total_bytes: disk?.totalBytes ?? null,
            days_left: growth.get(node.name)?.days ?? null,
            history_hours: growth.get(node.name)?.hours ?? null,
          };
        }),
    );
  }

  /** Requested once a minute; the answers arrive one by one. */
  #odooFacts(names: readonly string[]): ReadonlyMap<string, KnownFacts> {
    const age = this.#facts ? monotonic() - this.#facts.at : Infinity;
    const missing = names.some((name) => !this.#facts?.known.has(name));
    if (this.#facts && age > FACTS_COMING && age < FACTS_EVERY && !missing) return this.#facts.known;
    const known = names.length ? this.#parts.odoo.ask(names) : new Map<string, KnownFacts>();
    this.#facts = { at: this.#facts && age < FACTS_EVERY ? this.#facts.at : monotonic(), known };
    return known;
  }

  /** The contents of the folder of the backups, as last read; undefined before the first time. */
  async #backupsKnown(record: BackupStatus | undefined): Promise<readonly KnownBackup[] | undefined> {
    const config = this.#parts.runtime()?.config;
    if (!config) return this.#backups;
    const place = backupPlaceOf(config);
    const of = `${record?.written_at ?? ""} ${place.dir}`;
    if (this.#catalogue?.of !== of) {
      const read = async (): Promise<readonly KnownBackup[]> => {
        const { backups } = await readCatalogue(place);
        return backups.map(({ id, manifest, checks }) => ({
          id,
          database: manifest.database,
          at: manifest.snapshot_at,
          drilledAt: checks.drilled_at,
          damaged: checks.problems.length > 0,
        }));
      };
      this.#catalogue = { of, backups: new Cached({ ...BACKUPS, read }) };
    }
    this.#backups = (await this.#catalogue.backups.now()) ?? this.#backups;
    return this.#backups;
  }
}
