// The beginning of the built program. Everything after it is one comment: the program's own text, a function that is
// compiled with the code cache beside it (odoo-pg.cache, made by the build) where there is one that fits. That saves a
// third of each start; without it, or with another Node.js, the program starts too, only later.
import { closeSync, fstatSync, openSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { Script } from "node:vm";

const file = fileURLToPath(import.meta.url);
await compiled()(createRequire(import.meta.url));

/** The program. A function of its own, so that the text of the file is not kept for as long as the program runs. */
function compiled() {
  const written = readFileSync(file, "latin1");
  const begin = written.indexOf("\n/*\n") + 4;
  const program = new Script(written.slice(begin, written.lastIndexOf("*/")).replaceAll("*\u0001", "*/"), {
    filename: file,
    lineOffset: written.slice(0, begin).split("\n").length - 1,
    cachedData: codeCache("BUILD_MARK"),
  });
  return program.runInThisContext();
}

/** The cache of this very build, if only the program's owner could write it: it is run as part of the program. */
function codeCache(mark) {
  let handle;
  try {
    handle = openSync(path.join(path.dirname(file), "odoo-pg.cache"));
    const { uid, mode } = fstatSync(handle);
    if (uid !== statSync(file).uid || (mode & 0o022) !== 0) return undefined;
    const cached = readFileSync(handle);
    return cached.latin1Slice(0, mark.length) === mark ? cached.subarray(mark.length) : undefined;
  } catch {
    return undefined; // None is there: it would only save time.
  } finally {
    if (handle !== undefined) closeSync(handle);
  }
}
