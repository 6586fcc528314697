// Builds the console's page: one script and one style, minified, as texts that the program carries.
import { build } from "esbuild";
import { fileURLToPath } from "node:url";
import { bundledFiles } from "./licences.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));

/** What the sources import the page by; src/console/page-module.d.ts declares it. */
export const pageModule = "odoo-pg:page";

/** Source files of the page that was built. */
export const filesInPage = new Set();

/** @returns {Promise<string>} source of a module that exports `script` and `style` */
export async function pageModuleSource() {
  const { outputFiles, metafile } = await build({
    metafile: true,
    entryPoints: [`${root}src/console/page/main.tsx`],
    outdir: `${root}dist/page`,
    write: false,
    bundle: true,
    minify: true,
    platform: "browser",
    format: "iife",
    target: ["chrome111", "firefox113", "safari16.4"],
    jsx: "automatic",
    jsxImportSource: "preact",
    legalComments: "none",
    logLevel: "warning",
  });
  for (const file of bundledFiles(metafile)) filesInPage.add(file);
  const textOf = (ending) => outputFiles.find(({ path }) => path.endsWith(ending))?.text.trim() ?? "";
  return [
    `export const script = ${JSON.stringify(textOf(".js"))};`,
    `export const style = ${JSON.stringify(textOf(".css"))};`,
  ].join("\n");
}

/** Plugin of esbuild. */
export const pageInProgram = {
  name: "page-in-program",
  setup(esbuild) {
    esbuild.onResolve({ filter: new RegExp(`^${pageModule}$`) }, ({ path }) => ({ path, namespace: "page" }));
    esbuild.onLoad({ filter: /.*/, namespace: "page" }, async () => ({ contents: await pageModuleSource() }));
  },
};
