// Builds the program and the benchmarks, and runs them: npm run bench [-- NAME…] [-- --write].
import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { pageInProgram } from "./page.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
// Below node_modules, so that the packages outside the bundle are found.
const cache = `${root}node_modules/.cache/odoo-pg`;
mkdirSync(cache, { recursive: true });

execFileSync(process.execPath, [`${root}scripts/build.mjs`], { stdio: "inherit" });
await build({
  plugins: [pageInProgram],
  entryPoints: [`${root}bench/main.ts`],
  outfile: `${cache}/bench.mjs`,
  bundle: true,
  packages: "external",
  platform: "node",
  target: "node20",
  format: "esm",
  logLevel: "warning",
});
const { runBenchmarks } = await import(`${cache}/bench.mjs`);
process.exitCode = await runBenchmarks(root, process.argv.slice(2));
