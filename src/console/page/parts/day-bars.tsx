import type { JSX } from "preact";
import { showShare } from "../../../model/quantities.ts";

/** Units of the drawing: a bar of each hour, and how high the highest is. */
const BAR = 4;
const HEIGHT = 20;
const HOUR = 3_600_000;

/**
 * Shares of the last 24 hours as bars, the oldest first. An hour of which nothing is known has none.
 * @param from the beginning of the first hour, in milliseconds since the epoch
 */
export function DayBars(props: {
  readonly day: readonly (number | null)[];
  readonly from: number;
}): JSX.Element {
  const { day, from } = props;
  const most = Math.max(...day.map((share) => share ?? 0));
  const when = new Date(from + day.indexOf(most) * HOUR).getHours();
  const label =
    most > 0
      ? `Most from ${String(when).padStart(2, "0")}:00: ${showShare(most)} of the time`
      : "No time in these 24 hours";
  return (
    <svg class="day-bars" role="img" viewBox={`0 0 ${day.length * BAR} ${HEIGHT}`}>
      <title>{label}</title>
      <rect x={0} y={HEIGHT - 1} width={day.length * BAR} height={1} class="floor" />
      {day.map((share, hour) => {
        if (share === null || share <= 0) return null;
        const height = Math.max(1, (share / most) * HEIGHT);
        return <rect key={hour} x={hour * BAR} y={HEIGHT - height} width={BAR - 1} height={height} />;
      })}
    </svg>
  );
}
