import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { addressOf } from "../model/routes.ts";
import { useReading } from "../read.ts";
import { Frame, Reads } from "./frame.tsx";
import type { ViewProps } from "./view.ts";

/** What is shown of `odoo-pg logs --json`. */
interface Log {
  readonly log: string;
  readonly file: string | null;
  readonly lines: readonly string[];
  /** Other logs of this cluster. */
  readonly logs: readonly string[];
}

/** The end of a log, or only the lines that contain a text. Which log, and the text, are in the address. */
export function Logs({ wish }: ViewProps): JSX.Element {
  const of = wish.get("of") ?? "agent";
  const match = wish.get("match") ?? "";
  const read = useReading<Log>({ what: "log", of, match });
  const [typed, setTyped] = useState(match);
  const go = (log: string, text: string): void => {
    location.hash = addressOf("logs", { of: log, match: text });
  };
  return (
    <Frame title="Logs" words="The newest lines, the last one at the end.">
      <form
        class="search"
        role="search"
        onSubmit={(event) => {
          event.preventDefault();
          go(of, typed);
        }}
      >
        <label>
          Of{" "}
          <select value={of} onChange={({ currentTarget }) => go(currentTarget.value, typed)}>
            {(read.answer?.logs ?? [of]).map((log) => (
              <option key={log}>{log}</option>
            ))}
          </select>
        </label>{" "}
        <label>
          With{" "}
          <input
            type="search"
            value={typed}
            placeholder="ERROR"
            spellcheck={false}
            onInput={({ currentTarget }) => setTyped(currentTarget.value)}
          />
        </label>{" "}
        <button type="submit" class="small">
          Find
        </button>{" "}
        <button type="button" class="small" onClick={read.again}>
          Look again
        </button>
      </form>
      <Reads read={read}>
        {({ file, lines }) => (
          <>
            <p class="quiet">
              <small>{file ?? "There is no such log yet."}</small>
            </p>
            {lines.length === 0 ? (
              <p class="quiet">{match === "" ? "It is empty." : `No line contains “${match}”.`}</p>
            ) : (
              <div class="lines whole" role="log" tabIndex={0} aria-label={`Log of ${of}`}>
                {lines.map((line, index) => (
                  <div key={index}>{line === "" ? "\u00a0" : line}</div>
                ))}
              </div>
            )}
          </>
        )}
      </Reads>
    </Frame>
  );
}
