import { silenceOf } from "../../../postgres/sql/observing/silence.ts";
import { seen, unseen, type Observed } from "../evidence.ts";

/** Reads one piece of evidence; that it cannot be read is an answer. */
export async function attempt<T>(observed: () => Promise<T>): Promise<Observed<T>> {
  try {
    return seen(await observed());
  } catch (error) {
    return unseen(whyNot(error));
  }
}

/** In a few words, for people. */
function whyNot(error: unknown): string {
  const { kind, detail } = silenceOf(error);
  if (kind === "not_running") return "it is not running";
  if (kind === "timeout") return "it did not answer in time";
  if (kind === "connection_lost") return "the connection ended";
  return detail?.replace(/\s+/g, " ").trim() || "it cannot be read";
}
