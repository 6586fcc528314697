import type { Trouble } from "../src/model/troubles/trouble.ts";
import {
  alarmNames,
  alarmOf,
  SUBJECTS,
  troubleCodes,
  troubleOf,
  warningCodes,
} from "../src/model/troubles/troubles.ts";
import { severityOf } from "../src/model/warnings.ts";

const BY_HAND = ["docs/advice.md", "docs/operations.md", "docs/metrics.md"] as const;

/**
 * The parts generated from the registry of troubles: files, and parts of documents that are otherwise written by hand.
 */
export function troubleDocuments(read: (path: string) => string): [path: string, text: string][] {
  const parts: Readonly<Record<(typeof BY_HAND)[number], Readonly<Record<string, string>>>> = {
    "docs/advice.md": { findings: findings() },
    "docs/operations.md": { warnings: whatToDo(), alarms: alarms() },
    "docs/metrics.md": { rules: rulesTable() },
  };
  return [
    ...BY_HAND.map((path): [string, string] => [
      path,
      Object.entries(parts[path]).reduce((text, [name, part]) => withPart(text, name, part), read(path)),
    ]),
    ["monitoring/odoo-pg.rules.yml", rulesFile()],
  ];
}

/** The text with what stands between the two marks of a part replaced. */
function withPart(text: string, name: string, part: string): string {
  const begin = `<!-- ${name}: made from src/model/troubles/ by \`npm run docs\` -->`;
  const end = `<!-- end of ${name} -->`;
  const [before, rest] = text.split(begin);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined) throw new Error(`The marks of ${name} are missing.`);
  return `${before}${begin}\n\n${part}\n\n${end}${after}`;
}

function findings(): string {
  return SUBJECTS.flatMap(({ title, troubles }) => {
    const found = Object.entries(troubles).filter(([, { foundBy }]) => foundBy.includes("doctor"));
    return found.length === 0
      ? []
      : [`## ${title}`, ...found.flatMap(([code, trouble]) => section(code, trouble))];
  }).join("\n\n");
}

function section(code: string, { severity, meaning, why, remedy, remark }: Trouble): string[] {
  return [
    `### ${code}`,
    `_${severity}_ · ${meaning}`,
    ...(why === undefined ? [] : [`Why: ${why}`]),
    `What to do: ${remedy}`,
    ...(remark === undefined ? [] : [remark]),
  ];
}

/** Every warning with what to do; warnings with the same remedy share a row. */
function whatToDo(): string {
  const remedies = new Map<string, string[]>();
  for (const code of warningCodes()) {
    const { remedy } = troubleOf(code);
    remedies.set(remedy, [...(remedies.get(remedy) ?? []), `\`${code}\``]);
  }
  return table(
    ["Warning", "What to do"],
    [...remedies].map(([remedy, codes]) => [codes.join(", "), remedy]),
  );
}

function alarms(): string {
  const rows = alarmNames().map((name) => {
    const { afterSeconds, endsAfterSeconds, isEvent } = alarmOf(name);
    const { meaning, threshold } = troubleOf(name);
    const edge = threshold?.margin
      ? `, over below ${threshold.value - threshold.margin} ${threshold.unit}`
      : "";
    const others = troubleCodes().filter((code) => troubleOf(code).alarm === name);
    return [
      `\`${name}\``,
      severityOf(name),
      isEvent ? "at once" : `${afterSeconds} s`,
      isEvent ? "–" : `${endsAfterSeconds} s`,
      threshold ? `${threshold.value} ${threshold.unit}${edge}` : "–",
      others.length ? `${meaning} Also: ${others.map((code) => `\`${code}\``).join(", ")}.` : meaning,
    ];
  });
  return table(["Alarm", "Severity", "Reported after", "Ends after", "Threshold", "Meaning"], rows);
}

const withRule = (): (Pick<Trouble, "meaning"> & {
  code: string;
  severity: string;
  rule: NonNullable<Trouble["prometheus"]>;
})[] =>
  troubleCodes().flatMap((code) => {
    const { prometheus: rule, meaning } = troubleOf(code);
    return rule ? [{ code, meaning: rule.meaning ?? meaning, severity: severityOf(code), rule }] : [];
  });

/** The name of a rule for Prometheus: `backup_failed` is `OdooPgBackupFailed`. */
function alertName(code: string): string {
  const words = code.split("_").map((word) => `${word[0]?.toUpperCase()}${word.slice(1)}`);
  return `${code.startsWith("odoo_") ? "" : "OdooPg"}${words.join("")}`;
}

function rulesTable(): string {
  return table(
    ["Alert", "Severity", "For", "Meaning"],
    withRule().map(({ code, severity, rule, meaning }) => [
      `\`${alertName(code)}\``,
      severity,
      rule.for ?? "–",
      meaning,
    ]),
  );
}

function rulesFile(): string {
  return `${[
    "# Made from src/model/troubles/ by `npm run docs`: change it there.",
    "# Alerts for Prometheus, over the metrics of odoo-pg (docs/metrics.md). odoo-pg has alarms of its own too (section `alarms` of",
    "# its configuration); these are for those who run Prometheus and Alertmanager anyway.",
    "groups:",
    "  - name: odoo-pg",
    "    rules:",
    ...withRule().flatMap(({ code, severity, rule }) => [
      `      - alert: ${alertName(code)}`,
      "        expr: >-",
      `          ${rule.expr}`,
      ...(rule.for === undefined ? [] : [`        for: ${rule.for}`]),
      `        labels: { severity: ${severity}, trouble: ${code} }`,
      "        annotations:",
      `          summary: ${JSON.stringify(rule.summary)}`,
      `          description: ${JSON.stringify(rule.description)}`,
    ]),
  ].join("\n")}\n`;
}

/** A table of Markdown with aligned columns. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((cell, column) =>
    Math.max(3, cell.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map((row) => line(row))].join(
    "\n",
  );
}
