import { nextStep } from "../../../next-step.ts";
import { showSeconds } from "../../../model/quantities.ts";
import {
  serversSeen,
  settingOf,
  observedValues,
  type DatabaseListed,
  type Evidence,
  type TableSeen,
} from "../evidence.ts";
import { finding, type FoundFinding } from "../findings.ts";
import { fixOn, psqlOn, unset, shownSetting } from "../next-commands.ts";

/** PostgreSQL's failsafe (vacuum_failsafe_age); at 2^31 minus a little it takes no more writes. */
const NEAR = 1_600_000_000;
const APPROACHING = 1_000_000_000;
/** Tables that Odoo changes all the time. */
const HOT = new Set([
  "bus_bus",
  "mail_message",
  "mail_notification",
  "mail_mail",
  "stock_quant",
  "ir_attachment",
  "ir_cron",
  "ir_cron_trigger",
  "queue_job",
]);
const HOUR = 3600;

/** Whether vacuum does its work: for the ids of transactions, and for the size of tables. */
export function checkVacuum(evidence: Evidence): FoundFinding[] {
  return [...switchedOff(evidence), ...wraparound(evidence), ...tables(evidence)];
}

function switchedOff(evidence: Evidence): FoundFinding[] {
  return serversSeen(evidence).flatMap((server) =>
    ["autovacuum", "track_counts"]
      .filter((name) => settingOf(server, name) === "off")
      .map((name) =>
        finding("autovacuum_off", {
          node: server.name,
          message: `${server.name} runs with ${name} off: nothing cleans up after changes.`,
          evidence: { [name]: shownSetting(server, name) },
          ...unset(server, name),
        }),
      ),
  );
}

function wraparound({ catalog, nodes }: Evidence): FoundFinding[] {
  return observedValues(catalog).flatMap(({ node, target, databases }) => {
    const settings = nodes
      .filter(({ name }) => name === node)
      .flatMap(({ server }) => observedValues(server))
      .flatMap((server) => observedValues(server.settings));
    const limitOf = (name: string): number => {
      const freeze = Number(settings[0]?.get(name)?.value);
      return Number.isFinite(freeze) ? Math.min(APPROACHING, 2 * freeze) : APPROACHING;
    };
    const limits = {
      xid: limitOf("autovacuum_freeze_max_age"),
      mxid: limitOf("autovacuum_multixact_freeze_max_age"),
    };
    return observedValues(databases)
      .flat()
      .flatMap((database) => ofAge(target, database, limits));
  });
}

function ofAge(
  node: string,
  { name, xid_age, mxid_age, open }: DatabaseListed,
  limits: { readonly xid: number; readonly mxid: number },
): FoundFinding[] {
  const near = xid_age > NEAR || mxid_age > NEAR;
  if (!near && xid_age <= limits.xid && mxid_age <= limits.mxid) return [];
  const vacuum = open
    ? psqlOn(node, ["VACUUM (FREEZE, VERBOSE)"], name)
    : nextStep`open it first (a template that autovacuum cannot freeze): ${psqlOn(node, [
        `SELECT datname, datallowconn, age(datfrozenxid) FROM pg_database ORDER BY 3 DESC`,
      ])}`;
  return [
    finding(near ? "wraparound_near" : "wraparound_approaching", {
      database: name,
      message: `The oldest transaction ID of ${name} is ${millions(xid_age)} transactions old, its oldest multixact ${millions(mxid_age)}: at 2147 million PostgreSQL takes no more writes.`,
      evidence: { xid_age, mxid_age },
      next: nextStep`end what holds vacuum back (old transactions, unused slots), then: ${vacuum}`,
    }),
  ];
}

function millions(count: number): string {
  return `${Math.round(count / 1_000_000)} million`;
}

function tables({ catalog }: Evidence): FoundFinding[] {
  return observedValues(catalog).flatMap(({ target: node, each }) =>
    [...each].flatMap(([database, observed]) => {
      const late = observedValues(observed)
        .flatMap((seen) => observedValues(seen.tables))
        .flat()
        .filter(needsVacuum)
        .sort((a, b) => b.dead - a.dead);
      const [worst] = late;
      if (!worst) return [];
      const since =
        worst.vacuumed_seconds === null
          ? "never vacuumed since statistics began"
          : `last vacuumed ${showSeconds(worst.vacuumed_seconds)} ago`;
      const named = late.slice(0, 5).map(({ name }) => name);
      return [
        finding("tables_not_vacuumed", {
          database,
          message: `${database}: ${worst.name} has ${worst.dead} dead rows and ${worst.live} live ones, ${since}${worst.autovacuum_off ? "; autovacuum is off for it" : ""}${late.length > 1 ? ` (and ${late.length - 1} more tables)` : ""}.`,
          evidence: {
            tables: named.join(", "),
            dead_rows: worst.dead,
            live_rows: worst.live,
            vacuumed_seconds: worst.vacuumed_seconds,
          },
          ...fixOn(
            node,
            [
              ...late
                .slice(0, 5)
                .filter(({ autovacuum_off }) => autovacuum_off)
                .map(({ name }) => `ALTER TABLE ${name} RESET (autovacuum_enabled)`),
              `VACUUM (ANALYZE) ${named.join(", ")}`,
            ],
            database,
          ),
        }),
      ];
    }),
  );
}

/**
 * Twice what autovacuum would wait for: 50 rows and a fifth of the table (PostgreSQL's defaults), and beyond some rows
 * that nobody feels.
 */
function needsVacuum({ name, live, dead, vacuumed_seconds }: TableSeen): boolean {
  if (vacuumed_seconds !== null && vacuumed_seconds < HOUR) return false;
  const bare = name.replace(/^.*\./, "").replaceAll('"', "");
  return dead > (HOT.has(bare) ? 1000 : 10_000) + 2 * 0.2 * live;
}
