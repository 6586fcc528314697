import { appendFileSync, chownSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Folder } from "../../../src/system/files/held/folder.ts";
import { contentWithin, copyOfOthers, filesOfOthers } from "../../../src/system/files/others-files.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const NOBODY = 65_534;
const BYTES = 700_000;
const asRoot = process.geteuid?.() === 0;

/** A folder of another user's with a file in it. */
function ofOthers(): { readonly folder: string; readonly file: string } {
  const folder = temporaryFolder();
  const file = join(folder, "toc.dat");
  writeFileSync(file, "x".repeat(BYTES));
  for (const given of [folder, file]) chownSync(given, NOBODY, NOBODY);
  return { folder, file };
}

const errors = {
  noRoom: (name: string) => new Error(`no room for ${name}`),
  changed: (name: string) => new Error(`${name} has changed`),
};

test.runIf(asRoot)("a file of another user is copied whole", async () => {
  const { folder } = ofOthers();
  const to = temporaryFolder();
  expect(await copyOfOthers(folder, to, () => true, errors)).toEqual([]);
  expect(statSync(join(to, "toc.dat")).size).toBe(BYTES);
});

test.runIf(asRoot)("no more of a file is copied than there was when room was looked for", async () => {
  const { folder, file } = ofOthers();
  const to = temporaryFolder();
  const copying = copyOfOthers(folder, to, () => true, errors);
  // It is open by now, and its size is known.
  appendFileSync(file, "x".repeat(BYTES));
  await expect(copying).rejects.toThrow("toc.dat has changed");
  expect(readdirSync(to)).toEqual(["toc.dat"]);
});

test("no more of a file is read than its folder has said", async () => {
  const folder = temporaryFolder();
  const file = join(folder, "dump.sql");
  writeFileSync(file, "x".repeat(BYTES));
  let read = 0;
  for await (const { bytes, content } of filesOfOthers(folder)) {
    expect(bytes).toBe(BYTES);
    for await (const piece of content()) {
      read += piece.length;
      appendFileSync(file, piece);
      if (read > 2 * BYTES) break;
    }
  }
  expect(read).toBe(BYTES);
});

test("nothing is read of a file that has another size than is listed", async () => {
  const root = temporaryFolder();
  mkdirSync(join(root, "ab"));
  writeFileSync(join(root, "ab", "abc"), "0123456789");
  const folder = Folder.openThere(root);
  if (!folder) throw new Error("there is no folder");
  try {
    const read = async (name: string, size: number): Promise<string> => {
      let text = "";
      for await (const piece of contentWithin(folder, "ab", name, size)) text += piece.toString("utf8");
      return text;
    };
    expect(await read("abc", 10)).toBe("0123456789");
    await expect(read("abc", 9)).rejects.toThrow("has 10 bytes, not 9");
    await expect(read("abd", 10)).rejects.toThrow("is no file");
  } finally {
    folder.close();
  }
});
