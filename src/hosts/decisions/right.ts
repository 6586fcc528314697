import * as z from "zod";
import { parseJson } from "../../system/files/json-file.ts";

/**
 * The right of a host to be primary, as another sees it: a time for which nobody else can be. A primary that hangs, or is
 * cut off, cannot be asked whether it still is one; but a new one comes up only after the key of the old one has ended in
 * the store. So whoever leads clients stops before that.
 */
export interface Right {
  readonly host: string;
  /** Until when (own monotonic clock, milliseconds). */
  readonly until: number;
}

/** Milliseconds before the key ends by which no client may be led there any more: a look, and the cut of the sessions. */
const MARGIN = 2000;

/** Milliseconds that Patroni's own word holds: by it the hosts with a database have agreed just now, or it saw the store. */
const WORD = 5000;

/** Seconds since Patroni saw the store, up to which the key is certainly not older than that. */
const SEEN = 4;

/**
 * By the key in the store.
 * @param askedAt when it was asked how long the key lasts (monotonic clock)
 * @param seconds that the store answered
 */
export function rightByKey(host: string, askedAt: number, seconds: number): Right {
  return { host, until: askedAt + seconds * 1000 - MARGIN };
}

/** What an agent that has just been started gives whom its endpoints already lead to: time to ask. */
export function rightAtStart(host: string, now: number): Right {
  return { host, until: now + WORD };
}

const patroniSchema = z.object({
  state: z.string(),
  role: z.string(),
  failsafe_mode_is_active: z.boolean().default(false),
  dcs_last_seen: z.number().default(0),
});

/**
 * By the word of its Patroni, while the store is silent: a primary that all hosts with a database follow (failsafe mode).
 * Source: Patroni 4.0, patroni/api.py, get_postgresql_status
 * @param answer of GET /patroni
 * @param askedAt when it was asked (monotonic clock)
 * @param now milliseconds since the epoch
 */
export function rightByPatroni(
  host: string,
  answer: string,
  askedAt: number,
  now: number,
): Right | undefined {
  const parsed = parseJson(answer, patroniSchema);
  if (!parsed.ok) return undefined;
  const { state, role, failsafe_mode_is_active: isAgreed, dcs_last_seen: seen } = parsed.value;
  const isFresh = isAgreed || now / 1000 - seen <= SEEN;
  return state === "running" && role === "primary" && isFresh ? { host, until: askedAt + WORD } : undefined;
}

/**
 * By the word of its Patroni, while the store says that nobody holds the key: the store does not reach the primary, and
 * all hosts with a database follow it (failsafe mode). None of them becomes primary while it answers them.
 */
export function rightByAgreement(host: string, answer: string, askedAt: number): Right | undefined {
  const parsed = parseJson(answer, patroniSchema);
  if (!parsed.ok) return undefined;
  const { state, role, failsafe_mode_is_active: isAgreed } = parsed.value;
  return isAgreed && state === "running" && role === "primary" ? { host, until: askedAt + WORD } : undefined;
}

/** The later of two rights of one host; of two hosts the new one. */
export function extended(before: Right | undefined, next: Right): Right {
  return before?.host === next.host && before.until > next.until ? before : next;
}
