import { spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { layoutOf } from "../../src/config/layout.ts";
import { copyStatusSchema } from "../../src/model/backups/copy-status.ts";
import { unlessCopying, whileCopying } from "../../src/store/copying.ts";
import { throwawayCluster, type ThrowawayCluster } from "../support/cluster.ts";
import { atEnd } from "../support/scope.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";

let cluster: ThrowawayCluster;
let elsewhere: string;

/** Debian's; not one of our npm packages. */
const RESTIC = "restic";

const PASSPHRASE = "correct horse battery staple";

function offsite(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    name: "nas",
    repository: join(elsewhere, "restic"),
    passphrase_file: join(elsewhere, "passphrase"),
    schedule: "off",
    ...changes,
  };
}

const codes = async (): Promise<string[]> => (await cluster.status()).warnings.map(({ code }) => code);

beforeAll(async () => {
  elsewhere = temporaryFolder();
  writeFileSync(join(elsewhere, "passphrase"), `${PASSPHRASE}\n`, { mode: 0o600 });
  cluster = await throwawayCluster({ nodes: 1 });
  cluster.configure({ backup: { offsite: [offsite()] } });
  await cluster.up();
});

describe("a copy elsewhere", () => {
  test("is refused before anything is sent where its passphrase is not there, or others may read it", async () => {
    cluster.configure({ backup: { offsite: [offsite({ passphrase_file: join(elsewhere, "absent") })] } });
    const absent = await cluster.run(["backup", "copy"]);
    expect([absent.exitCode, absent.stderr]).toEqual([2, expect.stringContaining("umask 077; openssl rand")]);
    cluster.configure({ backup: { offsite: [offsite()] } });
    chmodSync(join(elsewhere, "passphrase"), 0o644);
    const open = await cluster.run(["backup", "copy"]);
    expect([open.exitCode, open.stderr]).toEqual([2, expect.stringContaining("chmod 600")]);
    chmodSync(join(elsewhere, "passphrase"), 0o600);
    expect(existsSync(join(elsewhere, "restic"))).toBe(false);
    const unknown = await cluster.run(["backup", "copy", "--to", "mars"]);
    expect([unknown.exitCode, unknown.stderr]).toEqual([2, expect.stringContaining("There are: nas")]);
  });

  test("takes along what is new, tells its age, and warns until the passphrase is kept elsewhere", async () => {
    const first = await cluster.run(["backup", "copy", "--json"]);
    expect([first.exitCode, JSON.parse(first.stdout)]).toEqual([
      0,
      { version: 1, copies: [expect.objectContaining({ name: "nas", error: null })] },
    ]);
    const second = await cluster.run(["backup", "copy"]);
    expect(second.stdout).toContain("Copied to nas");
    expect(await codes()).toEqual(["copy_key_unkept"]);
    const { copies } = await cluster.status();
    expect(copies).toEqual([{ name: "nas", copied_at: expect.any(String), error: null }]);

    const shown = await cluster.run(["backup", "key", "show"]);
    expect(shown.stdout).toContain(`passphrase: ${PASSPHRASE}`);
    const wrong = await cluster.run(["backup", "key", "confirm"], { input: "another\n" });
    expect([wrong.exitCode, wrong.stderr]).toEqual([1, expect.stringContaining("not the passphrase")]);
    expect(wrong.stderr).not.toContain(PASSPHRASE);
    expect((await cluster.run(["backup", "key", "confirm"], { input: `${PASSPHRASE}\n` })).exitCode).toBe(0);
    expect(await codes()).toEqual([]);
  });

  test("that fails is told in status, and the one after it takes along what it did not", async () => {
    const repository = join(elsewhere, "restic");
    writeFileSync(join(elsewhere, "other"), "of somebody else\n", { mode: 0o600 });
    cluster.configure({ backup: { offsite: [offsite({ passphrase_file: join(elsewhere, "other") })] } });
    const ran = await cluster.run(["backup", "copy"]);
    expect([ran.exitCode, ran.stderr]).toEqual([1, expect.stringContaining("wrong password")]);
    expect(ran.stderr).toMatch(
      /Next: see that its repository can be reached .*, then: odoo-pg backup copy --to nas/,
    );
    expect(await codes()).toContain("copy_failed");
    // The repository of before is not made anew.
    expect(readdirSync(join(repository, "keys"))).toHaveLength(1);
    cluster.configure({ backup: { offsite: [offsite()] } });
    expect((await cluster.run(["backup", "copy"])).exitCode).toBe(0);
    expect(await codes()).toEqual([]);
  });

  test("that follows a killed one leaves no lock of that, also where that was still ending when it began", async () => {
    const locks = join(elsewhere, "restic", "locks");
    const status = join(layoutOf(cluster.stateDir).offsiteDir, "nas.json");
    const record = copyStatusSchema.parse(JSON.parse(readFileSync(status, "utf8")));
    writeFileSync(status, JSON.stringify({ ...record, begun_at: new Date().toISOString() }));
    // What is left of the killed one: it holds its lock until its input ends.
    const left = spawn(RESTIC, ["backup", "--quiet", "--stdin", "--host=of-the-killed"], {
      env: {
        PATH: process.env["PATH"],
        RESTIC_REPOSITORY: join(elsewhere, "restic"),
        RESTIC_PASSWORD_FILE: join(elsewhere, "passphrase"),
        RESTIC_CACHE_DIR: join(elsewhere, "cache"),
      },
      stdio: ["pipe", "ignore", "ignore"],
    });
    const ended = new Promise((resolve) => left.once("exit", resolve));
    atEnd(() => void left.kill("SIGKILL"));
    await waitFor("its lock", () => readdirSync(locks).length === 1);
    const copying = cluster.run(["backup", "copy"]);
    // The next one has looked for locks, and goes on.
    await waitFor("the next one's lock", () => readdirSync(locks).length > 1);
    left.kill("SIGKILL");
    await ended;
    expect(await copying).toMatchObject({ exitCode: 0 });
    expect(readdirSync(locks)).toEqual([]);
  });

  test("is made by the agent when it is due, and never shows its secrets", async () => {
    writeFileSync(join(elsewhere, "environment"), "# keys\nexport AWS_SECRET_ACCESS_KEY='hidden'\n", {
      mode: 0o600,
    });
    cluster.configure({
      backup: {
        offsite: [offsite({ schedule: "* * * * *", environment_file: join(elsewhere, "environment") })],
      },
    });
    await cluster.up();
    const before = (await cluster.status()).copies[0]?.copied_at ?? "";
    await waitFor(
      "the agent to copy",
      async () => ((await cluster.status()).copies[0]?.copied_at ?? "") > before,
      { timeout: 90_000 },
    );
    const log = readFileSync(join(cluster.stateDir, "pg_backup.log"), "utf8");
    expect(log).toContain("copied to nas");
    expect(log).not.toMatch(/hidden|battery staple/);
    cluster.configure({ backup: { offsite: [offsite()] } });
    await cluster.up();
  });
});

test("nothing that has expired is removed while it is copied, and nothing is copied while it is removed", async () => {
  const layout = layoutOf(temporaryFolder());
  mkdirSync(layout.offsiteDir);
  const done: string[] = [];
  let endCopy = (): void => {};
  const copying = whileCopying(layout, "one", undefined, async () => {
    await new Promise<void>((resolve) => {
      endCopy = resolve;
    });
    done.push("copied");
  });
  await waitFor("the copy to have begun", () => existsSync(join(layout.offsiteDir, "copying.one.lock")));
  const removing = unlessCopying(layout, async () => {
    done.push("removed");
  });
  await waitFor("the removal to wait", () => existsSync(join(layout.offsiteDir, "removing.lock")));
  const second = whileCopying(layout, "two", undefined, async () => {
    done.push("copied again");
  });
  await waitFor("the second copy to have looked", () =>
    existsSync(join(layout.offsiteDir, "copying.two.lock")),
  );
  expect(done).toEqual([]);
  endCopy();
  await copying;
  await Promise.all([removing, second]);
  expect(done[0]).toBe("copied");
  expect(done.toSorted()).toEqual(["copied", "copied again", "removed"]);
  rmSync(layout.offsiteDir, { recursive: true });
});
