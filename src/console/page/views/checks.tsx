import type { JSX } from "preact";
import { actionOf } from "../../commands.ts";
import { onlyCommand, type NextStep } from "../../../next-step.ts";
import type { Action } from "../../../model/console-actions.ts";
import { titleOf } from "../model/actions.ts";
import type { Ask } from "../parts/ask.ts";
import { Fold } from "../parts/fold.tsx";
import { Mark } from "../parts/mark.tsx";
import { Next } from "../parts/next.tsx";
import { useReading } from "../read.ts";
import { Frame, Reads } from "./frame.tsx";
import type { ViewProps } from "./view.ts";

/** What is shown of `odoo-pg doctor --json`. */
interface Doctor {
  readonly findings: readonly Finding[];
  readonly not_looked_at: readonly { readonly what: string; readonly why: string }[];
}

interface Finding {
  readonly code: string;
  readonly severity: "advice" | "warning" | "critical";
  readonly node: string | null;
  readonly database: string | null;
  readonly message: string;
  readonly next_step: NextStep;
}

/** Problems, each with what to do: as a button where the page has one for it. */
export function Checks({ ask }: ViewProps): JSX.Element {
  const read = useReading<Doctor>({ what: "doctor" });
  return (
    <Frame title="Checks" words="What odoo-pg doctor finds in this cluster and in Odoo's databases.">
      <Reads read={read}>
        {({ findings, not_looked_at: unseen }) => (
          <>
            {findings.length === 0 && <p class="answer">Nothing is wrong with what was checked.</p>}
            <ul class="rows findings">
              {findings.map((one, index) => (
                <Found key={`${one.code} ${index}`} finding={one} ask={ask} />
              ))}
            </ul>
            {unseen.length > 0 && (
              <>
                <h2>Not checked</h2>
                <ul class="rows">
                  {unseen.map(({ what, why }) => (
                    <li key={what}>
                      <div>
                        <p>{what}</p>
                        <small>
                          <Fold lines={3}>{why}</Fold>
                        </small>
                      </div>
                    </li>
                  ))}
                </ul>
              </>
            )}
            <p class="buttons">
              <button type="button" onClick={read.again}>
                Look again
              </button>
            </p>
          </>
        )}
      </Reads>
    </Frame>
  );
}

function Found({ finding, ask }: { readonly finding: Finding; readonly ask: Ask | undefined }): JSX.Element {
  const { severity, message, next_step: next } = finding;
  const action = buttonFor(next);
  return (
    <li>
      <Mark level={severity === "advice" ? "off" : severity} />
      <div>
        <p>
          <Fold lines={3}>{message}</Fold>
        </p>
        <Next step={next} />
      </div>
      {action && ask && (
        <button type="button" class="small" onClick={() => ask(action)}>
          {titleOf(action)} …
        </button>
      )}
    </li>
  );
}

function buttonFor(step: NextStep): Action | undefined {
  const command = onlyCommand(step);
  return command?.program === "odoo-pg" ? actionOf(command.arguments) : undefined;
}
