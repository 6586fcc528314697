// Runs the scenarios of test/faults, or with --hosts those of test/hosts/scenarios:
// npm run test:faults [-- --write] [-- ARGUMENTS OF VITEST].
// --write puts what they measured into docs/faults.md, when all have passed; the rows of the other ones stay.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "odoo-pg-faults-"));
const figures = join(folder, "figures");
writeFileSync(figures, "");

const hosts = process.argv.includes("--hosts");
const scenarios = hosts ? "test/hosts/scenarios" : "test/faults";
const target = join(root, "docs/faults.md");
const args = process.argv.slice(2).filter((arg) => arg !== "--write" && arg !== "--hosts");
// vitest runs what any of the names fits.
const named = args.some((arg) => arg.startsWith(`${scenarios}/`)) ? [] : [scenarios];
const { status } = spawnSync(process.execPath, [join(root, "scripts/test.mjs"), ...named, ...args], {
  stdio: "inherit",
  env: { ...process.env, ODOO_PG_FIGURES: figures },
});
process.exitCode = status ?? 1;
if (process.argv.includes("--write") && status === 0) writeFileSync(target, document());
rmSync(folder, { recursive: true });

function document() {
  const measured = inOneRow(
    readFileSync(figures, "utf8")
      .trim()
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line)),
  );
  const rows = [...measured, ...otherRows(measured)].sort(
    (a, b) => order(a.scenario) - order(b.scenario) || (a.scenario < b.scenario ? -1 : 1),
  );
  return [
    "# Faults",
    "",
    "Made by `npm run test:faults -- --write` and `npm run test:hosts -- --write`: each scenario runs on real PostgreSQL and HAProxy. During most of them clients insert numbered rows through the write endpoint, and one more for each node tries to write there directly; afterwards every acknowledged row must be there, and no two nodes may have accepted commits at once. On several hosts (`Hosts: …`) one client writes and four read, on a host that keeps its parts: no acknowledged row may be missing, and no read may lack one that was acknowledged before it. The figures are of one run; the limits that are stated as bounds are tested.",
    "",
    "| What happens | Passes when | Measured |",
    "| --- | --- | --- |",
    ...rows.map(({ scenario, passes, measured }) => `| ${scenario} | ${passes} | ${measured} |`),
    "",
    ...besidePatroni(),
  ].join("\n");
}

/**
 * What several files measure has all its figures in one row.
 * @param {readonly { scenario: string, passes: string, measured: string }[]} rows
 */
function inOneRow(rows) {
  return [...new Set(rows.map(({ scenario }) => scenario))].map((scenario) => {
    const same = rows.filter((row) => row.scenario === scenario);
    return { ...same[0], measured: same.map(({ measured }) => measured).join("; ") };
  });
}

/** The table of `npm run bench -- hosts`, as the document of the benchmarks has it. */
function besidePatroni() {
  const benchmarks = readFileSync(join(root, "docs/benchmarks.md"), "utf8");
  const section = benchmarks.split("\n## ").find((one) => one.startsWith("Several hosts\n"));
  const table = /\n(\| what happens .*?)\n\n/s.exec(`${section ?? ""}\n\n`)?.[1];
  if (table === undefined) return [];
  return [
    "## Several hosts beside plain Patroni",
    "",
    "By `npm run bench -- hosts`, both in one run; how, and with what, is told in [benchmarks](benchmarks.md#several-hosts).",
    "",
    table,
    "",
  ];
}

/**
 * What the document has of the scenarios that were not run.
 * @param {readonly { scenario: string }[]} measured
 */
function otherRows(measured) {
  const isRun = (/** @type {string} */ scenario) =>
    args.length > 0
      ? measured.some((row) => row.scenario === scenario)
      : scenario.startsWith("Hosts: ") === hosts;
  return readFileSync(target, "utf8")
    .split("\n## ")[0]
    .split("\n")
    .flatMap((line) => {
      const [, scenario, passes, figures] = /^\| (.+) \| (.+) \| (.+) \|$/.exec(line) ?? [];
      const isRow = scenario !== undefined && scenario !== "What happens" && scenario !== "---";
      return isRow && !isRun(scenario) ? [{ scenario, passes, measured: figures }] : [];
    });
}

/**
 * The numbered scenarios first, in their order.
 * @param {string} scenario
 */
function order(scenario) {
  const number = Number.parseInt(scenario, 10);
  return Number.isNaN(number) ? 1000 : number;
}
