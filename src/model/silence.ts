import * as z from "zod";

/** Why a server does not answer. `detail` is the server's or the system's own words. */
export const silenceSchema = z.object({
  kind: z.enum([
    "not_running",
    "never_started",
    /** It says itself that it takes no session yet: starting up, shutting down, recovering. */
    "starting",
    /** `detail` says within what time, where that is known. */
    "timeout",
    /** It answers, and lets this session not in. */
    "refused",
    "connection_lost",
    "not_looked_at",
    "not_run_here",
    "other",
  ]),
  detail: z.string().optional(),
});
export type Silence = Readonly<z.output<typeof silenceSchema>>;

/** What a server does that does not answer, as it follows its name: `is not running`. */
export function sayOf({ kind, detail = "" }: Silence): string {
  const words = detail.replace(/\s+/g, " ").trim();
  const added = words === "" ? "" : ` (${words})`;
  const said = {
    not_running: "is not running",
    never_started: "was never started",
    starting: `does not answer yet${added}`,
    timeout: words === "" ? "does not answer in time" : `does not answer within ${words}`,
    refused: `refuses odoo-pg${added}`,
    connection_lost: "ended the connection",
    not_looked_at: "was not looked at",
    not_run_here: "is not run by odoo-pg",
    other: `does not answer${added}`,
  } satisfies Record<Silence["kind"], string>;
  return said[kind];
}

/** Whether it is certain that no server runs. */
export function isStopped({ kind }: Silence): boolean {
  return kind === "not_running" || kind === "never_started";
}
