import path from "node:path";
import { OdooPgError } from "../../errors.ts";
import { namesIn } from "../../system/files/files.ts";
import { bytesOf } from "../../system/process/pipeline.ts";

/** Files of rows, and lists of large objects, as pg_dump names them (pg_backup_directory.c). It never packs the lists. */
const ROWS = /^\d{1,10}\.dat$/;
const LIST = /^blobs(?:_\d{1,10})?\.toc$/;
const LISTED = /^\d{1,10} blob_\d{1,10}\.dat$/;

/** Bytes of a text that are looked at: more than any of these has. */
const LONGEST = 64;

/** Versions of the format in which pg_dump writes folders: of PostgreSQL 9.1 to 18 (pg_backup_archiver.h). */
const VERSIONS = { from: 12, to: 16 };

/**
 * pg_restore reads whatever file a dump in a folder names, below that folder or not: as root any file of the machine, into a
 * database of whoever made the dump. So a dump may name only what pg_dump does, and pg_dump names files of its folder.
 * @throws OdooPgError dump_unusable
 */
export async function assertNamesOwnFiles(folder: string): Promise<void> {
  for await (const { name, isList } of namesInToc(bytesOf(path.join(folder, "toc.dat"))))
    if (!LIST.test(name) && (isList || !ROWS.test(name))) throw unusable(`it names the file ${quoted(name)}`);
  for (const name of await namesIn(folder)) {
    if (!name.startsWith("blobs")) continue;
    if (!LIST.test(name)) throw unusable(`it holds ${quoted(name)}`);
    for await (const line of linesOf(bytesOf(path.join(folder, name))))
      if (!LISTED.test(line)) throw unusable(`${name} holds the line ${quoted(line)}`);
  }
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, LONGEST));
}

function unusable(problem: string): OdooPgError {
  return new OdooPgError("dump_unusable", {
    message: `The folder of this dump cannot be restored: ${problem}, as pg_dump never does.`,
    safe: "Nothing that existed was changed.",
    next: "Leave such a dump alone: it may be made to have a file read that its maker may not read.",
  });
}

async function* linesOf(pieces: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let held = "";
  for await (const piece of pieces) {
    const lines = (held + piece.toString("latin1")).split("\n");
    held = lines.pop() ?? "";
    yield* lines;
    if (held.length > LONGEST) break;
  }
  if (held !== "") yield held;
}

interface Named {
  readonly name: string;
  /** It is read as a list of large objects. */
  readonly isList: boolean;
}

/**
 * The files that a toc.dat names. Source: pg_backup_archiver.c, ReadHead, ReadToc, ReadInt, ReadStr;
 * pg_backup_directory.c, _ReadExtraToc, _LoadLOs.
 */
async function* namesInToc(pieces: AsyncIterable<Buffer>): AsyncGenerator<Named> {
  const toc = new TocReader(pieces);
  try {
    const minor = await readHead(toc);
    for (let left = await toc.number(); left > 0; left -= 1) {
      // Its number, and whether it has data.
      await toc.numbers(2);
      // The numbers of its catalogue and in it, and its tag.
      await toc.texts(3);
      const kind = await toc.text();
      await toc.numbers(1);
      // Three statements, schema, tablespace, and access method.
      await toc.texts(minor >= 14 ? 6 : 5);
      if (minor >= 16) await toc.numbers(1);
      // Owner, and whether it has OIDs.
      await toc.texts(2);
      while ((await toc.text()) !== undefined);
      const name = await toc.text();
      // Up to this version the list is called blobs.toc, whatever is written here.
      if (name !== undefined && name !== "") yield { name, isList: minor >= 16 && kind === "BLOBS" };
    }
  } finally {
    await toc.close();
  }
}

/** @returns the minor version of its format */
async function readHead(toc: TocReader): Promise<number> {
  const head = await toc.bytes(11);
  const [major = 0, minor = 0, , numberBytes, , format] = head.subarray(5);
  const isKnown = major === 1 && minor >= VERSIONS.from && minor <= VERSIONS.to;
  // A folder shares the format's number with a tar.
  if (head.toString("latin1", 0, 5) !== "PGDMP" || !isKnown || numberBytes !== 4 || format !== 3)
    throw unusable(`its toc.dat is of a format (${major}.${minor}) that is not known`);
  // How it is packed.
  if (minor >= 15) await toc.bytes(1);
  else await toc.numbers(1);
  // When it was made; of which database, by which programs.
  await toc.numbers(7);
  await toc.texts(3);
  return minor;
}

/** Reads a toc.dat piece by piece, and holds no text that is longer than a name. */
class TocReader {
  readonly #pieces: AsyncIterator<Buffer>;
  #held: Buffer = Buffer.alloc(0);
  #at = 0;

  constructor(pieces: AsyncIterable<Buffer>) {
    this.#pieces = pieces[Symbol.asyncIterator]();
  }

  /** At most that many bytes of what follows. */
  async #some(most: number): Promise<Buffer> {
    while (this.#at === this.#held.length) {
      const next = await this.#pieces.next();
      if (next.done === true) throw unusable("its toc.dat is cut off");
      this.#held = next.value;
      this.#at = 0;
    }
    const some = this.#held.subarray(this.#at, this.#at + most);
    this.#at += some.length;
    return some;
  }

  async bytes(count: number): Promise<Buffer> {
    if (count === 0) return Buffer.alloc(0);
    const some = await this.#some(count);
    return some.length === count ? some : Buffer.concat([some, await this.bytes(count - some.length)]);
  }

  /** A sign, and four bytes from the least on. */
  async number(): Promise<number> {
    const bytes = await this.bytes(5);
    const number = bytes.readInt32LE(1);
    if (number < 0 || bytes.readUInt8() > 1) throw unusable("its toc.dat is damaged");
    return bytes.readUInt8() === 1 ? -number : number;
  }

  async numbers(count: number): Promise<void> {
    for (let left = count; left > 0; left -= 1) await this.number();
  }

  /** A text as a program in C reads it; undefined where there is none. Of a long one only the beginning. */
  async text(): Promise<string | undefined> {
    const length = await this.number();
    if (length < 0) return undefined;
    const beginning = await this.bytes(Math.min(length, LONGEST));
    for (let left = length - beginning.length; left > 0;) left -= (await this.#some(left)).length;
    return beginning.toString("latin1").replace(/\0.*$/s, "");
  }

  async texts(count: number): Promise<void> {
    for (let left = count; left > 0; left -= 1) await this.text();
  }

  async close(): Promise<void> {
    await this.#pieces.return?.();
  }
}
