import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  createExclusive,
  diskSpace,
  ensureDirectory,
  isExecutable,
  kindOf,
  leadLink,
  modifiedAt,
  move,
  namesIn,
  ownerOf,
  readFrom,
  readTail,
  readTextIfAny,
  realPath,
  removeFile,
  removeLink,
  removeTree,
  treeBytes,
  writeFileAtomic,
  writeFileIfChanged,
} from "../../../src/system/files/files.ts";
import { appendRotating } from "../../../src/system/log.ts";
import { serverOwner } from "../../postgres/throwaway-node.ts";
import { atEnd } from "../../support/scope.ts";
import { mayMount, mountSmallDisk } from "../../support/small-disk.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const isRoot = process.geteuid?.() === 0;

/** A folder in which no new file has room (a small file system, where one may be mounted) or may be made (by anybody but root). */
function fullFolder(prepare: (folder: string) => void): { folder: string; code: string } {
  const folder = join(temporaryFolder(), "full");
  mkdirSync(folder);
  if (mayMount) {
    mountSmallDisk(folder, "64k");
    atEnd(() => {
      execFileSync("umount", [folder]);
    });
    prepare(folder);
    writeFileSync(join(folder, "ballast"), "x".repeat(40_000));
    return { folder, code: "disk_full" };
  }
  prepare(folder);
  chmodSync(folder, 0o500);
  atEnd(() => {
    chmodSync(folder, 0o700);
  });
  return { folder, code: "state_dir_unusable" };
}

test("a file is written whole, with its mode and owner, and nothing is left beside it", async () => {
  const folder = temporaryFolder();
  const owner = await serverOwner();
  const file = join(folder, "file");
  await writeFileAtomic(file, "one", { owner });
  await writeFileAtomic(file, "two é", { mode: 0o644, owner });
  expect(readFileSync(file, "utf8")).toBe("two é");
  expect(lstatSync(file).mode & 0o777).toBe(0o644);
  if (owner) expect(await ownerOf(file)).toEqual({ uid: owner.uid, gid: owner.gid });
  await writeFileAtomic(file, "three");
  expect(lstatSync(file).mode & 0o777).toBe(0o600);
  expect(readdirSync(folder)).toEqual(["file"]);
});

test.runIf(mayMount || !isRoot)(
  "a file that cannot be written keeps its old content, and the reason is told",
  async () => {
    const { folder, code } = fullFolder((each) => writeFileSync(join(each, "file"), "old"));
    const file = join(folder, "file");
    const before = readdirSync(folder);
    await expect(writeFileAtomic(file, "y".repeat(60_000))).rejects.toMatchObject({
      code,
      message: expect.stringContaining(file),
      safe: expect.any(String),
      next: [expect.any(String)],
    });
    expect(readFileSync(file, "utf8")).toBe("old");
    expect(readdirSync(folder)).toEqual(before);
  },
);

test("a file that cannot be put in its place leaves nothing beside it", async () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "taken"));
  await expect(writeFileAtomic(join(folder, "taken"), "text")).rejects.toThrow();
  expect(readdirSync(folder)).toEqual(["taken"]);
});

test("one file may be written several times at once: one text wins, whole", async () => {
  const folder = temporaryFolder();
  const texts = ["a", "b", "c", "d"].map((letter) => letter.repeat(100_000));
  await Promise.all(texts.map((text) => writeFileAtomic(join(folder, "file"), text)));
  expect(texts).toContain(readFileSync(join(folder, "file"), "utf8"));
  expect(readdirSync(folder)).toEqual(["file"]);
});

test("a file is not written again when its text is the same", async () => {
  const file = join(temporaryFolder(), "file");
  expect(await writeFileIfChanged(file, "same")).toBe(true);
  const { ino } = lstatSync(file);
  expect(await writeFileIfChanged(file, "same")).toBe(false);
  expect(lstatSync(file).ino).toBe(ino);
  expect(await writeFileIfChanged(file, "other")).toBe(true);
});

test("of several that make a file exclusively one succeeds", async () => {
  const folder = temporaryFolder();
  const texts = ["a", "b", "c", "d"];
  const made = await Promise.all(texts.map((text) => createExclusive(join(folder, "lock"), text)));
  expect(made.filter(Boolean)).toHaveLength(1);
  expect(readFileSync(join(folder, "lock"), "utf8")).toBe(texts[made.indexOf(true)]);
  expect(readdirSync(folder)).toEqual(["lock"]);
});

test("what is not there is no error to look at or to remove", async () => {
  const nowhere = join(temporaryFolder(), "no", "where");
  expect(await readTextIfAny(nowhere)).toBeUndefined();
  expect(await kindOf(nowhere)).toBeUndefined();
  expect(await ownerOf(nowhere)).toBeUndefined();
  expect(await modifiedAt(nowhere)).toBeUndefined();
  expect(await realPath(nowhere)).toBeUndefined();
  expect(await namesIn(nowhere)).toEqual([]);
  expect(await readTail(nowhere, 10)).toBe("");
  expect(await readFrom(nowhere, 5)).toEqual({ text: "", offset: 0 });
  expect(await treeBytes(nowhere)).toBe(0);
  expect(await isExecutable(nowhere)).toBe(false);
  await removeFile(nowhere);
  await removeTree(nowhere);
});

test("a log is read on from where it was left, and from its start when it was begun anew", async () => {
  const file = join(temporaryFolder(), "log");
  appendFileSync(file, "one\n");
  const first = await readFrom(file, 0);
  expect(first).toEqual({ text: "one\n", offset: 4 });
  appendFileSync(file, "two\n");
  expect(await readFrom(file, first.offset)).toEqual({ text: "two\n", offset: 8 });
  expect(await readTail(file, 5)).toBe("\ntwo\n");
  expect(await readFrom(file, Number.MAX_SAFE_INTEGER)).toEqual({ text: "", offset: 8 });
  rmSync(file);
  appendFileSync(file, "new\n");
  expect(await readFrom(file, 8)).toEqual({ text: "new\n", offset: 4 });
});

test("a directory gets its mode and owner also when it was there before", async () => {
  const owner = await serverOwner();
  const directory = join(temporaryFolder(), "a", "b");
  await ensureDirectory(directory, { owner });
  expect(lstatSync(directory).mode & 0o777).toBe(0o700);
  await ensureDirectory(directory, { mode: 0o755 });
  expect(lstatSync(directory).mode & 0o777).toBe(0o755);
  if (owner) expect((await ownerOf(directory))?.uid).toBe(owner.uid);
  writeFileSync(join(directory, "file"), "");
  expect([await kindOf(directory), await kindOf(join(directory, "file")), await kindOf("/dev/null")]).toEqual(
    ["directory", "file", "other"],
  );
});

test("what is moved is in its new place only", async () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "to"));
  writeFileSync(join(folder, "from"), "12345");
  await move(join(folder, "from"), join(folder, "to", "here"));
  expect(await namesIn(folder)).toEqual(["to"]);
  expect(await treeBytes(folder)).toBe(5);
});

test("the room of a disk is told for what is still to be made on it", async () => {
  const folder = temporaryFolder();
  const { totalBytes } = await diskSpace(folder);
  const later = await diskSpace(join(folder, "not", "yet"));
  expect(later.totalBytes).toBe(totalBytes);
  expect(later.freeBytes).toBeGreaterThan(0);
  expect(later.freeBytes).toBeLessThanOrEqual(totalBytes);
});

test("a log that a link leads to is written and rotated where it lies", async () => {
  const folder = temporaryFolder();
  const [link, log] = [join(folder, "link.log"), join(folder, "real.log")];
  await leadLink(link, log);
  const now = Date.now();
  appendRotating(link, "first\n", undefined, now);
  appendRotating(link, "second\n", undefined, now + 8 * 24 * 3600 * 1000);
  expect(readFileSync(log, "utf8")).toBe("second\n");
  expect(readFileSync(`${log}.1`, "utf8")).toBe("first\n");
  await removeLink(log);
  await removeLink(link);
  expect([await kindOf(link), await kindOf(log)]).toEqual([undefined, "file"]);
});
