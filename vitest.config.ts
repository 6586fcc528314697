import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";
import { LongestFirst } from "./test/setup/longest-first.ts";
import { pageModule, pageModuleSource } from "./scripts/page.mjs";

/** The console's page, as scripts/build.mjs puts it into the program. */
const page = {
  name: "page-in-tests",
  resolveId: (id: string) => (id === pageModule ? `\0${id}` : undefined),
  load: (id: string) => (id === `\0${pageModule}` ? pageModuleSource() : undefined),
};

export default defineConfig({
  plugins: [page],
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts"],
    globalSetup: ["test/setup/run.ts"],
    setupFiles: ["test/setup/leaks.ts"],
    pool: "forks",
    sequence: { sequencer: LongestFirst },
    // Integration tests wait more than they compute.
    maxWorkers: availableParallelism() + 2,
    testTimeout: 240_000,
    hookTimeout: 240_000,
    // In CI a failed test gets a second try, and the report shows that it needed one: such a test is to be mended.
    retry: process.env["CI"] === "true" ? 1 : 0,
  },
});
