import { nextStep, odooPg } from "../next-step.ts";
import { OdooPgError } from "../errors.ts";

const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/**
 * The moment that `24h`, `30m`, `7d` or a date (ISO 8601) names, in milliseconds since the epoch.
 * @throws OdooPgError usage for anything else
 */
export function momentOf(text: string, now: number): number {
  const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  const length = UNITS[unit ?? ""];
  if (count !== undefined && length !== undefined) return now - Number(count) * length;
  const date = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(date)) return date;
  throw new OdooPgError("usage", {
    message: `--since ${text}: that is neither a duration nor a date.`,
    next: nextStep`As 24h, 30m, 7d, 2026-03-01 or 2026-03-01T09:00Z: ${odooPg("events", "--since", "24h")}`,
  });
}
