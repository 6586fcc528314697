import type { JSX } from "preact";

/** A field for searching a list. */
export function Find(props: {
  readonly typed: string;
  readonly change: (typed: string) => void;
}): JSX.Element {
  const { typed, change } = props;
  return (
    <p class="search">
      <label>
        Find{" "}
        <input type="search" value={typed} onInput={({ currentTarget }) => change(currentTarget.value)} />
      </label>
    </p>
  );
}
