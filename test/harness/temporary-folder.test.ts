import { existsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../support/temporary-folder.ts";

let ofEarlierTest = "";

test("a temporary folder is short and can be entered by every user", () => {
  ofEarlierTest = temporaryFolder();

  expect(ofEarlierTest.length).toBeLessThan(40);
  expect(statSync(ofEarlierTest).mode & 0o777).toBe(0o755);
  expect(statSync(dirname(ofEarlierTest)).mode & 0o777).toBe(0o755);
});

test("a temporary folder is gone when its test has ended", () => {
  expect(ofEarlierTest).not.toBe("");
  expect(existsSync(ofEarlierTest)).toBe(false);
});
