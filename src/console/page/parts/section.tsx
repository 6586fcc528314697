import type { ComponentChildren, JSX } from "preact";

/** A part of the page: its question at the side, its answer beside it. */
export function Section(props: {
  readonly id: string;
  readonly title: string;
  readonly summary?: string;
  readonly children: ComponentChildren;
}): JSX.Element {
  const { id, title, summary, children } = props;
  return (
    <section aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        {summary !== undefined && <p>{summary}</p>}
      </header>
      <div class="body">{children}</div>
    </section>
  );
}
