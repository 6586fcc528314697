import type { JSX } from "preact";
import { showSeconds, showShare } from "../../../model/quantities.ts";
import { count } from "../model/show.ts";
import { Fold } from "./fold.tsx";

/** What is known of a statement; share and rows are shown where they are known. */
interface Row {
  readonly database: string;
  readonly role?: string;
  /** Null for who may not see it. */
  readonly statement: string | null;
  readonly calls: number;
  readonly mean_ms: number;
  readonly total_seconds: number;
  readonly share?: number;
  readonly rows?: number;
}

/** Statements with what they took. */
export function StatementTable({ statements }: { readonly statements: readonly Row[] }): JSX.Element {
  const shares = statements.some(({ share }) => share !== undefined);
  const rows = statements.some((one) => one.rows !== undefined);
  return (
    <table class="statements">
      <thead>
        <tr>
          <th scope="col">Statement</th>
          {shares && <th scope="col">Share</th>}
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
            </th>
            {one.share !== undefined && (
              <td data-label="Share" class="figure">
                {showShare(one.share)}
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
