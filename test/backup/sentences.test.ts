import { assert, integer, property, string } from "fast-check";
import { describe, expect, test } from "vitest";
import { differencesText } from "../../src/backup/contents/differences.ts";
import { checksSchema } from "../../src/backup/manifest.ts";
import { backupStatusSchema } from "../../src/model/backups/backup-report.ts";
import { restoreFailed } from "../../src/restore/loading/filling.ts";
import { folded, OdooPgError } from "../../src/errors.ts";
import { oneLine } from "../../src/printable.ts";

describe("a text as one line", () => {
  test("has no end of line, is no longer than its limit, and is the text where that is one line", () => {
    assert(
      property(string({ unit: "binary" }), integer({ min: 1, max: 50 }), (text, timeout) => {
        const line = oneLine(text, timeout);
        expect(line).not.toMatch(/[\n\r\u2028\u2029]/);
        expect(line.length).toBeLessThanOrEqual(timeout);
        expect(oneLine(line, timeout)).toBe(line);
        if (/^\S*$/.test(text) && text.length <= timeout) expect(line).toBe(text);
      }),
    );
  });

  test("ends before a character that it has no room for", () => {
    expect(oneLine("ab😀😀", 4)).toBe("ab…");
    expect(oneLine("a\n  b\tc")).toBe("a b c");
  });
});

describe("differences in a sentence", () => {
  const many = Array.from({ length: 8 }, (_, number) => `index public.i${number} is missing`);

  test("are counted, the first is named, and all are details", () => {
    const error = restoreFailed(many, 1412);
    expect(error.message).toBe(
      "What was restored is not what the backup holds: 8 of 1,412 objects differ, first: index public.i0 is missing.",
    );
    expect(error.details).toEqual(many);
  });

  test("are never more than there are objects", () => {
    expect(restoreFailed(many, 3).message).toContain("8 of 8 objects differ");
  });

  test("need no details where there is one that the sentence has room for", () => {
    const one = restoreFailed(["table public.a is missing"], 9);
    expect([one.message, one.details]).toEqual([
      expect.stringMatching(/: 1 of 9 objects differs: table public\.a is missing\.$/),
      [],
    ]);
    const long = `function body public.f() is: ${"line\n".repeat(500)}, not: x`;
    const { message, details } = restoreFailed([long], 9);
    expect([message.includes("\n"), message.length < 300, details]).toEqual([false, true, [long]]);
  });

  test("are folded below a message after 20 lines", () => {
    expect(folded(many)).toEqual(many);
    const lines = Array.from({ length: 60 }, (_, number) => String(number));
    expect(folded(lines)).toEqual([...lines.slice(0, 20), "… and 40 more"]);
    expect(new OdooPgError("restore_failed", { message: "x" }).toJSON()).not.toHaveProperty("details");
  });
});

test("a file of differences has one line for each, with nothing that a terminal would act upon", () => {
  const text = differencesText(["table a\u001b[2Jb is missing", "function body f() is: x\ny"]);
  expect(text).toBe("table a\\u001b[2Jb is missing\nfunction body f() is: x y\n");
  const lines = differencesText(Array.from({ length: 10_003 }, String))
    .trimEnd()
    .split("\n");
  expect([lines.length, lines.at(-1)]).toEqual([10_001, "… and 3 more"]);
});

test("what odoo-pg 0.1.0 recorded in many lines is read as one", () => {
  const at = "2026-01-01T00:00:00.000Z";
  const error = `it cannot be restored: What was restored is not what the backup holds:\n  ${"a line\n  ".repeat(60)}`;
  const drill = {
    version: 1,
    kind: "drill",
    cluster: "test",
    host: "here",
    started_at: at,
    finished_at: at,
    ok: false,
    databases: [
      {
        database: "shop",
        outcome: "failed",
        id: "shop_1",
        seconds: 1,
        size_bytes: 1,
        copied_bytes: 0,
        error,
        warnings: [],
      },
    ],
    removed: [],
    warnings: [],
  };
  const record = {
    version: 1,
    written_at: at,
    last_good_at: at,
    databases: 1,
    without_backup: [],
    backups: 1,
    size_bytes: 1,
    last_run: null,
    last_drill: drill,
    proofs: [{ database: "shop", since: at, proven: null, failed: { at, id: "shop_1", error } }],
  };
  const { last_drill, proofs } = backupStatusSchema.parse(record);
  const checks = checksSchema.parse({ version: 1, verified_at: at, drilled_at: null, problems: [error] });
  for (const text of [last_drill?.databases[0]?.error, proofs?.[0]?.failed?.error, checks.problems[0]]) {
    expect(text).toMatch(/^it cannot be restored: .* a line a line/);
    expect(text).not.toContain("\n");
    expect(text?.length).toBeLessThanOrEqual(400);
  }
});
