import path from "node:path";
import * as z from "zod";
import {
  NO_HISTORY,
  withReading,
  type StatementCounter,
  type StatementHistory,
} from "../cluster/statement-history.ts";
import { ownPrimary, type Runtime } from "../members/runtime.ts";
import { factsOf } from "../model/observation.ts";
import { statementCounters, statementTexts } from "../postgres/sql/observing/statement-counts.ts";
import { now } from "../system/clock.ts";
import { writeFileAtomic } from "../system/files/files.ts";
import { inspectJsonFile } from "../system/files/json-file.ts";

/** Milliseconds between two reads of the counters, until the next where nothing is counted yet, and for one read. */
const EVERY = 300_000;
const EVERY_IN_VAIN = 15_000;
const TIMEOUT = 5000;

/** Characters of a text that are kept, for when the server has forgotten the statement. */
const TEXT = 500;

/** Counters as a row each: the file holds thousands of them. */
const rowSchema = z.tuple([z.string(), z.number(), z.number()]);
const keptTextSchema = z.object({ database: z.string(), role: z.string(), statement: z.string() });
const savedSchema = z.object({
  version: z.literal(1),
  last: z.object({ at: z.number(), node: z.string(), counters: rowSchema.array() }).nullable(),
  hours: z
    .object({
      at: z.number(),
      watched: z.number(),
      calls: z.number(),
      milliseconds: z.number(),
      statements: rowSchema.array(),
    })
    .array(),
  texts: z.record(z.string(), keptTextSchema),
});
type Saved = z.output<typeof savedSchema>;

/** The role and database of a statement, and the beginning of its text. */
export type KeptText = z.output<typeof keptTextSchema>;

export interface KeptStatements {
  readonly history: StatementHistory;
  /** By id: of the statements of its hours. */
  readonly texts: ReadonlyMap<string, KeptText>;
}

function fileOf(stateDir: string): string {
  return path.join(stateDir, "statements.json");
}

/** The record of two days; empty where its file is damaged or of a newer odoo-pg: the record then begins again. */
export async function readKeptStatements(stateDir: string): Promise<KeptStatements> {
  const saved = await inspectJsonFile(fileOf(stateDir), savedSchema);
  if (!saved?.ok) return { history: NO_HISTORY, texts: new Map() };
  const { last, hours, texts } = saved.value;
  return {
    history: {
      last: last ? { ...last, counters: last.counters.map(counterOf) } : undefined,
      hours: hours.map((hour) => ({ ...hour, statements: hour.statements.map(counterOf) })),
    },
    texts: new Map(Object.entries(texts)),
  };
}

function counterOf([id, calls, milliseconds]: z.output<typeof rowSchema>): StatementCounter {
  return { id, calls, milliseconds };
}

function rowOf({ id, calls, milliseconds }: StatementCounter): z.output<typeof rowSchema> {
  return [id, calls, Math.round(milliseconds * 1000) / 1000];
}

/** Looks at what the primary counts of its statements every five minutes, and keeps two days of it by the hour. */
export class StatementWatch {
  readonly #stateDir: string;
  #kept: KeptStatements | undefined;
  /** By our clock; where that was set back, the next read is due at once. */
  #lookedAt = -Infinity;
  #wait = EVERY;
  #looking = false;

  constructor(stateDir: string) {
    this.#stateDir = stateDir;
  }

  /**
   * Reads the counters when it is time. Called in every turn of the loop. @throws what the server or the file system
   * answers
   */
  async tick(runtime: Runtime): Promise<void> {
    const at = now();
    if (this.#looking || (at >= this.#lookedAt && at - this.#lookedAt < this.#wait)) return;
    const primary = ownPrimary(runtime);
    if (!primary || !factsOf(primary.observation)) return;
    this.#looking = true;
    this.#lookedAt = at;
    try {
      this.#kept ??= await readKeptStatements(this.#stateDir);
      const before = this.#kept;
      const kept = await primary.use(async (session) => {
        const counters = await statementCounters(session);
        if (!counters) return undefined;
        const history = withReading(before.history, { at, node: primary.node.name, counters });
        const wanted = new Set(history.hours.flatMap(({ statements }) => statements.map(({ id }) => id)));
        const texts = new Map([...before.texts].filter(([id]) => wanted.has(id)));
        const unknown = [...wanted].filter((id) => !texts.has(id));
        for (const { id, database, role, statement } of await statementTexts(session, unknown, TEXT))
          texts.set(id, { database, role, statement });
        return { history, texts };
      }, TIMEOUT);
      this.#wait = kept ? EVERY : EVERY_IN_VAIN;
      if (!kept) return;
      this.#kept = kept;
      await writeFileAtomic(fileOf(this.#stateDir), JSON.stringify(savedOf(kept)));
    } finally {
      this.#looking = false;
    }
  }
}

function savedOf({ history: { last, hours }, texts }: KeptStatements): Saved {
  return {
    version: 1,
    last: last ? { ...last, counters: last.counters.map(rowOf) } : null,
    hours: hours.map((hour) => ({ ...hour, statements: hour.statements.map(rowOf) })),
    texts: Object.fromEntries(texts),
  };
}
