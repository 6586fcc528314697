import { createHash } from "node:crypto";
import { deviceOf, diskSpace } from "../../system/files/files.ts";
import { GrowingFile } from "../../system/files/folder-files.ts";
import { leavesRoom } from "./decide.ts";
import type { OwnFolders, OwnRepository } from "./own.ts";
import { PIECE_BYTES, type Place } from "./protocol.ts";
import { Failed, isUnreached, LaterRound } from "./round-end.ts";
import type { AskedSource } from "./source.ts";

/** Copies single files of a source, each beside what pgBackRest sees, as far as the disk has room. */
export class FileCopy {
  readonly #source: AskedSource;
  readonly #folders: OwnFolders;
  readonly #own: OwnRepository;

  constructor(source: AskedSource, folders: OwnFolders, own: OwnRepository) {
    this.#source = source;
    this.#folders = folders;
    this.#own = own;
  }

  /**
   * Copies a file beside, going on where an earlier round stopped.
   * @param at when it was written there, in milliseconds since the epoch
   * @returns its name there
   * @throws Vanished, LaterRound, Failed
   */
  async take(of: Place, bytes: number, at: number): Promise<string> {
    const what = "wal" in of ? of.name : "path" in of ? `${of.base}/${of.path}` : of.info;
    await this.requireRoom(bytes, what);
    // One of another size or time is another file.
    const mark = createHash("sha1").update(JSON.stringify([of, bytes, at, this.#source.name]));
    const part = `part-${mark.digest("hex")}`;
    return await this.#folders.inMaking([], async (making) => {
      const file = await GrowingFile.open(making, part, 0o640, this.#own.owner);
      try {
        if (file.bytes > bytes) await file.clear();
        while (file.bytes < bytes) {
          const piece = await this.#source.piece(of, file.bytes, what);
          // Shorter ones than asked for would make work without an end.
          if (piece.length !== Math.min(PIECE_BYTES, bytes - file.bytes))
            throw new Failed(
              "refused",
              `${what} of ${this.#source.name} is not as long as it was said to be`,
            );
          await file.append(piece);
        }
        await file.complete(at);
      } catch (error) {
        // What came of it may be wrong, or takes room.
        if (!(error instanceof LaterRound) && !isUnreached(error)) await making.remove(part);
        throw error;
      } finally {
        await file.close();
      }
      return part;
    });
  }

  /** @param what that is to come, for the error. @throws Failed no_room */
  async requireRoom(bytes: number, what: string): Promise<void> {
    const { repository, dataDir } = this.#own;
    const [disk, own, data] = [
      await diskSpace(repository),
      await deviceOf(repository),
      await deviceOf(dataDir),
    ];
    if (leavesRoom(bytes, disk, own === data)) return;
    throw new Failed(
      "no_room",
      `the disk of ${repository} has no room for ${what}: ${bytes} bytes, ${disk.freeBytes} are free, and some have to stay so`,
    );
  }
}
