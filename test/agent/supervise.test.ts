import { expect, test } from "vitest";
import { retryDelay } from "../../src/agent/supervise.ts";

test("a server that fails to start is tried again at once, then ever more slowly, and never given up", () => {
  expect([0, 1, 2, 3, 4, 5, 6, 7, 1000, 1e6].map(retryDelay)).toEqual([
    0, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000, 30_000,
  ]);
});
