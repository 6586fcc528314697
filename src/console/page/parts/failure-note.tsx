import type { JSX } from "preact";
import type { Failure } from "../model/failure.ts";
import { Fold } from "./fold.tsx";
import { Mark } from "./mark.tsx";
import { Next } from "./next.tsx";

/** An error as it is shown: what happened, what is safe, what to do next. */
export function FailureNote(props: { readonly failure: Failure; readonly close?: () => void }): JSX.Element {
  const { failure, close } = props;
  return (
    <div role="alert" class="told">
      <p>
        <Mark level="critical" silent /> <Fold lines={3}>{failure.message}</Fold>
      </p>
      {failure.safe !== undefined && (
        <p>
          <Fold lines={3}>{failure.safe}</Fold>
        </p>
      )}
      {failure.next !== undefined && <Next step={failure.next} />}
      {close && (
        <p class="buttons">
          <button type="button" class="main" onClick={close}>
            Close
          </button>
        </p>
      )}
    </div>
  );
}
