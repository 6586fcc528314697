import type { JSX } from "preact";
import { showSeconds, showShare } from "../../../model/quantities.ts";
import { addressOf } from "../model/routes.ts";
import { count } from "../model/show.ts";
import { DayBars } from "../parts/day-bars.tsx";
import { Fold } from "../parts/fold.tsx";

/** What is known about a statement; share and rows are shown where they are known. */
interface Row {
  readonly database: string;
  readonly role?: string;
  /** Null for users who may not see it. */
  readonly statement: string | null;
  readonly calls: number;
  readonly mean_ms: number;
  readonly total_seconds: number;
  readonly share?: number;
  readonly rows?: number;
  /** The id with which its plan is requested. */
  readonly id?: string;
  /** Its share in each of the last 24 hours. */
  readonly day?: readonly (number | null)[];
}

/**
 * Statements with what they took.
 * @param dayFrom when the first of 24 hours began, where shares by the hour are known
 */
export function StatementTable(props: {
  readonly statements: readonly Row[];
  readonly dayFrom?: number;
}): JSX.Element {
  const { statements, dayFrom } = props;
  const shares = statements.some(({ share }) => share !== undefined);
  const rows = statements.some((one) => one.rows !== undefined);
  return (
    <table class="statements">
      <thead>
        <tr>
          <th scope="col">Statement</th>
          {shares && <th scope="col">Share</th>}
          {dayFrom !== undefined && <th scope="col">Last 24 h</th>}
          <th scope="col">Calls</th>
          <th scope="col">Each</th>
          <th scope="col">In all</th>
          {rows && <th scope="col">Rows</th>}
        </tr>
      </thead>
      <tbody>
        {statements.map((one, index) => (
          <tr key={index}>
            <th scope="row">
              <small>{one.role === undefined ? one.database : `${one.database}, ${one.role}`}</small>
              {one.statement === null ? (
                <span class="quiet">its text is shown to operators</span>
              ) : (
                <StatementText text={one.statement} />
              )}
              {one.id !== undefined && (
                <a
                  class="small"
                  href={addressOf("statements", { plan: one.id })}
                  aria-label={`Plan of statement ${one.id}`}
                >
                  Plan
                </a>
              )}
            </th>
            {one.share !== undefined && (
              <td data-label="Share" class="figure">
                {showShare(one.share)}
              </td>
            )}
            {dayFrom !== undefined && (
              <td data-label="Last 24 h">
                <DayBars day={one.day ?? []} from={dayFrom} />
              </td>
            )}
            <td data-label="Calls" class="figure">
              {count(one.calls)}
            </td>
            <td data-label="Each" class="figure">
              {one.mean_ms < 1000 ? `${count(one.mean_ms)} ms` : showSeconds(one.mean_ms / 1000)}
            </td>
            <td data-label="In all" class="figure">
              {showSeconds(one.total_seconds)}
            </td>
            {one.rows !== undefined && (
              <td data-label="Rows" class="figure">
                {count(one.rows)}
              </td>
            )}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

export function StatementText({ text }: { readonly text: string }): JSX.Element {
  return (
    <code class="statement">
      <Fold lines={2}>{text.replaceAll(/\s+/g, " ")}</Fold>
    </code>
  );
}
