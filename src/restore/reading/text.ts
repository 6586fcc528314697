import { OdooPgError } from "../../errors.ts";
import { encodingOf } from "./file-kind.ts";

/** SQL of a dump that can be read more than once. */
export interface SqlText {
  /** For messages. */
  readonly name: string;
  readonly open: () => AsyncIterable<Buffer>;
  /** Whether it was converted to UTF-8 on the way; known once it was opened. */
  readonly converted: () => boolean;
}

/**
 * The text of a file without the prefix that Windows adds: a UTF-8 byte order mark is removed, and UTF-16, as
 * PowerShell's `>` writes it, becomes UTF-8.
 */
export function sqlText(name: string, open: () => AsyncIterable<Buffer>): SqlText {
  let converted = false;
  async function* read(): AsyncGenerator<Buffer> {
    let decoder: InstanceType<typeof TextDecoder> | undefined;
    let begun = false;
    for await (const piece of atLeastFour(open())) {
      if (!begun) {
        begun = true;
        const encoding = encodingOf(piece);
        if (encoding === "UTF-8") {
          yield piece.subarray(piece[0] === 0xef && piece[1] === 0xbb && piece[2] === 0xbf ? 3 : 0);
          continue;
        }
        // It leaves out the byte order mark itself.
        decoder = new TextDecoder(encoding.toLowerCase(), { fatal: true });
        converted = true;
      }
      yield decoder ? Buffer.from(decode(name, decoder, piece)) : piece;
    }
    if (decoder) yield Buffer.from(decode(name, decoder));
  }
  return { name, open: read, converted: () => converted };
}

function decode(name: string, decoder: InstanceType<typeof TextDecoder>, piece?: Buffer): string {
  try {
    return piece ? decoder.decode(piece, { stream: true }) : decoder.decode();
  } catch (error) {
    throw new OdooPgError("dump_unusable", {
      message: `${name} cannot be restored: it is UTF-16, and holds what is none.`,
      safe: "Nothing that existed was changed.",
      next: "Create the dump again with pg_dump --file=FILE, without > of PowerShell.",
      cause: error,
    });
  }
}

/** The first piece has four bytes, where there are as many. */
async function* atLeastFour(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let first: Buffer | undefined = Buffer.alloc(0);
  for await (const piece of pieces) {
    if (first === undefined) yield piece;
    else {
      first = Buffer.concat([first, piece]);
      if (first.length < 4) continue;
      yield first;
      first = undefined;
    }
  }
  if (first?.length) yield first;
}
