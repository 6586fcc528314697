import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { METRICS } from "../../src/metrics/registry.ts";

const text = readFileSync(fileURLToPath(new URL("../../docs/metrics.md", import.meta.url)), "utf8");

test("docs/metrics.md lists every metric with its type and meaning, and no other", () => {
  const rows = [...text.matchAll(/^\| `((?:pg|odoo_pg|process)_[a-z_]+)`\s*\| (\w+)\s*\| (.*?)\s*\|$/gm)].map(
    (match): [string, { type: string; help: string }] => [
      match[1] ?? "",
      { type: match[2] ?? "", help: match[3] ?? "" },
    ],
  );
  expect(new Set(rows.map(([name]) => name)).size).toBe(rows.length);
  expect(Object.fromEntries(rows)).toEqual(METRICS);
});
