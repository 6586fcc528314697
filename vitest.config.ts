import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { defineConfig, type TestProjectInlineConfiguration } from "vitest/config";
import { unitTests } from "./test/setup/kinds.ts";
import { LongestFirst } from "./test/setup/longest-first.ts";
import { pageModule, pageModuleSource } from "./scripts/page.mjs";

/** The console's page, as scripts/build.mjs puts it into the program. */
const page = {
  name: "page-in-tests",
  resolveId: (id: string) => (id === pageModule ? `\0${id}` : undefined),
  load: (id: string) => (id === `\0${pageModule}` ? pageModuleSource() : undefined),
};

/** What `--exclude` names: vitest itself hands it to no project. */
const excluded = process.argv.flatMap((word, index) =>
  process.argv[index - 1] === "--exclude" ? [word] : [],
);

const units = unitTests(fileURLToPath(new URL(".", import.meta.url)));

export function project(
  name: string,
  test: Pick<NonNullable<TestProjectInlineConfiguration["test"]>, "include" | "exclude" | "isolate">,
): TestProjectInlineConfiguration {
  return {
    plugins: [page],
    test: {
      name,
      ...test,
      setupFiles: ["test/setup/leaks.ts"],
      pool: "forks",
      testTimeout: 240_000,
      hookTimeout: 240_000,
      // In CI a failed test gets a second try, and the report shows that it needed one: such a test is to be mended.
      retry: process.env["CI"] === "true" ? 1 : 0,
    },
  };
}

export default defineConfig({
  test: {
    globalSetup: ["test/setup/run.ts"],
    sequence: { sequencer: LongestFirst },
    // Integration tests wait more than they compute.
    maxWorkers: availableParallelism() + 1,
    projects: [
      project("servers", { include: ["test/**/*.test.ts"], exclude: [...units, ...excluded] }),
      project("units", { include: [...units], exclude: excluded, isolate: false }),
    ],
  },
});
