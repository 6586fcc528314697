import { expect, test } from "vitest";
import { namesIn } from "../../src/postgres/sql/commit-list.ts";

test("whom commits wait for is read however it was written", () => {
  expect(namesIn("")).toEqual([]);
  expect(namesIn("*")).toEqual([]);
  expect(namesIn("h2")).toEqual(["h2"]);
  expect(namesIn('"h2"')).toEqual(["h2"]);
  expect(namesIn('2 ("h2","h3")')).toEqual(["h2", "h3"]);
  expect(namesIn("FIRST 1 (h2, h3)")).toEqual(["h2", "h3"]);
  expect(namesIn('ANY 1 ("h2", h3)')).toEqual(["h2", "h3"]);
});
