import {
  chownSync,
  cpSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { type DataDirectory, inspectDataDirectory } from "../../src/postgres/data-directory.ts";
import { run } from "../../src/system/process/process.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { type ThrowawayNode, throwawayNodes } from "./throwaway-node.ts";

let node: ThrowawayNode;

beforeAll(async () => {
  const [first] = await throwawayNodes(1);
  if (first === undefined) throw new Error("no node");
  node = first;
  await node.initialise();
});

/** A folder of the servers' user. */
function ownFolder(...files: readonly (readonly [string, string])[]): string {
  const folder = join(temporaryFolder(), "data");
  mkdirSync(folder, { mode: 0o700 });
  for (const [name, text] of files) writeFileSync(join(folder, name), text);
  if (node.owner) {
    for (const target of [folder, ...files.map(([name]) => join(folder, name))])
      chownSync(target, node.owner.uid, node.owner.gid);
  }
  return folder;
}

async function copyOfData(): Promise<string> {
  const copy = join(temporaryFolder(), "data");
  // As cp -a: owners stay.
  cpSync(node.files.dataDir, copy, { recursive: true, preserveTimestamps: true });
  if (node.owner) await run("chown", ["-R", `${node.owner.uid}:${node.owner.gid}`, copy]);
  return copy;
}

/** Looks, and fails when the look changed anything. */
async function inspect(directory: string): Promise<DataDirectory> {
  const before = treeOf(directory);
  const seen = await inspectDataDirectory(directory, node.installation, node.owner);
  expect(treeOf(directory)).toEqual(before);
  return seen;
}

function treeOf(target: string): readonly string[] {
  const stat = lstatSync(target, { throwIfNoEntry: false });
  if (stat === undefined) return [];
  const line = `${target} ${stat.mode} ${stat.uid} ${stat.size} ${stat.mtimeMs}`;
  if (!stat.isDirectory()) return [line];
  return [line, ...readdirSync(target).flatMap((name) => treeOf(join(target, name)))];
}

test("a data directory that is not there, or empty, is seen as such", async () => {
  expect(await inspect("/nowhere/data")).toEqual({ kind: "absent" });
  expect(await inspect(ownFolder())).toEqual({ kind: "empty" });
  const disk = ownFolder();
  mkdirSync(join(disk, "lost+found"));
  expect(await inspect(disk)).toEqual({ kind: "empty" });
});

test("a whole data directory tells what it is", async () => {
  const whole = {
    kind: "whole",
    systemIdentifier: expect.stringMatching(/^\d{15,20}$/),
    standby: false,
    state: "shut down",
    timeline: 1,
    floor: {
      max_connections: expect.any(Number),
      max_worker_processes: 8,
      max_wal_senders: 10,
      max_prepared_transactions: 0,
      max_locks_per_transaction: 64,
    },
  };
  expect(await inspect(node.files.dataDir)).toEqual(whole);
  const copy = await copyOfData();
  writeFileSync(join(copy, "standby.signal"), "");
  expect(await inspect(copy)).toEqual({ ...whole, standby: true });
});

test("a folder with other content is refused by the names in it", async () => {
  expect(await inspect(ownFolder(["photos.zip", ""], ["notes.txt", ""]))).toMatchObject({
    kind: "unusable",
    reason: expect.stringContaining("it has no PG_VERSION; it has notes.txt, photos.zip"),
  });
});

test("a file in the place of a data directory is refused", async () => {
  const folder = ownFolder(["data", "text"]);
  expect(await inspect(join(folder, "data"))).toMatchObject({
    kind: "unusable",
    reason: expect.stringContaining("is not a directory"),
  });
});

test("data of another major version is refused with both versions", async () => {
  const seen = await inspect(ownFolder(["PG_VERSION", "9.6\n"]));
  expect(seen).toMatchObject({
    kind: "unusable",
    reason: expect.stringContaining("was made by PostgreSQL 9.6"),
    next: expect.stringContaining("pg_upgrade"),
  });
  expect(seen).toMatchObject({
    reason: expect.stringContaining(`are PostgreSQL ${node.installation.major}`),
  });
});

test("data whose control file is damaged or gone is refused with pg_controldata's words", async () => {
  const copy = await copyOfData();
  const control = join(copy, "global", "pg_control");
  truncateSync(control, 100);
  expect(await inspect(copy)).toMatchObject({
    kind: "unusable",
    reason: expect.stringMatching(/pg_controldata: .*could not read file/),
  });
  rmSync(control);
  expect(await inspect(copy)).toMatchObject({
    kind: "unusable",
    reason: expect.stringMatching(/pg_controldata: .*No such file/),
  });
});

test("data of another user is refused with the command that gives it over", async () => {
  const copy = await copyOfData();
  const another = { uid: lstatSync(copy).uid + 1, gid: lstatSync(copy).gid };
  const seen = await inspectDataDirectory(copy, node.installation, another);
  expect(seen).toMatchObject({
    kind: "unusable",
    next: expect.stringContaining(`chown -R ${another.uid}:${another.gid} ${copy}`),
  });
});
