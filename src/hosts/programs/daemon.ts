import { writeFileAtomic, removeFile, type Owner } from "../../system/files/files.ts";
import { inspectJsonFile } from "../../system/files/json-file.ts";
import { pause } from "../../system/clock.ts";
import { isStillThere, knownProcess, knownProcessSchema } from "../../system/process/known-process.ts";
import { isAlive, sendSignal, startDetached, waitForEnd, type Signal } from "../../system/process/process.ts";

/** Milliseconds within which a program that cannot run ends by itself, so that its start counts as failed. */
const SETTLE = 700;

/** A program that outlives the agent: the next agent recognises it by the recorded process. */
export class Daemon {
  readonly #file: string;
  #pid: number | undefined;

  /** @param file records which process was started */
  constructor(file: string) {
    this.#file = file;
  }

  /** The process that was started, where it still lives. */
  async pid(): Promise<number | undefined> {
    if (this.#pid !== undefined && isAlive(this.#pid)) return this.#pid;
    const record = await inspectJsonFile(this.#file, knownProcessSchema);
    const found = record?.ok === true ? record.value : undefined;
    this.#pid = found && (await isStillThere(found)) ? found.pid : undefined;
    return this.#pid;
  }

  /** Starts it. @returns false where it ended at once */
  async start(
    program: string,
    args: readonly string[],
    options: {
      readonly owner: Owner | undefined;
      readonly logFile: string;
      readonly cwd: string;
      readonly environment?: Readonly<Record<string, string>>;
    },
  ): Promise<boolean> {
    const { pid } = await startDetached(program, args, options);
    const started = await knownProcess(pid);
    if (started) {
      await writeFileAtomic(this.#file, JSON.stringify(started));
      this.#pid = pid;
    }
    await pause(SETTLE);
    return isAlive(pid);
  }

  async signal(signal: Signal): Promise<void> {
    const pid = await this.pid();
    if (pid !== undefined) sendSignal(pid, signal);
  }

  /**
   * Ends it.
   * @param timeout milliseconds for it to end by itself; 0: it is killed
   * @returns the processes that had to be killed
   */
  async stop(timeout: number): Promise<readonly number[]> {
    const pid = await this.pid();
    if (pid === undefined) return [];
    if (timeout > 0) {
      sendSignal(pid, "SIGTERM");
      // A stopped process (SIGSTOP) takes SIGTERM only after this.
      sendSignal(pid, "SIGCONT");
    }
    const ended = timeout > 0 && (await waitForEnd(pid, timeout));
    if (!ended) {
      sendSignal(pid, "SIGKILL");
      await waitForEnd(pid, 5000);
    }
    this.#pid = undefined;
    await removeFile(this.#file);
    return ended ? [] : [pid];
  }
}
