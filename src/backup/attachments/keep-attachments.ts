import { filestoreOf } from "../../odoo/filestore.ts";
import { now } from "../../system/clock.ts";
import { ensureDirectory, kindOf, type Owner } from "../../system/files/files.ts";
import { FilestoreReader } from "../../system/files/filestore-reader.ts";
import type { BackupPlace } from "../place.ts";
import { PoolIntake } from "./pool-intake.ts";
import { namesOfPrefix } from "./pool.ts";

/** Folders of a filestore: the first two digits of the names in them (Odoo, ir_attachment._get_path). */
const PREFIXES = Array.from({ length: 256 }, (_, number) => number.toString(16).padStart(2, "0"));

/** Milliseconds in which a folder may change again without a later timestamp: file systems count in ticks. */
const TICK = 2000;

/** Milliseconds that writing a file may take: Odoo writes it in place. */
const WRITING = 60_000;

/** Milliseconds after which all folders are read, whatever their timestamps say. */
const WHOLE_EVERY = 3_600_000;

/** The result of a scan. */
export interface KeptNow {
  /** Files that were copied into the pool, and their bytes. */
  readonly files: number;
  readonly bytes: number;
  /** Files whose content does not match their name, including those of earlier scans. */
  readonly damaged: readonly string[];
}

/**
 * Takes each file of a filestore into the pool soon after it was written: a second that is brought back later may name
 * it, and once a day Odoo removes files that no row names. Only folders that have changed are read, so that a scan of
 * an unchanged filestore costs one call for each of its 256 folders.
 */
export class AttachmentsKeeper {
  readonly #place: BackupPlace;
  readonly #owner: Owner | undefined;
  readonly #filestores: string;
  /** When each folder had changed last, once all that it held then was in the pool, and what of it cannot be taken. */
  readonly #seen = new Map<string, { readonly changedAt: number; readonly damaged: readonly string[] }>();
  #wholeAt = -Infinity;

  /**
   * The caller is the only process that keeps attachments in this place. @param filestores directory of all filestores
   */
  constructor(place: BackupPlace, filestores: string, owner: Owner | undefined) {
    this.#place = place;
    this.#filestores = filestores;
    this.#owner = owner;
  }

  /** Takes what is new. @throws OdooPgError disk_full and other errors of the disk; the next scan then takes it */
  async look(databases: readonly string[], signal?: AbortSignal): Promise<KeptNow> {
    if (now() - this.#wholeAt >= WHOLE_EVERY || now() < this.#wholeAt) {
      this.#seen.clear();
      this.#wholeAt = now();
    }
    const sum = { files: 0, bytes: 0, damaged: [] as string[] };
    for (const database of databases) {
      const folder = filestoreOf(this.#filestores, database);
      if (folder === undefined) continue;
      const kept = await this.#lookAt(folder, signal);
      sum.files += kept.files;
      sum.bytes += kept.bytes;
      sum.damaged.push(...kept.damaged.map((name) => `${database}/${name}`));
    }
    return sum;
  }

  async #lookAt(folder: string, signal: AbortSignal | undefined): Promise<KeptNow> {
    const reader = new FilestoreReader(folder);
    const intake = new PoolIntake(this.#place, ".kept", this.#owner);
    const sum = { files: 0, bytes: 0, damaged: [] as string[] };
    const settled = new Map<string, { changedAt: number; damaged: readonly string[] }>();
    let opened = false;
    try {
      for (const prefix of PREFIXES) {
        const key = `${folder}/${prefix}`;
        const changedAt = reader.changedAt(prefix);
        if (changedAt === undefined) continue;
        const seen = this.#seen.get(key);
        if (seen?.changedAt === changedAt) {
          sum.damaged.push(...seen.damaged);
          continue;
        }
        const age = now() - changedAt;
        const damaged: string[] = [];
        for (const name of this.#lacking(reader, prefix)) {
          signal?.throwIfAborted();
          if (!opened) await this.#open(intake);
          opened = true;
          const copy = await intake.copy(reader, `${prefix}/${name}`);
          if (!copy) continue;
          if (copy.sha1 === name) {
            await intake.accept(copy);
            sum.files += 1;
            sum.bytes += copy.bytes;
          } else {
            await intake.reject(copy);
            damaged.push(`${prefix}/${name}`);
          }
        }
        // A file whose content does not match may be unfinished.
        const isSettled = age > (damaged.length ? WRITING : TICK);
        if (isSettled) settled.set(key, { changedAt, damaged });
        if (age > WRITING) sum.damaged.push(...damaged);
      }
      if (opened) await intake.finish();
      for (const [key, found] of settled) this.#seen.set(key, found);
      return sum;
    } finally {
      reader.close();
      if (opened) await intake.close();
    }
  }

  #lacking(reader: FilestoreReader, prefix: string): string[] {
    const names = reader
      .names(prefix)
      .filter((name) => /^[0-9a-f]{40}$/.test(name) && name.startsWith(prefix));
    if (!names.length) return [];
    const pooled = new Set(namesOfPrefix(this.#place, prefix));
    return names.filter((name) => !pooled.has(name));
  }

  async #open(intake: PoolIntake): Promise<void> {
    // A folder that the user made keeps its owner and mode.
    if ((await kindOf(this.#place.dir)) === undefined)
      await ensureDirectory(this.#place.dir, { mode: 0o700, owner: this.#owner });
    // Left by a killed process.
    await intake.close();
    await intake.open();
  }
}
