import { randomUUID } from "node:crypto";
import * as z from "zod";
import { OdooPgError } from "../errors.ts";
import { odooPg, printCommand } from "../next-step.ts";
import { now } from "../system/clock.ts";
import { ASKED_BY } from "../system/machine.ts";
import { parseJson } from "../system/files/json-file.ts";
import { startCompanion, type Companion } from "../system/process/process.ts";
import type { Action } from "../model/console-actions.ts";
import { argumentsOf, planOf, problemOf, WITH_FILE } from "./commands.ts";
import type { GivenSecret } from "./given-secret.ts";
import type { Uploads } from "./uploads.ts";
import type { Job } from "../cluster/documents/console.ts";

/** Jobs that are kept, the newest; lines of each; and how many may run at the same time. */
const KEPT = 30;
const LINES = 200;
const RUNNING = 8;

/** Timeout for a command to end cleanly when the agent ends, in milliseconds. */
const END_TIMEOUT = 5000;

/** What a command reports beside its lines. */
const toldSchema = z.object({
  progress: z
    .object({
      done_bytes: z.number().nonnegative(),
      total_bytes: z.number().nonnegative(),
      left_seconds: z.number().nonnegative().nullable(),
    })
    .nullable(),
});

export interface JobsOptions {
  readonly stateDir: string;
  /** How to start odoo-pg again. */
  readonly program: readonly [string, string];
  /** The configuration file that commands must name to reach this cluster. */
  readonly configFile: () => string | undefined;
  /** How odoo-pg is typed on this host, wherever one is. */
  readonly called: string;
  /** Files that came from the page. */
  readonly uploads: Uploads;
  readonly secrets: GivenSecret;
  /** Called at each change of a job. */
  readonly changed: () => void;
}

/** The commands that the page started: processes beside the agent, which end with it. */
export class Jobs {
  readonly #options: JobsOptions;
  /** The newest first. */
  #jobs: Job[] = [];
  readonly #running = new Map<string, Companion>();
  #closed = false;

  constructor(options: JobsOptions) {
    this.#options = options;
  }

  list(): readonly Job[] {
    return this.#jobs;
  }

  /**
   * Shows what an action would do. @throws OdooPgError refused when too many jobs run; usage for an impossible action.
   */
  plan(action: Action, by: string): Job {
    this.#refuseUnfit(action);
    if (action.kind === "restore_upload") this.#options.uploads.assertWhole(action.upload);
    if (takesSecret(action)) this.#options.secrets.assertGiven();
    const plan = planOf(action);
    const job = this.#newJob(action, by, true, plan.kind === "words" ? plan.lines : []);
    if (plan.kind === "dry run") return this.#start(job, plan.args);
    const done: Job = { ...job, ended_at: job.started_at, exit_status: 0 };
    this.#keep(done);
    return done;
  }

  /** Starts the command of an action. @throws OdooPgError as `plan`. */
  act(action: Action, by: string): Job {
    this.#refuseUnfit(action);
    this.#refuseTooMany();
    const { uploads, secrets } = this.#options;
    if (action.kind === "restore_upload") uploads.hold(action.upload);
    if (takesSecret(action)) secrets.assertGiven();
    const job = this.#start(this.#newJob(action, by, false, []), this.#argumentsOf(action));
    if (action.kind === "restore_upload")
      void this.#running.get(job.id)?.ended.then(async () => await uploads.drop(action.upload));
    if (takesSecret(action)) void this.#running.get(job.id)?.ended.then(async () => await secrets.drop());
    return job;
  }

  /** Ends running commands. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#running.values()].map(async (companion) => await companion.end(END_TIMEOUT)));
  }

  #argumentsOf(action: Action): readonly string[] {
    return argumentsOf(action, this.#options.uploads.dir, this.#options.secrets.dir);
  }

  #refuseTooMany(): void {
    if (this.#closed || this.#running.size >= RUNNING) {
      throw new OdooPgError("refused", {
        message: this.#closed
          ? "The agent is shutting down."
          : `${RUNNING} commands that were started from the page are still running.`,
        safe: "Nothing was changed.",
        next: "Wait until one has ended, then try again.",
      });
    }
  }

  #start(job: Job, args: readonly string[]): Job {
    this.#refuseTooMany();
    const { stateDir, program, configFile } = this.#options;
    const file = WITH_FILE.includes(job.action.kind) ? configFile() : undefined;
    this.#keep(job);
    const companion = startCompanion(
      program[0],
      [
        program[1],
        "as-applied",
        "--state-dir",
        stateDir,
        "--while-input-open",
        "--tell-progress",
        "--",
        ...args,
        ...(file === undefined ? [] : ["--config", file]),
      ],
      {
        environment: { [ASKED_BY]: job.by },
        onTold: (line) => {
          const told = parseJson(line, toldSchema);
          if (told.ok) this.#change(job.id, (present) => ({ ...present, progress: told.value.progress }));
        },
        onLine: (line) =>
          this.#change(job.id, (present) => ({ ...present, lines: [...present.lines, line].slice(-LINES) })),
      },
    );
    this.#running.set(job.id, companion);
    void companion.ended.then((exitStatus) => {
      this.#running.delete(job.id);
      const ended_at = new Date(now()).toISOString();
      this.#change(job.id, (present) => ({ ...present, ended_at, exit_status: exitStatus, progress: null }));
    });
    return job;
  }

  #refuseUnfit(action: Action): void {
    const problem = problemOf(action, this.#options.configFile());
    if (problem !== undefined) throw new OdooPgError("usage", { ...problem, safe: "Nothing was changed." });
  }

  #newJob(action: Action, by: string, plan: boolean, lines: readonly string[]): Job {
    const { called, configFile } = this.#options;
    const command = { ...odooPg(...this.#argumentsOf(action)), config: configFile() };
    return {
      id: randomUUID(),
      action,
      command: printCommand(command, called),
      plan,
      by,
      started_at: new Date(now()).toISOString(),
      ended_at: null,
      exit_status: null,
      progress: null,
      lines,
    };
  }

  #keep(job: Job): void {
    const old = this.#jobs.filter(({ id }) => !this.#running.has(id)).slice(KEPT - 1);
    this.#jobs = [job, ...this.#jobs.filter((kept) => !old.includes(kept))];
    this.#options.changed();
  }

  #change(id: string, change: (job: Job) => Job): void {
    this.#jobs = this.#jobs.map((job) => (job.id === id ? change(job) : job));
    this.#options.changed();
  }
}

function takesSecret(action: Action): boolean {
  return action.kind === "set_alarm" || (action.kind === "set_mail" && action.password);
}
