import type * as z from "zod";
import { now } from "../../system/clock.ts";
import { move, writeFileAtomic } from "../../system/files/files.ts";
import { inspectJsonFile } from "../../system/files/json-file.ts";
import type { Log } from "../../system/log.ts";
import { Mutex } from "../../system/mutex.ts";

/** A record of this host's own in root's folder, so that it need not rely on what the store says at the moment. */
export class KeptFile<T> {
  readonly #file: string;
  readonly #turns = new Mutex();
  #saved: string;
  /** The present value; `save` writes it to the file. */
  value: T;

  private constructor(file: string, value: T, saved: string) {
    this.#file = file;
    this.value = value;
    this.#saved = saved;
  }

  /**
   * Reads the file. A damaged one is put aside, with a line in the log, and its contents are gathered again from the store.
   * @param empty the value where there is no file yet
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

  /** Writes changes to the file. @throws the system's error; the next call tries again */
  async save(): Promise<void> {
    await this.#turns.run(async () => {
      const text = JSON.stringify(this.value);
      if (text === this.#saved) return;
      await writeFileAtomic(this.#file, text);
      this.#saved = text;
    });
  }
}
