import * as z from "zod";
import { parseJson } from "../../../system/files/json-file.ts";

/**
 * Patroni's configuration for all hosts, with the wanted keys set. Keys that odoo-pg does not set stay, such as a pause.
 * @param present as it stands in the store; undefined before there is one
 * @returns the text to store; undefined where nothing changes
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

/** JSON with sorted keys: equal values give equal texts. */
function sorted(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(sorted).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const parts = Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, inner]) => `${JSON.stringify(key)}:${sorted(inner)}`);
  return `{${parts.join(",")}}`;
}
