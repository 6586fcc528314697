import type { AgentEvent } from "../agent/events.ts";
import { showBytes } from "../cluster/quantities.ts";
import { overwriteLine, type Output } from "../system/terminal.ts";

/** Shows what the agent tells: a line for each phase; bytes on one line that is written over, on a terminal only. */
export function showProgress(output: Output): { event: (event: AgentEvent) => void; end: () => void } {
  let open = false;
  const end = (): void => {
    if (open) overwriteLine("");
    open = false;
  };
  return {
    end,
    event: (event) => {
      if (event.kind === "bytes") {
        const share = event.total > 0 ? Math.min(100, Math.floor((event.done / event.total) * 100)) : 0;
        overwriteLine(`  ${event.node.padEnd(8)} ${share} % of ${showBytes(event.total)}`);
        open = true;
        return;
      }
      end();
      if (event.kind === "step") output.err(`  ${(event.node ?? "").padEnd(8)} ${event.text}`);
      if (event.kind === "note") output.err(`  ${event.text}`);
    },
  };
}
