import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { LONGEST } from "../setup/longest-first.ts";

test("the files that start first are there", () => {
  expect(LONGEST.filter((file) => !existsSync(file))).toEqual([]);
});
