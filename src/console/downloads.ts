import { isBackupId } from "../backup/naming.ts";
import { OdooPgError } from "../errors.ts";
import { nextStep, odooPg } from "../next-step.ts";
import { outputOf } from "../system/process/pipeline.ts";

/** Downloads at the same time: each runs programs and reads whole backups. */
const RUNNING = 2;

interface DownloadsOptions {
  readonly stateDir: string;
  /** How to start odoo-pg again. */
  readonly program: readonly [string, string];
}

/** Sends backups as Odoo zips, as the command makes them, piece by piece: nothing is stored on the way. */
export class Downloads {
  readonly #options: DownloadsOptions;
  #running = 0;

  constructor(options: DownloadsOptions) {
    this.#options = options;
  }

  /**
   * The zip of a backup. When making it fails, the stream breaks off: a browser then reports that the download failed.
   * @throws OdooPgError usage for an id that is no backup's, refused while other downloads run, and the command's
   *   errors before its first piece
   */
  async zip(id: string): Promise<ReadableStream<Uint8Array>> {
    if (id.includes("/") || !isBackupId(id))
      throw new OdooPgError("usage", {
        message: "This is not the id of a backup.",
        safe: "Nothing was changed.",
      });
    if (this.#running >= RUNNING)
      throw new OdooPgError("refused", {
        message: `${RUNNING} backups are downloaded already.`,
        next: "Try again when one of them is done.",
      });
    this.#running += 1;
    const left = new AbortController();
    const [node, script] = this.#options.program;
    const command = ["backup", "export", "--odoo-zip=-", "--", id];
    const pieces = outputOf({
      program: node,
      args: [script, "as-applied", "--state-dir", this.#options.stateDir, "--", ...command],
      signal: left.signal,
    });
    let over = false;
    const end = (): void => {
      if (over) return;
      over = true;
      this.#running -= 1;
      left.abort();
    };
    let piece: IteratorResult<Buffer, void>;
    try {
      piece = await pieces.next();
    } catch (error) {
      end();
      throw new OdooPgError("command_failed", {
        message: `${id} cannot be given as a zip of Odoo.`,
        safe: "Nothing was changed.",
        next: nextStep`It says why: ${odooPg("backup", "export", id, "--odoo-zip", "FILE")}`,
        cause: error,
      });
    }
    return new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          if (piece.done) {
            end();
            controller.close();
            return;
          }
          controller.enqueue(piece.value);
          try {
            piece = await pieces.next();
          } catch (error) {
            end();
            throw error;
          }
        },
        cancel: end,
      },
      { highWaterMark: 0 },
    );
  }
}
