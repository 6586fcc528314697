import { describe, expect, test } from "vitest";
import { odooPg } from "../../src/next-step.ts";
import { refusesTablespaces, troubleBetween, waitingForReseed } from "../../src/model/tablespaces.ts";

const primary = new Map([
  ["16384", "/srv/fast"],
  ["16385", "/srv/more"],
]);

describe("a replica's tablespaces", () => {
  test("are well where each lies in a place of its own", () => {
    const own = new Map([
      ["16384", "/data.tablespaces.0000000a/16384"],
      ["16385", "/data.tablespaces.0000000a/16385"],
    ]);
    expect(troubleBetween(primary, own, true)).toEqual([]);
    expect(troubleBetween(primary, own, false)).toEqual([]);
  });

  test("that the primary dropped are nobody's trouble", () => {
    expect(troubleBetween(new Map(), primary, false)).toEqual([]);
  });

  test("that it lacks are told when it has stopped: while it runs it may not have come to them", () => {
    expect(troubleBetween(primary, new Map(), true)).toEqual([]);
    const stopped = troubleBetween(primary, new Map([["16384", "/own"]]), false);
    expect(stopped).toEqual([{ location: "/srv/more", shared: false }]);
    const { reason, next } = waitingForReseed("pg2", "pg1", stopped);
    expect(next).toEqual(odooPg("reseed", "pg2"));
    expect(reason).toContain("/srv/more");
    expect(reason).toContain("Nothing is lost");
  });

  test("that are the primary's own files are told also while it runs, and not as if nothing had happened", () => {
    const shared = troubleBetween(primary, primary, true);
    expect(shared.every((one) => one.shared)).toBe(true);
    expect(shared).toHaveLength(2);
    const { reason } = waitingForReseed("pg2", "pg1", shared);
    expect(reason).toContain("may be damaged");
    expect(reason).not.toContain("Nothing is lost");
  });
});

test("a primary before PostgreSQL 15 makes no first tablespace while it has replicas", () => {
  expect(refusesTablespaces(14, 1, 0)).toBe(true);
  expect(refusesTablespaces(14, 0, 0)).toBe(false);
  // Closed, it could not be dropped properly either.
  expect(refusesTablespaces(14, 1, 1)).toBe(false);
  expect(refusesTablespaces(15, 3, 0)).toBe(false);
});
