import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import type { ClusterEvent, Sample } from "../../../cluster/documents/console.ts";
import {
  type EventMark,
  eventMarks,
  type Graph,
  type Graphs as Model,
  graphsOf,
  inWords,
  spanName,
} from "../model/graphs.ts";
import { clock } from "../model/show.ts";
import { Plot } from "../parts/graph.tsx";
import { Section } from "../parts/section.tsx";

export function Graphs(props: {
  readonly samples: readonly Sample[];
  readonly events: readonly ClusterEvent[];
  readonly now: number;
}): JSX.Element {
  const { samples, events } = props;
  // The page is drawn each second; the graphs move on each minute, or when there is a new sample.
  const minute = Math.floor(props.now / 60_000);
  const now = (minute + 1) * 60_000;
  const { times, graphs, span } = useMemo<Model>(() => graphsOf(samples, now), [samples, minute]);
  const marks = useMemo(() => eventMarks(events, now, span), [events, minute, span]);
  const [at, setAt] = useState<number>();
  const time = at === undefined ? undefined : times[at];
  return (
    <Section
      id="graphs"
      title={spanName(span)}
      summary={samples.length === 0 ? "Nothing was measured yet." : readout(time, marks, span)}
    >
      <div class="graphs">
        {graphs.map((graph) => (
          <figure key={graph.name} aria-label={inWords(graph, span)}>
            <figcaption aria-hidden="true">
              <span>{graph.name}</span>
              <Values graph={graph} at={at} />
            </figcaption>
            <Plot
              graph={graph}
              times={times}
              marks={marks}
              end={now / 1000}
              span={span}
              at={at}
              point={setAt}
            />
          </figure>
        ))}
      </div>
      {marks.length > 0 && (
        <p class="legend">
          <span class="change">◆</span> change <span class="trouble">▲</span> trouble{" "}
          <span class="backup">❘</span> backup
        </p>
      )}
    </Section>
  );
}

/** The values under the pointer: the time, and the events near it. */
function readout(time: number | undefined, marks: readonly EventMark[], span: number): string {
  if (time === undefined) return "";
  const near = marks
    .filter((mark) => Math.abs(mark.time - time) < span / NEAR)
    .toSorted((a, b) => Math.abs(a.time - time) - Math.abs(b.time - time))[0];
  const shown = near?.time ?? time;
  return `${clock(new Date(shown * 1000).toISOString(), shown * 1000)} ${near?.text ?? ""}`;
}

/** A few pixels, as a part of the span. */
const NEAR = 192;

/** The values under the pointer, or the newest. */
function Values({ graph, at }: { readonly graph: Graph; readonly at: number | undefined }): JSX.Element {
  const several = graph.lines.filter(({ bound }) => bound !== true).length > 1;
  return (
    <span class="values figure">
      {graph.lines.map((line, index) => {
        const value = at === undefined ? line.latest : (line.values[at] ?? null);
        if (line.bound) return <small key={line.label}> of {graph.show(value)}</small>;
        return (
          <span key={line.label} class={several ? `key line-${(index % 4) + 1}` : undefined}>
            {several && (
              <svg width="14" height="6" aria-hidden="true">
                <line x2="14" y1="3" y2="3" />
              </svg>
            )}
            {several && <small>{line.label} </small>}
            {graph.show(value)}
          </span>
        );
      })}
    </span>
  );
}
