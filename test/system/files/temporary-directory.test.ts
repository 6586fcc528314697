import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { kindOf, writeFileAtomic } from "../../../src/system/files/files.ts";
import { removeLeftTemporaries, temporaryDirectory } from "../../../src/system/files/temporary-directory.ts";
import { atEnd } from "../../support/scope.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

function withTmpdir(folder: string): void {
  const before = process.env["TMPDIR"];
  process.env["TMPDIR"] = folder;
  atEnd(() => {
    if (before === undefined) delete process.env["TMPDIR"];
    else process.env["TMPDIR"] = before;
  });
}

test("a temporary directory is gone after its use, also after a failed one", async () => {
  let seen = "";
  await temporaryDirectory(undefined, async (directory) => {
    seen = directory;
    await writeFileAtomic(join(directory, "file"), "");
  });
  expect(await kindOf(seen)).toBeUndefined();
  const failing = temporaryDirectory(undefined, (directory) => {
    seen = directory;
    return Promise.reject(new Error("failed"));
  });
  await expect(failing).rejects.toThrow("failed");
  expect(await kindOf(seen)).toBeUndefined();
});

test("a temporary directory is found where the system's own cannot be written to, as in a read-only container", async () => {
  withTmpdir(join(temporaryFolder(), "is-not-there"));
  let kept = "";
  await temporaryDirectory(undefined, async (directory) => {
    kept = directory;
    await writeFileAtomic(join(directory, "file"), "text");
  });
  expect(kept).toMatch(/^\/dev\/shm\//);
  expect(await kindOf(kept)).toBeUndefined();
});

test("what a killed process has left goes with the next one; what is in use, of others, or no directory of ours stays", async () => {
  const folder = temporaryFolder();
  withTmpdir(folder);
  const names = (): string[] => readdirSync(folder).toSorted();
  await temporaryDirectory(undefined, async (own) => {
    const name = own.slice(folder.length + 1);
    const [, , space = "", pid = "", which = ""] = name.split("-");
    // The same process id, of a process that was before; and one that no process has.
    const earlier = [
      `odoo-pg-${space}-${pid}-${"0".repeat(12)}-abcdef`,
      `odoo-pg-${space}-4194305-${which}-abcdef`,
    ];
    for (const left of earlier) {
      mkdirSync(join(folder, left, "inner"), { recursive: true });
      writeFileSync(join(folder, left, "list"), "entries");
    }
    // Of another container that shares the directory, and what only looks like ours.
    const others = [`odoo-pg-1${space}-4194305-${which}-abcdef`, "odoo-pg-of-somebody"];
    for (const other of others) mkdirSync(join(folder, other));
    const elsewhere = temporaryFolder();
    writeFileSync(join(elsewhere, "theirs"), "");
    const link = `odoo-pg-${space}-4194305-${which}-fedcba`;
    symlinkSync(elsewhere, join(folder, link));
    await removeLeftTemporaries();
    expect(names()).toEqual([name, ...others, link].toSorted());
    expect(existsSync(join(elsewhere, "theirs"))).toBe(true);
  });
});
