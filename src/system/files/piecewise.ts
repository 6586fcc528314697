import { constants, promises as fs } from "node:fs";

/** Makes an empty file of mode 0600 where nothing is yet, not even a link. */
export async function createEmpty(file: string): Promise<void> {
  await (await fs.open(file, "wx", 0o600)).close();
}

/** Writes a piece at its place in a file that is there. No link is followed. @param at bytes from the beginning */
export async function writePiece(file: string, piece: Uint8Array, at: number): Promise<void> {
  const handle = await fs.open(file, constants.O_WRONLY | constants.O_NOFOLLOW);
  try {
    let written = 0;
    while (written < piece.length)
      written += (await handle.write(piece, written, piece.length - written, at + written)).bytesWritten;
  } finally {
    await handle.close();
  }
}
