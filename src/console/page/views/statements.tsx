import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { showSeconds, showShare } from "../../../model/quantities.ts";
import { count } from "../model/show.ts";
import { Fold } from "../parts/fold.tsx";
import { useReading } from "../read.ts";
import { Frame, Reads } from "./frame.tsx";
import type { ViewProps } from "./view.ts";

/** What is shown of `odoo-pg statements list --json`. */
interface Counted {
  readonly statements: readonly {
    readonly database: string;
    readonly role: string;
    readonly statement: string;
    readonly calls: number;
    readonly mean_ms: number;
    readonly total_seconds: number;
    readonly rows: number;
    readonly share: number;
  }[];
}

/** What took the time of the primary, the most first. */
export function Statements({ document, ask }: ViewProps): JSX.Element {
  const read = useReading<Counted>({ what: "statements" });
  const [typed, setTyped] = useState("");
  return (
    <Frame title="Statements" words="What took the time of the primary since counting began, the most first.">
      {document.activity.statements_missing !== null && ask && (
        <p class="buttons">
          <button type="button" class="main" onClick={() => ask({ kind: "count_statements" })}>
            Count statements …
          </button>
        </p>
      )}
      <p class="search">
        <label>
          Find{" "}
          <input type="search" value={typed} onInput={({ currentTarget }) => setTyped(currentTarget.value)} />
        </label>
      </p>
      <Reads read={read}>
        {({ statements }) => (
          <table class="statements">
            <thead>
              <tr>
                <th scope="col">Statement</th>
                <th scope="col">Share</th>
                <th scope="col">Calls</th>
                <th scope="col">Each</th>
                <th scope="col">In all</th>
                <th scope="col">Rows</th>
              </tr>
            </thead>
            <tbody>
              {statements
                .filter(({ statement, database }) =>
                  `${database} ${statement}`.toLowerCase().includes(typed.toLowerCase()),
                )
                .map(({ database, role, statement, calls, mean_ms, total_seconds, rows, share }, index) => (
                  <tr key={index}>
                    <th scope="row">
                      <small>
                        {database}, {role}
                      </small>
                      <code class="statement">
                        <Fold lines={3}>{statement}</Fold>
                      </code>
                    </th>
                    <td data-label="Share" class="figure">
                      {showShare(share)}
                    </td>
                    <td data-label="Calls" class="figure">
                      {count(calls)}
                    </td>
                    <td data-label="Each" class="figure">
                      {mean_ms < 1000 ? `${count(mean_ms)} ms` : showSeconds(mean_ms / 1000)}
                    </td>
                    <td data-label="In all" class="figure">
                      {showSeconds(total_seconds)}
                    </td>
                    <td data-label="Rows" class="figure">
                      {count(rows)}
                    </td>
                  </tr>
                ))}
            </tbody>
          </table>
        )}
      </Reads>
    </Frame>
  );
}
