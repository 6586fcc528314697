import type * as z from "zod";
import { now } from "../../system/clock.ts";
import { move, writeFileAtomic } from "../../system/files/files.ts";
import { inspectJsonFile } from "../../system/files/json-file.ts";
import type { Log } from "../../system/log.ts";
import { Mutex } from "../../system/mutex.ts";

/** What this host keeps for itself in root's folder, so that it need not believe the store's word of the moment alone. */
export class KeptFile<T> {
  readonly #file: string;
  readonly #turns = new Mutex();
  #saved: string;
  /** What counts: it is in the file once it was saved. */
  value: T;

  private constructor(file: string, value: T, saved: string) {
    this.#file = file;
    this.value = value;
    this.#saved = saved;
  }

  /**
   * A file that is damaged is put aside, and the log says so: what it held is begun anew from the store's word.
   * @param empty what is kept where there is no file yet
   * @throws the system's error where it cannot be read or put aside
   */
  static async open<T>(file: string, schema: z.ZodType<T>, empty: T, log: Log): Promise<KeptFile<T>> {
    const kept = await inspectJsonFile(file, schema);
    if (kept?.ok === true) return new KeptFile(file, kept.value, JSON.stringify(kept.value));
    if (kept) {
      const aside = `${file}.damaged-${now()}`;
      await move(file, aside);
      log(
        "warn",
        `${file} was damaged (${kept.problem}), and is begun anew from the store; it lies at ${aside}`,
      );
    }
    return new KeptFile(file, empty, "");
  }

  /** Writes what is not in the file yet. @throws the system's error; the next call tries again */
  async save(): Promise<void> {
    await this.#turns.run(async () => {
      const text = JSON.stringify(this.value);
      if (text === this.#saved) return;
      await writeFileAtomic(this.#file, text);
      this.#saved = text;
    });
  }
}
