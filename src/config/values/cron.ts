/** When something is due: five fields as in crontab(5), in UTC. */
export interface Schedule {
  readonly minutes: ReadonlySet<number>;
  readonly hours: ReadonlySet<number>;
  readonly daysOfMonth: ReadonlySet<number>;
  readonly months: ReadonlySet<number>;
  /** 0 is Sunday. */
  readonly daysOfWeek: ReadonlySet<number>;
  /** With both kinds of days restricted, either is enough: as cron has it. */
  readonly eitherDay: boolean;
}

const FIELDS = [
  { name: "minute", first: 0, last: 59 },
  { name: "hour", first: 0, last: 23 },
  { name: "day of the month", first: 1, last: 31 },
  { name: "month", first: 1, last: 12 },
  { name: "day of the week", first: 0, last: 7 },
] as const;

type Field = (typeof FIELDS)[number];

const WORDS: Readonly<Record<string, string>> = {
  hourly: "0 * * * *",
  daily: "0 1 * * *",
  weekly: "0 1 * * 0",
};

/** Reads a schedule, or says what is wrong with it. */
export function parseSchedule(text: string): Schedule | string {
  const words = (Object.hasOwn(WORDS, text) ? (WORDS[text] ?? "") : text).trim().split(/\s+/);
  if (words.length !== FIELDS.length) {
    return `${JSON.stringify(text)} is not a schedule: it needs five fields (minute, hour, day of the month, month, day of the week), such as "0 * * * *" for every hour, or one of the words hourly, daily, weekly`;
  }
  const sets: Set<number>[] = [];
  for (const [index, field] of FIELDS.entries()) {
    const set = parseField(words[index] ?? "", field);
    if (typeof set === "string") return set;
    sets.push(set);
  }
  const [minutes, hours, daysOfMonth, months, daysOfWeek] = sets;
  if (!minutes || !hours || !daysOfMonth || !months || !daysOfWeek) return "is not a schedule";
  if (daysOfWeek.delete(7)) daysOfWeek.add(0);
  const eitherDay = !words[2]?.startsWith("*") && !words[4]?.startsWith("*");
  const schedule = { minutes, hours, daysOfMonth, months, daysOfWeek, eitherDay };
  // Such as the 31st of February. Leap days come at most 8 years apart.
  if (nextTime(schedule, Date.UTC(2001, 0, 1)) === undefined) return `${JSON.stringify(text)} never comes`;
  return schedule;
}

function parseField(word: string, { name, first, last }: Field): Set<number> | string {
  const values = new Set<number>();
  for (const part of word.split(",")) {
    const match = /^(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:\/(\d{1,2}))?$/.exec(part);
    if (!match)
      return `${JSON.stringify(part)} is not a ${name}: write a number, a range (1-5), a step (*/2) or *`;
    const [, from, to, step] = match;
    const start = from === undefined ? first : Number(from);
    const end = to !== undefined ? Number(to) : from === undefined || step !== undefined ? last : start;
    if (start < first || end > last || start > end || step === "0") {
      return `${JSON.stringify(part)} is not a ${name}: it goes from ${first} to ${last}`;
    }
    for (let value = start; value <= end; value += Number(step ?? 1)) values.add(value);
  }
  return values;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** Days that are looked at: over two leap years, one of which may be left out (2100). */
const HORIZON = 366 * 9;

/** The first time after `after` at which a schedule is due, both in milliseconds since the epoch. */
export function nextTime(schedule: Schedule, after: number): number | undefined {
  const earliest = Math.floor(after / MINUTE) * MINUTE + MINUTE;
  const firstDay = Math.floor(earliest / DAY) * DAY;
  for (let day = firstDay; day < firstDay + HORIZON * DAY; day += DAY) {
    if (!isDueOn(schedule, new Date(day))) continue;
    for (const hour of [...schedule.hours].sort((a, b) => a - b)) {
      for (const minute of [...schedule.minutes].sort((a, b) => a - b)) {
        const time = day + hour * HOUR + minute * MINUTE;
        if (time >= earliest) return time;
      }
    }
  }
  return undefined;
}

function isDueOn(schedule: Schedule, day: Date): boolean {
  if (!schedule.months.has(day.getUTCMonth() + 1)) return false;
  const ofMonth = schedule.daysOfMonth.has(day.getUTCDate());
  const ofWeek = schedule.daysOfWeek.has(day.getUTCDay());
  return schedule.eitherDay ? ofMonth || ofWeek : ofMonth && ofWeek;
}

/** Why a schedule is refused; undefined where it is valid, or `off`. */
export function scheduleProblem(text: string): string | undefined {
  if (text === "off") return undefined;
  const parsed = parseSchedule(text);
  return typeof parsed === "string" ? parsed : undefined;
}
