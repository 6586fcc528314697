import * as z from "zod";
import { nextStep, odooPg } from "../next-step.ts";
import { removeFile, writeFileAtomic } from "../system/files/files.ts";
import { readJsonFile } from "../system/files/json-file.ts";
import { isStillThere, knownProcess, knownProcessSchema } from "../system/process/known-process.ts";

/** The master that was started, and its workers when it was last asked. */
const recordSchema = knownProcessSchema.extend({ workers: knownProcessSchema.array().default([]) });

/** The record of HAProxy's processes: a HAProxy that hangs cannot be asked which they are. */
export class HaproxyRecord {
  readonly #file: string;
  /** The processes that it holds, as far as this process wrote it. */
  #written = "";

  constructor(file: string) {
    this.#file = file;
  }

  /** Records which there are now, where these are others than before. */
  async write(master: number, workers: readonly number[]): Promise<void> {
    const written = [master, ...workers].join();
    if (this.#written === written) return;
    const [started, ...others] = await Promise.all([master, ...workers].map(knownProcess));
    if (started) {
      const record: z.output<typeof recordSchema> = {
        ...started,
        workers: others.filter((worker) => worker !== undefined),
      };
      await writeFileAtomic(this.#file, JSON.stringify(record));
    }
    this.#written = written;
  }

  async remove(): Promise<void> {
    this.#written = "";
    await removeFile(this.#file);
  }

  /** Those that are still there, the master first. @throws OdooPgError state_dir_unusable when the record is damaged */
  async living(): Promise<readonly number[]> {
    const record = await readJsonFile(this.#file, recordSchema, {
      code: "state_dir_unusable",
      safe: "The sessions that HAProxy carries go on.",
      next: nextStep`It says which processes are HAProxy's. End those that are left (ps -C haproxy), remove the file, then: ${odooPg("up")}`,
    });
    if (!record) return [];
    const { workers, ...master } = record;
    const living: number[] = [];
    for (const one of [master, ...workers]) if (await isStillThere(one)) living.push(one.pid);
    return living;
  }
}
