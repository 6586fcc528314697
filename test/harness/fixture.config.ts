// The harness as in vitest.config.ts, on tests that are meant to fail.
import { defineConfig, mergeConfig } from "vitest/config";
import configuration from "../../vitest.config.ts";

const { test, ...rest } = configuration;
export default mergeConfig(
  defineConfig({ ...rest, test: { ...test, include: [] } }),
  defineConfig({ test: { include: ["test/harness/fixtures/*.fixture.ts"] } }),
);
