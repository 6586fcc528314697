import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { Find } from "../parts/find.tsx";
import { StatementTable } from "../parts/statement-table.tsx";
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
      <Find typed={typed} change={setTyped} />
      <Reads read={read}>
        {({ statements }) => (
          <StatementTable
            statements={statements.filter(({ statement, database }) =>
              `${database} ${statement}`.toLowerCase().includes(typed.toLowerCase()),
            )}
          />
        )}
      </Reads>
    </Frame>
  );
}
