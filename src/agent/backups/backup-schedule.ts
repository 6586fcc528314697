import path from "node:path";
import { readArchiveStatus } from "../../archive/record.ts";
import { readBackupStatus } from "../../store/backup-status.ts";
import { readSecondDrill } from "../../store/second-drill.ts";
import { nextTime, parseSchedule } from "../../config/values/cron.ts";
import type { Config } from "../../config/schema.ts";
import { now } from "../../system/clock.ts";
import { startDetached } from "../../system/process/process.ts";
import type { Layout } from "../../config/layout.ts";
import type { NodeHandle } from "../../members/node-handle.ts";
import type { Runtime } from "../../members/runtime.ts";

export type Kind = "backup" | "drill" | "second";

/** What decides whether a run is due. */
export type Situation = Pick<Runtime, "layout" | "log" | "upstream"> & {
  readonly config: Pick<Config, "backup">;
  readonly nodes: { get(name: string): Pick<NodeHandle, "observation"> | undefined };
  readonly state: { readonly primary: string; readonly history: readonly { readonly at: string }[] };
};

/** Begins a run; `ended` when its process has ended. @throws what keeps it from being begun */
export type BeginRun = (kind: Kind, layout: Layout) => Promise<{ readonly ended: Promise<unknown> }>;

/** Runs in a process of their own, which outlives the agent. @param program how to start odoo-pg again */
export function runInBackground([node, program]: readonly [string, string]): BeginRun {
  return async (kind, { stateDir }) =>
    await startDetached(node, [program, "scheduled-backup", "--state-dir", stateDir, "--kind", kind], {
      logFile: path.join(stateDir, "pg_backup.log"),
    });
}

/**
 * Begins backups and drills when they are due; the agent goes on looking twice a second. Runs do not pile up: what is
 * still running is waited for, and what was missed is made up for once.
 */
export class BackupSchedule {
  readonly #begin: BeginRun;
  readonly #clock: () => number;
  /** When each kind was last begun, in milliseconds since the epoch. */
  readonly #begun = new Map<Kind, number>();
  readonly #running = new Set<Kind>();
  /** When each kind is due next, by its schedule and when it was last begun. */
  readonly #next = new Map<Kind, { readonly of: string; readonly at: number | undefined }>();

  /** @param clock milliseconds since the epoch */
  constructor(begin: BeginRun, clock: () => number = now) {
    this.#begin = begin;
    this.#clock = clock;
  }

  /** Starts what is due. Called at every look of the agent; backups are made only where the primary runs and answers. */
  async tick(runtime: Situation): Promise<void> {
    const primary = runtime.upstream ? undefined : runtime.nodes.get(runtime.state.primary);
    const answer = primary?.observation.answer;
    if (answer?.kind !== "facts" || answer.facts.in_recovery) return;
    for (const kind of ["backup", "drill", "second"] as const) {
      if (this.#running.has(kind) || !(await this.#isDue(runtime, kind))) continue;
      this.#begun.set(kind, this.#clock());
      await this.#start(runtime, kind);
    }
  }

  async #isDue(runtime: Situation, kind: Kind): Promise<boolean> {
    const text = scheduleOf(runtime.config, kind);
    if (text === undefined) return false;
    const begun = this.#begun.get(kind) ?? (await lastBegun(runtime, kind)) ?? this.#clock();
    this.#begun.set(kind, begun);
    const of = `${text} ${begun}`;
    let next = this.#next.get(kind);
    if (next?.of !== of) {
      const schedule = parseSchedule(text);
      next = { of, at: typeof schedule === "string" ? undefined : nextTime(schedule, begun) };
      this.#next.set(kind, next);
    }
    return next.at !== undefined && next.at <= this.#clock();
  }

  async #start({ layout, log }: Situation, kind: Kind): Promise<void> {
    log("info", kind === "second" ? "a second is to be proven" : `${kind} is due`);
    this.#running.add(kind);
    try {
      const { ended } = await this.#begin(kind, layout);
      void ended.then(() => this.#running.delete(kind));
    } catch (error) {
      this.#running.delete(kind);
      throw error;
    }
  }
}

function scheduleOf({ backup }: Pick<Config, "backup">, kind: Kind): string | undefined {
  const { any_second: second } = backup;
  if (kind === "second")
    return second.enabled && second.drill_schedule !== "off" ? second.drill_schedule : undefined;
  const text = kind === "backup" ? backup.schedule : backup.drill_schedule;
  return backup.enabled && text !== "off" ? text : undefined;
}

/**
 * When a kind was last begun as far as is recorded; before the first time, when the cluster was first launched, or for
 * seconds the first base backup was made.
 */
async function lastBegun({ layout, state }: Situation, kind: Kind): Promise<number | undefined> {
  if (kind === "second") {
    const begun = (await readSecondDrill(layout.stateDir))?.begun_at;
    const first = begun ?? (await readArchiveStatus(layout.stateDir))?.bases[0]?.stopped_at;
    return first === undefined ? undefined : Date.parse(first);
  }
  const { record: status } = await readBackupStatus(layout.stateDir);
  const begun =
    kind === "backup"
      ? status?.last_run?.started_at
      : (status?.drills_begun_at ?? status?.last_drill?.started_at);
  const since = begun ?? state.history[0]?.at;
  return since === undefined ? undefined : Date.parse(since);
}
