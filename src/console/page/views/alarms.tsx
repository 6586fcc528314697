import type { JSX } from "preact";
import { clock } from "../model/show.ts";
import { Fold } from "../parts/fold.tsx";
import { Mark } from "../parts/mark.tsx";
import { useReading } from "../read.ts";
import { Frame, Reads } from "./frame.tsx";
import type { ViewProps } from "./view.ts";

/** What is shown of `odoo-pg alarms list --json`. */
interface AlarmList {
  readonly alarms: readonly {
    readonly rule: string;
    readonly severity: "warning" | "critical";
    readonly subject: string | null;
    readonly text: string;
    readonly since: string;
  }[];
  readonly failing_channels: readonly {
    readonly channel: string;
    readonly since: string;
    readonly error: string;
    readonly waiting: number;
  }[];
}

/** Which alarms are on, whether they arrive, and a test of the channels. */
export function Alarms({ now, ask }: ViewProps): JSX.Element {
  const read = useReading<AlarmList>({ what: "alarms" });
  return (
    <Frame
      title="Alarms"
      words="Who is told when something is wrong is set under alarms in the configuration file."
    >
      <Reads read={read}>
        {({ alarms, failing_channels: failing }) => (
          <>
            {alarms.length === 0 && <p class="answer">No alarm is on.</p>}
            <ul class="rows">
              {alarms.map(({ rule, severity, subject, text, since }) => (
                <li key={`${rule} ${subject ?? ""}`}>
                  <Mark level={severity} />
                  <div>
                    <p>
                      <Fold lines={3}>{text}</Fold>
                    </p>
                    <small>
                      {rule}, since <time dateTime={since}>{clock(since, now)}</time>
                    </small>
                  </div>
                </li>
              ))}
              {failing.map(({ channel, since, error, waiting }) => (
                <li key={channel}>
                  <Mark level="critical" />
                  <div>
                    <p>
                      Nothing arrives by {channel} since <time dateTime={since}>{clock(since, now)}</time>,{" "}
                      {waiting} {waiting === 1 ? "message waits" : "messages wait"}
                    </p>
                    <small>
                      <Fold lines={3}>{error}</Fold>
                    </small>
                  </div>
                </li>
              ))}
            </ul>
          </>
        )}
      </Reads>
      {ask && (
        <p class="buttons">
          <button type="button" onClick={() => ask({ kind: "test_alarms" })}>
            Send a test …
          </button>
        </p>
      )}
    </Frame>
  );
}
