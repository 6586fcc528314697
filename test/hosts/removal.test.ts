import { expect, test } from "vitest";
import { removalBy } from "../../src/hosts/documents/removal.ts";

const none = { listed: false, sure: true };

test("a host whose certificate was revoked was removed by an order, the first that anybody knows of", () => {
  const again = { ...none, removal: { at: 20, by: "h2" } };
  expect(removalBy([again, { ...none, removal: { at: 10, by: "h1" } }])).toEqual({
    how: "ordered",
    at: 10,
    by: "h1",
  });
  expect(removalBy([none, { ...none, removal: { at: 20, by: null } }])).toEqual({
    how: "ordered",
    at: 20,
    by: null,
  });
});

test("one that a host is sure is none, and that nobody knows an order for, was taken out in the store", () => {
  expect(removalBy([none])).toEqual({ how: "store" });
});

test("where nobody is sure, or nobody answers, it is not known", () => {
  expect(removalBy([])).toEqual({ how: "unknown" });
  expect(removalBy([{ listed: false, sure: false }])).toEqual({ how: "unknown" });
});
