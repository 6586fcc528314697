/**
 * Memory units as PostgreSQL's configuration has them: powers of 1024, upper and lower case matter.
 * https://www.postgresql.org/docs/current/config-setting.html ("Numeric with Unit")
 */
const BYTES_PER_UNIT = { TB: 1024 ** 4, GB: 1024 ** 3, MB: 1024 ** 2, kB: 1024, B: 1 } as const;

type Unit = keyof typeof BYTES_PER_UNIT;

const UNITS: readonly Unit[] = ["TB", "GB", "MB", "kB", "B"];

/**
 * Reads `16MB`, `1.5 GB` or a plain number of bytes.
 * Returns a whole number of bytes, or a text that says what is wrong.
 */
export function parseBytes(input: string | number): number | string {
  const [, amount, unit = "B"] = /^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*$/.exec(String(input)) ?? [];
  if (amount === undefined) {
    return `${JSON.stringify(input)} is not a size: write a number and a unit, such as 16MB (units: B, kB, MB, GB, TB)`;
  }
  const known = UNITS.find((candidate) => candidate === (unit === "" ? "B" : unit));
  if (known === undefined) {
    const meant = UNITS.find((candidate) => candidate.toLowerCase() === unit.toLowerCase());
    const hint = meant === undefined ? "" : `did you mean "${meant}"? `;
    return `"${unit}" is not a unit: ${hint}PostgreSQL knows B, kB, MB, GB and TB, written exactly so`;
  }
  const bytes = Math.round(Number(amount) * BYTES_PER_UNIT[known]);
  return Number.isSafeInteger(bytes) ? bytes : `${JSON.stringify(input)} is too large a size`;
}

/** Writes a whole number of bytes with the largest unit that holds it exactly: 16777216 is `16MB`. */
export function formatBytes(bytes: number): string {
  const unit = UNITS.find((candidate) => bytes !== 0 && bytes % BYTES_PER_UNIT[candidate] === 0) ?? "B";
  return `${bytes / BYTES_PER_UNIT[unit]}${unit}`;
}
