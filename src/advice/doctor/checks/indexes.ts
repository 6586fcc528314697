import { nextStep } from "../../../next-step.ts";
import { fixOn, psqlOn } from "../next-commands.ts";
import { observedValues, type Evidence } from "../evidence.ts";
import { finding, type FoundFinding } from "../findings.ts";

/** Names in a message. */
const NAMED = 3;

/** Indexes that do not work, or that do what another does. */
export function checkIndexes({ catalog }: Evidence): FoundFinding[] {
  return observedValues(catalog).flatMap(({ target: node, each }) =>
    [...each].flatMap(([database, observed]) => [
      ...observedValues(observed)
        .flatMap((seen) => observedValues(seen.invalid_indexes))
        .flat()
        .map(({ name, table, bytes }) =>
          finding("index_invalid", {
            database,
            message: `${database}: the index ${name} of ${table} is invalid: its creation was interrupted.`,
            evidence: { index: name, table, size_bytes: bytes },
            // Left behind by an interrupted REINDEX: it may be dropped.
            ...fixOn(node, [`${isLeftover(name) ? "DROP" : "REINDEX"} INDEX CONCURRENTLY ${name}`], database),
          }),
        ),
      ...duplicates(
        node,
        database,
        observedValues(observed)
          .flatMap((seen) => observedValues(seen.duplicate_indexes))
          .flat(),
      ),
    ]),
  );
}

/** REINDEX CONCURRENTLY names what it makes, and what it puts away, so (manual of REINDEX). */
function isLeftover(name: string): boolean {
  return /_cc(?:new|old)\d*"?$/.test(name);
}

function duplicates(
  node: string,
  database: string,
  all: readonly {
    readonly name: string;
    readonly table: string;
    readonly bytes: number;
    readonly same_as: string;
  }[],
): FoundFinding[] {
  if (all.length === 0) return [];
  const bytes = all.reduce((sum, index) => sum + index.bytes, 0);
  const shown = all.slice(0, NAMED).map(({ name, same_as }) => `${name} is the same as ${same_as}`);
  const tables = [...new Set(all.slice(0, NAMED).map(({ table }) => table))];
  const more = all.length > NAMED ? `, and ${all.length - NAMED} more` : "";
  return [
    finding("index_duplicate", {
      database,
      message: `${database}: ${shown.join("; ")}${more}.`,
      evidence: { indexes: all.length, size_bytes: bytes },
      next: nextStep`see whose they are before you drop one (Odoo recreates its own): ${psqlOn(
        node,
        [
          `SELECT indexrelid::regclass, idx_scan FROM pg_stat_user_indexes WHERE relid IN (${tables.map((name) => `'${name.replaceAll("'", "''")}'::regclass`).join(", ")})`,
        ],
        database,
      )}`,
    }),
  ];
}
