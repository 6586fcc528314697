import { showShare } from "../model/quantities.ts";
import { shareOf } from "../model/troubles/troubles.ts";
import { nextStep, odooPg, type NextText } from "../next-step.ts";

/** Connections of clients to one server, and how many there may be without those that are kept for superusers. */
export interface Connections {
  readonly used: number;
  readonly most: number;
}

/** The warning about a server whose connections are nearly used up; undefined where there are enough. */
export function connectionsTold(
  name: string,
  { used, most }: Connections,
  isReplica: boolean,
): { readonly message: string; readonly next: NextText } | undefined {
  if (used <= most * shareOf("connections_nearly_used")) return undefined;
  const who = isReplica
    ? odooPg(
        "psql",
        name,
        "--",
        "-c",
        "SELECT application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2 ORDER BY 3 DESC",
      )
    : odooPg("sessions", "list");
  return {
    message:
      used >= most
        ? `${name}: all ${most} connections are in use but those that are kept for superusers: new ones are refused.`
        : `${name}: ${used} of ${most} connections are in use (${showShare(used / most)}): at the limit new ones are refused.`,
    next: nextStep`see who has them: ${who}`,
  };
}
