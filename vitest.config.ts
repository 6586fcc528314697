import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts"],
    globalSetup: ["test/setup/run.ts"],
    setupFiles: ["test/setup/leaks.ts"],
    pool: "forks",
    // Integration tests wait more than they compute.
    maxWorkers: availableParallelism() + 1,
    testTimeout: 240_000,
    hookTimeout: 240_000,
    // In CI a failed test gets a second try, and the report shows that it needed one: such a test is to be mended.
    retry: process.env["CI"] === "true" ? 1 : 0,
  },
});
