import { nextStep, odooPg } from "../../next-step.ts";
import path from "node:path";
import { OdooPgError } from "../../errors.ts";
import { shellWord } from "../../shell-word.ts";
import { filestoreOf } from "../../odoo/filestore.ts";
import type { Config } from "../../config/schema.ts";
import { kindOf, removeFile } from "../../system/files/files.ts";
import {
  copyChecked,
  likenessOf,
  makeDirectory,
  shareFile,
  syncTree,
  writeHashed,
  type Likeness,
} from "../../system/files/filestore-files.ts";
import type { FilestoreReader } from "../../system/files/filestore-reader.ts";
import { Folder } from "../../system/files/held/folder.ts";
import { regularFileBytes } from "../../system/files/pool-files.ts";
import { isSafeStoreFname, type ListedFile } from "../../backup/attachments/filestore-list.ts";
import { poolFile, type BackupPlace } from "../../backup/place.ts";

/**
 * Files of one database in the making, in a folder of their own beside the other filestores. It is closed to its owner
 * until it is whole, and held open meanwhile: files are written into this folder, whatever its owner puts in its place.
 */
export class NewFilestore {
  readonly folder: string;
  readonly #parent: Folder;
  readonly #held: Folder;
  readonly #like: Likeness;
  readonly #made = new Set<string>();
  readonly #problems: string[] = [];
  #problemCount = 0;
  readonly #altered = new Set<string>();
  files = 0;
  bytes = 0;

  /** @param folder that does not exist yet; its parent does */
  constructor(folder: string) {
    const parent = Folder.open(path.dirname(folder));
    if (!parent) throw filestoresMissing(path.dirname(folder));
    this.folder = folder;
    this.#parent = parent;
    this.#like = likenessOf(parent);
    this.#held = parent.make(path.basename(folder), 0o700, undefined);
  }

  #target(storeFname: string): string {
    const to = path.join(this.#held.place, storeFname);
    const directory = path.dirname(to);
    if (!this.#made.has(directory)) {
      makeDirectory(directory, this.#like);
      this.#made.add(directory);
    }
    return to;
  }

  #problem(text: string): void {
    this.#problemCount += 1;
    if (this.#problems.length < 10) this.#problems.push(text);
  }

  #count(bytes: number): void {
    this.files += 1;
    this.bytes += bytes;
  }

  /** A file of the pool of a backup; a missing or altered one is noted. */
  async addFromPool(place: BackupPlace, { sha1, bytes, storeFname }: ListedFile): Promise<void> {
    const to = this.#target(storeFname);
    const copied = await copyChecked(poolFile(place, sha1), to, this.#like, `${place.pool} ${this.folder}`);
    if (!copied) this.#problem(`${storeFname} is missing`);
    else if (copied.sha1 !== sha1 || copied.bytes !== bytes) this.#problem(`${storeFname} is altered`);
    else this.#count(bytes);
  }

  /** A file of a zip. Its name must be its SHA-1; of several files with one name, the one that matches is taken. */
  async addFromZip(storeFname: string, content: AsyncIterable<Buffer>): Promise<void> {
    if (!isSafeStoreFname(storeFname)) return this.#problem(`${JSON.stringify(storeFname)} is not a name`);
    const to = this.#target(storeFname);
    const hash = /^[0-9a-f]{40}$/.exec(path.posix.basename(storeFname))?.[0];
    if (regularFileBytes(to) !== undefined) {
      // One that is its own checksum is what any other of that name would have to be.
      if (hash === undefined) return this.#problem(`${storeFname} is there twice`);
      if (!this.#altered.has(storeFname)) return;
      await removeFile(to);
      this.#altered.delete(storeFname);
    }
    const written = await writeHashed(content, to, this.#like);
    if (hash !== undefined && written.sha1 !== hash) this.#altered.add(storeFname);
    else this.#count(written.bytes);
  }

  /** A file of another database's filestore. Returns whether it was there. */
  async share(from: FilestoreReader, storeFname: string): Promise<boolean> {
    if (!isSafeStoreFname(storeFname)) return false;
    const to = this.#target(storeFname);
    if (regularFileBytes(to) !== undefined) return true;
    const shared = await from.using(
      storeFname,
      async (file, named) => await shareFile(file, named, to, this.#like, `${from.path} ${this.folder}`),
    );
    if (shared !== true) return false;
    this.#count(regularFileBytes(to) ?? 0);
    return true;
  }

  has(storeFname: string): boolean {
    return (
      isSafeStoreFname(storeFname) && regularFileBytes(path.join(this.#held.place, storeFname)) !== undefined
    );
  }

  /** Makes it durable. @throws OdooPgError backup_damaged with the missing or altered files. */
  async finish(): Promise<void> {
    for (const name of this.#altered) this.#problem(`${name} is altered`);
    if (this.#problemCount) {
      throw new OdooPgError("backup_damaged", {
        message: `${this.#problemCount} attachments are not as they were: ${this.#problems.join(", ")}${this.#problemCount > this.#problems.length ? ", …" : ""}.`,
        safe: "Nothing that existed was changed; what was restored until then is removed.",
        next: nextStep`Choose another backup: ${odooPg("backup", "list")}`,
      });
    }
    await syncTree(this.folder, this.#held.place);
    this.#held.give(this.#like.directoryMode, this.#like.owner);
  }

  async discard(): Promise<void> {
    await this.#parent.remove(path.basename(this.folder));
    this.close();
  }

  /** Releases it, once it has its place. */
  close(): void {
    this.#held.close();
    this.#parent.close();
  }
}

/** The name is free, but a filestore has it: there is nothing to replace. */
export class FilestoreExists extends OdooPgError {}

/**
 * Where a database's attachments will be; undefined where no filestore is configured.
 * @throws OdooPgError refused for a name that cannot be that of a folder; FilestoreExists when the folder exists.
 */
export async function freeFilestoreFor(config: Config, database: string): Promise<string | undefined> {
  const folder = filestoreFor(config, database);
  if (folder === undefined || (await kindOf(folder)) === undefined) return folder;
  throw new FilestoreExists("database_exists", {
    message: `There is no database "${database}", but there is a filestore of that name: ${folder}.`,
    safe: "Nothing was changed.",
    next: `Move it away; if it is that database's own, move it back once that is there: mv ${shellWord(folder)} ${shellWord(`${folder}.aside`)}`,
  });
}

/** Where a database's attachments are; undefined where no filestore is configured. @throws OdooPgError refused. */
export function filestoreFor(config: Config, database: string): string | undefined {
  const { filestore } = config.odoo;
  if (filestore === undefined) return undefined;
  const folder = filestoreOf(filestore, database);
  if (folder !== undefined) return folder;
  throw new OdooPgError("refused", {
    message: `"${database}" cannot be the name of a filestore's folder.`,
    safe: "Nothing was changed.",
    next: "Choose another name.",
  });
}

function filestoresMissing(filestores: string): OdooPgError {
  return new OdooPgError("filestore_unusable", {
    message: `The directory of Odoo's filestores, ${filestores}, is not there.`,
    safe: "Nothing was changed.",
    next: 'Mount its disk, or make it, owned by Odoo\'s user, or correct "odoo.filestore".',
  });
}

/**
 * Where files are to go.
 * @throws OdooPgError config_invalid when no filestore is configured, filestore_unusable when it is not there.
 */
export async function neededFilestore(config: Config): Promise<string> {
  const { filestore } = config.odoo;
  if (filestore !== undefined) {
    if ((await kindOf(filestore)) !== "directory") throw filestoresMissing(filestore);
    return filestore;
  }
  throw new OdooPgError("config_invalid", {
    message: 'The backup holds attachments, and "odoo.filestore" does not say where they belong.',
    safe: "Nothing was changed.",
    next: nextStep`${odooPg("adopt", "FILE", "--apply")}, with the odoo.conf that Odoo is started with; where there is none, set "odoo.filestore" in odoo-pg.yaml to the directory that holds one folder per database`,
  });
}
