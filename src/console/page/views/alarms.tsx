import type { JSX } from "preact";
import type { Action } from "../../../model/console-actions.ts";
import { clock } from "../model/show.ts";
import { Fold } from "../parts/fold.tsx";
import { Mark } from "../parts/mark.tsx";
import type { Ask, MailNow } from "../parts/ask.ts";
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
  readonly channels: readonly {
    readonly channel: Extract<Action, { readonly kind: "unset_alarm" }>["channel"];
    /** Its target, as far as that is no secret. */
    readonly to: string;
    /** Whether the agent uses it already. */
    readonly applied: boolean;
    /** Whether the configuration names it; else the agent uses it until that is applied. */
    readonly set_up: boolean;
  }[];
  readonly mail: MailNow | null;
}

/** Which alarms are on, whether they arrive, and a test of the channels. */
export function Alarms({ now, ask }: ViewProps): JSX.Element {
  const read = useReading<AlarmList>({ what: "alarms" });
  return (
    <Frame
      title="Alarms"
      words="Who is told when something is wrong: by mail, Slack or a webhook. Other channels are set under alarms in the configuration file."
    >
      <Reads read={read}>
        {(list) => (
          <>
            {list.channels.length === 0 ? (
              <p class="told">
                <Mark level="warning" /> Nobody is told: no channel is set up.
              </p>
            ) : (
              <Channels channels={list.channels} ask={ask} />
            )}
            {ask && <Buttons list={list} ask={ask} />}
            <h2>Alarms that are on</h2>
            <On list={list} now={now} />
          </>
        )}
      </Reads>
    </Frame>
  );
}

function Channels({ channels, ask }: Pick<AlarmList, "channels"> & Pick<ViewProps, "ask">): JSX.Element {
  return (
    <table>
      <thead>
        <tr>
          <th scope="col">Told by</th>
          <th scope="col">To</th>
          <th scope="col">In use</th>
          {ask && (
            <th scope="col">
              <span class="unseen">What can be done</span>
            </th>
          )}
        </tr>
      </thead>
      <tbody>
        {channels.map(({ channel, to, applied, set_up: setUp }) => (
          <tr key={channel}>
            <th scope="row">{channel}</th>
            <td data-label="To">
              <Fold lines={2}>{to}</Fold>
            </td>
            <td data-label="In use" class="state">
              {setUp ? (applied ? "yes" : "once it is applied") : "until it is applied"}
            </td>
            {ask && (
              <td class="does">
                {setUp && (
                  <button type="button" class="small" onClick={() => ask({ kind: "unset_alarm", channel })}>
                    Take back<span class="unseen"> {channel}</span> …
                  </button>
                )}
              </td>
            )}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Buttons({ list, ask }: { readonly list: AlarmList; readonly ask: Ask }): JSX.Element {
  const { channels, mail } = list;
  return (
    <p class="buttons">
      <button
        type="button"
        class={channels.length === 0 ? "main" : ""}
        onClick={() => ask({ kind: "choose_alarm", channel: "mail", ...(mail ? { present: mail } : {}) })}
      >
        Mail …
      </button>
      <button type="button" onClick={() => ask({ kind: "choose_alarm", channel: "slack" })}>
        Slack …
      </button>
      <button type="button" onClick={() => ask({ kind: "choose_alarm", channel: "webhook" })}>
        Webhook …
      </button>
      {channels.some(({ applied, set_up: setUp }) => !applied || !setUp) && (
        <button type="button" class="main" onClick={() => ask({ kind: "apply" })}>
          Apply the configuration …
        </button>
      )}
      {channels.length > 0 && (
        <button type="button" onClick={() => ask({ kind: "test_alarms" })}>
          Send a test …
        </button>
      )}
    </p>
  );
}

/** The alarms that are on, and the channels through which nothing arrives. */
function On({ list, now }: { readonly list: AlarmList; readonly now: number }): JSX.Element {
  const { alarms, failing_channels: failing } = list;
  return (
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
  );
}
