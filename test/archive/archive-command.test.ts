import { spawnSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { archiveCommand } from "../../src/archive/render.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";

const SEGMENT = "000000010000000000000007";

/** A server's archive_command, with a program in pgBackRest's place that waits as long as there is a file `hangs`. */
function newServer() {
  const folder = temporaryFolder();
  const dataDir = join(folder, "100% d'ata");
  mkdirSync(dataDir);
  writeFileSync(join(folder, "pg1.conf"), "");
  const at = (name: string): string => join(folder, name);
  writeFileSync(
    at("program"),
    `#!/bin/sh
trap '' TERM
echo "$*" >>${at("begun")}
while [ -e ${at("hangs")} ]; do sleep 0.1; done
[ -e ${at("refuses")} ] && exit 82
echo "$*" >>${at("taken")}
`,
  );
  chmodSync(at("program"), 0o755);
  const command = archiveCommand(at("program"), { dir: folder, stanza: "la%b" }, { name: "pg1" });
  const linesOf = (name: string): string[] =>
    existsSync(at(name)) ? readFileSync(at(name), "utf8").trim().split("\n") : [];
  return {
    at,
    linesOf,
    call: `--config=${at("pg1.conf")} --stanza=la%b archive-push ${dataDir}/pg_wal/${SEGMENT}`,
    /** As PostgreSQL does it (shell_archive_file): what goes on beside has its output still. */
    archive: () => {
      const filled = command.replaceAll(/%[p%]/g, (mark) => (mark === "%p" ? `pg_wal/${SEGMENT}` : "%"));
      const log = openSync(at("log"), "w");
      const { status } = spawnSync("sh", ["-c", filled], { cwd: dataDir, stdio: ["ignore", log, log] });
      closeSync(log);
      return { status, words: readFileSync(at("log"), "utf8") };
    },
  };
}

test("an archive_command ends as pgBackRest does, and gives it the segment of the server that runs it", () => {
  const { at, archive, linesOf, call } = newServer();
  expect(archive()).toMatchObject({ status: 0, words: "" });
  expect(linesOf("taken")).toEqual([call]);

  writeFileSync(at("refuses"), "");
  expect(archive()).toMatchObject({ status: 82 });
});

test("an archive_command whose repository hangs ends and says so, and what goes on beside is not begun twice", async () => {
  const { at, archive, linesOf, call } = newServer();
  writeFileSync(at("hangs"), "");
  const failure = {
    status: expect.toSatisfy((status) => status > 0 && status < 126),
    words: expect.stringContaining("the repository does not answer"),
  };
  expect(archive()).toMatchObject(failure);
  expect(archive()).toMatchObject(failure);
  expect([linesOf("begun"), linesOf("taken")]).toEqual([[call], []]);

  rmSync(at("hangs"));
  await waitFor("what was held up to end", () => linesOf("taken").length === 1);
  expect(archive()).toMatchObject({ status: 0, words: "" });
  expect(linesOf("begun")).toEqual([call, call]);
});
