import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { howCalled } from "../../src/system/called.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

function clone(): { readonly folder: string; readonly program: string; readonly bin: string } {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "dist"));
  mkdirSync(join(folder, "bin"));
  const program = join(folder, "dist", "odoo-pg.mjs");
  writeFileSync(program, "");
  writeFileSync(join(folder, "package.json"), "{}");
  symlinkSync("odoo-pg.mjs", join(folder, "dist", "odoo-pg"));
  return { folder, program, bin: join(folder, "bin") };
}

test("a program on the search path is called by its name", () => {
  const { program, bin } = clone();
  symlinkSync(program, join(bin, "odoo-pg"));
  expect(howCalled(program, { PATH: `/usr/bin:${bin}` }, "/")).toBe("odoo-pg");
});

test("another program of that name in front of it is not taken for it", () => {
  const { program, bin, folder } = clone();
  writeFileSync(join(bin, "odoo-pg"), "");
  expect(howCalled(program, { PATH: bin }, "/")).toBe(join(folder, "dist", "odoo-pg"));
});

test("in a clone it is called through npx, and from elsewhere by its path", () => {
  const { program, folder } = clone();
  expect(howCalled(program, { PATH: "/usr/bin" }, folder)).toBe("npx odoo-pg");
  expect(howCalled(program, { PATH: "/usr/bin" }, join(folder, "docs"))).toBe("npx odoo-pg");
  expect(howCalled(program, { PATH: "/usr/bin" }, `${folder}-other`)).toBe(join(folder, "dist", "odoo-pg"));
});

test("what npm puts in front of the path while it runs does not count", () => {
  const { program, folder } = clone();
  const npms = join(folder, "node_modules", ".bin");
  mkdirSync(npms, { recursive: true });
  symlinkSync(program, join(npms, "odoo-pg"));
  expect(howCalled(program, { PATH: npms }, "/")).toBe(join(folder, "dist", "odoo-pg"));
});
