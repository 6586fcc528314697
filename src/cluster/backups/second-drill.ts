import * as z from "zod";
import type { Config } from "../../config/schema.ts";
import type { ArchiveStatus } from "../../model/backups/archive-status.ts";
import type { SecondDrill } from "../../model/backups/second-drill.ts";
import { showSeconds } from "../../model/quantities.ts";
import { warning, type FoundWarning } from "../../model/warnings.ts";
import { odooPg } from "../../next-step.ts";
import { isOverdue } from "./overdue.ts";

type Settings = Config["backup"]["any_second"];

/** How far it is proven that a second comes back, as status tells it. Times in ISO 8601. */
export const provenSecondSchema = z.strictObject({
  /** When a second was last brought back whole; null when none ever was. */
  proven_at: z.string().nullable(),
  /** Which second that was, where it was named by a time. */
  second: z.string().nullable(),
  /** That it took; null when none ever was. */
  seconds: z.number().nullable(),
  /** Databases that came back then; null when none ever was. */
  databases: z.number().nullable().default(null),
  /** Tables and indexes that were held against themselves then; null where amcheck is not installed, too. */
  relations: z.number().nullable().default(null),
  /** When one last failed, until a later one succeeds. */
  failed_at: z.string().nullable(),
});
export type ProvenSecond = z.output<typeof provenSecondSchema>;

/** Null where any second is off. */
export function provenSecondOf(
  { enabled }: Pick<Settings, "enabled">,
  drill: SecondDrill | undefined,
): ProvenSecond | null {
  if (!enabled) return null;
  const { proven, failed } = drill ?? {};
  return {
    proven_at: proven?.at ?? null,
    second: proven?.second ?? null,
    seconds: proven?.seconds ?? null,
    databases: proven?.databases ?? null,
    relations: proven?.relations ?? null,
    failed_at: failed?.at ?? null,
  };
}

/** As a part of a line. @param now milliseconds since the epoch */
export function provenWords({ proven_at: at, second, seconds }: ProvenSecond, now: number): string {
  if (at === null) return "never proven";
  const age = (then: string): string => showSeconds(Math.max(0, Math.round((now - Date.parse(then)) / 1000)));
  const which = second === null ? "" : `, a second of ${age(second)} ago`;
  const took = seconds === null ? "" : `, took ${showSeconds(Math.round(seconds))}`;
  return `proven ${age(at)} ago${which}${took}`;
}

/** Milliseconds that a drill may take beside its schedule before it is late. */
const SLACK = 6 * 3_600_000;

/** What is wrong with the proof that a second comes back; nothing where any second is off. */
export function secondDrillWarnings(
  { enabled, drill_schedule }: Settings,
  drill: SecondDrill | undefined,
  status: ArchiveStatus | undefined,
  now: number,
): FoundWarning[] {
  if (!enabled) return [];
  const next = odooPg("backup", "verify", "--any-second");
  if (drill?.failed) {
    const { second, error } = drill.failed;
    return [
      warning("second_drill_failed", {
        message: `${second ?? "A moment"} could not be brought back whole: ${error.replace(/\.$/, "")}.`,
        next,
      }),
    ];
  }
  // Before there is a base backup, nothing can be proven.
  const since = drill?.proven?.at ?? status?.bases[0]?.stopped_at;
  if (since === undefined || !isOverdue(drill_schedule, Date.parse(since), now, SLACK)) return [];
  const last = drill?.proven ? `was last proven at ${drill.proven.at}` : "was never proven";
  return [warning("second_drill_too_old", { message: `That a second can be brought back ${last}.`, next })];
}
