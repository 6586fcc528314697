// Builds the single-file program that is installed and shipped: node scripts/build.mjs [FILE], default dist/odoo-pg.mjs.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { chmodSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { builtinModules } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { bundledFiles, licencesOf } from "./licences.mjs";
import { filesInPage, pageInProgram } from "./page.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
const out = process.argv[2] ?? `${root}dist/odoo-pg.mjs`;
// Whoever starts the program meanwhile finds the old one or the new one, never a half.
const unfinished = `${out}.${process.pid}`;
/** Stands where the build's own mark will be: a hash of all the rest. */
const UNMARKED = "0".repeat(16);
const MARK = `odoo-pg-build-${UNMARKED}`;

/**
 * Loads Node's own modules when the code that uses them first runs. Imports of a module would load all of them at each
 * start: status does without http2, and whoever types it waits for it.
 */
const builtinsWhenUsed = {
  name: "builtins-when-used",
  setup(esbuild) {
    esbuild.onResolve({ filter: /^(node:)?[a-z0-9_/]+$/ }, ({ path, namespace, kind }) => {
      if (!builtinModules.includes(path.replace(/^node:/, ""))) return undefined;
      if (namespace === "builtin") return { path, external: true };
      return kind === "import-statement" ? { path, namespace: "builtin" } : undefined;
    });
    esbuild.onLoad({ filter: /.*/, namespace: "builtin" }, ({ path }) => ({
      contents: `module.exports = require(${JSON.stringify(path)});`,
    }));
  },
};

const built = await build({
  metafile: true,
  plugins: [pageInProgram, builtinsWhenUsed],
  entryPoints: [`${root}src/main.ts`],
  outfile: unfinished,
  bundle: true,
  platform: "node",
  target: "node20",
  format: "esm",
  // Half the text is read in half the time. Names stay: a trace must be readable.
  minifyWhitespace: true,
  minifySyntax: true,
  treeShaking: true,
  external: ["pg-native"],
  define: {
    ODOO_PG_VERSION: JSON.stringify(version),
    ODOO_PG_BUILD: JSON.stringify(MARK),
    // pg asks whether it runs on Cloudflare by making a Response, which loads all of undici on Node 20; this tells it.
    navigator: JSON.stringify({ userAgent: "Node.js" }),
  },
  // pg and its helpers are CommonJS: they need a require of their own inside an ES module.
  banner: {
    js: [
      "#!/usr/bin/env node",
      'import { createRequire as __createRequire } from "node:module";',
      "const require = __createRequire(import.meta.url);",
    ].join("\n"),
  },
  logLevel: "warning",
}).catch(() => process.exit(1)); // esbuild has printed what is wrong.
const licences = licencesOf([...bundledFiles(built.metafile), ...filesInPage]);
writeFileSync(path.join(path.dirname(out), "THIRD_PARTY_LICENSES"), licences);
try {
  const text = readFileSync(unfinished, "utf8");
  if (!text.includes(MARK)) throw new Error("the program does not say which build it is");
  const mark = createHash("sha256").update(text).digest("hex").slice(0, UNMARKED.length);
  writeFileSync(unfinished, text.replaceAll(MARK, MARK.replace(UNMARKED, mark)));
  chmodSync(unfinished, 0o755);
  renameSync(unfinished, out);
  linkBeside(out);
} finally {
  rmSync(unfinished, { force: true });
}

/** `dist/odoo-pg` beside `dist/odoo-pg.mjs`: the name by which a clone's program is typed from another folder. */
function linkBeside(file) {
  const link = file.replace(/\.mjs$/, "");
  if (link === file) return;
  rmSync(link, { force: true });
  symlinkSync(path.basename(file), link);
}
