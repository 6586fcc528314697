import { now } from "../../system/clock.ts";
import { writeFileAtomic, type Owner } from "../../system/files/files.ts";
import { entriesOf, renameEntry, syncFolder } from "../../system/files/folder-files.ts";
import { Folder } from "../../system/files/held/folder.ts";
import { ASIDE, makeRepository } from "../repository-mark.ts";
import { making, markAt, within } from "./folders.ts";
import { basesIn, stanzaInfo, type InfoBase, type InfoTexts } from "./info-text.ts";
import type { OwnStanza } from "./decide.ts";
import { isLabel } from "./names.ts";
import { LARGEST_INFO } from "./protocol.ts";

/** In the repository, what is being copied: pgBackRest does not look there, and copies elsewhere leave it out. */
const MAKING = "copying.tmp";

/** A repository into which another one is copied. */
export interface OwnRepository {
  readonly repository: string;
  readonly stanza: string;
  /** What remembers that there is one, so that a disk that is not mounted is not taken for an empty repository. */
  readonly markFile?: string | undefined;
  /** Of the servers; undefined where everything belongs to one user. */
  readonly owner: Owner | undefined;
  /** Of the cluster: a repository of another one is never taken. */
  readonly systemIdentifier: string;
  /** For how long back this host keeps WAL and base backups. */
  readonly days: number;
  /** To know whether its disk is the repository's, too. */
  readonly dataDir: string;
}

type Info = "archive" | "backup";

/** A host's own repository, held open: what another user puts in the place of its folders changes nothing outside. */
export class OwnFolders {
  readonly root: Folder;
  readonly #own: OwnRepository;

  private constructor(own: OwnRepository, root: Folder) {
    this.#own = own;
    this.root = root;
  }

  /** Makes it where there never was one. @throws OdooPgError repository_missing */
  static async open(own: OwnRepository): Promise<OwnFolders> {
    await makeRepository(own, own.owner);
    const root = Folder.open(own.repository);
    if (!root) throw new Error(`${own.repository} is no folder`);
    return new OwnFolders(own, root);
  }

  close(): void {
    this.root.close();
  }

  /** What archive.info and backup.info say; pgBackRest reads the copy of one that is missing. */
  async infos(): Promise<Partial<InfoTexts>> {
    const [archive, backup] = [await this.#info("archive"), await this.#info("backup")];
    return { ...(archive === undefined ? {} : { archive }), ...(backup === undefined ? {} : { backup }) };
  }

  async #info(kind: Info): Promise<string | undefined> {
    return await within(this.root, [kind, this.#own.stanza], (folder) => {
      const texts = [`${kind}.info`, `${kind}.info.copy`].map((name) => folder.readText(name, LARGEST_INFO));
      return texts.find((text) => text !== undefined && stanzaInfo(text) !== undefined);
    });
  }

  async stanza(texts: Partial<InfoTexts>): Promise<OwnStanza> {
    const read = (text: string | undefined) => (text === undefined ? undefined : stanzaInfo(text));
    const holdsAnything = (await this.#holds("archive")) || (await this.#holds("backup"));
    return { archive: read(texts.archive), backup: read(texts.backup), holdsAnything };
  }

  async #holds(kind: Info): Promise<boolean> {
    const names = await within(this.root, [kind, this.#own.stanza], (folder) => folder.names());
    return names?.some((name) => !name.startsWith(`${kind}.info`)) === true;
  }

  /** Labels of base backups that are whole: one that is being made, or removed, has no manifest. */
  async labels(): Promise<Set<string>> {
    const whole = new Set<string>();
    await within(this.root, ["backup", this.#own.stanza], (folder) => {
      for (const label of folder.names().filter(isLabel)) {
        const inner = folder.into(label);
        try {
          if (inner?.look("backup.manifest")?.isFile() === true) whole.add(label);
        } finally {
          inner?.close();
        }
      }
    });
    return whole;
  }

  /** Names of the files in a folder of WAL; undefined where there is none. @param folder an archive id, or one of its folders of segments */
  async walIn(folder: string): Promise<string[] | undefined> {
    return await within(this.root, this.#walParts(folder), (own) => own.names());
  }

  /** What tells whether such a folder is as it was; null where there is none, or it was changed just now. */
  async walMark(folder: string): Promise<string | null> {
    const parts = this.#walParts(folder);
    const last = parts.pop() ?? "";
    return (await within(this.root, parts, (parent) => markAt(parent, last))) ?? null;
  }

  /** Opens such a folder, and makes it where there is none. */
  async makingWal<T>(folder: string, use: (folder: Folder) => Promise<T>): Promise<T> {
    return await making(this.root, this.#walParts(folder), this.#own.owner, use);
  }

  #walParts(folder: string): string[] {
    return ["archive", this.#own.stanza, ...folder.split("/")];
  }

  /** Those that backup.info names. */
  bases({ backup }: Partial<InfoTexts>): InfoBase[] {
    return backup === undefined ? [] : basesIn(backup);
  }

  /**
   * Writes the info files as another host has them. Each whole or not at all; backup.info then names base backups that are
   * not here yet, until pgBackRest has looked what is.
   */
  async writeInfos(texts: InfoTexts): Promise<void> {
    const { owner, stanza } = this.#own;
    await making(this.root, [MAKING], owner, async (folder) => {
      for (const kind of ["backup", "archive"] as const)
        await making(this.root, [kind, stanza], owner, async (target) => {
          for (const name of [`${kind}.info`, `${kind}.info.copy`]) {
            await writeFileAtomic(folder.at(name), texts[kind], { mode: 0o640, ...(owner ? { owner } : {}) });
            await renameEntry(folder, name, target, name);
          }
          await syncFolder(target);
        });
    });
  }

  /** A name for what is put aside now. */
  newAside(): string {
    return `${ASIDE}${new Date(now()).toISOString().replace(/[-:]|\.\d+/g, "")}`;
  }

  /** Puts aside what is there of the stanza. @returns where it is */
  async putAside(): Promise<string> {
    const { owner, stanza, repository } = this.#own;
    const name = this.newAside();
    for (const kind of ["archive", "backup"] as const) {
      const source = this.root.into(kind);
      if (!source) continue;
      try {
        if (!source.look(stanza)) continue;
        await making(this.root, [name, kind], owner, async (target) => {
          await renameEntry(source, stanza, target, stanza);
          await syncFolder(target);
          await syncFolder(source);
        });
      } finally {
        source.close();
      }
    }
    return `${repository}/${name}`;
  }

  /** Where files lie while they are copied. */
  async inMaking<T>(parts: readonly string[], use: (folder: Folder) => T | Promise<T>): Promise<T> {
    return await making(this.root, [MAKING, ...parts], this.#own.owner, use);
  }

  /** Removes what is left of copies: the names that are to stay are given. */
  async tidy(stays: (name: string) => boolean): Promise<void> {
    await within(this.root, [MAKING], async (folder) => {
      for (const { name } of await entriesOf(folder)) if (!stays(name)) await folder.remove(name);
    });
  }
}
