import type { Config } from "../../config/schema.ts";
import type { Layout } from "../../config/layout.ts";
import { modifiedAt } from "../../system/files/files.ts";
import { hostFiles } from "../documents/files.ts";
import { readFileConfig } from "../documents/record.ts";

/** The configuration of this host's file, as `up` has kept it: it alone says what is of this host. */
export class FileConfig {
  readonly #layout: Layout;
  #now: Config | undefined;
  /** When it was written, milliseconds since the epoch. */
  #at: number | undefined;

  constructor(layout: Layout, found: Config | undefined) {
    this.#layout = layout;
    this.#now = found;
  }

  get now(): Config | undefined {
    return this.#now;
  }

  /** Takes up what `up` has kept since. */
  async read(): Promise<void> {
    const at = await modifiedAt(hostFiles(this.#layout).fileConfig).catch(() => undefined);
    // One that is gone is put aside, as by `leave` and `disband`: it says nothing, and above all turns nothing off.
    if (at === undefined || at === this.#at) return;
    this.#now = await readFileConfig(this.#layout);
    this.#at = at;
  }
}
