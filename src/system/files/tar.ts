import { OdooPgError } from "../../errors.ts";

/** A file in an archive. */
export interface ArchivedFile {
  /** Relative, without `..`, with slashes: others are refused. */
  readonly name: string;
  /** As the archive declares them. */
  readonly bytes: number;
  /** Two of one name with the same mark hold the same. */
  readonly mark?: number;
  /** Has to be read before the next one is asked for, or not at all. */
  readonly content: () => AsyncGenerator<Buffer>;
}

const BLOCK = 512;
/** Bytes of a long name or of its attributes. */
const LONG_NAME = 64 * 1024;

/**
 * The ordinary files of a tar archive, as it is read. Links and devices are passed over: nothing of them is ever made.
 * Source: POSIX, pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".
 * @throws OdooPgError dump_unusable for a name that leads elsewhere, and when it is cut off.
 */
export async function* tarFiles(file: string, pieces: AsyncIterable<Buffer>): AsyncGenerator<ArchivedFile> {
  const reader = new Reader(file, pieces);
  try {
    let longName: string | undefined;
    let longSize: number | undefined;
    for (;;) {
      const header = await reader.block();
      // Two blocks of zeros are its end; some writers leave one out.
      if (header.every((byte) => byte === 0)) return;
      const bytes = longSize ?? numberIn(header, 124, 12);
      const type = String.fromCharCode(header[156] ?? 0);
      if (bytes === undefined || !sumIsRight(header)) throw reader.unusable("it is damaged");
      if (type === "L" || type === "x") {
        if (bytes > LONG_NAME) throw reader.unusable("it is damaged");
        const text = await reader.text(bytes);
        if (type === "L") longName = text.replace(/\0.*$/s, "");
        else {
          longName = /(?:^|\n)\d+ path=([^\n]*)\n/.exec(text)?.[1] ?? longName;
          const size = /(?:^|\n)\d+ size=(\d+)\n/.exec(text)?.[1];
          longSize = size === undefined ? undefined : Number(size);
        }
        continue;
      }
      const name = longName ?? nameIn(header);
      longName = undefined;
      longSize = undefined;
      const left = { bytes };
      if (type === "0" || type === "\0" || type === "7") {
        const problem = nameProblem(name);
        if (problem !== undefined) throw reader.unusable(problem);
        yield { name: name.replace(/^(?:\.\/)+/, ""), bytes, content: () => reader.content(left) };
      }
      for await (const _ of reader.content(left));
      await reader.pass((BLOCK - (bytes % BLOCK)) % BLOCK);
    }
  } finally {
    await reader.close();
  }
}

/** Why a name in an archive is refused: it would lead out of the archive. Undefined where it is fine. */
export function nameProblem(name: string): string | undefined {
  const leads = name.startsWith("/") || /^[A-Za-z]:/.test(name) || name.includes("\\");
  if (leads || name.split("/").includes("..")) return `it names ${JSON.stringify(name)}, outside of itself`;
  return undefined;
}

function numberIn(header: Buffer, at: number, length: number): number | undefined {
  // GNU's form for what is too large for eight octal digits.
  if (((header[at] ?? 0) & 0x80) !== 0) return Number(header.readBigUInt64BE(at + length - 8));
  const text = header
    .toString("latin1", at, at + length)
    .replace(/[\0 ]+$/, "")
    .trim();
  return /^[0-7]*$/.test(text) ? Number.parseInt(text || "0", 8) : undefined;
}

function nameIn(header: Buffer): string {
  const text = (at: number, length: number): string =>
    header.toString("utf8", at, at + length).replace(/\0.*$/s, "");
  const prefix = header.toString("latin1", 257, 262) === "ustar" && header[263] === 48 ? text(345, 155) : "";
  return prefix === "" ? text(0, 100) : `${prefix}/${text(0, 100)}`;
}

function sumIsRight(header: Buffer): boolean {
  let sum = 8 * 32;
  for (const [at, byte] of header.entries()) if (at < 148 || at >= 156) sum += byte;
  return numberIn(header, 148, 8) === sum;
}

class Reader {
  readonly #file: string;
  readonly #pieces: AsyncIterator<Buffer>;
  #held: Buffer = Buffer.alloc(0);

  constructor(file: string, pieces: AsyncIterable<Buffer>) {
    this.#file = file;
    this.#pieces = pieces[Symbol.asyncIterator]();
  }

  unusable(problem: string): OdooPgError {
    return new OdooPgError("dump_unusable", {
      message: `The archive ${this.#file} cannot be used: ${problem}.`,
      safe: "Nothing that existed was changed.",
      next: "Copy the file again, or create it again.",
    });
  }

  /** Some of what follows, at most so many bytes. */
  async #some(most: number): Promise<Buffer> {
    while (this.#held.length === 0) {
      const next = await this.#pieces.next();
      if (next.done === true) throw this.unusable("it is cut off");
      this.#held = next.value;
    }
    const taken = this.#held.subarray(0, most);
    this.#held = this.#held.subarray(taken.length);
    return taken;
  }

  async block(): Promise<Buffer> {
    return await this.#exactly(BLOCK);
  }

  async #exactly(length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let left = length; left > 0; left -= parts.at(-1)?.length ?? 0) parts.push(await this.#some(left));
    return Buffer.concat(parts);
  }

  async pass(length: number): Promise<void> {
    if (length > 0) await this.#exactly(length);
  }

  async text(length: number): Promise<string> {
    const text = (await this.#exactly(length)).toString("utf8");
    await this.pass((BLOCK - (length % BLOCK)) % BLOCK);
    return text;
  }

  async *content(left: { bytes: number }): AsyncGenerator<Buffer> {
    while (left.bytes > 0) {
      const some = await this.#some(left.bytes);
      left.bytes -= some.length;
      yield some;
    }
  }

  async close(): Promise<void> {
    await this.#pieces.return?.();
  }
}
