/** Quantities as people read them: three digits at most, a space before the unit. PostgreSQL's units, powers of 1024. */

const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** Bytes: `0 B`, `16 MB`, `38.2 GB`. */
export function showBytes(bytes: number): string {
  let unit = 0;
  let value = Math.max(0, bytes);
  // 1023.9 kB would print as 1024 kB.
  while (unit < BYTE_UNITS.length - 1 && Math.round(value) >= 1024) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? value.toFixed(0) : value.toFixed(1).replace(/\.0$/, "");
  return `${digits} ${BYTE_UNITS[unit] ?? "B"}`;
}

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Seconds: `0.0 s`, `41 s`, `12 min`, `19 h`, `3 days`. */
export function showSeconds(seconds: number): string {
  const value = Math.max(0, seconds);
  if (value < 9.95) return `${value.toFixed(1)} s`;
  if (value < 2 * MINUTE) return `${Math.round(value)} s`;
  if (value < 2 * HOUR) return `${Math.round(value / MINUTE)} min`;
  if (value < 2 * DAY) return `${Math.round(value / HOUR)} h`;
  return `${Math.round(value / DAY)} days`;
}

/** A share from 0 to 1: `61 %`. Never rounded up to a full 100. */
export function showShare(share: number): string {
  return `${share < 1 ? Math.min(99, Math.round(share * 100)) : 100} %`;
}

/** `1 table`, `2 tables`. */
export function counted(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? "" : "s"}`;
}
