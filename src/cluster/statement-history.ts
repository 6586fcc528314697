/** What the server has counted of a statement since counting began there. */
export interface StatementCounter {
  /** A short name that is the same in every reading: of whom, where, and which statement. */
  readonly id: string;
  readonly calls: number;
  readonly milliseconds: number;
}

/** The counters of one node at one moment (milliseconds since the epoch). */
export interface CounterReading {
  readonly at: number;
  readonly node: string;
  readonly counters: readonly StatementCounter[];
}

/** What went on in one hour of the clock. */
export interface StatementHour {
  /** Its beginning, in milliseconds since the epoch. */
  readonly at: number;
  /** Seconds of it that were watched. */
  readonly watched: number;
  /** Of all statements, also of those that are not kept. */
  readonly calls: number;
  readonly milliseconds: number;
  /** Those that took the most. */
  readonly statements: readonly StatementCounter[];
}

export interface StatementHistory {
  readonly last: CounterReading | undefined;
  /** The oldest first. */
  readonly hours: readonly StatementHour[];
}

export const NO_HISTORY: StatementHistory = { last: undefined, hours: [] };

export const HOUR = 3_600_000;

/** Hours that are kept: two days, and the one that has begun. */
const HOURS_KEPT = 49;

/** Statements that are kept of an hour: what takes less than the hundredth most is of no interest. */
const KEPT_OF_AN_HOUR = 100;

/** Milliseconds between two readings beyond which what happened between them belongs to no hour. */
const TOO_LONG = HOUR / 2;

/** Seconds of an hour that have to be watched for it to be compared. */
const ENOUGH = 3000;

/** The history with one more sample of the counters. After a reset they count from zero; another node's say nothing. */
export function withReading(history: StatementHistory, reading: CounterReading): StatementHistory {
  const { last } = history;
  // An hour that lies ahead is one of a clock that was set back.
  const hours = history.hours.filter(({ at }) => at <= reading.at && at > reading.at - HOURS_KEPT * HOUR);
  const passed = last ? reading.at - last.at : 0;
  if (!last || last.node !== reading.node || passed <= 0 || passed > TOO_LONG)
    return { last: reading, hours };
  const before = new Map(last.counters.map((counter) => [counter.id, counter]));
  const added = reading.counters.map((counter) => addedTo(before.get(counter.id), counter));
  const at = Math.floor(reading.at / HOUR) * HOUR;
  const present = hours.find((hour) => hour.at === at);
  const hour = joined(at, present, passed / 1000, added);
  return { last: reading, hours: [...hours.filter((one) => one !== present), hour] };
}

function addedTo(before: StatementCounter | undefined, after: StatementCounter): StatementCounter {
  // Fewer calls than before: the statement was forgotten meanwhile, or all counters were set back.
  if (!before || after.calls < before.calls || after.milliseconds < before.milliseconds) return after;
  const { id, calls, milliseconds } = after;
  return { id, calls: calls - before.calls, milliseconds: milliseconds - before.milliseconds };
}

function joined(
  at: number,
  present: StatementHour | undefined,
  watched: number,
  added: readonly StatementCounter[],
): StatementHour {
  const sums = sumOf([...(present?.statements ?? []), ...added]);
  return {
    at,
    watched: Math.min(3600, (present?.watched ?? 0) + watched),
    calls: (present?.calls ?? 0) + added.reduce((sum, { calls }) => sum + calls, 0),
    milliseconds: (present?.milliseconds ?? 0) + added.reduce((sum, one) => sum + one.milliseconds, 0),
    statements: [...sums.values()]
      .filter(({ calls }) => calls > 0)
      .sort((a, b) => b.milliseconds - a.milliseconds)
      .slice(0, KEPT_OF_AN_HOUR),
  };
}

function sumOf(counters: readonly StatementCounter[]): Map<string, StatementCounter> {
  const sums = new Map<string, StatementCounter>();
  for (const { id, calls, milliseconds } of counters) {
    const sum = sums.get(id);
    sums.set(id, {
      id,
      calls: (sum?.calls ?? 0) + calls,
      milliseconds: (sum?.milliseconds ?? 0) + milliseconds,
    });
  }
  return sums;
}

/** Of each of the last 24 hours, the oldest first, the share of a statement in the time of all, 0 to 1; null where nothing is known. */
export function sharesOfDay(history: StatementHistory, id: string, now: number): (number | null)[] {
  return lastDay(now).map((at) => {
    const hour = history.hours.find((one) => one.at === at);
    if (!hour) return null;
    const own = hour.statements.find((one) => one.id === id)?.milliseconds ?? 0;
    return hour.milliseconds > 0 ? own / hour.milliseconds : 0;
  });
}

/** The beginnings of the last 24 hours of the clock, the present one last. */
export function lastDay(now: number): number[] {
  const present = Math.floor(now / HOUR) * HOUR;
  return Array.from({ length: 24 }, (_, index) => present - (23 - index) * HOUR);
}

export type ChangeOfStatement = "new" | "gone" | "slower" | "faster" | "more often" | "less often";

interface Amount {
  readonly calls: number;
  readonly milliseconds: number;
}

/** How a statement went in some hours, and in the same hours of the day before. */
export interface StatementChange {
  readonly id: string;
  readonly change: ChangeOfStatement;
  readonly now: Amount;
  readonly before: Amount;
}

export interface SinceYesterday {
  /** Hours that could be compared, of 24. */
  readonly hours: number;
  readonly changes: readonly StatementChange[];
}

/** What changes less of the time of all statements is of no interest; what is called less often tells little of its time. */
const WORTH = 0.01;
const CALLS = 10;
/** From which on a statement is slower, and called more often; the other way round for less. */
const SLOWER = 1.5;
const OFTENER = 2;

/** Changes that are reported at most. */
const MOST = 20;

/**
 * What changed since yesterday, the heaviest first. Only hours that have ended count, and those of which the same
 * hour of the day before was watched too: an Odoo at night is another than at noon.
 */
export function changesSinceYesterday(history: StatementHistory, now: number): SinceYesterday {
  const watched = new Map(
    history.hours.filter((hour) => hour.watched >= ENOUGH).map((hour) => [hour.at, hour]),
  );
  const pairs = lastDay(now - HOUR).flatMap((at) => {
    const [after, before] = [watched.get(at), watched.get(at - 24 * HOUR)];
    return after && before ? [{ after, before }] : [];
  });
  const after = sumOf(pairs.flatMap((pair) => pair.after.statements));
  const before = sumOf(pairs.flatMap((pair) => pair.before.statements));
  const total = (hours: readonly StatementHour[]): number =>
    hours.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  const least =
    WORTH * Math.max(total(pairs.map((pair) => pair.after)), total(pairs.map((pair) => pair.before)));
  const changes = [...new Set([...after.keys(), ...before.keys()])].flatMap((id): StatementChange[] => {
    const nothing = { calls: 0, milliseconds: 0 };
    const [is, was] = [after.get(id) ?? nothing, before.get(id) ?? nothing];
    const change = changeOf(was, is);
    if (change === undefined || Math.abs(is.milliseconds - was.milliseconds) < least) return [];
    return [{ id, change, now: amountOf(is), before: amountOf(was) }];
  });
  const weight = (one: StatementChange): number => Math.abs(one.now.milliseconds - one.before.milliseconds);
  return {
    hours: pairs.length,
    changes: changes.sort((a, b) => weight(b) - weight(a)).slice(0, MOST),
  };
}

function amountOf({ calls, milliseconds }: Amount): Amount {
  return { calls, milliseconds };
}

function changeOf(was: Amount, is: Amount): ChangeOfStatement | undefined {
  if (was.calls === 0) return "new";
  if (is.calls === 0) return "gone";
  const slower = is.milliseconds / is.calls / (was.milliseconds / was.calls);
  const enough = is.calls >= CALLS && was.calls >= CALLS;
  if (enough && slower >= SLOWER) return "slower";
  const oftener = is.calls / was.calls;
  if (oftener >= OFTENER) return "more often";
  if (enough && slower <= 1 / SLOWER) return "faster";
  return oftener <= 1 / OFTENER ? "less often" : undefined;
}
