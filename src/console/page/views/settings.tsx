import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { Find } from "../parts/find.tsx";
import { Fold } from "../parts/fold.tsx";
import { formatOrigin, type Origin } from "../../../config/origins.ts";
import { Mark } from "../parts/mark.tsx";
import { Next } from "../parts/next.tsx";
import type { NextStep } from "../../../next-step.ts";
import { odooPg } from "../../../next-step.ts";
import { useReading } from "../read.ts";
import { Frame, Reads } from "./frame.tsx";
import type { ViewProps } from "./view.ts";

/** What is shown of `odoo-pg tune --json`. */
interface Advice {
  readonly settings: readonly {
    readonly name: string;
    readonly now: string;
    readonly tuned: string;
    readonly differs: boolean;
    readonly to_write: boolean;
    readonly restart: boolean;
    readonly reason: string;
    readonly obstacle: string | null;
  }[];
}

/** What is shown of `odoo-pg config show --json`. */
interface Sheet {
  readonly values: readonly {
    readonly path: string;
    readonly text: string;
    readonly origin: Origin;
  }[];
}

const APPLY: NextStep = [odooPg("up")];

/** The advice for this machine, to accept one by one, and every value with where it comes from. */
export function Settings({ ask, document }: ViewProps): JSX.Element {
  const advice = useReading<Advice>({ what: "advice" });
  const sheet = useReading<Sheet>({ what: "settings" });
  const [typed, setTyped] = useState("");
  // The agent has not seen changes that were only written into the file: the advice has.
  const waiting =
    document.status.warnings.some(
      ({ code }) => code === "configuration_not_applied" || code === "settings_pending_restart",
    ) ||
    advice.answer?.settings.some(
      ({ differs, to_write, obstacle }) => differs && !to_write && obstacle === null,
    ) === true;
  return (
    <Frame
      title="Settings"
      words="What is set, where it comes from, and what would suit this machine better."
    >
      {waiting && <NotInForce ask={ask} />}
      <h2>Advice of tune</h2>
      <Reads read={advice}>
        {({ settings }) => <AdviceTable ask={ask} settings={settings.filter(({ differs }) => differs)} />}
      </Reads>
      <h2>Configuration</h2>
      <Find typed={typed} change={setTyped} />
      <Reads read={sheet}>{({ values }) => <Values values={values} typed={typed} />}</Reads>
    </Frame>
  );
}

type MayAsk = Pick<ViewProps, "ask">;

function NotInForce({ ask }: MayAsk): JSX.Element {
  return (
    <div class="told">
      <p>
        <Mark level="warning" silent /> Changes are not in force yet. A setting that needs a restart restarts
        the servers one after another.
      </p>
      <Next step={APPLY} />
      {ask && (
        <p class="buttons">
          <button type="button" class="main" onClick={() => ask({ kind: "apply" })}>
            Apply the configuration …
          </button>
        </p>
      )}
    </div>
  );
}

/** @param props settings: those that differ from the advice */
function AdviceTable({ settings, ask }: MayAsk & Advice): JSX.Element {
  if (settings.length === 0) return <p class="quiet">Every setting suits this machine.</p>;
  return (
    <table class="advice">
      <thead>
        <tr>
          <th scope="col">Setting</th>
          <th scope="col">Now</th>
          <th scope="col">Advised</th>
          <th scope="col">Why</th>
          {ask && (
            <th scope="col">
              <span class="unseen">Actions</span>
            </th>
          )}
        </tr>
      </thead>
      <tbody>
        {settings.map((setting) => (
          <AdviceRow key={setting.name} setting={setting} ask={ask} />
        ))}
      </tbody>
    </table>
  );
}

function AdviceRow({ setting, ask }: MayAsk & { readonly setting: Advice["settings"][number] }): JSX.Element {
  const { name, now, tuned, restart, reason, obstacle, to_write } = setting;
  return (
    <tr>
      <th scope="row">
        <code>{name}</code>
        {restart && <small>needs a restart</small>}
      </th>
      <td data-label="Now">{now}</td>
      <td data-label="Advised">{tuned}</td>
      <td data-label="Why">
        <Fold lines={3}>{reason}</Fold>
        {obstacle !== null && (
          <small>
            <Fold lines={3}>{obstacle}</Fold>
          </small>
        )}
      </td>
      {ask && (
        <td class="does">
          {to_write ? (
            <button
              type="button"
              class="small"
              aria-label={`Accept ${name}`}
              onClick={() => ask({ kind: "accept_setting", setting: name })}
            >
              Accept …
            </button>
          ) : (
            <small>{obstacle === null ? "written, not applied yet" : ""}</small>
          )}
        </td>
      )}
    </tr>
  );
}

/** Every value whose key or text has what was typed. */
function Values({ values, typed }: Sheet & { readonly typed: string }): JSX.Element {
  return (
    <table class="sheet">
      <thead>
        <tr>
          <th scope="col">Key</th>
          <th scope="col">Value</th>
          <th scope="col">Set by</th>
        </tr>
      </thead>
      <tbody>
        {values
          .filter(({ path, text }) => `${path} ${text}`.toLowerCase().includes(typed.toLowerCase()))
          .map(({ path, text, origin }) => (
            <tr key={path}>
              <th scope="row">
                <code>{path}</code>
              </th>
              <td data-label="Value">
                <Fold lines={3}>{text}</Fold>
              </td>
              <td data-label="Set by">{formatOrigin(origin)}</td>
            </tr>
          ))}
      </tbody>
    </table>
  );
}
