import { expect, test } from "vitest";
import { firstForeign } from "../../src/offsite/copy.ts";

const theirs = { path: "/archive/one", type: "file", uid: 104, size: 1 };

test("a copy of the servers' files holds files, folders and links of theirs alone", () => {
  const folder = { ...theirs, path: "/archive", type: "dir" };
  const link = { ...theirs, path: "/archive/latest", type: "symlink" };
  expect(firstForeign([folder, theirs, link], 104)).toBeUndefined();
  for (const foreign of [
    { ...theirs, uid: 0 },
    { ...theirs, uid: 1000, type: "dir" },
    { ...theirs, type: "fifo" },
    { ...theirs, type: "dev" },
  ])
    expect(firstForeign([folder, theirs, foreign, link], 104)).toEqual(foreign);
});
