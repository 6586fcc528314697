import type { JSX } from "preact";
import type { JobProgress } from "../../../cluster/documents/console.ts";
import { farText } from "../model/actions.ts";

/** How far a job is, as a bar and in words. */
export function Far({ progress }: { readonly progress: JobProgress }): JSX.Element {
  const { done_bytes: done, total_bytes: total } = progress;
  return (
    <p class="far">
      <progress aria-label="How far it is" max={Math.max(1, total)} value={Math.min(done, total)} />
      <small class="figure">{farText(progress)}</small>
    </p>
  );
}
