/**
 * The text to store after a change: it differs from the stored one only where something was changed. Fields of another
 * version of odoo-pg that this one does not read stay, and defaults that this one filled in are not written. Lists of
 * things with a name or a serial number are compared one by one, others as one value. Pure.
 * @param stored as it is stored
 * @param before as this version reads that
 * @param after `before`, changed
 */
export function onlyChanges(stored: unknown, before: unknown, after: unknown): unknown {
  if (isSame(before, after)) return stored;
  if (Array.isArray(stored) && Array.isArray(before) && Array.isArray(after))
    return after.map((one: unknown) => {
      const key = keyOf(one);
      const find = (list: readonly unknown[]): unknown =>
        key === undefined ? undefined : list.find((other) => keyOf(other) === key);
      const [known, read] = [find(stored), find(before)];
      return known === undefined || read === undefined ? one : onlyChanges(known, read, one);
    });
  if (!isRecord(stored) || !isRecord(before) || !isRecord(after)) return after;
  const isKept = (name: string): boolean => !Object.hasOwn(before, name) || Object.hasOwn(after, name);
  const kept = Object.entries(stored).filter(([name]) => isKept(name));
  const written = Object.entries(after).flatMap(([name, value]): [string, unknown][] => {
    if (Object.hasOwn(stored, name)) return [[name, onlyChanges(stored[name], before[name], value)]];
    return isSame(before[name], value) ? [] : [[name, value]];
  });
  return Object.fromEntries([...kept, ...written]);
}

/** By what a thing in a list is known again. */
function keyOf(value: unknown): string | undefined {
  if (!isRecord(value)) return undefined;
  const key = value["name"] ?? value["serial"];
  return typeof key === "string" ? key : undefined;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** As it would be written. */
function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
