import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { showSeconds } from "../../../model/quantities.ts";
import { addressOf } from "../model/routes.ts";
import { clock, count, many } from "../model/show.ts";
import { Find } from "../parts/find.tsx";
import { StatementTable, StatementText } from "../sections/statement-table.tsx";
import { useReading } from "../read.ts";
import { Frame, Reads } from "./frame.tsx";
import type { ViewProps } from "./view.ts";

/** What is shown of `odoo-pg statements list --json`. */
interface Counted {
  readonly day_from: string;
  readonly statements: readonly {
    readonly id: string;
    readonly database: string;
    readonly role: string;
    readonly statement: string;
    readonly calls: number;
    readonly mean_ms: number;
    readonly total_seconds: number;
    readonly rows: number;
    readonly share: number;
    readonly day: readonly (number | null)[];
  }[];
}

/** What is shown of `odoo-pg statements changes --json`. */
interface Changes {
  readonly hours: number;
  readonly known_since: string | null;
  readonly changes: readonly Change[];
}

interface Change {
  readonly id: string;
  readonly change: string;
  readonly database: string | null;
  readonly role: string | null;
  readonly statement: string | null;
  readonly calls: number;
  readonly seconds: number;
  readonly calls_before: number;
  readonly seconds_before: number;
}

/** What is shown of `odoo-pg statements plan --json`. */
interface Plan {
  readonly database: string;
  readonly role: string;
  readonly statement: string;
  readonly plan: readonly string[];
}

/**
 * The statements that took the primary's time, the most first; what changed since yesterday; and how a statement is
 * executed.
 */
export function Statements({ document, now, ask, wish }: ViewProps): JSX.Element {
  const read = useReading<Counted>({ what: "statements" });
  const [typed, setTyped] = useState("");
  const planned = wish.get("plan") ?? "";
  return (
    <Frame title="Statements" words="What took the primary's time since counting began, most first.">
      {document.activity.statements_missing !== null && ask && (
        <p class="buttons">
          <button type="button" class="main" onClick={() => ask({ kind: "count_statements" })}>
            Count statements …
          </button>
        </p>
      )}
      {/^[0-9a-f]{10}$/.test(planned) && <PlanOf key={planned} id={planned} />}
      <Since now={now} />
      <Find typed={typed} change={setTyped} />
      <Reads read={read}>
        {({ statements, day_from: from }) => (
          <StatementTable
            dayFrom={Date.parse(from)}
            statements={statements.filter(({ statement, database }) =>
              `${database} ${statement}`.toLowerCase().includes(typed.toLowerCase()),
            )}
          />
        )}
      </Reads>
    </Frame>
  );
}

/** The plan of one statement, as its address names it. */
function PlanOf({ id }: { readonly id: string }): JSX.Element {
  const heading = useRef<HTMLHeadingElement>(null);
  // The link that led here is far below.
  useEffect(() => heading.current?.focus(), []);
  const read = useReading<Plan>({ what: "plan", id });
  return (
    <section class="plan" aria-labelledby="plan">
      <h2 id="plan" ref={heading} tabIndex={-1}>
        Plan
      </h2>
      <Reads read={read}>
        {({ database, role, statement, plan }) => (
          <>
            <small>
              {database}, {role}
            </small>
            <StatementText text={statement} />
            <div class="lines whole" tabIndex={0} role="group" aria-label="The plan">
              {plan.map((line, index) => (
                <div key={index}>{line}</div>
              ))}
            </div>
            <p class="quiet">
              For any values: the server keeps $1 in their place. Nothing was executed. A Seq Scan reads a
              whole table.
            </p>
          </>
        )}
      </Reads>
      <p class="buttons">
        <a href={addressOf("statements")}>Close the plan</a>
      </p>
    </section>
  );
}

function Since({ now }: { readonly now: number }): JSX.Element {
  const read = useReading<Changes>({ what: "changes" });
  return (
    <section class="since" aria-labelledby="since">
      <h2 id="since">Since yesterday</h2>
      <Reads read={read}>
        {({ hours, known_since: known, changes }) =>
          hours === 0 ? (
            <p class="quiet">
              There is nothing to compare yet:{" "}
              {known === null ? "no hour is known" : `it is known since ${clock(known, now)}`}, and an hour is
              compared with the same one of the day before.
            </p>
          ) : (
            <>
              <p class="quiet">
                {changes.length === 0 ? "Nothing significant changed" : many(changes.length, "change")}, by{" "}
                {hours} of the last 24 hours.
              </p>
              <ul class="rows">
                {changes.map((one) => (
                  <Changed key={one.id} one={one} />
                ))}
              </ul>
            </>
          )
        }
      </Reads>
    </section>
  );
}

function Changed({ one }: { readonly one: Change }): JSX.Element {
  const { id, change, database, role, statement } = one;
  return (
    <li>
      <div>
        <p>
          <b>{change}</b>: {count(one.calls_before)} → {count(one.calls)} calls,{" "}
          {each(one.seconds_before, one.calls_before)} → {each(one.seconds, one.calls)} each
        </p>
        <small>
          {database === null ? "a database that is no longer known" : `${database}, ${role ?? ""}`}
        </small>
        {statement === null ? (
          <p class="quiet">Its text is no longer known.</p>
        ) : (
          <StatementText text={statement} />
        )}
      </div>
      {change !== "gone" && (
        <div class="does">
          <a href={addressOf("statements", { plan: id })} aria-label={`Plan of statement ${id}`}>
            Plan
          </a>
        </div>
      )}
    </li>
  );
}

function each(seconds: number, calls: number): string {
  if (calls === 0) return "–";
  const mean = seconds / calls;
  return mean < 1 ? `${count(mean * 1000)} ms` : showSeconds(mean);
}
