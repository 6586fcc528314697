import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { packagedUnit } from "../../scripts/packaged-unit.mjs";
import { quoteUnitWord, renderUnit } from "../../src/cli/setup/systemd.ts";
import { OdooPgError } from "../../src/errors.ts";
import { run, SMALL_HEAP } from "../../src/system/process/process.ts";
import { anyText } from "../support/texts.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

/** Splits a command line as systemd.service(5) "Command lines" and systemd.syntax(7) "Quoting" say. */
function splitCommandLine(line: string): string[] {
  const words = line.match(/"(?:[^"\\]|\\.)*"|[^\s"]+/gs) ?? [];
  expect(words.join(" ")).toBe(line);
  return words.map((word) => {
    const inside = word.startsWith('"') ? word.slice(1, -1) : word;
    return inside
      .replaceAll(/\\(.)/gs, (_escape, character: string) => (character === "n" ? "\n" : character))
      .replaceAll("%%", "%")
      .replaceAll("$$", "$");
  });
}

test("every word of a command line comes through the rules of unit files", () => {
  fc.assert(
    fc.property(fc.array(anyText, { minLength: 1 }), (words) => {
      const line = words.map(quoteUnitWord).join(" ");
      expect(line).not.toContain("\n");
      // A "%" or "$" that stands alone would be replaced by something else.
      expect(line.replaceAll("%%", "").replaceAll("$$", "")).not.toMatch(/[%$]/);
      expect(splitCommandLine(line)).toEqual(words);
    }),
  );
});

test("the package's unit starts the installed program, with the same arguments of Node.js", () => {
  for (const program of [
    ["/usr/bin/node", "/usr/lib/odoo-pg/odoo-pg.mjs"],
    ["/opt/my node/node", "/home/me/a clone/odoo-pg.mjs"],
  ] as const) {
    const unit = packagedUnit(renderUnit({ cluster: "odoo", program, configFile: undefined }));
    expect(unit).toContain(
      `\nExecStart=/usr/bin/env node ${SMALL_HEAP.join(" ")} /usr/bin/odoo-pg up --foreground\n`,
    );
    expect(unit).not.toContain(program[1]);
    expect(unit).toMatch(/^\[Unit\]/);
  }
});

test("the image's agent gets the same arguments of Node.js", () => {
  const script = readFileSync(new URL("../../docker/bin/odoo-pg-entrypoint", import.meta.url), "utf8");
  const starts = script.split("\n").filter((line) => line.includes("container -- "));
  expect(starts).toHaveLength(2);
  for (const line of starts) expect(line).toContain(`node ${SMALL_HEAP.join(" ")} "$program" container -- `);
});

test("systemd, where it is, takes the unit as it was meant", async () => {
  const unit = renderUnit({
    cluster: "prod",
    program: ["/bin/true", "/opt/odoo pg/odoo-pg.mjs"],
    configFile: '/etc/it\'s "odoo" 100% $HOME \\ 雪.yaml',
  });
  expect(unit).toContain('"/opt/odoo pg/odoo-pg.mjs" up --foreground --config "/etc/it\'s');
  const file = join(temporaryFolder(), "odoo-pg-prod.service");
  writeFileSync(file, unit);
  const verified = await run("systemd-analyze", ["verify", file]).catch((error: unknown) => {
    // The tests' set-up installs it where there is apt; elsewhere there is no systemd.
    if (error instanceof OdooPgError && error.code === "program_missing") return undefined;
    throw error;
  });
  if (!verified) return;
  const said = (text: string): string[] => text.split("\n").filter((line) => line.includes("odoo-pg-prod"));
  expect(said(verified.stderr)).toEqual([]);
  // It does look: a setting that there is not is told.
  writeFileSync(file, unit.replace("KillMode=", "KillMood="));
  expect(said((await run("systemd-analyze", ["verify", file])).stderr)).not.toEqual([]);
});
