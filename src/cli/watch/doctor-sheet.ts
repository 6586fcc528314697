import { createColors } from "picocolors";
import { showBytes, showSeconds, showShare } from "../../model/quantities.ts";
import { printNext } from "../../next-step.ts";
import type { DoctorDocument } from "../../advice/doctor/document.ts";
import type { TroubleSeverity } from "../../model/troubles/trouble.ts";
import type { Figures, Finding } from "../../advice/doctor/findings.ts";
import { clean, type SheetStyle } from "../cluster/sheet.ts";
import { briefly, wrap, wrapAll } from "../../wrap.ts";

const NARROWEST = 60;
const WIDEST = 100;
const MARKS = { critical: "✖", warning: "▲", advice: "◆" } as const satisfies Record<TroubleSeverity, string>;

/** Doctor's findings, for people: the worst first, then what was not examined, and a last line that sums up. Pure. */
export function doctorSheet(document: DoctorDocument, style: SheetStyle): string {
  const { bold, cyan, dim, green, red, yellow } = createColors(style.colours);
  const width = Math.min(WIDEST, Math.max(NARROWEST, style.width));
  const paint = { critical: red, warning: yellow, advice: cyan };
  const { cluster, findings, not_looked_at: gaps } = document;

  const findingLines = ({ code, severity, message, evidence, next_step }: Finding): string[] => {
    const [first = "", ...more] = briefly(wrapAll(clean(message), width - 2), width - 2, "whole: --json");
    const figures = figuresText(evidence);
    return [
      `${paint[severity](MARKS[severity])} ${first}`,
      ...more.map((text) => `  ${text}`),
      ...briefly(
        wrap(`  ${code}${figures === "" ? "" : `: ${clean(figures)}`}`, width, "  "),
        width,
        "whole: --json",
      ).map(dim),
      `  Next: ${clean(printNext(next_step, style.called))}`,
    ];
  };
  const colour = findings[0] ? paint[findings[0].severity] : green;
  const mark = findings[0] ? MARKS[findings[0].severity] : "●";
  return [
    ...wrap(`${cluster}  ${observedAt(document)}`, width, "  ").map((line, index) =>
      index === 0 ? line.replace(cluster, bold(cluster)) : line,
    ),
    ...findings.flatMap(findingLines),
    ...(gaps.length ? [dim("Not checked:")] : []),
    ...gaps.flatMap(({ what, why }) => wrap(`  ${clean(what)}: ${clean(why)}`, width, "    ").map(dim)),
    ...wrap(`${mark} ${summary(document)}`, width, "  ").map((line, index) =>
      index === 0 ? line.replace(mark, colour(mark)) : line,
    ),
  ].join("\n");
}

function observedAt({ nodes, databases, odoo_conf: file }: DoctorDocument): string {
  const seen = [
    ...(nodes.length ? [nodes.join(", ")] : []),
    ...(databases.length ? [count(databases.length, "database", "databases")] : []),
    ...(file === null ? [] : [clean(file)]),
  ];
  return seen.length ? `checked ${seen.join(" · ")}` : "nothing could be checked";
}

/** The last line: how many findings of which kind, and never more than was examined. */
function summary({ findings, nodes, odoo_conf: file, not_looked_at: gaps }: DoctorDocument): string {
  const of = (severity: TroubleSeverity): number =>
    findings.filter((found) => found.severity === severity).length;
  const parts = [
    ...(of("critical") ? [`${of("critical")} critical`] : []),
    ...(of("warning") ? [count(of("warning"), "warning", "warnings")] : []),
    ...(of("advice") ? [count(of("advice"), "piece of advice", "pieces of advice")] : []),
  ];
  const blind = nodes.length === 0 && file === null;
  const found = parts.length
    ? `${parts.join(", ")}.`
    : blind
      ? "Nothing was checked."
      : "Nothing is wrong with what was checked.";
  const open = gaps.length && !blind ? ` ${count(gaps.length, "thing was", "things were")} not checked.` : "";
  return `${found}${open}${parts.length ? " What each means: docs/advice.md" : ""}`;
}

function count(number: number, one: string, more: string): string {
  return `${number} ${number === 1 ? one : more}`;
}

function figuresText(evidence: Figures): string {
  return Object.entries(evidence)
    .map(([name, value]) => figure(name, value))
    .join(" · ");
}

/** `kept_bytes` 16777216 as `kept 16 MB`: the suffix of a name gives the unit. */
function figure(name: string, value: Figures[string]): string {
  if (value === null || value === undefined) return `${name} –`;
  if (typeof value !== "number") return `${name} ${String(value)}`;
  const [, base = name, unit] = /^(.*)_(bytes|seconds|ratio)$/.exec(name) ?? [];
  const shown =
    unit === "bytes"
      ? showBytes(value)
      : unit === "seconds"
        ? `${value < 0 ? "-" : ""}${showSeconds(Math.abs(value))}`
        : unit === "ratio"
          ? showShare(value)
          : String(value);
  return `${base} ${shown}`;
}
