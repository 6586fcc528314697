import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { filesBelow } from "../support/files.ts";
import { program } from "../support/program.ts";

/** Packages that the sources import, as far as something of them runs. */
function importedPackages(): readonly string[] {
  const names = filesBelow("src")
    .filter((file) => /\.tsx?$/.test(file))
    .flatMap((file) => [
      ...readFileSync(file, "utf8").matchAll(
        /(?:^(?:import|export) (?!type )[^;]*?\bfrom|import\()\s*"(@[^/"]+\/[^/"]+|[^@."/][^/"]*)/gm,
      ),
    ])
    .map(([, name = ""]) => name)
    .filter((name) => !/^(node|odoo-pg):/.test(name));
  return [...new Set(names)].sort();
}

test("beside the program lie the licences of the packages that are in it, with their whole text", () => {
  const text = readFileSync(join(dirname(program()), "THIRD_PARTY_LICENSES"), "utf8");
  const parts = new Map(
    text
      .split(/^-{80}$/m)
      .slice(1)
      .map((part) => [/^(\S+) \d/.exec(part.trim())?.[1] ?? "", part]),
  );
  const imported = importedPackages();
  expect(imported).toEqual(
    expect.arrayContaining(["commander", "d3-shape", "execa", "hono", "pg", "preact", "zod"]),
  );
  // What those bring along.
  for (const name of [...imported, "d3-path", "pg-protocol", "cross-spawn"])
    expect([...parts.keys()]).toContain(name);
  for (const [name, part] of parts) {
    expect(part.length, name).toBeGreaterThan(500);
    expect(part, name).toMatch(/copyright/i);
  }
});
