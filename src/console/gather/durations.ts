const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/**
 * Seconds as people say them: `42 s`, `3 min`, `5 hours`, `2 days`. The text seldom changes: a page that shows it need
 * not be sent each second.
 */
export function lastingFor(seconds: number): string {
  if (seconds < 2 * MINUTE) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 2 * HOUR) return `${Math.floor(seconds / MINUTE)} min`;
  if (seconds < 2 * DAY) return `${Math.floor(seconds / HOUR)} hours`;
  return `${Math.floor(seconds / DAY)} days`;
}

/** `just now`, `12 min ago`, `2 days ago`. */
export function ago(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  return seconds < 2 * MINUTE ? "just now" : `${lastingFor(seconds)} ago`;
}
