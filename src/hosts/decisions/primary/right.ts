import * as z from "zod";
import { parseJson } from "../../../system/files/json-file.ts";

/**
 * How long a host is certainly the only primary, as another host sees it. A primary that hangs or is cut off cannot be
 * asked; but a new one comes up only after the old one's key has expired in the store. So clients are sent to a host only
 * while its right lasts.
 */
export interface Right {
  readonly host: string;
  /** Until when (own monotonic clock, milliseconds). */
  readonly until: number;
}

/**
 * Milliseconds before the key ends by which no client may be sent there any more: a turn of the loop, and the cut of
 * the sessions.
 */
const MARGIN = 2000;

/**
 * Milliseconds for which Patroni's answer is believed: that all hosts with a database agreed just now, or it saw the
 * store.
 */
const WORD = 5000;

/** Seconds since Patroni saw the store, up to which the primary's key certainly has not expired. */
const SEEN = 4;

/**
 * The right by the leader's key in the store.
 * @param askedAt when the store was asked how long the key lasts (monotonic clock, milliseconds)
 * @param seconds for which the key lasts, as the store answered
 */
export function rightByKey(host: string, askedAt: number, seconds: number): Right {
  return { host, until: askedAt + seconds * 1000 - MARGIN };
}

/**
 * The right of the host that the endpoints lead to when an agent starts: long enough to ask. @param now monotonic clock
 */
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
 * The right by Patroni's answer, while the store is silent: Patroni saw the store just now, or all hosts with a database
 * follow this primary (failsafe mode). Undefined where neither is so.
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
 * The right by Patroni's answer, while nobody holds the key: the primary cannot reach the store, and all hosts with a
 * database follow it (failsafe mode). None of them becomes primary while it answers them. Undefined where it is not so.
 */
export function rightByAgreement(host: string, answer: string, askedAt: number): Right | undefined {
  const parsed = parseJson(answer, patroniSchema);
  if (!parsed.ok) return undefined;
  const { state, role, failsafe_mode_is_active: isAgreed } = parsed.value;
  return isAgreed && state === "running" && role === "primary" ? { host, until: askedAt + WORD } : undefined;
}

/** The later of two rights of the same host; else the new one. */
export function extended(before: Right | undefined, next: Right): Right {
  return before?.host === next.host && before.until > next.until ? before : next;
}
