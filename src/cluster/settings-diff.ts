/** A setting whose value in a rendered postgresql.conf changes; undefined: it is not in that text. */
export interface ChangedSetting {
  readonly name: string;
  readonly before: string | undefined;
  readonly after: string | undefined;
}

/** What differs between two texts of postgresql.conf, by name. Pure. */
export function changedSettings(before: string, after: string): ChangedSetting[] {
  const [old, fresh] = [settingsIn(before), settingsIn(after)];
  const names = [...new Set([...old.keys(), ...fresh.keys()])].sort();
  return names
    .map((name) => ({ name, before: old.get(name), after: fresh.get(name) }))
    .filter((setting) => setting.before !== setting.after);
}

function settingsIn(text: string): Map<string, string> {
  const lines = text.split("\n").flatMap((line): [string, string][] => {
    const [, name, value] = /^([a-z_][\w.]*)\s*=\s*(.*?)\s*$/i.exec(line) ?? [];
    return name === undefined || value === undefined ? [] : [[name, withoutQuotes(value)]];
  });
  return new Map(lines);
}

function withoutQuotes(value: string): string {
  const [, inner = value] = /^'(.*)'/.exec(value) ?? [];
  return inner.replaceAll("''", "'");
}
