import { expect, test } from "vitest";
import { whyNotProven } from "../../src/cli/backup/second-drill.ts";
import type { ProvenDatabase } from "../../src/restore/at-moment.ts";

function database(name: string, changes: Partial<ProvenDatabase> = {}): ProvenDatabase {
  return {
    database: name,
    tables: 1,
    rows: 1,
    attachments: 0,
    missing: { count: 0, first: [] },
    pages: { relations: 9, damaged: { count: 0, first: [] } },
    failure: null,
    ...changes,
  };
}

test("a second that is not whole is told by the first that is wrong, and every other database that is", () => {
  const good = database("good");
  const unread = database("shop", { failure: "could not open file.", pages: null });
  const torn = database("wiki", { pages: { relations: 9, damaged: { count: 1, first: ["an index"] } } });
  const poor = database("crm", { missing: { count: 2, first: ["ab/abc"] } });
  const why = (databases: readonly ProvenDatabase[], damaged: readonly string[] = []) =>
    whyNotProven({ databases, damaged });
  expect(why([good])).toBeUndefined();
  expect(why([good, poor])).toBe("2 attachments of crm are nowhere, such as ab/abc");
  expect(why([good, unread, torn, poor])).toBe(
    "shop cannot be read: could not open file; not whole either: wiki, crm",
  );
  expect(why([good, torn], ["a segment"])).toBe(
    "the repository is damaged: a segment; not whole either: wiki",
  );
});
