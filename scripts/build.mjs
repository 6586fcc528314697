// Builds the single-file program that is installed and shipped: node scripts/build.mjs [FILE], default dist/odoo-pg.mjs.
import { build } from "esbuild";
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { builtinModules } from "node:module";
import { fileURLToPath } from "node:url";
import { pageInProgram } from "./page.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
const out = process.argv[2] ?? `${root}dist/odoo-pg.mjs`;
// Whoever starts the program meanwhile finds the old one or the new one, never a half.
const unfinished = `${out}.${process.pid}`;

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

/**
 * Leaves out the commands that the part for one command never comes to: src/cli/program.ts loads each by an import of its
 * own.
 * @param {string} command file of src/cli
 */
const onlyCommand = (command) => ({
  name: "only-command",
  setup(esbuild) {
    esbuild.onResolve({ filter: /^\.\/[a-z-]+\.ts$/ }, ({ path, kind, importer }) =>
      kind === "dynamic-import" && importer.endsWith("/src/cli/program.ts") && path !== `./${command}.ts`
        ? { path, namespace: "left-out" }
        : undefined,
    );
    esbuild.onLoad({ filter: /.*/, namespace: "left-out" }, ({ path }) => ({
      contents: `throw new Error("${path} is not in the part of the program for ${command}");`,
    }));
  },
});

/** @returns {Promise<string>} a program as the body of a CommonJS module */
async function programText(...plugins) {
  const { outputFiles } = await build({
    plugins: [pageInProgram, builtinsWhenUsed, ...plugins],
    entryPoints: [`${root}src/main.ts`],
    write: false,
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
      // pg asks whether it runs on Cloudflare by making a Response, which loads all of undici on Node 20; this tells it.
      navigator: JSON.stringify({ userAgent: "Node.js" }),
    },
    logLevel: "warning",
  }).catch(() => process.exit(1)); // esbuild has printed what is wrong.
  return `"use strict";${outputFiles[0].text.trimEnd()}`;
}

/**
 * Reads the part of the program that the command needs. Parsing all commands takes as long as all that `status` does, and
 * status is what people type again and again: so both parts stand in comments, which Node passes over, and one is
 * compiled, with the lines that it has in the file.
 */
const launcher = String.raw`#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { compileFunction, constants } from "node:vm";
const filename = fileURLToPath(import.meta.url);
const file = readFileSync(filename, "latin1");
const part = process.argv[2] === "status" && !process.env.ENDPOINTS_FOR ? "status" : "all";
const start = file.indexOf("\n/*" + part + "\n") + part.length + 4;
const text = file.slice(start, file.indexOf("\n" + part + "*/", start)).replaceAll("*\u0001/", "*/");
const lineOffset = file.slice(0, start).split("\n").length - 1;
const importModuleDynamically = constants.USE_MAIN_CONTEXT_DEFAULT_LOADER;
const options = { filename, lineOffset, importModuleDynamically };
const run = compileFunction(text, ["require", "module", "exports"], options);
const module = { exports: {} };
run(createRequire(import.meta.url), module, module.exports);
`;

/** A part of the program in a comment, which its text must not end. */
function commented(name, text) {
  // It is read with one byte a character, and \u0001 is what keeps it from ending the comment.
  // oxlint-disable-next-line no-control-regex -- what is not ASCII is looked for
  if (/[^\u0002-\u007f]/.test(text)) throw new Error(`the part "${name}" must be ASCII`);
  return `/*${name}\n${text.replaceAll("*/", "*\u0001/")}\n${name}*/\n`;
}

const [status, all] = await Promise.all([programText(onlyCommand("status")), programText()]);
try {
  mkdirSync(dirname(out), { recursive: true });
  writeFileSync(unfinished, `${launcher}${commented("status", status)}${commented("all", all)}`);
  chmodSync(unfinished, 0o755);
  renameSync(unfinished, out);
} finally {
  rmSync(unfinished, { force: true });
}
