// node scripts/code-cache.mjs TEXT OUT: starts the program's text once and writes the code that V8 compiled to OUT.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import process from "node:process";
import { Script } from "node:vm";

const [, self, text, out] = process.argv;
const program = new Script(readFileSync(text, "latin1"), { filename: text });
// Most starts ask for the status; no cluster need be there for what it takes to ask.
process.argv = [process.execPath, self, "status", "--json"];
process.on("exit", () => {
  writeFileSync(out, program.createCachedData());
  process.exitCode = 0;
});
await program.runInThisContext()(createRequire(import.meta.url));
