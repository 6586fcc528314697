// Builds the console's page: scripts and one style, minified, as texts that the program contains. Parts that are not
// visible at first are separate scripts, which the browser loads on demand.
import { build } from "esbuild";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { bundledFiles } from "./licences.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));

/** The name by which the sources import the page; src/console/page-module.d.ts declares it. */
export const pageModule = "odoo-pg:page";

/** Source files of the page that was built. */
export const filesInPage = new Set();

/** @returns {Promise<string>} source of a module that exports `files` */
export async function pageModuleSource() {
  const { outputFiles, metafile } = await build({
    metafile: true,
    absWorkingDir: root,
    entryPoints: { console: "src/console/page/main.tsx" },
    outdir: "dist/page",
    entryNames: "[name].[hash]",
    chunkNames: "[name].[hash]",
    write: false,
    bundle: true,
    splitting: true,
    minify: true,
    platform: "browser",
    format: "esm",
    target: ["chrome111", "firefox113", "safari16.4"],
    jsx: "automatic",
    jsxImportSource: "preact",
    legalComments: "none",
    logLevel: "warning",
  });
  for (const file of bundledFiles(metafile)) filesInPage.add(file);
  const { outputs } = metafile;
  const entry = Object.keys(outputs).find(
    (name) => outputs[name].entryPoint !== undefined && outputs[name].entryPoint.endsWith("main.tsx"),
  );
  const first = new Set();
  const addWithImports = (name) => {
    if (first.has(name)) return;
    first.add(name);
    for (const imported of outputs[name].imports)
      if (imported.kind === "import-statement") addWithImports(imported.path);
  };
  addWithImports(entry);
  if (outputs[entry].cssBundle !== undefined) first.add(outputs[entry].cssBundle);
  const files = Object.keys(outputs).map((name) => ({
    name: path.basename(name),
    text: outputFiles.find((file) => path.relative(root, file.path) === name)?.text.trim() ?? "",
    role:
      name === entry
        ? "script"
        : name.endsWith(".css")
          ? "style"
          : first.has(name)
            ? "part of the script"
            : "later",
  }));
  return `export const files = ${JSON.stringify(files)};`;
}

/** Plugin of esbuild. */
export const pageInProgram = {
  name: "page-in-program",
  setup(esbuild) {
    esbuild.onResolve({ filter: new RegExp(`^${pageModule}$`) }, ({ path }) => ({ path, namespace: "page" }));
    esbuild.onLoad({ filter: /.*/, namespace: "page" }, async () => ({ contents: await pageModuleSource() }));
  },
};
