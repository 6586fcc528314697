import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { diskUseOf, keptAsideOf } from "../../src/observe/disk-use.ts";
import { layoutOf, nodeLayoutOf } from "../../src/config/layout.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

function file(bytes: number, ...parts: readonly string[]): string {
  const folder = join(...parts);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "file"), Buffer.alloc(bytes));
  return folder;
}

test("old data of a node and of removed nodes is found with its size; data that is in use is not", async () => {
  const layout = layoutOf(join(temporaryFolder(), "state"));
  const files = nodeLayoutOf(layout, { name: "pg2" });
  const { dir, dataDir } = files;
  file(100, dataDir, "base");
  const old = file(3000, dir, "data.aside-20261122T023031Z");
  // Tablespaces: of the data that is in use, of a copy that is being made, and of the old data.
  mkdirSync(join(dataDir, "pg_tblspc"));
  symlinkSync(file(200, dir, "data.tablespaces.0000000a", "16384"), join(dataDir, "pg_tblspc", "16384"));
  mkdirSync(join(dir, "data.new.0000000b"));
  file(200, dir, "data.tablespaces.0000000b", "16384");
  const oldTablespaces = dirname(file(700, dir, "data.tablespaces.0000000c", "16384"));
  const removed = file(500, layout.asideDir, "pg3-20261122T023031Z");
  expect(await keptAsideOf(layout, files, 5000)).toEqual([
    { path: old, bytes: 3000 },
    { path: oldTablespaces, bytes: 700 },
    { path: removed, bytes: 500 },
  ]);
});

test("what removed nodes left in the state directory is not told of a disk of another node's own", async () => {
  const folder = temporaryFolder();
  const layout = layoutOf(join(folder, "state"));
  file(500, layout.asideDir, "pg3-20261122T023031Z");
  const files = nodeLayoutOf(layout, { name: "pg2", data_dir: join(folder, "disk", "pg2") });
  const { dataDir } = files;
  const old = file(10, `${dataDir}.aside-1`);
  expect(await keptAsideOf(layout, files, 5000)).toEqual([{ path: old, bytes: 10 }]);
});

test("a disk is told also where nothing is there yet", async () => {
  const layout = layoutOf(join(temporaryFolder(), "state"));
  expect(
    (await diskUseOf(layout, { name: "pg1", host: "127.0.0.1", port: 5433 }, 1)).totalBytes,
  ).toBeGreaterThan(0);
});
