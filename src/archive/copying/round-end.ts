import { toOdooPgError } from "../../errors.ts";
import { oneLine, printableLine } from "../../printable.ts";
import { isErrno } from "../../system/files/files.ts";

export interface CopyProblem {
  /**
   * `refused`: the source says no, or what it says cannot be right. `no_room`: this host's disk. `foreign`: the source is of
   * another cluster, or does not fit the repository that is here, which stays as it is.
   */
  readonly kind: "unreachable" | "refused" | "no_room" | "foreign" | "failed";
  readonly text: string;
}

/** A round cannot go on. */
export class Failed extends Error {
  readonly kind: CopyProblem["kind"];

  constructor(kind: CopyProblem["kind"], text: string, options?: ErrorOptions) {
    super(text, options);
    this.kind = kind;
  }
}

/** The source has removed it meanwhile. */
export class Vanished extends Error {}

/** The rest comes in the next round. */
export class LaterRound extends Error {}

/** Of what has ended a round, what is wrong; null where nothing is. @param signal the one that ends the round */
export function problemOf(error: unknown, signal: AbortSignal | undefined): CopyProblem | null {
  if (error instanceof LaterRound || error instanceof Vanished || signal?.aborted === true) return null;
  if (error instanceof Failed) return { kind: error.kind, text: printableLine(error.message) };
  const explained = toOdooPgError(error);
  const isFull = explained.code === "disk_full" || isErrno(error, "ENOSPC", "EDQUOT");
  return { kind: isFull ? "no_room" : "failed", text: oneLine(explained.message) };
}

/** For what may be gone at the source by now, without that being wrong. @throws whatever else it is */
export function ifVanished(error: unknown): undefined {
  if (error instanceof Vanished) return undefined;
  throw error;
}

/** Whether the source did not answer: what came of it so far is right. */
export function isUnreached(error: unknown): boolean {
  return error instanceof Failed && error.kind === "unreachable";
}
