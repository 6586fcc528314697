import * as z from "zod";
import { OdooPgError } from "../errors.ts";
import { removeFile, writeFileAtomic } from "../system/files/files.ts";
import type { Log } from "../system/log.ts";
import { givenFile } from "./commands.ts";

/** Milliseconds for which a secret waits for the action that it belongs to. */
const KEPT = 600_000;

/** A password, or an address that is one: one line of it. */
export const givenSchema = z.strictObject({
  secret: z
    .string()
    .min(1)
    .max(4096)
    .regex(/^[^\p{Cc}]+$/u, "it is more than one line"),
});

interface GivenSecretOptions {
  /** The folder of secrets. */
  readonly dir: string;
  readonly log: Log;
}

/**
 * A secret that the page was given, on its way to the command that sets it up: in a file of mode 0600, until that
 * command has ended, or for ten minutes. It is in no action, no job and no document, and is never sent back.
 */
export class GivenSecret {
  readonly #options: GivenSecretOptions;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: GivenSecretOptions) {
    this.#options = options;
  }

  get dir(): string {
    return this.#options.dir;
  }

  /** Takes one, replacing an earlier one. */
  async take(secret: string): Promise<void> {
    clearTimeout(this.#timer);
    await writeFileAtomic(givenFile(this.dir), `${secret}\n`);
    this.#timer = setTimeout(() => void this.drop(), KEPT);
    this.#timer.unref();
  }

  /** @throws OdooPgError refused where there is none, or no longer */
  assertGiven(): void {
    if (this.#timer) return;
    throw new OdooPgError("refused", {
      message: "The address or password is gone.",
      safe: "Nothing was changed.",
      next: "Type it again.",
    });
  }

  /** Removes it, including one that an earlier agent could not remove. Never throws. */
  async drop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await removeFile(givenFile(this.dir)).catch((error: unknown) =>
      this.#options.log("warn", `${givenFile(this.dir)} cannot be removed: ${String(error)}`),
    );
  }
}
