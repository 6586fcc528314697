/** A moment as the user named it. */
export interface Moment {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** In UTC as PostgreSQL takes it, with the fractions of a second that were named. */
  readonly utc: string;
  /** The same in the zone of this host, where it was named without an offset. */
  readonly local: string | undefined;
}

const WRITTEN =
  /^(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d)(?::(\d\d)(\.\d{1,6})?)?\s*(Z|UTC|[+-]\d\d(?::?\d\d)?)?$/;

const MINUTE = 60_000;
const DAY = 86_400_000;

/**
 * Reads a moment: with an offset from UTC, or without one in a zone. Says what is wrong with it otherwise. A time that
 * clocks show twice, when summer time ends, needs an offset.
 * @param zone as the time zone database names it, such as Europe/Brussels
 */
export function parseMoment(text: string, zone: string): Moment | string {
  const match = WRITTEN.exec(text.trim());
  if (!match)
    return `${JSON.stringify(text)} is not a moment: write it as "2026-11-21 09:41:07", or with an offset as "2026-11-21 09:41:07+01:00"`;
  const [, year, month, day, hour, minute, second = "0", fraction = "", offset] = match;
  const fields = [year, month, day, hour, minute, second].map(Number);
  const [y = 0, mo = 0, d = 0, h = 0, mi = 0, s = 0] = fields;
  const clock = Date.UTC(y, mo - 1, d, h, mi, s);
  const back = new Date(clock);
  if (back.getUTCMonth() !== mo - 1 || back.getUTCDate() !== d || h > 23 || mi > 59 || s > 59)
    return `${JSON.stringify(text)} is not a moment: there is no such day or time`;
  const momentAt = (at: number): Moment => ({
    at: at + Math.floor(Number(fraction || "0") * 1000),
    utc: `${new Date(at).toISOString().slice(0, 19).replace("T", " ")}${fraction}+00`,
    local: offset === undefined ? `${text.trim()} ${zone}` : undefined,
  });
  if (offset !== undefined) return momentAt(clock - offsetOf(offset) * MINUTE);
  // A zone's offset a day before and a day after are all that can be meant.
  const meant = [...new Set([clock - DAY, clock + DAY].map((at) => clock - offsetIn(zone, at)))].filter(
    (at) => at + offsetIn(zone, at) === clock,
  );
  const [first] = meant;
  if (first === undefined) return `${text} never was in ${zone}: clocks were put forward over it`;
  if (meant.length > 1)
    return `${text} was twice in ${zone}: say which, as "${text.trim()}${showOffset(offsetIn(zone, first))}" or "${text.trim()}${showOffset(offsetIn(zone, meant[1] ?? 0))}"`;
  return momentAt(first);
}

/** Minutes. */
function offsetOf(written: string): number {
  if (written === "Z" || written === "UTC") return 0;
  const digits = written.slice(1).replace(":", "");
  const minutes = Number(digits.slice(0, 2)) * 60 + Number(digits.slice(2) || "0");
  return written.startsWith("-") ? -minutes : minutes;
}

/** Milliseconds by which a zone's clocks are ahead of UTC at a moment. */
function offsetIn(zone: string, at: number): number {
  const parts = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  }).formatToParts(at);
  const field = (type: string): number => Number(parts.find((part) => part.type === type)?.value);
  const shown = Date.UTC(
    field("year"),
    field("month") - 1,
    field("day"),
    field("hour"),
    field("minute"),
    field("second"),
  );
  return shown - Math.floor(at / 1000) * 1000;
}

function showOffset(milliseconds: number): string {
  const minutes = Math.round(Math.abs(milliseconds) / MINUTE);
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${milliseconds < 0 ? "-" : "+"}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}
