import * as z from "zod";
import { parseJson } from "../../system/files/json-file.ts";

/**
 * Patroni's configuration for all hosts, brought to what is wanted: what we say nothing of stays, such as a pause.
 * @param present as it stands in the store; undefined before there is one
 * @returns undefined where nothing is to be changed
 */
export function dynamicChange(
  present: string | undefined,
  wanted: Readonly<Record<string, unknown>>,
): string | undefined {
  const parsed = parseJson(present ?? "", z.record(z.string(), z.unknown()));
  const before = parsed.ok ? parsed.value : {};
  const after = { ...before, ...wanted };
  return sorted(after) === sorted(before) ? undefined : JSON.stringify(after);
}

/** The same value always gives the same text. */
function sorted(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(sorted).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const parts = Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, inner]) => `${JSON.stringify(key)}:${sorted(inner)}`);
  return `{${parts.join(",")}}`;
}
