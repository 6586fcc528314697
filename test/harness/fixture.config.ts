// The harness as in vitest.config.ts, on tests that are meant to fail.
import { defineConfig } from "vitest/config";
import configuration, { project } from "../../vitest.config.ts";

export default defineConfig({
  ...configuration,
  test: {
    ...configuration.test,
    projects: [project("fixtures", { include: ["test/harness/fixtures/*.fixture.ts"] })],
  },
});
