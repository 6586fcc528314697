import { randomBytes } from "node:crypto";
import path from "node:path";
import { ensureDirectory, move, namesIn, removeFile, removeTree, type Owner } from "../system/files/files.ts";
import { FilestoreReader } from "../system/files/filestore-reader.ts";
import { copyHashed, filesIn, renameNow, syncPath } from "../system/files/pool-files.ts";
import { hashFile, type LineWriter } from "../system/process/streams.ts";
import { formatListedFile, isSafeStoreFname } from "./filestore-list.ts";
import { poolFile, type BackupPlace } from "./place.ts";

/** Files that are made durable at once, and bytes. */
const BATCH_FILES = 2000;
const BATCH_BYTES = 512 * 1024 * 1024;

/** Names that are noted of files that are not as they should be. */
const NOTED = 100;

export interface PoolAddition {
  /** Files that the backup names, and their bytes. */
  files: number;
  bytes: number;
  /** What was not in the pool yet. */
  copied: number;
  copiedBytes: number;
  readonly missing: { count: number; first: string[] };
  readonly altered: { count: number; first: string[] };
  /** Lost or damaged in the live filestore, and whole in the pool. */
  readonly pool_only: { count: number; first: string[] };
}

interface Waiting {
  readonly from: string;
  readonly sha1: string;
}

/** Takes the attachments of one database into the pool, and writes the list of them. */
export class PoolWriter {
  readonly #place: BackupPlace;
  readonly #filestore: string;
  readonly #reader: FilestoreReader;
  readonly #owner: Owner | undefined;
  readonly #list: LineWriter;
  /** Copies get their names in the pool from here, when they are durable. */
  readonly #newDir: string;
  #prefix = "";
  #inPrefix = new Map<string, number>();
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  readonly #changedDirectories = new Set<string>();
  #copies = 0;
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
    this.#filestore = filestore;
    this.#reader = new FilestoreReader(filestore);
    this.#owner = owner;
    this.#list = list;
    this.#newDir = path.join(place.pool, `.new.${randomBytes(4).toString("hex")}`);
  }

  async open(): Promise<void> {
    await ensureDirectory(this.#place.pool, { mode: 0o700, owner: this.#owner });
    await ensureDirectory(this.#newDir, { mode: 0o700, owner: this.#owner });
  }

  /** Takes one attachment. Names have to come sorted by bytes. @throws OdooPgError disk_full and others of the disk. */
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
    const to = path.join(this.#newDir, String(this.#copies++));
    const clonesFor = `${this.#filestore} ${this.#place.pool}`;
    const copy = await this.#reader.using(
      storeFname,
      async (live) => await copyHashed(live, to, this.#owner, clonesFor),
    );
    if (!copy) return note(added.missing, storeFname);
    if (expected !== undefined && copy.sha1 !== expected) note(added.altered, storeFname);
    this.#waiting.push({ from: to, sha1: copy.sha1 });
    this.#waitingBytes += copy.bytes;
    added.copied += 1;
    added.copiedBytes += copy.bytes;
    await this.#listed(copy.sha1, copy.bytes, storeFname);
    if (this.#waiting.length >= BATCH_FILES || this.#waitingBytes >= BATCH_BYTES) await this.#settle();
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

  /** A file of the pool was checked when it came in. One whose size is not that of the live file is looked at again. */
  async #isSound(sha1: string, bytes: number, liveBytes: number | undefined): Promise<boolean> {
    if (liveBytes === undefined || liveBytes === bytes) return true;
    return (await hashFile(poolFile(this.#place, sha1), "sha1")).digest === sha1;
  }

  /** Makes the copies durable, then gives them their names: a file that has one is whole. */
  async #settle(): Promise<void> {
    for (const { from } of this.#waiting) syncPath(from);
    for (const { from, sha1 } of this.#waiting) {
      const to = poolFile(this.#place, sha1);
      const directory = path.dirname(to);
      if (!this.#changedDirectories.has(directory)) {
        await ensureDirectory(directory, { mode: 0o700, owner: this.#owner });
        this.#changedDirectories.add(directory);
      }
      renameNow(from, to);
    }
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  /** Makes all of it durable. Until then no backup may name a file of it. */
  async finish(): Promise<PoolAddition> {
    await this.#settle();
    for (const directory of this.#changedDirectories) syncPath(directory);
    if (this.#changedDirectories.size) syncPath(this.#place.pool);
    await this.close();
    return this.added;
  }

  async close(): Promise<void> {
    this.#reader.close();
    await removeTree(this.#newDir);
  }
}

function note(names: { count: number; first: string[] }, storeFname: string): void {
  names.count += 1;
  if (names.first.length < NOTED) names.first.push(storeFname);
}

/** Copies that a killed odoo-pg left in the making. The caller holds the lock. */
export async function removeLeftOverCopies(place: BackupPlace): Promise<void> {
  for (const name of await namesIn(place.pool)) {
    if (/^\.new\.[0-9a-f]{8}$/.test(name)) await removeTree(path.join(place.pool, name));
  }
}

/** The folders of the pool that are there: `00` to `ff`. */
export async function poolPrefixes(place: BackupPlace): Promise<string[]> {
  return (await namesIn(place.pool)).filter((name) => /^[0-9a-f]{2}$/.test(name));
}

/** Files of one folder of the pool, by SHA-1. Files with other names are not odoo-pg's. */
export function filesOfPrefix(place: BackupPlace, prefix: string): Map<string, number> {
  const all = filesIn(path.join(place.pool, prefix));
  return new Map([...all].filter(([name]) => /^[0-9a-f]{40}$/.test(name) && name.startsWith(prefix)));
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
