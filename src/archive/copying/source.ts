import * as z from "zod";
import { letOthers, monotonic } from "../../system/clock.ts";
import { parseJson } from "../../system/files/json-file.ts";
import type { InfoTexts } from "./info-text.ts";
import {
  baseAnswerSchema,
  FOLDER,
  LARGEST_INFO,
  LONGEST_BASE,
  LONGEST_LOOK,
  LOOK,
  lookSchema,
  PIECE,
  PIECE_BYTES,
  walAnswerSchema,
  type Listed,
  type Look,
  type Place,
} from "./protocol.ts";
import { Failed, ifVanished, LaterRound, Vanished } from "./round-end.ts";

/** Milliseconds for an answer: to a look, and with a piece of a file. */
const LOOK_TIMEOUT = 10_000;
const PIECE_TIMEOUT = 60_000;

/** The agent of another host, which shows its repository. */
export interface Source {
  readonly name: string;
  /** @throws Error where there is no whole answer of at most `most` bytes within `timeout` milliseconds */
  readonly ask: (
    path: string,
    body: unknown,
    limits: { readonly timeout: number; readonly most: number; readonly signal: AbortSignal | undefined },
  ) => Promise<{ readonly status: number; readonly bytes: Buffer }>;
}

/** What a source has in a folder of WAL. */
export type WalAnswer = z.output<typeof walAnswerSchema>;

/**
 * A source, as one round asks it. All of these throw Failed where it does not answer, says no, or says what cannot be, and
 * LaterRound once the round is over.
 */
export class AskedSource {
  readonly #source: Source;
  readonly #until: number;
  readonly #signal: AbortSignal | undefined;

  /**
   * @param until when the round is over, in milliseconds of the monotonic clock
   * @param signal what ends it before
   */
  constructor(source: Source, until: number, signal: AbortSignal | undefined) {
    this.#source = source;
    this.#until = until;
    this.#signal = signal;
  }

  get name(): string {
    return this.#source.name;
  }

  /** What there is. */
  async look(): Promise<Look> {
    const look = await this.#askFor(LOOK, {}, lookSchema, "the repository").catch(ifVanished);
    if (!look) throw this.#isWithout();
    return look;
  }

  /**
   * What tells whether archive.info and backup.info are as they were. @param look that the source has answered with
   * @throws Failed where there is no repository
   */
  marksOf({ archive_info: archive, backup_info: backup }: Look): string {
    if (archive === null || backup === null) throw this.#isWithout();
    return JSON.stringify([archive, backup]);
  }

  async infoTexts(): Promise<InfoTexts> {
    return { archive: await this.#text("archive.info"), backup: await this.#text("backup.info") };
  }

  /** @returns undefined where there is no such folder any more */
  async walFiles(folder: string): Promise<WalAnswer | undefined> {
    return await this.#askFor(FOLDER, { wal: folder }, walAnswerSchema, folder).catch(ifVanished);
  }

  /** All files of a base backup. @throws Vanished */
  async baseFiles(label: string): Promise<readonly Listed[]> {
    return (await this.#askFor(FOLDER, { base: label }, baseAnswerSchema, `base backup ${label}`)).files;
  }

  /** @param what names the file where something is wrong. @throws Vanished */
  async piece(of: Place, offset: number, what: string): Promise<Buffer> {
    return await this.#ask(PIECE, { of, offset }, what, { timeout: PIECE_TIMEOUT, most: PIECE_BYTES });
  }

  /** Lets others have their turn, in the middle of much that takes no time of its own. */
  async breathe(): Promise<void> {
    await letOthers();
    this.#requireTime();
  }

  #requireTime(): void {
    if (monotonic() >= this.#until || this.#signal?.aborted === true) throw new LaterRound();
  }

  #isWithout(): Failed {
    return new Failed("refused", `${this.name} has no repository of any second yet`);
  }

  async #text(info: "archive.info" | "backup.info"): Promise<string> {
    const pieces: Buffer[] = [];
    for (let offset = 0; ;) {
      const piece = await this.piece({ info }, offset, info);
      pieces.push(piece);
      offset += piece.length;
      if (piece.length < PIECE_BYTES) break;
      if (offset > LARGEST_INFO) throw new Failed("refused", `${info} of ${this.name} has no end`);
    }
    return Buffer.concat(pieces).toString("utf8");
  }

  async #askFor<T>(path: string, body: object, schema: z.ZodType<T>, what: string): Promise<T> {
    const most = "base" in body ? LONGEST_BASE : LONGEST_LOOK;
    const bytes = await this.#ask(path, body, what, { timeout: LOOK_TIMEOUT, most });
    const parsed = parseJson(bytes.toString("utf8"), schema);
    if (parsed.ok) return parsed.value;
    throw new Failed("refused", `${this.name} tells of ${what} what cannot be: ${parsed.problem}`);
  }

  async #ask(
    path: string,
    body: object,
    what: string,
    limits: { readonly timeout: number; readonly most: number },
  ): Promise<Buffer> {
    this.#requireTime();
    const { status, bytes } = await this.#source
      .ask(path, body, { ...limits, signal: this.#signal })
      .catch((error: unknown) => {
        throw new Failed("unreachable", `${this.name} does not answer: ${String(error)}`, { cause: error });
      });
    if (status === 200) return bytes;
    if (status === 404) throw new Vanished(`${what} is not on ${this.name} any more`);
    if (status === 429) throw new LaterRound();
    const said = parseJson(bytes.toString("utf8"), z.object({ error: z.string() }));
    throw new Failed(
      "refused",
      `${this.name} does not give ${what}: ${said.ok ? said.value.error.slice(0, 300) : `status ${status}`}`,
    );
  }
}
