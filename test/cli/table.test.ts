import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { tableLines } from "../../src/cli/table.ts";

describe("a table", () => {
  const head = ["SETTING", "NOW", "WHY"];
  const rows = [["shared_buffers", "16MB", "a quarter of the memory that the node may use"]];

  test("that fits stands in columns, and is never wrapped off a terminal", () => {
    expect(tableLines(head, rows, undefined)).toEqual([
      "SETTING         NOW   WHY",
      "shared_buffers  16MB  a quarter of the memory that the node may use",
    ]);
  });

  test("that is wider than the terminal has its last column wrapped below itself", () => {
    expect(tableLines(head, rows, 50)).toEqual([
      "SETTING         NOW   WHY",
      "shared_buffers  16MB  a quarter of the memory that",
      "                      the node may use",
    ]);
  });

  test("without room for that goes on in the next line", () => {
    expect(tableLines(["BACKUP", "SIZE"], [["shop_20261128_0300_0123456789", "16 MB"]], 32)).toEqual([
      "BACKUP",
      "    SIZE",
      "shop_20261128_0300_0123456789",
      "    16 MB",
    ]);
  });

  test("loses no word, and no line is longer than the terminal but for a single word", () => {
    const word = fc.stringMatching(/^[a-z]{1,12}$/);
    const cell = fc.array(word, { minLength: 1, maxLength: 8 }).map((words) => words.join(" "));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(word, cell, cell), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 30, max: 120 }),
        (cells, width) => {
          const lines = tableLines(["A", "B", "C"], cells, width);
          const words = (text: string): string[] =>
            text
              .split(/\s+/)
              .filter((one) => one !== "")
              .sort();
          expect(words(lines.join(" "))).toEqual(words(["A B C", ...cells.flat()].join(" ")));
          for (const line of lines)
            expect(line.length <= width || !line.trim().includes(" "), line).toBe(true);
        },
      ),
    );
  });
});
