import * as z from "zod";
import type { Config } from "../../config/schema.ts";
import type { CopyStatus } from "../../model/backups/copy-status.ts";
import { showSeconds } from "../../model/quantities.ts";
import { warning, type FoundWarning } from "../../model/warnings.ts";
import { nextStep, odooPg } from "../../next-step.ts";
import { isOverdue } from "./overdue.ts";

type Settings = Config["backup"]["offsite"];

/** A copy elsewhere, as status tells it. */
export const copySchema = z.strictObject({
  name: z.string(),
  /** The copy has all that was there at this moment; null before the first one. ISO 8601. */
  copied_at: z.string().nullable(),
  /** Why the last one failed, in one line. */
  error: z.string().nullable(),
});
type Copy = z.output<typeof copySchema>;

/** Each that is configured. @param known of places that were copied to; undefined where not read */
export function copiesOf(settings: Settings, known: readonly CopyStatus[] | undefined): Copy[] {
  return settings.map(({ name }) => {
    const status = known?.find((one) => one.name === name);
    return { name, copied_at: status?.copied_at ?? null, error: status?.error ?? null };
  });
}

/** Copies as a part of a line. @param now milliseconds since the epoch */
export function copiesWords(copies: readonly Copy[], now: number): string {
  const told = copies.map(({ name, copied_at: at }) => {
    if (at === null) return `${name}, none yet`;
    return `${name}, ${showSeconds(Math.max(0, Math.round((now - Date.parse(at)) / 1000)))} old`;
  });
  return told.join(" · ");
}

/** Milliseconds that a copy may take beside its schedule before it is late. */
const SLACK = 900_000;

/** What is wrong with copies elsewhere. */
export function copyWarnings(
  settings: Settings,
  known: readonly CopyStatus[] | undefined,
  now: number,
): FoundWarning[] {
  return settings.flatMap(({ name, schedule }) => {
    const status = known?.find((one) => one.name === name);
    if (!status) return [];
    const { copied_at: at, error, key_confirmed_at: confirmed } = status;
    const found: FoundWarning[] = [];
    const next = odooPg("backup", "copy", "--to", name);
    if (error !== null)
      found.push(
        warning("copy_failed", {
          message: `The last copy to ${name} failed: ${error.replace(/\.$/, "")}.`,
          next,
        }),
      );
    else if (at !== null && isOverdue(schedule, Date.parse(at), now, SLACK))
      found.push(warning("copy_late", { message: `The copy at ${name} dates from ${at}.`, next }));
    if (at !== null && confirmed === null) {
      found.push(
        warning("copy_key_unkept", {
          message: `Nobody has confirmed that the passphrase of ${name} is kept elsewhere: losing this host would lose the copy too.`,
          next: nextStep`Keep it: ${odooPg("backup", "key", "show", "--of", name)}, then ${odooPg("backup", "key", "confirm", "--of", name)}`,
        }),
      );
    }
    return found;
  });
}
