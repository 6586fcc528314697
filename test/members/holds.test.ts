import { expect, test } from "vitest";
import { Holds } from "../../src/members/holds.ts";

test("a replica that two operations hold is free when both have let go, and one lets go of its own alone", () => {
  const holds = new Holds();
  const first = holds.hold("pg2");
  const second = holds.hold("pg2");
  holds.hold("pg3");
  first();
  first();
  expect(holds.has("pg2")).toBe(true);
  second();
  expect(holds.has("pg2")).toBe(false);
  expect(holds.has("pg3")).toBe(true);
});
