// Builds the single-file program that is installed and shipped: node scripts/build.mjs [FILE], default
// dist/odoo-pg.mjs. odoo-pg.cache beside it is V8's compiled code: the program starts sooner with it, and works without
// it.
import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { builtinModules } from "node:module";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { bundledFiles, licencesOf } from "./licences.mjs";
import { filesInPage, pageInProgram } from "./page.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
const out = process.argv[2] ?? `${root}dist/odoo-pg.mjs`;
/** Placeholder for the build's own mark: a hash of all the rest. */
const UNMARKED = "0".repeat(16);
const MARK = `odoo-pg-build-${UNMARKED}`;

/**
 * Loads Node's own modules when the code that uses them first runs. Imports of a module would load all of them at each
 * start: `status` does not need http2, and its user waits.
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
  write: false,
  outfile: out,
  bundle: true,
  platform: "node",
  target: "node20",
  format: "cjs",
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
  logLevel: "warning",
}).catch(() => process.exit(1)); // esbuild has printed what is wrong.
mkdirSync(path.dirname(out), { recursive: true });
const licences = licencesOf([...bundledFiles(built.metafile), ...filesInPage]);
writeFileSync(path.join(path.dirname(out), "THIRD_PARTY_LICENSES"), licences);
const text = asciiOnly(
  `(async function(require){"use strict";const module={};${built.outputFiles[0].text};await module.exports.ended;})\n`,
);
if (!text.includes(MARK)) throw new Error("the program does not say which build it is");
const mark = MARK.replace(
  UNMARKED,
  createHash("sha256").update(text).digest("hex").slice(0, UNMARKED.length),
);
const program = text.replaceAll(MARK, mark);
const loader = readFileSync(new URL("loader.mjs", import.meta.url), "utf8").replace("BUILD_MARK", mark);
const commented = program.replaceAll("*/", "*\u0001");
const folder = mkdtempSync(path.join(os.tmpdir(), "odoo-pg-build-"));
try {
  // A cache of another build is not used: for a moment the old program's is still beside the new one.
  replace(out, `#!/usr/bin/env node\n${loader}\n/*\n${commented}*/\n`, 0o755);
  replace(
    path.join(path.dirname(out), "odoo-pg.cache"),
    Buffer.concat([Buffer.from(mark), codeCache()]),
    0o644,
  );
  linkBeside(out);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** What V8 compiles in a first start, in a folder without a cluster. */
function codeCache() {
  const [source, cache] = [path.join(folder, "program"), path.join(folder, "cache")];
  writeFileSync(source, program);
  execFileSync(process.execPath, [new URL("code-cache.mjs", import.meta.url).pathname, source, cache], {
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: folder },
    stdio: "ignore",
  });
  return readFileSync(cache);
}

/** V8 keeps a text of one byte a character in half the memory. */
function asciiOnly(code) {
  return code.replaceAll(
    /[^\0-\x7f]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** A process that starts the program meanwhile finds the old one or the new one, never a half. */
function replace(file, content, mode) {
  const unfinished = `${file}.${process.pid}`;
  try {
    writeFileSync(unfinished, content);
    chmodSync(unfinished, mode);
    renameSync(unfinished, file);
  } finally {
    rmSync(unfinished, { force: true });
  }
}

/** `dist/odoo-pg` beside `dist/odoo-pg.mjs`: the name by which a clone's program is typed from another folder. */
function linkBeside(file) {
  const link = file.replace(/\.mjs$/, "");
  if (link === file) return;
  rmSync(link, { force: true });
  symlinkSync(path.basename(file), link);
}
