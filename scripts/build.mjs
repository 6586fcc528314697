// Builds the single-file program dist/odoo-pg.mjs that is installed and shipped.
import { build } from "esbuild";
import { chmodSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
const out = `${root}dist/odoo-pg.mjs`;

await build({
  entryPoints: [`${root}src/main.ts`],
  outfile: out,
  bundle: true,
  platform: "node",
  target: "node20",
  format: "esm",
  minify: false,
  treeShaking: true,
  external: ["pg-native"],
  define: { ODOO_PG_VERSION: JSON.stringify(version) },
  // pg and its helpers are CommonJS: they need a require of their own inside an ES module.
  banner: {
    js: [
      "#!/usr/bin/env node",
      'import { createRequire as __createRequire } from "node:module";',
      "const require = __createRequire(import.meta.url);",
    ].join("\n"),
  },
  logLevel: "warning",
});
chmodSync(out, 0o755);
