// What a test runs in its own process: see test/support/in-process.ts. Bundled once per run, as the program is.
export { gatherStatus } from "../../src/agent/gather-status.ts";
export { loadContext } from "../../src/cli/context.ts";
export { runProgram } from "../../src/cli/program.ts";
