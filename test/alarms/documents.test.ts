import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ruleNames, ruleOf } from "../../src/model/alarm-rules.ts";

test("docs/operations.md has every alarm with its defaults, and no other", () => {
  const text = readFileSync(new URL("../../docs/operations.md", import.meta.url), "utf8");
  const section = text.split("### Every alarm")[1]?.split("\n#")[0] ?? "";
  const rows = section
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  const expected = ruleNames().map((name) => {
    const { severity, after_seconds, ends_after_seconds, threshold, event, meaning } = ruleOf(name);
    const { value = 0, margin = 0, unit = "" } = threshold ?? {};
    const edges = margin ? `, over below ${value - margin} ${unit}` : "";
    return [
      `\`${name}\``,
      severity,
      event ? "at once" : `${after_seconds} s`,
      event ? "–" : `${ends_after_seconds} s`,
      threshold ? `${value} ${unit}${edges}` : "–",
      meaning,
    ];
  });
  expect(rows).toEqual(expected);
});
