import type { JSX } from "preact";
import type { ConsoleDocument } from "../../../cluster/documents/console.ts";
import type { Liveness } from "../model/connection.ts";
import { titleOf } from "../model/actions.ts";
import { together, otherWarnings } from "../model/verdict.ts";
import type { Ask } from "../parts/ask.ts";
import { Fold } from "../parts/fold.tsx";
import { Mark } from "../parts/mark.tsx";
import { Next } from "../parts/next.tsx";

/** The one sentence, and what to do. While the page is not live it does not claim that all is well. */
export function Verdict(props: {
  readonly document: ConsoleDocument;
  readonly liveness: Liveness;
  readonly ask: Ask | undefined;
}): JSX.Element {
  const { document, liveness, ask } = props;
  const { level, next_step: next, action } = document.verdict;
  const shown = liveness.live ? level : "unknown";
  const { head, rest } = together(document.verdict);
  return (
    <div class={`verdict ${shown}`}>
      <div class="inner">
        <div class="sentence" role="status" aria-live="polite" aria-atomic="true">
          <Mark level={shown} />
          <h1 class={head.length > LONG ? "long" : undefined}>
            <Fold lines={2}>
              {!liveness.live && <span class="before">Last known: </span>}
              {head}
              <span class="rest">{rest}</span>
            </Fold>
          </h1>
        </div>
        {next !== null && <Next step={next} />}
        {action && ask && (
          <p class="buttons">
            <button type="button" class="main" onClick={() => ask(action)}>
              {titleOf(action)} …
            </button>
          </p>
        )}
        <Others document={document} ask={ask} />
      </div>
    </div>
  );
}

/** Characters from which a sentence is shown in smaller type. */
const LONG = 90;

function Others(props: {
  readonly document: ConsoleDocument;
  readonly ask: Ask | undefined;
}): JSX.Element | null {
  const { document, ask } = props;
  const others = otherWarnings(document);
  if (others.length === 0) return null;
  return (
    <ul class="others" aria-label="Also">
      {others.map(({ warning: { code, node, severity, message, next_step: next }, action }) => (
        <li key={`${code} ${node ?? ""}`}>
          <Mark level={severity} />
          <div>
            <p>
              <Fold lines={3}>{message}</Fold>
            </p>
            <Next step={next} />
            {action && ask && (
              <button type="button" class="small" onClick={() => ask(action)}>
                {titleOf(action)} …
              </button>
            )}
          </div>
        </li>
      ))}
    </ul>
  );
}
