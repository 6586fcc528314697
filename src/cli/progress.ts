import type { AgentEvent } from "../progress.ts";
import { showBytes, showSeconds } from "../model/quantities.ts";
import type { JobProgress } from "../cluster/documents/console.ts";
import { monotonic } from "../system/clock.ts";
import { printableLine } from "../printable.ts";
import { overwriteLine } from "../system/terminal.ts";
import { suggest, type Context } from "./context.ts";

/** Milliseconds between two lines of progress. */
const TELL_EVERY = 1000;

/** Shows the agent's progress: a line for each phase; bytes on one line that is overwritten, on a terminal only. */
export function showProgress({ output, configFile }: Pick<Context, "output" | "configFile">): {
  event: (event: AgentEvent) => void;
  end: () => void;
} {
  let open = false;
  /** When each node's bytes began to arrive, and how many there were then. */
  const begun = new Map<string, { at: number; done: number }>();
  let toldAt = -Infinity;
  const tell = (progress: JobProgress | null): void => {
    if (!output.tell || (progress !== null && monotonic() - toldAt < TELL_EVERY)) return;
    toldAt = monotonic();
    output.tell(JSON.stringify({ progress }));
  };
  const end = (): void => {
    if (open) overwriteLine("");
    open = false;
  };
  return {
    end,
    event: (event) => {
      if (event.kind === "bytes") {
        const share = event.total > 0 ? Math.min(100, Math.floor((event.done / event.total) * 100)) : 0;
        const from = begun.get(event.node) ?? { at: monotonic(), done: event.done };
        begun.set(event.node, from);
        const left = secondsLeft(event.done - from.done, event.total - event.done, monotonic() - from.at);
        tell({ done_bytes: event.done, total_bytes: event.total, left_seconds: left ?? null });
        const rest = left === undefined ? "" : `, ${showSeconds(left)} left`;
        overwriteLine(`  ${event.node.padEnd(8)} ${share} % of ${showBytes(event.total)}${rest}`);
        open = true;
        return;
      }
      end();
      if (event.kind === "step") begun.delete(event.node ?? "");
      if (event.kind === "step") tell(null);
      if (event.kind === "step")
        output.err(`  ${printableLine(event.node ?? "").padEnd(8)} ${printableLine(event.text)}`);
      if (event.kind === "note") {
        const next = event.next_step ? `: ${suggest({ configFile, output }, event.next_step)}` : "";
        output.err(`  ${printableLine(`${event.text}${next}`)}`);
      }
    },
  };
}

/** Seconds until the rest has arrived too, at the pace so far; undefined while there is none. */
function secondsLeft(come: number, rest: number, milliseconds: number): number | undefined {
  return come > 0 && rest >= 0 && milliseconds > 1000 ? ((milliseconds / come) * rest) / 1000 : undefined;
}
