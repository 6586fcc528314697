// Runs the scenarios of test/faults: npm run test:faults [-- --write] [-- ARGUMENTS OF VITEST].
// --write puts what they measured into docs/faults.md, when all have passed.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "odoo-pg-faults-"));
const figures = join(folder, "figures");
writeFileSync(figures, "");

const args = process.argv.slice(2).filter((arg) => arg !== "--write");
const { status } = spawnSync(process.execPath, [join(root, "scripts/test.mjs"), "test/faults", ...args], {
  stdio: "inherit",
  env: { ...process.env, ODOO_PG_FIGURES: figures },
});
process.exitCode = status ?? 1;
if (process.argv.includes("--write") && status === 0) writeFileSync(join(root, "docs/faults.md"), document());
rmSync(folder, { recursive: true });

function document() {
  const rows = readFileSync(figures, "utf8")
    .trim()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line))
    .sort((a, b) => order(a.scenario) - order(b.scenario) || (a.scenario < b.scenario ? -1 : 1));
  return [
    "# Faults",
    "",
    "Made by `npm run test:faults -- --write`: each scenario runs on real PostgreSQL and HAProxy. During most of them clients insert numbered rows through the write endpoint, and one more for each node tries to write there directly; afterwards every acknowledged row must be there, and no two nodes may have accepted commits at once. The figures are of one run; the limits that are stated as bounds are tested.",
    "",
    "| What happens | Passes when | Measured |",
    "| --- | --- | --- |",
    ...rows.map(({ scenario, passes, measured }) => `| ${scenario} | ${passes} | ${measured} |`),
    "",
  ].join("\n");
}

/**
 * The numbered scenarios first, in their order.
 * @param {string} scenario
 */
function order(scenario) {
  const number = Number.parseInt(scenario, 10);
  return Number.isNaN(number) ? 1000 : number;
}
