// The licences of the packages whose code is in the program: each must accompany copies of it.
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";

/** Source files with code in esbuild's output. */
export function bundledFiles({ outputs }) {
  return Object.values(outputs).flatMap(({ inputs }) =>
    Object.entries(inputs).flatMap(([file, { bytesInOutput }]) => (bytesInOutput > 0 ? [file] : [])),
  );
}

/** Folders of the packages that hold these files, by the last node_modules in their path. */
export function packagesOf(files) {
  const folders = files.flatMap((file) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? []);
  return [...new Set(folders)].sort((one, other) => (one < other ? -1 : 1));
}

/** Source: opensource.org/license/mit, without its first lines. */
const MIT = `Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`;

/** One document: name, version and licence of each package, with the whole text. @throws for a package without one */
export function licencesOf(files) {
  const parts = packagesOf(files).map((folder) => {
    const { name, version, license, author } = JSON.parse(
      readFileSync(path.join(folder, "package.json"), "utf8"),
    );
    const files = readdirSync(folder).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file));
    const words = files.sort().map((file) => readFileSync(path.join(folder, file), "utf8").trim());
    // Some packages only name theirs.
    if (!words.length && license === "MIT") words.push(`Copyright (c) ${author?.name ?? author}\n\n${MIT}`);
    if (!words.length) throw new Error(`${folder} has no file with its licence`);
    return `${name} ${version}, ${license}\n\n${words.join("\n\n")}\n`;
  });
  const line = `${"-".repeat(80)}\n`;
  return `odoo-pg contains code of the packages below.\n\n${line}${parts.join(`\n${line}`)}`;
}
