// Writes the files generated from the source: docs/commands.md, docs/configuration.md, docs/errors.md, the example
// configuration and its JSON Schema, the rules for Prometheus, and the parts about warnings, alarms, findings and rules
// of other documents.
import { build } from "esbuild";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { pageInProgram } from "./page.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));

// Below node_modules, so that the packages outside the bundle are found.
const bundle = `${root}node_modules/.cache/odoo-pg/docs.mjs`;

await build({
  plugins: [pageInProgram],
  entryPoints: [`${root}scripts/docs.ts`],
  outfile: bundle,
  bundle: true,
  packages: "external",
  platform: "node",
  target: "node20",
  format: "esm",
  logLevel: "warning",
});
const { documents } = await import(bundle);
for (const [path, content] of documents((path) => readFileSync(`${root}${path}`, "utf8"))) {
  writeFileSync(`${root}${path}`, content);
  console.log(path);
}
