import type { ArchivedFile } from "../../system/files/tar.ts";

/** Where the parts are in a zip or another archive of files. */
export interface BundleLayout {
  /** A file, or a folder that pg_dump wrote (ends with a slash). */
  readonly dump: string;
  /** The filestore's folder, with a slash at its end; undefined when there is none. */
  readonly filestore: string | undefined;
  readonly filestoreBytes: number;
  readonly dumpBytes: number;
  /** What was assumed, one line each. */
  readonly notes: readonly string[];
}

type Seen = Pick<ArchivedFile, "name" | "bytes" | "mark">;

/** Put there by file managers. */
const JUNK = /(?:^|\/)(?:__MACOSX\/.*|\._[^/]*|\.DS_Store|Thumbs\.db|desktop\.ini|\.directory)$/i;
const ATTACHMENT = /^((?:.*\/)?)([0-9a-f]{2})\/([0-9a-f]{40})$/i;
/** Odoo's list of files to collect is in the archive; a new database has nothing to collect. */
const CHECKLIST = /(?:^|\/)checklist\//;
const DUMP = /\.(?:sql|dump|backup|pgdump|bak)(?:\.(?:gz|gzip|zst|xz|bz2|lz4))?$/i;
const NESTED = /\.(?:zip|7z|tar|tgz|tbz2?|txz|tar\.(?:gz|zst|xz|bz2))$/i;
/** Files that are named one by one. */
const NAMED = 5;

/** Whether a file manager put it there. */
export function isJunk(name: string): boolean {
  return JUNK.test(name) || CHECKLIST.test(name);
}

/** The place of an attachment in a filestore: its folder, and its name there. */
export function attachmentIn(
  name: string,
): { readonly root: string; readonly storeFname: string } | undefined {
  const [, root = "", folder = "", hash = ""] = ATTACHMENT.exec(name) ?? [];
  if (hash === "" || !hash.toLowerCase().startsWith(folder.toLowerCase())) return undefined;
  if (isJunk(name)) return undefined;
  return { root, storeFname: `${folder}/${hash}`.toLowerCase() };
}

/**
 * Finds the dump and the filestore among the names in an archive in the forms that people make: everything in one
 * folder, the filestore under its database's name, with files that file managers add. Anything ambiguous is a problem,
 * never a guess.
 */
export class LayoutReader {
  readonly #roots = new Map<string, { files: number; bytes: number }>();
  readonly #dumps = new Map<string, Seen>();
  readonly #nested: Seen[] = [];
  readonly #folders = new Map<string, number>();
  readonly #inFilestore = new Map<string, number>();
  readonly #others: string[] = [];
  #otherCount = 0;
  #problem: string | undefined;
  /** As manifest.json has it. */
  database: string | undefined;

  add(file: Seen): void {
    const { name, bytes } = file;
    if (isJunk(name)) return;
    const attachment = attachmentIn(name);
    if (attachment) {
      const root = this.#roots.get(attachment.root) ?? { files: 0, bytes: 0 };
      this.#roots.set(attachment.root, { files: root.files + 1, bytes: root.bytes + bytes });
      return;
    }
    const base = name.slice(name.lastIndexOf("/") + 1);
    const folder = name.slice(0, name.length - base.length);
    if (/(?:^|\/)filestore\//.test(folder)) {
      this.#inFilestore.set(folder, (this.#inFilestore.get(folder) ?? 0) + bytes);
      this.#other(name);
    } else if (base === "toc.dat") this.#folders.set(folder, bytes);
    else if (DUMP.test(base)) this.#addDump(file);
    else if (NESTED.test(base)) this.#nested.push(file);
    else if (base !== "manifest.json") this.#other(name);
  }

  #addDump(file: Seen): void {
    const before = this.#dumps.get(file.name);
    const same =
      before && before.bytes === file.bytes && before.mark === file.mark && file.mark !== undefined;
    if (before && !same) this.#problem = `it holds ${file.name} twice, and not the same`;
    this.#dumps.set(file.name, before ?? file);
  }

  #other(name: string): void {
    this.#otherCount += 1;
    if (this.#others.length < NAMED) this.#others.push(name);
  }

  /** @returns a text when it is ambiguous what to restore */
  layout(): BundleLayout | string {
    if (this.#problem !== undefined) return this.#problem;
    const dump = this.#dump();
    if (typeof dump === "string") return dump;
    const roots = this.#filestore();
    if (typeof roots === "string") return roots;
    const { root } = roots;
    const notes: string[] = [];
    if (dump.name !== "dump.sql") notes.push(`taken as the dump: ${dump.name}`);
    if (root !== undefined && root !== "filestore/")
      notes.push(`taken as the filestore: ${root || "the archive itself"}`);
    if (root === undefined && this.#otherCount > 0 && !dump.name.endsWith("/")) {
      const more = this.#otherCount > this.#others.length ? ", …" : "";
      notes.push(
        `not taken, because they are neither a dump nor attachments: ${this.#others.join(", ")}${more}`,
      );
    }
    const extra = [...this.#inFilestore].filter(([folder]) => root !== undefined && folder.startsWith(root));
    return {
      dump: dump.name,
      dumpBytes: dump.bytes,
      filestore: root,
      filestoreBytes:
        (this.#roots.get(root ?? "")?.bytes ?? 0) + extra.reduce((sum, [, bytes]) => sum + bytes, 0),
      notes,
    };
  }

  #dump(): Seen | string {
    const folders = [...this.#folders].map(([name, bytes]) => ({ name: name || "./", bytes }));
    // pg_dump's tar holds its restore.sql beside the table of contents.
    const dumps = [...this.#dumps.values()].filter(
      ({ name }) =>
        !(name.endsWith("restore.sql") && this.#folders.has(name.slice(0, -"restore.sql".length))),
    );
    const named = dumps.filter(({ name }) => /(?:^|\/)dump\.sql$/.test(name));
    for (const some of [named, [...dumps, ...folders], this.#nested]) {
      const [only] = some;
      if (some.length === 1 && only) return only;
      if (some.length > 1) {
        const names = some.slice(0, NAMED).map(({ name }) => name);
        return `it holds several dumps: ${names.join(", ")}${some.length > NAMED ? ", …" : ""}`;
      }
    }
    return "it holds no dump.sql and no other dump";
  }

  #filestore(): { readonly root: string | undefined } | string {
    const inPlain = [...this.#inFilestore.keys()].some((folder) => folder.startsWith("filestore/"));
    const roots = [...this.#roots.keys()];
    if (roots.length === 0) return { root: inPlain ? "filestore/" : undefined };
    if (roots.length === 1) return { root: roots[0] };
    const own =
      this.database === undefined ? [] : roots.filter((root) => root.endsWith(`/${this.database}/`));
    if (own.length === 1) return { root: own[0] };
    if (roots.includes("filestore/")) return { root: "filestore/" };
    return `it holds several filestores: ${roots.slice(0, NAMED).join(", ")}`;
  }
}
