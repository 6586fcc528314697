import path from "node:path";
import type { Forecast } from "../cluster/disk-growth.ts";
import { factsOf, identityOf } from "../model/observation.ts";
import type { Sample } from "../cluster/documents/console.ts";
import { readLoad, type Load } from "../postgres/sql/observing/load.ts";
import { appendBounded, readBounded } from "../system/files/bounded-lines.ts";
import { now } from "../system/clock.ts";
import type { Owner } from "../system/files/files.ts";
import type { NodeHandle } from "../members/node-handle.ts";
import { ownPrimary, primaryOf, type Runtime } from "../members/runtime.ts";
import { forecastsOf, ratesBetween, sampleOf, sampleRecordOf, type SampleRecord } from "./sample-record.ts";
import type { StatusSource } from "./status-source.ts";

/** Milliseconds between two samples, and how long one is shown. */
const EVERY = 30_000;
const SHOWN = 24 * 3_600_000;

/** Lines of a file: more than are shown, so that the file before holds nothing that is missed. */
const LINES = 3000;

/** Milliseconds for the question to the primary. */
const TIMEOUT = 2000;

/** Takes a sample of the cluster every 30 s and keeps those of 24 hours, also when the agent is killed. */
export class Samples {
  readonly #file: string;
  readonly #reader: Owner | undefined;
  readonly #statusSource: StatusSource;
  readonly #listeners = new Set<(sample: Sample) => void>();
  /** The oldest first; undefined before the file was read. */
  #records: SampleRecord[] | undefined;
  #taking = false;
  #forecasts: ReadonlyMap<string, Forecast | null> | undefined;

  constructor(stateDir: string, reader: Owner | undefined, statusSource: StatusSource) {
    this.#file = path.join(stateDir, "samples.jsonl");
    this.#reader = reader;
    this.#statusSource = statusSource;
  }

  /** Takes a sample when it is time. Called in every turn of the loop. @throws what the file system answers */
  async tick(runtime: Runtime): Promise<void> {
    const last = this.#known().at(-1);
    // A clock that was set back begins again.
    const age = last ? now() - Date.parse(last.at) : EVERY;
    if (this.#taking || (age >= 0 && age < EVERY)) return;
    this.#taking = true;
    try {
      const record = await this.#take(runtime, last);
      this.#keep(record);
      const line = JSON.stringify(record);
      const options = { maxBytes: LINES * (line.length + 1), reader: this.#reader };
      for (const tell of this.#listeners) tell(sampleOf(record));
      appendBounded(this.#file, line, options);
    } finally {
      this.#taking = false;
    }
  }

  /** Those of the last 24 hours, the oldest first. */
  list(): readonly Sample[] {
    return this.#known().map(sampleOf);
  }

  /** When the disk of each node is full, at the growth of the samples that are kept. */
  forecasts(): ReadonlyMap<string, Forecast | null> {
    this.#forecasts ??= forecastsOf(this.#known());
    return this.#forecasts;
  }

  /** Tells of each new sample until the returned function is called. */
  subscribe(listener: (sample: Sample) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #known(): SampleRecord[] {
    if (!this.#records) {
      const time = now();
      this.#records = readBounded(this.#file)
        .flatMap((line) => sampleRecordOf(line) ?? [])
        .filter(({ at }) => isShown(at, time));
    }
    return this.#records;
  }

  #keep(record: SampleRecord): void {
    const time = Date.parse(record.at);
    this.#records = [...this.#known().filter(({ at }) => isShown(at, time)), record];
    this.#forecasts = undefined;
  }

  async #take(runtime: Runtime, last: SampleRecord | undefined): Promise<SampleRecord> {
    const primary = primaryOf(runtime);
    const status = await this.#statusSource.status();
    const nodes = await Promise.all(
      runtime.config.nodes.map(async (node) => {
        const seen = status.nodes.find(({ name }) => name === node.name);
        return {
          name: node.name,
          lag_bytes: seen?.lag_bytes ?? null,
          lag_seconds: seen?.lag_seconds ?? null,
          disk_free_bytes: (await this.#statusSource.disk(node))?.freeBytes ?? null,
        };
      }),
    );
    const identity = identityOf(primary.observation);
    const facts = factsOf(primary.observation);
    const at = new Date(identity ? primary.observation.at : now()).toISOString();
    const own = ownPrimary(runtime);
    const load = own && facts ? await loadOf(own) : undefined;
    const counters = identity && {
      of: `${primary.node.name} ${facts?.processes_since ?? 0} ${load?.counters ?? ""}`,
      transactions: load?.transactions ?? null,
      wal: identity.current_lsn === null ? null : String(identity.current_lsn),
    };
    const record = {
      at,
      nodes,
      connections: load?.connections ?? null,
      max_connections: load?.max_connections ?? null,
      database_bytes: status.database_bytes,
      counters: counters ?? null,
    };
    return { ...record, ...ratesBetween(last, record) };
  }
}

/** Undefined where the primary does not answer in time: the sample shows a gap. */
async function loadOf(primary: NodeHandle): Promise<Load | undefined> {
  return await primary.use(readLoad, TIMEOUT).catch(() => undefined);
}

function isShown(at: string, time: number): boolean {
  const age = time - Date.parse(at);
  return age >= 0 && age <= SHOWN;
}
