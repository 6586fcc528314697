import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Fold } from "../parts/fold.tsx";
import { FailureNote } from "../parts/failure-note.tsx";
import type { Read } from "../read.ts";

/** A part of the console on a page of its own. Its heading gets the focus, so that it is read first. */
export function Frame(props: {
  readonly title: string;
  readonly words: string;
  readonly children: ComponentChildren;
}): JSX.Element {
  const { title, words, children } = props;
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  return (
    <div class="view">
      <h1 ref={heading} tabIndex={-1}>
        {title}
      </h1>
      <p class="quiet">
        <Fold lines={3}>{words}</Fold>
      </p>
      {children}
    </div>
  );
}

/** The document, once it is read; until then that it is on its way, or why not. */
export function Reads<T>(props: {
  readonly read: Read<T>;
  readonly children: (answer: T) => JSX.Element;
}): JSX.Element {
  const { read, children } = props;
  if (read.failure)
    return (
      <>
        <FailureNote failure={read.failure} />
        <p class="buttons">
          <button type="button" onClick={read.again}>
            Try again
          </button>
        </p>
      </>
    );
  if (read.answer === undefined)
    return (
      <p role="status" class="quiet">
        Looking …
      </p>
    );
  return children(read.answer);
}
