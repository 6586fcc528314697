import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { lockHolder } from "../../src/store/lock.ts";
import { readApplied, readState } from "../../src/store/state.ts";
import { readAlarms } from "../../src/alarms/state-file.ts";
import { layoutOf } from "../../src/config/layout.ts";
import { readFirstLaunch } from "../../src/container/first-launch.ts";
import { Balancer } from "../../src/endpoints/balancer.ts";
import { type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import { filesBelow } from "../support/files.ts";
import { makeOdooDatabase } from "../support/odoo-database.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";

/** A byte of this in an error would be one of a file that somebody put in the place of ours. */
const SECRET = "root:$6$hunter2";

/** What becomes of a file: on a disk that was full or failed, by an editor, by somebody who means harm. */
const DAMAGES: Readonly<Record<string, (whole: string) => string>> = {
  empty: () => "",
  "a blank line": () => "\n",
  "zeros, as after a power cut": (whole) => "\0".repeat(whole.length),
  "its first byte": (whole) => whole.slice(0, 1),
  "its first half": (whole) => whole.slice(0, whole.length / 2),
  "all but its end": (whole) => whole.trimEnd().slice(0, -1),
  "another file": () => `${SECRET}\n`,
  "another document": () => `{"${SECRET}":"${SECRET}"}`,
  "no object": () => "[]\n",
  nothing: () => "null\n",
};

/** Has a file damaged in every way, one after the other, and puts it back as it was. */
async function damaged(file: string, look: (how: string) => Promise<void>): Promise<void> {
  const whole = readFileSync(file);
  try {
    for (const [how, damage] of Object.entries(DAMAGES)) {
      writeFileSync(file, damage(whole.toString("latin1")), "latin1");
      await look(how);
    }
  } finally {
    writeFileSync(file, whole);
  }
}

let cluster: ThrowawayCluster;
let dir: string;
let filestore: string;

beforeAll(async () => {
  cluster = await throwawayCluster({ nodes: 1 });
  dir = join(cluster.folder, "backups");
  filestore = join(cluster.folder, "filestore");
  cluster.configure({
    backup: { dir },
    odoo: { filestore },
  });
  await cluster.up();
  await makeOdooDatabase({ superuser: cluster.superuser(), database: "shop", filestore, attachments: 3 });
  const made = await cluster.run(["backup", "create", "shop"]);
  expect(made).toMatchObject({ exitCode: 0 });
});

const errorSchema = z.object({
  error: z.object({ code: z.string(), message: z.string(), next: z.string() }),
});

/** The error that a command with --json ends with. No defect, and nothing of what the file holds. */
async function errorOf(args: readonly string[]) {
  const ran = await cluster.run([...args, "--json"]);
  expect(ran.stdout + ran.stderr).not.toMatch(/hunter2|Unexpected|SyntaxError/);
  expect(ran.exitCode).not.toBe(0);
  return errorSchema.parse(JSON.parse(ran.stdout)).error;
}

describe("records of the state directory", () => {
  const readers: Readonly<Record<string, (stateDir: string) => Promise<unknown>>> = {
    "cluster.json": (stateDir) => readApplied(layoutOf(stateDir)),
    "state.json": (stateDir) => readState(layoutOf(stateDir)),
    "alarms.json": readAlarms,
    "first-launch.json": (stateDir) => readFirstLaunch(layoutOf(stateDir)),
    "agent.lock": (stateDir) => lockHolder(layoutOf(stateDir).lockFile),
    // Where nobody answers on HAProxy's socket, the record tells its processes.
    "haproxy/process.json": (stateDir) => new Balancer({ stateDir }, undefined).presence(),
  };
  const written: Readonly<Record<string, string>> = {
    "first-launch.json": JSON.stringify({ adopted: false, complete: true, done: [] }),
  };

  test.each(Object.entries(readers))(
    "%s: damaged in any way it is named, and never used",
    async (name, read) => {
      const stateDir = temporaryFolder();
      const [own, copy] = [join(cluster.stateDir, name), join(stateDir, name)];
      mkdirSync(dirname(copy), { recursive: true });
      if (written[name] === undefined) await waitFor(`the agent to write ${name}`, () => existsSync(own));
      writeFileSync(copy, written[name] ?? readFileSync(own));
      await read(stateDir);
      await damaged(copy, async (how) => {
        const error: unknown = await read(stateDir).catch((thrown: unknown) => thrown);
        expect(error, how).toMatchObject({
          code: "state_dir_unusable",
          message: expect.stringContaining(copy),
          next: expect.any(Array),
        });
        expect(String(error), how).not.toContain("hunter2");
      });
    },
  );

  test("commands end with that error, and say what to do", async () => {
    for (const [name, args] of [
      ["cluster.json", ["status"]],
      ["state.json", ["status"]],
      ["state.json", ["backup", "create", "shop"]],
    ] as const) {
      const file = join(cluster.stateDir, name);
      const whole = readFileSync(file);
      try {
        writeFileSync(file, whole.subarray(0, whole.length / 2));
        expect(await errorOf(args)).toMatchObject({
          code: "state_dir_unusable",
          message: expect.stringContaining(file),
        });
      } finally {
        writeFileSync(file, whole);
      }
    }
    expect((await cluster.status()).verdict).not.toBe("down");
  });

  test("an agent that finds its record of alarms damaged puts it aside, says so, and goes on", async () => {
    const file = join(cluster.stateDir, "alarms.json");
    await cluster.down();
    writeFileSync(file, `{"version":1,"al${SECRET}`);
    expect((await errorOf(["alarms", "list"])).message).toContain(file);
    await cluster.up();
    await waitFor("a new record", () => existsSync(file) && existsSync(`${file}.damaged`));
    await waitFor("a word of it in the log", () =>
      readFileSync(join(cluster.stateDir, "agent.log"), "utf8").includes(`${file} is damaged`),
    );
    await readAlarms(cluster.stateDir);
  });

  test("a damaged record of the last backups is a warning, until the next backup writes it anew", async () => {
    const file = join(cluster.stateDir, "backup-status.json");
    writeFileSync(file, '{"version":1');
    const { warnings, backups } = await cluster.status();
    expect(backups).toBe(null);
    expect(warnings.map(({ code }) => code)).toContain("record_damaged");
    expect(await cluster.run(["backup", "create", "shop"])).toMatchObject({ exitCode: 0 });
    expect((await cluster.status()).backups).not.toBe(null);
  });

  test("damaged lines of the journal are left out, what is written after them is kept", async () => {
    const file = join(cluster.stateDir, "events.jsonl");
    const kinds = async () =>
      z.object({ events: z.object({ kind: z.string() }).array() }).parse(await cluster.json(["events"]))
        .events;
    const before = (await kinds()).length;
    const whole = readFileSync(file, "utf8");
    writeFileSync(file, `${SECRET}\n{}\n\0\0\0\n${whole}${whole.slice(0, 30)}`);
    expect(await kinds()).toHaveLength(before);
    await cluster.run(["backup", "create", "shop"]);
    expect(await kinds()).toHaveLength(before + 1);
  });
});

describe("what a backup consists of", () => {
  const problemsSchema = z.object({
    backups: z.object({ id: z.string(), problems: z.string().array() }).array(),
    unreadable: z.object({ id: z.string(), problem: z.string() }).array(),
  });
  const folderOf = (id: string): string => join(dir, `${id}.dump`);

  async function newest(): Promise<string> {
    const { backups } = problemsSchema.parse(await cluster.json(["backup", "list"]));
    return backups.at(-1)?.id ?? backups[0]?.id ?? "";
  }

  test("a manifest: the list names it, and nothing is restored by it", async () => {
    const id = await newest();
    await damaged(join(folderOf(id), "manifest.json"), async (how) => {
      const list = problemsSchema.parse(await cluster.json(["backup", "list"]));
      expect(list.unreadable, how).toMatchObject([{ id, problem: expect.stringContaining("manifest.json") }]);
      expect(JSON.stringify(list)).not.toContain("hunter2");
    });
    const file = join(folderOf(id), "manifest.json");
    const whole = readFileSync(file);
    writeFileSync(file, SECRET);
    expect(await errorOf(["restore", folderOf(id), "--as", "again"])).toMatchObject({
      code: "backup_damaged",
    });
    writeFileSync(file, whole);
  });

  test.each(["contents.json", "filestore.tsv"])("%s: a restore refuses the backup", async (name) => {
    const id = await newest();
    const file = join(folderOf(id), name);
    const whole = readFileSync(file);
    for (const text of ["", SECRET, whole.subarray(0, whole.length / 2)]) {
      writeFileSync(file, text);
      const { code, message } = await errorOf(["restore", id, "--as", "again"]);
      expect({ code, message }).toMatchObject({ message: expect.stringMatching(/./) });
      expect(["backup_damaged", "restore_failed"]).toContain(code);
    }
    writeFileSync(file, whole);
  });

  test("checksums and the record of checks: a look at the backup says so", async () => {
    const id = await newest();
    const sums = join(folderOf(id), "SHA256SUMS");
    await damaged(sums, async (how) => {
      const ran = await cluster.run(["backup", "verify", id, "--json"]);
      expect(ran.exitCode, how).not.toBe(0);
      expect(ran.stdout + ran.stderr, how).not.toMatch(/hunter2|Unexpected/);
    });
    await cluster.run(["backup", "verify", id]);
    const checks = join(folderOf(id), "checks.json");
    writeFileSync(checks, '{"version":1,"verified_at":"20');
    const { backups } = problemsSchema.parse(await cluster.json(["backup", "list"]));
    expect(backups.find((backup) => backup.id === id)?.problems).toEqual([
      expect.stringContaining("checks.json is damaged"),
    ]);
    expect(await cluster.run(["backup", "verify", id])).toMatchObject({ exitCode: 0 });
  });
});

test("a damaged record of a change of names ends no restore: it is put aside, and said", async () => {
  for (const [index, damage] of ["", "{", SECRET, "[]"].entries()) {
    const name = `.odoo-pg-swap-0000000${index}.json`;
    writeFileSync(join(filestore, name), damage);
    const ran = await cluster.run(["db", "copy", "shop", `copy${index}`]);
    expect(ran).toMatchObject({ exitCode: 0, stderr: expect.stringContaining(name) });
    expect(ran.stderr).not.toContain("hunter2");
    expect(readdirSync(filestore)).toContain(`${name}.damaged`);
    expect(readdirSync(filestore)).not.toContain(name);
  }
});

test("no text becomes a value but through the one reader that holds it against a schema", () => {
  const parsing = filesBelow("src")
    .filter((file) => /\.tsx?$/.test(file) && /JSON\.parse/.test(readFileSync(file, "utf8")))
    // The page reads what its own console sent.
    .filter((file) => !file.startsWith("src/console/page/"));
  expect(parsing).toEqual(["src/system/files/json-file.ts"]);
});
