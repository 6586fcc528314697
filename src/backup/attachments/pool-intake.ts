import path from "node:path";
import { ensureDirectory, removeFile, removeTree, type Owner } from "../../system/files/files.ts";
import type { FilestoreReader } from "../../system/files/filestore-reader.ts";
import { copyHashed, renameNow, syncPath } from "../../system/files/pool-files.ts";
import { poolFile, type BackupPlace } from "../place.ts";

/** Files, and bytes, that are made durable at once. */
const BATCH_FILES = 2000;
const BATCH_BYTES = 512 * 1024 * 1024;

/** A copy that has no name in the pool yet. */
export interface Copy {
  readonly file: string;
  /** Of what it holds. */
  readonly sha1: string;
  readonly bytes: number;
}

/**
 * Copies of attachments on their way into the pool: they get their names there once they are durable, so that a file
 * with a name is whole.
 */
export class PoolIntake {
  readonly #place: BackupPlace;
  readonly #owner: Owner | undefined;
  readonly #newDir: string;
  readonly #changedDirectories = new Set<string>();
  #waiting: Copy[] = [];
  #waitingBytes = 0;
  #copies = 0;

  /** @param name of the folder in the pool where copies are made; no other process uses it */
  constructor(place: BackupPlace, name: string, owner: Owner | undefined) {
    this.#place = place;
    this.#owner = owner;
    this.#newDir = path.join(place.pool, name);
  }

  async open(): Promise<void> {
    await ensureDirectory(this.#place.pool, { mode: 0o700, owner: this.#owner });
    await ensureDirectory(this.#newDir, { mode: 0o700, owner: this.#owner });
  }

  /** Copies an attachment; undefined where there is none. @throws OdooPgError disk_full and other errors of the disk */
  async copy(reader: FilestoreReader, storeFname: string): Promise<Copy | undefined> {
    const file = path.join(this.#newDir, String(this.#copies++));
    const clonesFor = `${reader.path} ${this.#place.pool}`;
    const copied = await reader.using(
      storeFname,
      async (live) => await copyHashed(live, file, this.#owner, clonesFor),
    );
    return copied && { file, ...copied };
  }

  /** Has a copy get its name. */
  async accept(copy: Copy): Promise<void> {
    this.#waiting.push(copy);
    this.#waitingBytes += copy.bytes;
    if (this.#waiting.length >= BATCH_FILES || this.#waitingBytes >= BATCH_BYTES) await this.#settle();
  }

  async reject({ file }: Copy): Promise<void> {
    await removeFile(file);
  }

  /** Makes the copies durable, then gives them their names. */
  async #settle(): Promise<void> {
    for (const { file } of this.#waiting) syncPath(file);
    for (const { file, sha1 } of this.#waiting) {
      const to = poolFile(this.#place, sha1);
      const directory = path.dirname(to);
      if (!this.#changedDirectories.has(directory)) {
        await ensureDirectory(directory, { mode: 0o700, owner: this.#owner });
        this.#changedDirectories.add(directory);
      }
      renameNow(file, to);
    }
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  /** Makes all of it durable. Nothing may rely on a file of it before that. */
  async finish(): Promise<void> {
    await this.#settle();
    for (const directory of this.#changedDirectories) syncPath(directory);
    if (this.#changedDirectories.size) syncPath(this.#place.pool);
    this.#changedDirectories.clear();
  }

  async close(): Promise<void> {
    await removeTree(this.#newDir);
  }
}
