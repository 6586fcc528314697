import type { JSX } from "preact";
import type { ConsoleDocument } from "../../../cluster/documents/console.ts";
import { secondsTold } from "../model/seconds.ts";
import type { Ask } from "../parts/ask.ts";
import { Fold } from "../parts/fold.tsx";
import { Mark } from "../parts/mark.tsx";
import { Next } from "../parts/next.tsx";

/** Which seconds can be brought back, when one last was, and what failed; nothing where any second is off. */
export function Seconds(props: {
  readonly document: ConsoleDocument;
  readonly now: number;
  readonly ask: Ask | undefined;
}): JSX.Element | null {
  const { document, now, ask } = props;
  const told = secondsTold(document, now);
  if (!told) return null;
  const { window, proof, before, trouble } = told;
  return (
    <ul class="rows seconds" aria-label="Any second">
      <li>
        <Mark level={window.level} />
        <div>
          <p>{window.text}</p>
        </div>
      </li>
      <li>
        <Mark level={proof.level} />
        <div>
          <p>
            <Fold lines={3}>{proof.text}</Fold>
          </p>
          {trouble && (
            <small>
              <Fold lines={3}>{trouble.message}</Fold>
            </small>
          )}
          {before !== "" && <small>{before}</small>}
          {trouble && <Next step={trouble.next_step} />}
        </div>
        {ask && (
          <div class="does">
            <button
              type="button"
              class={trouble ? "small main" : "small"}
              onClick={() => ask({ kind: "prove_second" })}
            >
              Prove a second …
            </button>
          </div>
        )}
      </li>
    </ul>
  );
}
