import type { JSX } from "preact";
import type { ConsoleDocument } from "../../../cluster/documents/console.ts";
import { endpointLines, nodeRows, nodesSummary, successors, type NodeRow } from "../model/nodes.ts";
import type { Ask } from "../parts/ask.ts";
import { Fold } from "../parts/fold.tsx";
import { Mark } from "../parts/mark.tsx";
import { Section } from "../parts/section.tsx";

export function Nodes(props: {
  readonly document: ConsoleDocument;
  readonly now: number;
  readonly ask: Ask | undefined;
}): JSX.Element {
  const { document, now, ask } = props;
  const rows = nodeRows(document, now);
  return (
    <Section id="nodes" title="Nodes" summary={nodesSummary(document.status)}>
      <table class="nodes">
        <thead>
          <tr>
            <th scope="col">Node</th>
            <th scope="col">State</th>
            <th scope="col">Behind</th>
            <th scope="col">Slot</th>
            <th scope="col">Disk</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <Node key={row.name} row={row} ask={ask} />
          ))}
        </tbody>
      </table>
      <dl class="endpoints">
        {endpointLines(document.status).map(({ name, address, leadsTo, level, note }) => (
          <div key={name}>
            <dt>
              <Mark level={level} /> {name}
            </dt>
            <dd>
              <code>{address}</code> <span aria-label="leads to">→</span> {leadsTo}{" "}
              {note !== "" && <small>{note}</small>}
            </dd>
          </div>
        ))}
      </dl>
      {ask && successors(document.status).length > 0 && (
        <p class="buttons">
          <button type="button" onClick={() => ask({ kind: "choose_successor" })}>
            Switch over …
          </button>
        </p>
      )}
    </Section>
  );
}

function Node({ row, ask }: { readonly row: NodeRow; readonly ask: Ask | undefined }): JSX.Element {
  const { name, remedy } = row;
  return (
    <tr class={row.role}>
      <th scope="row">
        <span class="rail">
          <Mark level={row.level} />
        </span>
        <span class="name">
          {name} <small>{row.address}</small>
        </span>
      </th>
      <td data-label="State">
        {row.role}, {row.state}
        <small>{row.reads}</small>
        {row.reason !== null && (
          <small class="reason">
            <Fold lines={3}>{row.reason}</Fold>
          </small>
        )}
        {remedy !== undefined && ask && (
          <button type="button" class="small" onClick={() => ask({ kind: remedy, node: name })}>
            {remedy === "rejoin" ? "Bring back …" : "Rebuild …"}
          </button>
        )}
      </td>
      <td data-label="Behind" class="figure">
        {row.lag}
        <small>{row.lagTime}</small>
      </td>
      <td data-label="Slot" class="figure">
        {row.slot}
      </td>
      <td data-label="Disk" class="figure disk">
        <span>
          {row.diskLevel === "warning" || row.diskLevel === "critical" ? (
            <Mark level={row.diskLevel} />
          ) : null}{" "}
          {row.disk}
        </span>
        {row.diskUsed !== undefined && (
          <svg class={`bar ${row.diskLevel}`} aria-hidden="true" width="100%" height="4">
            <rect class="whole" width="100%" height="4" rx="2" />
            <rect width={`${(row.diskUsed * 100).toFixed(1)}%`} height="4" rx="2" />
          </svg>
        )}
        <small>{row.daysLeft}</small>
      </td>
    </tr>
  );
}
