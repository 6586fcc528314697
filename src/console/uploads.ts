import { randomUUID } from "node:crypto";
import path from "node:path";
import * as z from "zod";
import { uploadFile } from "./commands.ts";
import { OdooPgError } from "../errors.ts";
import { odooPg } from "../next-step.ts";
import { showBytes } from "../model/quantities.ts";
import { monotonic } from "../system/clock.ts";
import { diskSpace, ensureDirectory, namesIn, removeFile } from "../system/files/files.ts";
import { createEmpty, writePiece } from "../system/files/piecewise.ts";
import type { Log } from "../system/log.ts";

/** Bytes of a piece: small enough to arrive within the timeout of a request, even over a slow line. */
export const PIECE = 256 * 1024;
/**
 * Milliseconds without a piece after which another upload may begin; and until a file that is not restored is removed.
 */
const STALLED = 30_000;
const KEPT = 3_600_000;

/** What the page says about a file before it sends it. */
export const uploadSchema = z.strictObject({ bytes: z.int().positive() });

/** An upload as reported to the page. */
export interface UploadState {
  readonly id: string;
  readonly done_bytes: number;
  readonly total_bytes: number;
  readonly piece_bytes: number;
}

interface Upload {
  readonly id: string;
  readonly total: number;
  done: number;
  heardAt: number;
  /** A piece is being written. */
  writing: boolean;
  /** It is being restored. */
  held: boolean;
  timer: NodeJS.Timeout | undefined;
}

interface UploadsOptions {
  /** The folder of the files; it contains nothing else. */
  readonly dir: string;
  readonly log: Log;
}

/**
 * Files sent by the page to be restored, one at a time: each in pieces, in order, into a file of mode 0600. It is
 * removed when its restore has ended, or an hour after its last piece.
 */
export class Uploads {
  readonly #options: UploadsOptions;
  #upload: Upload | undefined;

  constructor(options: UploadsOptions) {
    this.#options = options;
  }

  get dir(): string {
    return this.#options.dir;
  }

  /**
   * Begins an upload, replacing one that stalled or was never restored.
   * @throws OdooPgError refused while another is in progress, and for a file larger than half of the free space
   */
  async begin(bytes: number): Promise<UploadState> {
    const { dir, log } = this.#options;
    const before = this.#upload;
    if (before?.held || before?.writing || (before && isComing(before)))
      throw new OdooPgError("refused", {
        message: before.held
          ? "A file that was uploaded is being restored; there is room for one."
          : "Another file is being uploaded; there is room for one.",
        safe: "Nothing was changed.",
        next: "Try again when it is done.",
      });
    const upload: Upload = {
      id: randomUUID(),
      total: bytes,
      done: 0,
      heardAt: monotonic(),
      writing: true,
      held: false,
      timer: undefined,
    };
    // From here on another one is refused.
    this.#upload = upload;
    clearTimeout(before?.timer);
    try {
      await ensureDirectory(dir);
      for (const name of await namesIn(dir)) await removeFile(path.join(dir, name));
      const { freeBytes } = await diskSpace(dir);
      // The restore needs as much again, and the servers need room meanwhile.
      if (bytes > freeBytes / 2)
        throw new OdooPgError("refused", {
          message: `The file is too large (${showBytes(bytes)}): at most ${showBytes(Math.floor(freeBytes / 2))}, half of what is free in ${dir}, can be uploaded.`,
          safe: "Nothing was changed.",
          next: odooPg("restore", "FILE", "--as", "NAME"),
        });
      await createEmpty(uploadFile(dir, upload.id));
    } catch (error) {
      this.#upload = undefined;
      throw error;
    }
    upload.writing = false;
    this.#removeLater(upload);
    log("info", `console: a file of ${showBytes(bytes)} is being uploaded`);
    return stateOf(upload);
  }

  /**
   * Takes the next piece. A piece that arrived already is accepted; so a page may send it again.
   * @param at bytes from the beginning of the file
   * @throws OdooPgError usage for anything but the next piece of the upload in progress
   */
  async add(id: string, at: number, piece: Uint8Array): Promise<UploadState> {
    const upload = this.#known(id);
    if (upload.writing || upload.held || at > upload.done || at + piece.length > upload.total)
      throw new OdooPgError("usage", { message: "This is not the next piece of the file." });
    if (at + piece.length <= upload.done) return stateOf(upload);
    upload.writing = true;
    try {
      await writePiece(uploadFile(this.#options.dir, id), piece, at);
      upload.done = at + piece.length;
    } finally {
      upload.writing = false;
    }
    upload.heardAt = monotonic();
    this.#removeLater(upload);
    return stateOf(upload);
  }

  /** Whether it is complete. @throws OdooPgError usage */
  assertWhole(id: string): void {
    const upload = this.#known(id);
    if (upload.done < upload.total || upload.held)
      throw new OdooPgError("usage", {
        message: upload.held
          ? "The file is being restored already."
          : "The file has not arrived completely yet.",
        safe: "Nothing was changed.",
      });
  }

  /** Keeps it until the restore ends. @throws OdooPgError usage, as `assertWhole` */
  hold(id: string): void {
    this.assertWhole(id);
    const upload = this.#known(id);
    upload.held = true;
    clearTimeout(upload.timer);
  }

  /** Ends one that is no longer wanted, so that another may begin; not one that is being restored. Never throws. */
  async cancel(id: string): Promise<void> {
    if (this.#upload?.id === id && !this.#upload.held) await this.drop(id);
  }

  /** Removes it. Never throws. */
  async drop(id: string): Promise<void> {
    const { dir, log } = this.#options;
    const upload = this.#upload?.id === id ? this.#upload : undefined;
    clearTimeout(upload?.timer);
    try {
      await removeFile(uploadFile(dir, id));
    } catch (error) {
      log("warn", `console: an uploaded file stays in ${dir}: ${String(error)}`);
    }
    if (upload && this.#upload === upload) this.#upload = undefined;
  }

  /** Removes leftovers, including those of an earlier agent, except what is being restored. Never throws. */
  async close(): Promise<void> {
    const { dir } = this.#options;
    if (this.#upload?.held) return;
    clearTimeout(this.#upload?.timer);
    this.#upload = undefined;
    for (const name of await namesIn(dir).catch(() => []))
      await removeFile(path.join(dir, name)).catch(() => {});
  }

  #known(id: string): Upload {
    if (this.#upload?.id === id) return this.#upload;
    throw new OdooPgError("usage", {
      message: "This file is gone: it was restored, or is older than an hour.",
      safe: "Nothing was changed.",
      next: "Upload it again.",
    });
  }

  #removeLater(upload: Upload): void {
    clearTimeout(upload.timer);
    upload.timer = setTimeout(() => void this.drop(upload.id), KEPT);
    upload.timer.unref();
  }
}

/** Whether pieces of it still arrive. */
function isComing({ done, total, heardAt }: Upload): boolean {
  return done < total && monotonic() - heardAt < STALLED;
}

function stateOf({ id, done, total }: Upload): UploadState {
  return { id, done_bytes: done, total_bytes: total, piece_bytes: PIECE };
}
