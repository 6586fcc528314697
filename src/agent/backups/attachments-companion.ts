import type { Config } from "../../config/schema.ts";
import { factsOf } from "../../model/observation.ts";
import { keptAttachmentsSchema, type KeptAttachments } from "../../model/backups/kept-attachments.ts";
import { ownPrimary, type Runtime } from "../../members/runtime.ts";
import { monotonic } from "../../system/clock.ts";
import { parseJson } from "../../system/files/json-file.ts";
import { startCompanion, type Companion } from "../../system/process/process.ts";
import type { OperationQueue } from "../operation-queue.ts";

/** Milliseconds until one that has ended is started again. */
const AGAIN = 10_000;

/** Milliseconds for it to end cleanly. */
const END_TIMEOUT = 5000;

/** Keeps the process running that takes attachments into the pool, while any second is on. */
export class AttachmentsCompanion {
  readonly #program: readonly [string, string];
  readonly #turns: OperationQueue;
  #running: { readonly companion: Companion; readonly of: string } | undefined;
  #startedAt = -Infinity;
  #told: KeptAttachments | undefined;

  constructor({
    program,
    turns,
  }: {
    readonly program: readonly [string, string];
    readonly turns: OperationQueue;
  }) {
    this.#program = program;
    this.#turns = turns;
  }

  /** How well they are kept; null where they are not kept. */
  get kept(): KeptAttachments | null {
    return this.#running || this.#told
      ? (this.#told ?? { whole_at: null, damaged: { count: 0, first: null }, error: null })
      : null;
  }

  async tick(runtime: Runtime): Promise<void> {
    // A configuration counts only once it is applied.
    if (!this.#turns.empty) return;
    const of = workOf(runtime.config);
    if (this.#running && this.#running.of !== of) await this.close();
    if (of === undefined || this.#running || monotonic() - this.#startedAt < AGAIN) return;
    if (factsOf(ownPrimary(runtime)?.observation)?.in_recovery !== false) return;
    this.#startedAt = monotonic();
    this.#start(runtime, of);
  }

  #start({ layout, log }: Runtime, of: string): void {
    const [node, program] = this.#program;
    const companion = startCompanion(node, [program, "keep-attachments", "--state-dir", layout.stateDir], {
      environment: {},
      onTold: (line) => {
        const told = parseJson(line, keptAttachmentsSchema);
        if (!told.ok) return;
        if (told.value.error !== null && told.value.error !== this.#told?.error)
          log("warn", `attachments: ${told.value.error}`);
        this.#told = told.value;
      },
      onLine: (line) => log("warn", `attachments: ${line}`),
    });
    const running = { companion, of };
    this.#running = running;
    void companion.ended.then(() => {
      if (this.#running === running) this.#running = undefined;
    });
  }

  /** Ends it; it may be started again. */
  async close(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    this.#told = undefined;
    await running?.companion.end(END_TIMEOUT);
  }
}

/** What it works from; undefined where there is nothing to do. */
function workOf({ backup, odoo, state_dir: stateDir }: Config): string | undefined {
  if (!backup.any_second.enabled || odoo.filestore === undefined) return undefined;
  return JSON.stringify([odoo.filestore, backup.dir, backup.user, backup.only_filter, stateDir]);
}
