import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { findHaproxy, isNewEnough } from "../../src/endpoints/haproxy.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { testedHaproxy } from "./standins.ts";

const machine = { searchPath: "", install: () => "sudo apt-get install -y haproxy" };

/** A program that says what an HAProxy of some version says. */
function saying(words: string): string {
  const program = join(temporaryFolder(), "haproxy");
  writeFileSync(program, `#!/bin/sh\necho "${words}"\n`);
  chmodSync(program, 0o755);
  return program;
}

test("HAProxy 2.4 and later work", () => {
  expect(
    ["2.4.0-6cbbecf09", "2.4", "2.6.12-1+deb12u4", "2.10.1", "3.0-dev3"].filter(isNewEnough),
  ).toHaveLength(5);
  expect(["1.8.30", "2.3.99", "2.2.9-2+deb11u6", "?"].filter(isNewEnough)).toEqual([]);
});

test("the program that is configured is used, and only that", async () => {
  const { path, version } = await testedHaproxy();
  expect(await findHaproxy(path, machine)).toEqual({ path, version });
  await expect(findHaproxy("/nowhere/haproxy", machine)).rejects.toMatchObject({
    code: "haproxy_missing",
    message: expect.stringContaining("/nowhere/haproxy"),
    next: [expect.stringContaining("haproxy.program")],
  });
});

test("a configured program that is too old, or something else, is an error that names it", async () => {
  const old = saying("HA-Proxy version 2.2.9-2+deb11u6 2024/01/01 - https://haproxy.org/");
  await expect(findHaproxy(old, machine)).rejects.toMatchObject({
    code: "haproxy_missing",
    message: expect.stringContaining("2.2.9"),
  });
  await expect(findHaproxy(saying("hello"), machine)).rejects.toMatchObject({ code: "haproxy_missing" });
});

test("in PATH, a program that is too old is passed over", async () => {
  const old = saying("HA-Proxy version 2.2.9 2024/01/01");
  const young = saying("HAProxy version 2.8.5-1 2023/12/09");
  const searchPath = [old, young].map((program) => join(program, "..")).join(":");
  expect(await findHaproxy(undefined, { ...machine, searchPath })).toEqual({
    path: young,
    version: "2.8.5-1",
  });
});
