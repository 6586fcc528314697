import { createContext } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";
import type { Reading } from "../../model/console-readings.ts";
import { failureOf, silence, type Failure } from "./model/failure.ts";

/** What was read, or why it could not be. */
export interface Read<T> {
  /** Undefined before it is there. */
  readonly answer: T | undefined;
  readonly failure: Failure | undefined;
  readonly again: () => void;
}

/** When the last job ended that the page started: its result is shown where it was ordered. */
export const LastEnd = createContext("");

/** Milliseconds between two tries while others read, and how many there are. */
const PAUSE = 1000;
const TRIES = 20;

/**
 * Reads a document of a command when a part is shown, and again when the request changes and when a job has ended.
 * Until the new one arrives, the old one is shown.
 */
export function useReading<T>(reading: Reading): Read<T> {
  const query = queryOf(reading);
  const end = useContext(LastEnd);
  const [count, setCount] = useState(0);
  const [got, setGot] = useState<Got<T>>({});
  useEffect(() => {
    const left = new AbortController();
    const learn = async (): Promise<void> => {
      const next = await inTurn<T>(query, left.signal);
      if (!left.signal.aborted) setGot(next);
    };
    void learn();
    return () => left.abort();
  }, [query, count, end]);
  return { answer: got.answer, failure: got.failure, again: () => setCount(count + 1) };
}

function queryOf(reading: Reading): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(reading)) if (value) query.set(name, value);
  return String(query);
}

interface Got<T> {
  readonly answer?: T;
  readonly failure?: Failure;
  /** Whether it was refused because too many others read. */
  readonly isBusy?: boolean;
}

/** As long as too many others read, it retries by itself. */
async function inTurn<T>(query: string, signal: AbortSignal): Promise<Got<T>> {
  for (let tries = 1; ; tries += 1) {
    const got = await read<T>(query, signal);
    if (got.isBusy !== true || signal.aborted || tries >= TRIES) return got;
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}

async function read<T>(query: string, signal: AbortSignal): Promise<Got<T>> {
  try {
    const response = await fetch(`/api/read?${query}`, { signal });
    const body = await response.json().catch(() => undefined);
    if (!response.ok || isError(body))
      return { failure: failureOf(body, response.status), isBusy: response.status === 409 };
    // What this server sends is made from the same types.
    const answer: T = body;
    return { answer };
  } catch {
    return { failure: silence(false) };
  }
}

function isError(body: unknown): boolean {
  return typeof body === "object" && body !== null && "error" in body;
}
