import { nextTime, parseSchedule } from "../../config/values/cron.ts";
import type { Runtime } from "../../members/runtime.ts";
import { readCopyStatus } from "../../store/copy-status.ts";
import { now } from "../../system/clock.ts";
import { startDetached } from "../../system/process/process.ts";

/**
 * Begins copies elsewhere when they are due: each in a process of its own, which outlives the agent. One that is still
 * being made is waited for; what was missed is made up for once.
 */
export class CopySchedule {
  readonly #program: readonly [string, string];
  readonly #begun = new Map<string, number>();
  readonly #running = new Set<string>();

  constructor({ program }: { readonly program: readonly [string, string] }) {
    this.#program = program;
  }

  async tick({ config, layout, log }: Runtime): Promise<void> {
    for (const { name, schedule: text } of config.backup.offsite) {
      const schedule = text === "off" ? "off" : parseSchedule(text);
      if (typeof schedule === "string" || this.#running.has(name)) continue;
      const begun = this.#begun.get(name) ?? (await lastBegun(layout, name));
      this.#begun.set(name, begun);
      const due = nextTime(schedule, begun);
      if (due === undefined || due > now()) continue;
      this.#begun.set(name, now());
      this.#running.add(name);
      try {
        const [node, program] = this.#program;
        const args = [
          program,
          "scheduled-backup",
          "--state-dir",
          layout.stateDir,
          "--kind",
          "copy",
          "--to",
          name,
        ];
        const { ended } = await startDetached(node, args, {
          logFile: layout.backupLog,
        });
        void ended.then(() => this.#running.delete(name));
      } catch (error) {
        this.#running.delete(name);
        log("error", `the copy to ${name} cannot be started`);
        throw error;
      }
    }
  }
}

/** Before the first one, now: it is due at the next time of its schedule. */
async function lastBegun(layout: Runtime["layout"], name: string): Promise<number> {
  const { begun_at: begun } = await readCopyStatus(layout, name);
  return begun === null ? now() : Date.parse(begun);
}
