import { closeSync } from "node:fs";
import path from "node:path";
import { Folder } from "./held/folder.ts";
import { isHeld } from "./held/opening.ts";
import { mayPass, mayRead, type Owner } from "./rights.ts";
import { regularFileBytes } from "./pool-files.ts";

/**
 * Reads the files of one database's filestore with the rights of its owner. Its owner may put anything there, also
 * in this moment: no link is followed, and what the owner could not read is not there.
 */
export class FilestoreReader {
  /** By what path the files are named. */
  readonly path: string;
  readonly #folder: Folder | undefined;
  readonly #owner: Owner;
  /** Folders of the way to the last file, the outermost first: files come in the order of their names. */
  #way: { readonly name: string; readonly folder: Folder }[] = [];

  /** @param folder of the database; it need not be there */
  constructor(folder: string) {
    this.path = folder;
    const filestores = isHeld() ? Folder.open(path.dirname(folder)) : undefined;
    try {
      this.#folder = filestores && databaseFolder(filestores, folder);
      const owners = [filestores?.owner, this.#folder?.owner];
      this.#owner = owners.find((owner) => owner !== undefined && owner.uid !== 0) ?? { uid: 0, gid: 0 };
    } finally {
      filestores?.close();
    }
  }

  /** Bytes of a file; undefined when there is none. */
  bytes(storeFname: string): number | undefined {
    if (!isHeld()) return regularFileBytes(path.join(this.path, storeFname));
    const found = this.#find(storeFname);
    const stat = found?.folder.look(found.name);
    return stat?.isFile() && mayRead(stat, this.#owner) ? stat.size : undefined;
  }

  /** When a name in a folder of the filestore was last added or removed, in milliseconds since the epoch; undefined where there is none. */
  changedAt(name: string): number | undefined {
    const stat = this.#listed()?.look(name);
    return stat?.isDirectory() ? stat.mtimeMs : undefined;
  }

  /** Names in a folder of the filestore; none where its owner may not look into it. */
  names(name: string): string[] {
    const folder = this.#listed()?.into(name);
    if (!folder) return [];
    try {
      const may = !isHeld() || mayRead({ ...folder.owner, mode: folder.mode }, this.#owner);
      return may ? folder.names() : [];
    } finally {
      folder.close();
    }
  }

  #listed(): Folder | undefined {
    return isHeld() ? this.#folder : Folder.open(this.path);
  }

  /**
   * Uses a file: by a path that is valid meanwhile, and leads to the very file that was looked at.
   * @param use told also by what name the file may be given a second one: what lies there then is to be compared
   * @returns undefined when there is no such file
   */
  async using<T>(
    storeFname: string,
    use: (file: string, named: string) => Promise<T>,
  ): Promise<T | undefined> {
    if (!isHeld()) {
      const file = path.join(this.path, storeFname);
      return await use(file, file);
    }
    const found = this.#find(storeFname);
    const seen = found?.folder.see(found.name, this.#owner);
    if (found === undefined || seen === undefined) return undefined;
    try {
      return await use(`/proc/self/fd/${seen}`, found.folder.at(found.name));
    } finally {
      closeSync(seen);
    }
  }

  #find(storeFname: string): { folder: Folder; name: string } | undefined {
    const parts = storeFname.split("/");
    const name = parts.pop() ?? "";
    let folder = this.#folder;
    for (const [depth, part] of parts.entries()) {
      if (this.#way[depth]?.name !== part) {
        this.#leave(depth);
        const inner = folder?.into(part);
        if (!inner) return undefined;
        this.#way.push({ name: part, folder: inner });
      }
      folder = this.#way[depth]?.folder;
      if (folder && !mayPass({ ...folder.owner, mode: folder.mode }, this.#owner)) return undefined;
    }
    // Of a file at the top of the filestore, nothing of the way is needed.
    return folder && { folder, name };
  }

  #leave(depth: number): void {
    for (const { folder } of this.#way.splice(depth)) folder.close();
  }

  close(): void {
    this.#leave(0);
    this.#folder?.close();
  }
}

/** A link in the place of the folder is followed where only its owner could have made it (`Folder.open`). */
function databaseFolder(filestores: Folder, folder: string): Folder | undefined {
  const name = path.basename(folder);
  const inner = filestores.into(name) ?? (filestores.look(name) ? Folder.open(folder) : undefined);
  if (!inner || filestores.owner.uid === 0 || inner.isOpenTo(filestores.owner)) return inner;
  inner.close();
  return undefined;
}
