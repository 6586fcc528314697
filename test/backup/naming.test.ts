import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  backupId,
  decodeDatabaseName,
  encodeDatabaseName,
  folderName,
  idOfFolder,
  inProgressName,
  isLeftOverName,
  removingName,
} from "../../src/backup/naming.ts";
import { anyText } from "../support/texts.ts";

const at = Date.parse("2026-03-01T12:34:56Z");

describe("the name of a backup", () => {
  test.each([
    ["prod", ["hourly"], "prod_20260301_1234"],
    ["prod", ["hourly", "weekly"], "prod_20260301_1234-weekly"],
    ["prod", ["hourly", "weekly", "monthly"], "prod_20260301_1234-monthly"],
    ["My-db.19", ["hourly"], "My-db.19_20260301_1234"],
    ["-Fc", ["hourly"], "%2DFc_20260301_1234"],
    ["..", ["hourly"], "%2E._20260301_1234"],
    ["a b/c'%\"", ["hourly"], "a%20b%2Fc%27%25%22_20260301_1234"],
    ["é", ["hourly"], "%C3%A9_20260301_1234"],
  ] as const)("of %j is the origin's, in UTC", (database, kinds, id) => {
    expect(backupId(database, at, kinds, () => false)).toBe(id);
  });

  test("gets the seconds, and counts on, where it is taken", () => {
    const taken = new Set(["prod_20260301_1234", "prod_20260301_123456"]);
    expect(backupId("prod", at, ["hourly"], (id) => taken.has(id))).toBe("prod_20260301_123457");
  });

  test("gives any database's name back, and fits into a file name", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const name = Buffer.from(text, "utf8").subarray(0, 63).toString("utf8");
        fc.pre(name !== "" && !name.includes("\ufffd"));
        const encoded = encodeDatabaseName(name);
        expect(encoded).toMatch(/^[A-Za-z0-9_%][A-Za-z0-9_.%-]*$/);
        expect(decodeDatabaseName(encoded)).toBe(name);
        const id = backupId(name, at, ["monthly"], (id) => !/_\d{6}-/.test(id));
        expect(idOfFolder(folderName(id))).toBe(id);
        expect(Buffer.byteLength(inProgressName(id))).toBeLessThan(256);
        expect(isLeftOverName(inProgressName(id)) && isLeftOverName(removingName(id))).toBe(true);
      }),
    );
  });
});

test.each([
  "prod.dump",
  "prod_20260301_1234",
  "prod_2026031_1234.dump",
  "-x_20260301_1234.dump",
  "a b_20260301_1234.dump",
  "prod_20260301_1234-daily.dump",
  "prod_20260301_1234.dump.in_progress",
])("%s is not the folder of a backup", (name) => {
  expect(idOfFolder(name)).toBeUndefined();
});
