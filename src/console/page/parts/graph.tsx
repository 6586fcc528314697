import { area, line } from "d3-shape";
import type { JSX, TargetedPointerEvent } from "preact";
import { useMemo } from "preact/hooks";
import { type EventMark, type Graph, type Line, nearest, ticks, timesBelow, topOf } from "../model/graphs.ts";
import { clock } from "../model/show.ts";

/** The drawing's own units; it is stretched to the room that there is. */
const WIDTH = 1000;
const HEIGHT = 100;

/** Shapes of events, as `odoo-pg status` has them for nodes. */
const SIGNS: Readonly<Record<EventMark["shape"], string>> = { change: "◆", trouble: "▲", backup: "❘" };

/** One graph, drawn. The same in words is beside it. `end` is the right edge, seconds since the epoch. */
export function Plot(props: {
  readonly graph: Graph;
  readonly times: readonly number[];
  readonly marks: readonly EventMark[];
  readonly end: number;
  /** Seconds from left to right. */
  readonly span: number;
  /** The place in `times` under the pointer, in all graphs. */
  readonly at: number | undefined;
  readonly point: (index: number | undefined) => void;
}): JSX.Element {
  const { graph, times, marks, end, span, at, point } = props;
  const top = topOf(graph);
  const left = (time: number): string => `${(((time - end) / span + 1) * 100).toFixed(2)}%`;
  const lines = useMemo(() => drawn(graph, times, end, span, top), [graph, times, end]);
  const under = at === undefined ? undefined : times[at];
  const follow = ({ currentTarget, clientX }: TargetedPointerEvent<HTMLDivElement>): void => {
    const box = currentTarget.getBoundingClientRect();
    point(nearest(times, end - span + ((clientX - box.left) / box.width) * span));
  };
  return (
    <div class="plot" aria-hidden="true">
      {ticks(top, graph.binary).map((value) => (
        <span key={value} class="level" style={{ bottom: `${((value / top) * 100).toFixed(2)}%` }}>
          <span>{graph.show(value)}</span>
        </span>
      ))}
      <div class="area" onPointerMove={follow} onPointerDown={follow} onPointerLeave={() => point(undefined)}>
        <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none">
          {lines}
        </svg>
        {marks.map(({ time, shape, text }) => (
          <span key={`${time}${text}`} class={`event ${shape}`} style={{ left: left(time) }}>
            {SIGNS[shape]}
          </span>
        ))}
        {under !== undefined && <span class="pointer" style={{ left: left(under) }} />}
      </div>
      {timesBelow(end, span).map((time) => (
        <span key={time} class="hour" style={{ left: left(time) }}>
          {clock(new Date(time * 1000).toISOString(), time * 1000)}
        </span>
      ))}
    </div>
  );
}

type Point = readonly [number, number | null];

function drawn(
  { lines }: Graph,
  times: readonly number[],
  end: number,
  span: number,
  top: number,
): JSX.Element[] {
  const x = ([time]: Point): number => ((time - end) / span + 1) * WIDTH;
  const y = ([, value]: Point): number => HEIGHT - ((value ?? 0) / top) * HEIGHT;
  const known = ([, value]: Point): boolean => value !== null;
  const stroke = line<Point>(x, y).defined(known).digits(1);
  const ground = area<Point>(x, HEIGHT, y).defined(known).digits(1);
  const points = ({ values }: Line): Point[] => times.map((time, index) => [time, values[index] ?? null]);
  const alone = lines.filter(({ bound }) => bound !== true).length === 1;
  return lines.map((one, index) => (
    <g key={one.label} class={one.bound ? "bound" : `line-${(index % 4) + 1}`}>
      {alone && one.bound !== true && <path class="ground" d={ground(points(one)) ?? ""} />}
      <path d={stroke(points(one)) ?? ""} />
    </g>
  ));
}
