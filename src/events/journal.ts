import path from "node:path";
import { toOdooPgError } from "../errors.ts";
import { appendBounded, readBounded } from "../system/files/bounded-lines.ts";
import { now } from "../system/clock.ts";
import { modifiedAt, type Owner } from "../system/files/files.ts";
import { failedEvent } from "./of-operations.ts";
import { eventOf, lineOf, type NewEvent, type RecordedEvent } from "./event.ts";

/** Bytes of the journal and of the one before. */
const MAX_BYTES = 1024 * 1024;

export function journalFile(stateDir: string): string {
  return path.join(stateDir, "events.jsonl");
}

/**
 * Adds an event to the journal of a state directory. Written by the agent and by commands alike. It never throws: what
 * happened has happened, also where nobody can write it down.
 * @param owner of the servers: may read it
 */
export function recordEvent(stateDir: string, event: NewEvent, owner: Owner | undefined): void {
  try {
    appendBounded(journalFile(stateDir), lineOf(event, now()), { maxBytes: MAX_BYTES, reader: owner });
  } catch {
    // A full disk, or a user who may look only: the logs of the agent and of the backups have it too.
  }
}

/** The exit status of what was asked for wrongly: refused before anything was done. */
const USAGE = 2;

interface Recording<T> {
  readonly stateDir: string;
  readonly owner: Owner | undefined;
  readonly kind: NewEvent["kind"];
  readonly by: string;
  readonly node?: string | undefined;
  readonly database?: string | undefined;
  /** The event where it went well; none where nothing happened. */
  readonly told: (result: T) => NewEvent | undefined;
}

/** Carries something out and records what came of it. @throws what `act` throws */
export async function recorded<T>(recording: Recording<T>, act: () => Promise<T>): Promise<T> {
  const { stateDir, owner, kind, by, node, database, told } = recording;
  const record = (event: NewEvent | undefined): void => {
    if (event) recordEvent(stateDir, event, owner);
  };
  try {
    const result = await act();
    record(told(result));
    return result;
  } catch (thrown) {
    const error = toOdooPgError(thrown);
    // A run that was locked out by another of the same kind has changed nothing, and the other one is recorded.
    // Nor has a typing error: it would fill the journal with things that never happened.
    if (error.code !== "locked" && error.exit !== USAGE)
      record({ ...failedEvent(kind, by, error.message), node, database });
    throw thrown;
  }
}

/** The events since a moment (milliseconds since the epoch), the oldest first. Damaged lines are left out. */
export function readEvents(stateDir: string, since: number): RecordedEvent[] {
  return readBounded(journalFile(stateDir))
    .flatMap((line) => eventOf(line) ?? [])
    .filter(({ at }) => Date.parse(at) >= since);
}

/** The newest events, the newest first: the journal is read again only when it was written. */
export class NewestEvents {
  readonly #stateDir: string;
  readonly #count: number;
  #writtenAt: number | undefined;
  #events: readonly RecordedEvent[] = [];

  constructor(stateDir: string, count: number) {
    this.#stateDir = stateDir;
    this.#count = count;
  }

  async read(): Promise<readonly RecordedEvent[]> {
    const writtenAt = await modifiedAt(journalFile(this.#stateDir));
    if (writtenAt !== this.#writtenAt) {
      this.#writtenAt = writtenAt;
      this.#events = readEvents(this.#stateDir, 0).slice(-this.#count).reverse();
    }
    return this.#events;
  }
}
