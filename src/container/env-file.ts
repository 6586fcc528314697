/** The values of some variables in an `.env`. */
export interface EnvFile {
  readonly values: ReadonlyMap<string, string>;
  /** Variables whose value Compose would still put other variables into. */
  readonly ambiguous: readonly string[];
}

const ESCAPED: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t" };

/**
 * Reads variables from an `.env` as Compose does (compose-spec, "Env_file format"): quotes, comments after a blank, the
 * last line counts. `$NAME` is not replaced: where Compose would do so, the variable is reported as ambiguous. An empty
 * value counts as none.
 */
export function readEnvFile(text: string, names: readonly string[]): EnvFile {
  const values = new Map<string, string>();
  const ambiguous = new Set<string>();
  for (const line of text.split(/\r?\n/)) {
    const [, name = "", rest = ""] = /^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*)$/.exec(line) ?? [];
    if (!names.includes(name)) continue;
    const value = valueOf(rest);
    values.delete(name);
    ambiguous.delete(name);
    if (value.text !== "") values.set(name, value.text);
    if (!value.literal && value.text.includes("$")) ambiguous.add(name);
  }
  return { values, ambiguous: [...ambiguous] };
}

function valueOf(rest: string): { text: string; literal: boolean } {
  const single = /^'((?:[^'\\]|\\.)*)'/.exec(rest)?.[1];
  if (single !== undefined) return { text: single.replaceAll("\\'", "'"), literal: true };
  const double = /^"((?:[^"\\]|\\.)*)"/.exec(rest)?.[1];
  if (double !== undefined) {
    const text = double.replace(/\\(.)/g, (whole, character: string) =>
      /["\\$]/.test(character) ? character : (ESCAPED[character] ?? whole),
    );
    return { text, literal: false };
  }
  return { text: rest.replace(/(?:^|\s+)#.*$/, "").trimEnd(), literal: false };
}
