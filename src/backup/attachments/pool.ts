import { randomBytes } from "node:crypto";
import path from "node:path";
import {
  ensureDirectory,
  move,
  namesIn,
  removeFile,
  removeTree,
  type Owner,
} from "../../system/files/files.ts";
import { FilestoreReader } from "../../system/files/filestore-reader.ts";
import { filesIn, namesNow } from "../../system/files/pool-files.ts";
import { hashFile, type LineWriter } from "../../system/process/streams.ts";
import { formatListedFile, isSafeStoreFname } from "./filestore-list.ts";
import { poolFile, type BackupPlace } from "../place.ts";
import { PoolIntake } from "./pool-intake.ts";

/** How many names of bad files are noted. */
const NOTED = 100;

export interface PoolAddition {
  /** Files that the backup names, and their bytes. */
  files: number;
  bytes: number;
  /** Files that were not in the pool yet. */
  copied: number;
  copiedBytes: number;
  readonly missing: { count: number; first: string[] };
  readonly altered: { count: number; first: string[] };
  /** Lost or damaged in the live filestore, and whole in the pool. */
  readonly pool_only: { count: number; first: string[] };
}

/** Takes the attachments of one database into the pool, and writes the list of them. */
export class PoolWriter {
  readonly #place: BackupPlace;
  readonly #reader: FilestoreReader;
  readonly #list: LineWriter;
  readonly #intake: PoolIntake;
  #prefix = "";
  #inPrefix = new Map<string, number>();
  readonly added: PoolAddition = {
    files: 0,
    bytes: 0,
    copied: 0,
    copiedBytes: 0,
    missing: { count: 0, first: [] },
    altered: { count: 0, first: [] },
    pool_only: { count: 0, first: [] },
  };

  /** @param filestore folder of the database's attachments; @param list the open filestore.tsv */
  constructor(place: BackupPlace, filestore: string, owner: Owner | undefined, list: LineWriter) {
    this.#place = place;
    this.#reader = new FilestoreReader(filestore);
    this.#list = list;
    this.#intake = new PoolIntake(place, `.new.${randomBytes(4).toString("hex")}`, owner);
  }

  async open(): Promise<void> {
    await this.#intake.open();
  }

  /**
   * Takes one attachment. Names must come sorted by bytes. @throws OdooPgError disk_full and other errors of the disk.
   */
  async add(storeFname: string): Promise<void> {
    const { added } = this;
    if (!isSafeStoreFname(storeFname)) return note(added.missing, storeFname);
    const named = path.posix.basename(storeFname);
    const expected = /^[0-9a-f]{40}$/.test(named) ? named : undefined;
    const pooled = expected === undefined ? undefined : this.#pooledBytes(expected);
    if (expected !== undefined && pooled !== undefined) {
      const liveBytes = this.#reader.bytes(storeFname);
      if (await this.#isSound(expected, pooled, liveBytes)) {
        if (liveBytes !== pooled) note(added.pool_only, storeFname);
        return await this.#listed(expected, pooled, storeFname);
      }
    }
    const copy = await this.#intake.copy(this.#reader, storeFname);
    if (!copy) return note(added.missing, storeFname);
    if (expected !== undefined && copy.sha1 !== expected) note(added.altered, storeFname);
    added.copied += 1;
    added.copiedBytes += copy.bytes;
    await this.#listed(copy.sha1, copy.bytes, storeFname);
    await this.#intake.accept(copy);
  }

  async #listed(sha1: string, bytes: number, storeFname: string): Promise<void> {
    this.added.files += 1;
    this.added.bytes += bytes;
    await this.#list.write(formatListedFile({ sha1, bytes, storeFname }));
  }

  #pooledBytes(sha1: string): number | undefined {
    const prefix = sha1.slice(0, 2);
    if (prefix !== this.#prefix) {
      this.#prefix = prefix;
      this.#inPrefix = filesIn(path.join(this.#place.pool, prefix));
    }
    return this.#inPrefix.get(sha1);
  }

  /**
   * A file of the pool was checked when it came in. If its size differs from that of the live file, it is checked
   * again.
   */
  async #isSound(sha1: string, bytes: number, liveBytes: number | undefined): Promise<boolean> {
    if (liveBytes === undefined || liveBytes === bytes) return true;
    return (await hashFile(poolFile(this.#place, sha1), "sha1")).digest === sha1;
  }

  /** Makes all of it durable. No backup may name a file of it before that. */
  async finish(): Promise<PoolAddition> {
    await this.#intake.finish();
    await this.close();
    return this.added;
  }

  async close(): Promise<void> {
    this.#reader.close();
    await this.#intake.close();
  }
}

function note(names: { count: number; first: string[] }, storeFname: string): void {
  names.count += 1;
  if (names.first.length < NOTED) names.first.push(storeFname);
}

/** Unfinished copies of a killed odoo-pg. The caller holds the lock. */
export async function removeLeftOverCopies(place: BackupPlace): Promise<void> {
  for (const name of await namesIn(place.pool)) {
    if (/^\.new\.[0-9a-f]{8}$/.test(name)) await removeTree(path.join(place.pool, name));
  }
}

/** The folders of the pool that are there: `00` to `ff`. */
export async function poolPrefixes(place: BackupPlace): Promise<string[]> {
  return (await namesIn(place.pool)).filter((name) => /^[0-9a-f]{2}$/.test(name));
}

/** Files of one folder of the pool, by SHA-1. Files with other names do not belong to odoo-pg. */
export function filesOfPrefix(place: BackupPlace, prefix: string): Map<string, number> {
  const all = filesIn(path.join(place.pool, prefix));
  return new Map([...all].filter(([name]) => /^[0-9a-f]{40}$/.test(name) && name.startsWith(prefix)));
}

/** Names in one folder of the pool. */
export function namesOfPrefix(place: BackupPlace, prefix: string): string[] {
  return namesNow(path.join(place.pool, prefix));
}

export async function removeFromPool(place: BackupPlace, sha1: string): Promise<void> {
  await removeFile(poolFile(place, sha1));
}

/**
 * Takes a damaged file out of the pool and keeps it as `damaged/<sha1>`. The next backup then copies the file again,
 * which makes every backup that names it whole again.
 */
export async function setAside(place: BackupPlace, sha1: string, owner: Owner | undefined): Promise<void> {
  const directory = path.join(place.pool, "damaged");
  await ensureDirectory(directory, { mode: 0o700, owner });
  await move(poolFile(place, sha1), path.join(directory, sha1));
}
