import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { FINDINGS } from "../../src/advice/doctor/findings.ts";
import { FINAL_RELEASES } from "../../src/advice/doctor/checks/versions.ts";

/** The sections of docs/advice.md about findings, by code; without what formatting adds. */
const sections = new Map(
  readFileSync(join(import.meta.dirname, "../../docs/advice.md"), "utf8")
    .split(/^### (?=[a-z0-9_]+$)/m)
    .slice(1)
    .map((text): [string, string] => [
      text.slice(0, text.indexOf("\n")),
      plain(text.slice(text.indexOf("\n")).split(/^## /m)[0] ?? ""),
    ]),
);

function plain(text: string): string {
  return text
    .replace(/[*\\]/g, "")
    .replace(/(?<![a-z0-9])_(critical|warning|advice)_/g, "$1")
    .replace(/\s+/g, " ");
}

describe("docs/advice.md", () => {
  test.each(Object.entries(FINDINGS))("explains %s as doctor does", (code, { severity, meaning, why }) => {
    const section = sections.get(code) ?? "";
    expect(section).toContain(`${severity} · ${plain(meaning)}`);
    expect(section).toContain(`Why: ${plain(why)}`);
  });

  test("explains nothing that doctor cannot find", () => {
    expect([...sections.keys()].filter((code) => !Object.hasOwn(FINDINGS, code))).toEqual([]);
  });

  test("has the days on which major versions end", () => {
    for (const [major, day] of FINAL_RELEASES)
      expect(sections.get("major_version_ended")).toContain(`${major}: ${day}`);
  });
});
