import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { Find } from "../parts/find.tsx";
import type { ConsoleDocument } from "../../../cluster/documents/console.ts";
import { databaseRows, databasesSummary, matching, type DatabaseRow } from "../model/databases.ts";
import { odooPg } from "../../../next-step.ts";
import type { Ask } from "../parts/ask.ts";
import { Mark } from "../parts/mark.tsx";
import { InWords } from "../parts/next.tsx";
import { Section } from "../parts/section.tsx";

/** More databases than this get a search field. */
const FEW = 10;

export function Databases(props: {
  readonly document: ConsoleDocument;
  readonly now: number;
  readonly ask: Ask | undefined;
}): JSX.Element {
  const { document, now, ask } = props;
  const [typed, setTyped] = useState("");
  const [all, setAll] = useState(false);
  const rows = databaseRows(document, now);
  const found = matching(rows, typed);
  const shown = all || typed !== "" ? found : found.slice(0, FEW);
  return (
    <Section id="databases" title="Odoo databases" summary={databasesSummary(document)}>
      {rows.length === 0 && (
        <p>
          Odoo makes its first database itself, at <code>/web/database/manager</code>, or restore one:{" "}
          <InWords command={odooPg("restore", "FILE")} />
        </p>
      )}
      {rows.length > FEW && <Find typed={typed} change={setTyped} />}
      {shown.length > 0 && (
        <table class="databases">
          <thead>
            <tr>
              <th scope="col">Database</th>
              <th scope="col">Odoo</th>
              <th scope="col">Size</th>
              <th scope="col">Filestore</th>
              <th scope="col">Last backup</th>
              <th scope="col">Scheduled actions</th>
              <th scope="col">Mail waiting</th>
              {ask && (
                <th scope="col">
                  <span class="unseen">Actions</span>
                </th>
              )}
            </tr>
          </thead>
          <tbody>
            {shown.map((row) => (
              <Database key={row.name} row={row} ask={ask} />
            ))}
          </tbody>
        </table>
      )}
      {rows.length > 0 && found.length === 0 && <p>No database has that name.</p>}
      {shown.length < found.length && (
        <p>
          <button type="button" class="link" onClick={() => setAll(true)}>
            Show all {found.length}
          </button>
        </p>
      )}
    </Section>
  );
}

function Database({ row, ask }: { readonly row: DatabaseRow; readonly ask: Ask | undefined }): JSX.Element {
  return (
    <tr>
      <th scope="row">{row.name}</th>
      <td data-label="Odoo" class="figure">
        {row.odoo}
      </td>
      <td data-label="Size" class="figure">
        {row.size}
      </td>
      <td data-label="Filestore" class="figure">
        {row.filestore}
      </td>
      <td data-label="Last backup" class="figure">
        {row.backupLevel === "warning" && <Mark level="warning" />} {row.backup}
      </td>
      <td data-label="Scheduled actions" class="figure">
        {row.actionsLevel === "warning" && <Mark level="warning" />} {row.actions}
      </td>
      <td data-label="Mail waiting" class="figure">
        {row.mail}
      </td>
      {ask && (
        <td class="does">
          <button
            type="button"
            class="small"
            aria-label={`Copy ${row.name}`}
            onClick={() => ask({ kind: "choose_copy", source: row.name })}
          >
            Copy …
          </button>
          <details>
            <summary>
              More<span class="unseen"> for {row.name}</span>
            </summary>
            {row.odooDatabase && (
              <button
                type="button"
                class="small"
                aria-label={`Refresh ${row.name}`}
                onClick={() => ask({ kind: "choose_refresh", source: row.name })}
              >
                Refresh …
              </button>
            )}
            <button
              type="button"
              class="small"
              aria-label={`Rename ${row.name}`}
              onClick={() => ask({ kind: "choose_rename", source: row.name })}
            >
              Rename …
            </button>
            <button
              type="button"
              class="small severe"
              aria-label={`Drop ${row.name}`}
              onClick={() => ask({ kind: "drop_database", database: row.name })}
            >
              Drop …
            </button>
          </details>
        </td>
      )}
    </tr>
  );
}
