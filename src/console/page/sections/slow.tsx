import type { JSX } from "preact";
import type {
  Activity,
  Blocking,
  LongTransaction,
  SlowStatement,
} from "../../../cluster/documents/console.ts";
import { odooPg } from "../../../next-step.ts";
import { showSeconds } from "../../../model/quantities.ts";
import { ago, many, UNKNOWN } from "../model/show.ts";
import type { Ask } from "../parts/ask.ts";
import { Fold } from "../parts/fold.tsx";
import { Mark } from "../parts/mark.tsx";
import { InWords } from "../parts/next.tsx";
import { Section } from "../parts/section.tsx";
import { StatementTable, StatementText } from "./statement-table.tsx";

export function Slow(props: {
  readonly activity: Activity;
  readonly now: number;
  readonly ask: Ask | undefined;
}): JSX.Element {
  const { activity, now, ask } = props;
  const { at, blocking, long_transactions: long, slowest_statements: slowest } = activity;
  const looked = at === null ? "Not checked yet." : `Checked ${ago(at, now)}.`;
  return (
    <Section id="slow" title="What is slow now" summary={looked}>
      <h3>Who waits for whom</h3>
      {blocking.length === 0 ? (
        <Quiet known={at !== null} text="No session waits for another." />
      ) : (
        <ul class="rows">
          {blocking.map((one) => (
            <Blocked key={one.blocker} blocking={one} ask={ask} />
          ))}
        </ul>
      )}
      <h3>Long transactions</h3>
      {long.length === 0 ? (
        <Quiet known={at !== null} text="None." />
      ) : (
        <ul class="rows">
          {long.map((one) => (
            <Transaction key={one.pid} transaction={one} ask={ask} />
          ))}
        </ul>
      )}
      <h3>Slowest statements</h3>
      <Statements statements={slowest} missing={activity.statements_missing} known={at !== null} ask={ask} />
    </Section>
  );
}

function Quiet({ known, text }: { readonly known: boolean; readonly text: string }): JSX.Element {
  return <p class="quiet">{known ? text : UNKNOWN}</p>;
}

function Blocked({
  blocking,
  ask,
}: {
  readonly blocking: Blocking;
  readonly ask: Ask | undefined;
}): JSX.Element {
  const { sentence, seconds, blocker, waiting } = blocking;
  return (
    <li>
      <Mark level="warning" />
      <div>
        <p>
          <Fold lines={3}>{sentence}</Fold>
        </p>
        <small>
          {showSeconds(seconds)} so far, {many(waiting.length, "session")}{" "}
          {waiting.length === 1 ? "waits" : "wait"}
        </small>
      </div>
      {ask && <SessionButtons pid={blocker} ask={ask} />}
    </li>
  );
}

function Transaction(props: {
  readonly transaction: LongTransaction;
  readonly ask: Ask | undefined;
}): JSX.Element {
  const { transaction, ask } = props;
  const { pid, database, user, application, state, seconds, scheduled_action, statement } = transaction;
  return (
    <li>
      <div>
        <p>
          {database}: open for <b class="figure">{showSeconds(seconds)}</b>
          {scheduled_action && <span class="tag">scheduled action</span>}
        </p>
        <small>
          session {pid} of {user}
          {application !== "" && ` (${application})`}, {state}
        </small>
        {statement !== null && <StatementText text={statement} />}
      </div>
      {ask && <SessionButtons pid={pid} ask={ask} />}
    </li>
  );
}

/** The gentle step at hand, the hard one a click further. */
function SessionButtons({ pid, ask }: { readonly pid: number; readonly ask: Ask }): JSX.Element {
  return (
    <div class="does">
      <button
        type="button"
        class="small"
        aria-label={`Cancel the statement of session ${pid}`}
        onClick={() => ask({ kind: "cancel_session", pid })}
      >
        Cancel …
      </button>
      <details>
        <summary>More</summary>
        <button
          type="button"
          class="small severe"
          aria-label={`End session ${pid}`}
          onClick={() => ask({ kind: "terminate_session", pid })}
        >
          End the session …
        </button>
      </details>
    </div>
  );
}

function Statements(props: {
  readonly statements: readonly SlowStatement[] | null;
  readonly missing: Activity["statements_missing"];
  readonly known: boolean;
  readonly ask: Ask | undefined;
}): JSX.Element {
  const { statements, missing, known, ask } = props;
  if (missing !== null)
    return (
      <>
        <p class="quiet">
          Not known: the servers do not count statements yet.{" "}
          <InWords command={odooPg("statements", "enable")} />
        </p>
        {ask && (
          <p class="buttons">
            <button type="button" class="small" onClick={() => ask({ kind: "count_statements" })}>
              Count statements …
            </button>
          </p>
        )}
      </>
    );
  if (statements === null || statements.length === 0) return <Quiet known={known} text="None yet." />;
  return <StatementTable statements={statements} />;
}
