import { spawn } from "node:child_process";
import {
  lchownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import { isAlive } from "../support/processes.ts";
import { takeFolders } from "../../src/system/files/held/by-path.ts";
import { atEnd } from "../support/scope.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";
import { serverOwner } from "../postgres/throwaway-node.ts";
import { layOutAsBefore } from "./former-layout.ts";

const SECRET = "root's secret, and nobody else's";

/** What the servers' user must neither read nor change: a file and a folder of root's. */
function canary(folder: string): { folder: string; look: () => unknown } {
  const place = join(folder, "roots own");
  const inner = join(place, "folder");
  mkdirSync(place, { mode: 0o700 });
  mkdirSync(inner, { mode: 0o700 });
  writeFileSync(join(place, "file"), SECRET, { mode: 0o600 });
  const look = (): unknown =>
    [place, inner, join(place, "file")].map((path) => {
      const { uid, gid, mode, nlink } = lstatSync(path);
      return {
        path,
        uid,
        gid,
        mode,
        nlink,
        text: path.endsWith("file") ? readFileSync(path, "utf8") : readdirSync(path),
      };
    });
  return { folder: place, look };
}

/** Swaps everything that a user may change below a folder for links, again and again until the end of the scope. */
function swapAll(
  user: { uid: number; gid: number },
  below: string,
  target: string,
): { rounds: () => number; end: () => Promise<void> } {
  const script = `
    const fs = require("node:fs"), path = require("node:path");
    const [below, target] = process.argv.slice(1);
    // What root reads, makes, renames or removes; a server without its tables would only end.
    const looked = /^(postmaster|standby|PG_VERSION|postgresql-|health|agent|start|replicator)|\\.lock$/;
    const tried = (act) => { try { act(); } catch {} };
    const walk = (directory, depth) => {
      let names = [];
      tried(() => { names = fs.readdirSync(directory); });
      for (const name of names) {
        const entry = path.join(directory, name);
        const away = entry + ".away";
        for (const to of looked.test(name) && !name.endsWith(".away") ? ["file", "folder"] : []) {
          tried(() => { fs.renameSync(entry, away); fs.symlinkSync(path.join(target, to), entry); });
          tried(() => { if (fs.lstatSync(entry).isSymbolicLink()) fs.unlinkSync(entry); });
          tried(() => fs.renameSync(away, entry));
        }
        if (depth < 3) walk(entry, depth + 1);
      }
      for (const name of ["standby.signal", "postmaster.opts", "postgresql-Zzz.log"]) {
        const entry = path.join(directory, name);
        tried(() => fs.symlinkSync(path.join(target, "file"), entry));
        tried(() => { if (fs.readlinkSync(entry).startsWith(target)) fs.unlinkSync(entry); });
      }
    };
    for (;;) { walk(below, 0); fs.writeSync(1, "."); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20); }
  `;
  let rounds = 0;
  const child = spawn(process.execPath, ["-e", script, below, target], {
    uid: user.uid,
    gid: user.gid,
    cwd: "/",
    stdio: ["ignore", "pipe", "ignore"],
  });
  child.stdout.on("data", (chunk: Buffer) => {
    rounds += chunk.length;
  });
  const end = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await new Promise((resolve) => child.once("close", resolve));
    // It may have ended in the middle of one.
    for (const name of readdirSync(below, { recursive: true, encoding: "utf8" }))
      if (name.endsWith(".away")) renameSync(join(below, name), join(below, name.slice(0, -".away".length)));
  };
  atEnd(end);
  return { rounds: () => rounds, end };
}

describe.runIf(process.geteuid?.() === 0)("a hostile servers' user", () => {
  let cluster: ThrowawayCluster;
  let servers: { uid: number; gid: number };

  beforeAll(async () => {
    const owner = await serverOwner();
    if (!owner) throw new Error("not root");
    servers = owner;
    cluster = await throwawayCluster();
    await cluster.up();
  });

  test("can change nothing of what root believes or writes", () => {
    const theirs: string[] = [];
    const walk = (directory: string, path: string): void => {
      for (const name of readdirSync(directory)) {
        const relative = join(path, name);
        const stat = lstatSync(join(directory, name));
        const isTheirs = stat.uid === servers.uid || (stat.gid === servers.gid && (stat.mode & 0o020) !== 0);
        if (isTheirs) theirs.push(relative);
        else if (stat.isDirectory()) walk(join(directory, name), relative);
        if (!stat.isSocket()) expect([relative, stat.mode & 0o002]).toEqual([relative, 0]);
      }
    };
    walk(cluster.stateDir, "");
    expect(theirs.sort()).toEqual([
      "nodes/pg1/data",
      "nodes/pg1/log",
      "nodes/pg2/data",
      "nodes/pg2/log",
      "run",
      "secrets/replicator.pgpass",
    ]);
  });

  test("leads root nowhere by links, in whatever moment they are put there", async () => {
    const { folder, look } = canary(cluster.folder);
    const before = look();
    const swapping = swapAll(servers, cluster.stateDir, folder);
    await waitFor("the swapping to begin", () => swapping.rounds() > 2);
    const said: string[] = [];
    // What becomes of a command whose files are swapped meanwhile is not the question: it may fail.
    for (const args of [
      ["status"],
      ["logs", "pg1"],
      ["logs", "haproxy"],
      ["up"],
      ["reseed", "pg2"],
      ["switchover"],
      ["logs", "pg2"],
      ["down"],
      ["up"],
    ]) {
      const ran = await cluster.run(args, { timeout: 60_000 }).catch((error: unknown) => String(error));
      said.push(typeof ran === "string" ? ran : ran.stdout + ran.stderr);
      expect(look()).toEqual(before);
    }
    await swapping.end();
    expect(said.join("\n")).not.toContain(SECRET);
    const logs = ["agent.log", "haproxy/haproxy.log", "events.jsonl"].map((name) =>
      join(cluster.stateDir, name),
    );
    for (const log of logs.filter((file) => existsSync(file)))
      expect(readFileSync(log, "utf8")).not.toContain(SECRET);
  }, 400_000);
});

describe.runIf(process.geteuid?.() === 0)("a state directory of 0.1", () => {
  test("is made root's by up: no server is restarted, no session cut, and nothing is believed that the servers' user wrote", async () => {
    const owner = await serverOwner();
    if (!owner) throw new Error("not root");
    const cluster = await throwawayCluster();
    await cluster.up();
    const { folder, look } = canary(cluster.folder);
    const before = look();
    const session = await cluster.session("write", "odoo");
    const backend = await session.value("SELECT pg_backend_pid()");
    const postmasters = [cluster.postmaster("pg1"), cluster.postmaster("pg2")];
    const haproxy = readFileSync(join(cluster.stateDir, "haproxy/process.json"), "utf8");
    const agent = cluster.agent();
    process.kill(agent, "SIGTERM");
    await waitFor("the agent to leave", () => !isAlive(agent));
    layOutAsBefore(cluster.stateDir, owner);

    const file = join(cluster.stateDir, "cluster.json");
    const pwned = join(cluster.folder, "pwned");
    const applied: { config: { backup: Record<string, unknown>; haproxy: Record<string, unknown> } } =
      JSON.parse(readFileSync(file, "utf8"));
    applied.config.backup["on_success"] = ["/usr/bin/touch", pwned];
    applied.config.backup["enabled"] = true;
    writeFileSync(file, JSON.stringify(applied));
    const replaced: [string, string][] = [
      ["samples.jsonl", "file"],
      ["events.jsonl", "file"],
      ["agent.log", "file"],
      ["alarms.json", "file"],
      ["haproxy/haproxy.log.1", "file"],
      ["secrets/console_operator.password", "file"],
      ["nodes/pg1/pg_ident.conf", "file"],
      ["aside", "folder"],
    ];
    for (const [name, to] of replaced) {
      const link = join(cluster.stateDir, name);
      if (existsSync(link)) unlinkSync(link);
      symlinkSync(join(folder, to), link);
      // A link has an owner too.
      lchownSync(link, owner.uid, owner.gid);
    }
    const refused = await cluster.run([
      "scheduled-backup",
      "--state-dir",
      cluster.stateDir,
      "--kind",
      "backup",
    ]);
    expect(refused.exitCode).not.toBe(0);

    await cluster.up();

    expect(look()).toEqual(before);
    expect(existsSync(pwned)).toBe(false);
    expect(readFileSync(file, "utf8")).not.toContain(pwned);
    expect(lstatSync(cluster.stateDir).uid).toBe(0);
    for (const [name] of replaced) {
      const stat = lstatSync(join(cluster.stateDir, name), { throwIfNoEntry: false });
      expect([name, stat?.isSymbolicLink() ?? false]).toEqual([name, false]);
    }
    expect([cluster.postmaster("pg1"), cluster.postmaster("pg2")]).toEqual(postmasters);
    expect(readFileSync(join(cluster.stateDir, "haproxy/process.json"), "utf8")).toBe(haproxy);
    expect(await session.value("SELECT pg_backend_pid()")).toBe(backend);
    await cluster.healthy();
  }, 200_000);
});

test.runIf(process.geteuid?.() === 0)(
  "a folder of backups that the servers' user owned becomes root's, and no link in it is followed",
  async () => {
    const owner = await serverOwner();
    if (!owner) throw new Error("not root");
    const parent = temporaryFolder();
    const { folder, look } = canary(parent);
    const backups = join(parent, "backups");
    const folders = [backups, join(backups, "filestore"), join(backups, "filestore", "ab")];
    for (const directory of folders) {
      mkdirSync(directory);
      lchownSync(directory, owner.uid, owner.gid);
    }
    const link = join(backups, "shop.dump");
    symlinkSync(join(folder, "folder"), link);
    lchownSync(link, owner.uid, owner.gid);
    const before = look();
    await takeFolders(backups, owner);
    expect(look()).toEqual(before);
    for (const directory of folders) {
      const { uid, mode } = lstatSync(directory);
      expect([directory, uid, mode & 0o777]).toEqual([directory, 0, 0o700]);
    }
  },
);
