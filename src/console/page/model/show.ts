import { showBytes, showSeconds } from "../../../model/quantities.ts";

/** Not known: never blank. */
export const UNKNOWN = "?";
/** Known to be nothing, as the lag of a primary. */
export const NOTHING = "–";

export function bytes(value: number | null): string {
  return value === null ? UNKNOWN : showBytes(value);
}

export function seconds(value: number | null): string {
  return value === null ? UNKNOWN : showSeconds(value);
}

/** A count or a rate, with three digits at most and thin spaces: `12 400`, `3.4`. */
export function count(value: number | null): string {
  if (value === null) return UNKNOWN;
  if (value < 9.95 && !Number.isInteger(value)) return value.toFixed(1);
  return String(Math.round(value)).replaceAll(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** `1 node`, `3 nodes`. */
export function many(value: number, one: string, more = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : more}`;
}

/** `pg2`, `pg2 and pg3`, `pg2, pg3 and pg4`. */
export function listing(names: readonly string[]): string {
  const last = names.at(-1) ?? "nobody";
  return names.length < 2 ? last : `${names.slice(0, -1).join(", ")} and ${last}`;
}

/** How long ago: `just now`, `41 s ago`, `3 days ago`. `now` in milliseconds since the epoch. */
export function ago(instant: string | null, now: number): string {
  const time = millisecondsOf(instant);
  if (time === undefined) return UNKNOWN;
  const age = Math.max(0, Math.round((now - time) / 1000));
  return age < 3 ? "just now" : `${showSeconds(age).replace(/\.0 s$/, " s")} ago`;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** `09:38`, or `21 Nov 09:38` on another day than `now`, in the time zone of the reader. */
export function clock(instant: string | null, now: number): string {
  const milliseconds = millisecondsOf(instant);
  if (milliseconds === undefined) return UNKNOWN;
  const time = new Date(milliseconds);
  const hours = [time.getHours(), time.getMinutes()].map((part) => String(part).padStart(2, "0")).join(":");
  return time.toDateString() === new Date(now).toDateString() ? hours : `${day(milliseconds)} ${hours}`;
}

/** The same to the second: `09:38:07`, or `21 Nov 09:38:07`. */
export function clockSecond(instant: string | null, now: number): string {
  const milliseconds = millisecondsOf(instant);
  if (milliseconds === undefined) return UNKNOWN;
  return `${clock(instant, now)}:${String(new Date(milliseconds).getSeconds()).padStart(2, "0")}`;
}

/** The time zone of the reader, as it is then: `UTC`, `UTC+1`, `UTC−3:30`. */
export function zone(now: number): string {
  const ahead = -new Date(now).getTimezoneOffset();
  if (ahead === 0) return "UTC";
  const [hours, minutes] = [Math.floor(Math.abs(ahead) / 60), Math.abs(ahead) % 60];
  return `UTC${ahead < 0 ? "−" : "+"}${hours}${minutes === 0 ? "" : `:${String(minutes).padStart(2, "0")}`}`;
}

/** `21 Nov`, in the time zone of the reader. */
function day(milliseconds: number): string {
  const time = new Date(milliseconds);
  return `${time.getDate()} ${MONTHS[time.getMonth()] ?? UNKNOWN}`;
}

/** `21 Nov` of `2026-11-21`. */
export function dayInWords(date: string): string {
  return day(new Date(`${date}T12:00`).getTime());
}

/** `Today`, `Yesterday`, `21 Nov`. */
export function dayName(instant: string, now: number): string {
  const milliseconds = millisecondsOf(instant);
  if (milliseconds === undefined) return UNKNOWN;
  const name = new Date(milliseconds).toDateString();
  if (name === new Date(now).toDateString()) return "Today";
  const yesterday = new Date(now);
  yesterday.setDate(yesterday.getDate() - 1);
  return name === yesterday.toDateString() ? "Yesterday" : day(milliseconds);
}

export function millisecondsOf(instant: string | null): number | undefined {
  if (instant === null) return undefined;
  const milliseconds = Date.parse(instant);
  return Number.isNaN(milliseconds) ? undefined : milliseconds;
}
