import { nextStep } from "../../../next-step.ts";
import { psqlOn } from "../next-commands.ts";
import { showShare } from "../../../model/quantities.ts";
import { observedValues, type Evidence } from "../evidence.ts";
import { finding, type FoundFinding } from "../findings.ts";

const HALF = 0.5;

/** Whether numbers of 32 bits run out. */
export function checkSequences({ catalog }: Evidence): FoundFinding[] {
  return observedValues(catalog).flatMap(({ target: node, each }) =>
    [...each].flatMap(([database, observed]) =>
      observedValues(observed)
        .flatMap(({ sequences }) => observedValues(sequences))
        .flat()
        .filter(({ last, most }) => last > most * HALF)
        .map(({ name, column, last, most }) =>
          finding("sequence_half_used", {
            database,
            message: `${database}: ${name}${column === null ? "" : `, which numbers ${column},`} is at ${last}: ${showShare(last / most)} of what fits.`,
            evidence: { sequence: name, last, most, used_ratio: last / most },
            next: nextStep`check again tomorrow how fast it grows: ${psqlOn(node, [`SELECT last_value, now() FROM ${name}`], database)}`,
          }),
        ),
    ),
  );
}
