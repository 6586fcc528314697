// A Docker engine to test with: the one that runs, or one that is started here and ended again by its process id.
import { execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

/** Runs a program; resolves with its status and what it printed, whatever the status. Never through a shell. */
export async function run(program, args, { env = {}, cwd, limit = 300_000, input } = {}) {
  return await new Promise((resolve) => {
    const options = { env: { ...process.env, ...env }, cwd, timeout: limit, maxBuffer: 64 << 20 };
    const child = execFile(program, args, options, (error, stdout, stderr) =>
      resolve({ status: error ? (typeof error.code === "number" ? error.code : 1) : 0, stdout, stderr }),
    );
    child.stdin?.end(input);
  });
}

/** As `run`, and a failure is an error with the program's last words. Resolves with what it printed. */
export async function must(program, args, options) {
  const { status, stdout, stderr } = await run(program, args, options);
  if (status === 0) return stdout.trim();
  throw new Error(
    `${program} ${args.join(" ")} ended with ${status}:\n${(stderr || stdout).trim().slice(-2000)}`,
  );
}

export const docker = async (...args) => await must("docker", args);

/** Waits until `look` gives something true, and gives that back. */
export async function until(what, look, limit = 120_000) {
  const begun = Date.now();
  let last;
  for (;;) {
    try {
      const seen = await look();
      if (seen) return seen;
    } catch (error) {
      last = error;
    }
    if (Date.now() - begun > limit)
      throw new Error(`waited ${limit / 1000} s for ${what}${last ? `: ${last.message}` : ""}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/**
 * In continuous integration, as root on Debian: installs what an engine and the base image are made with, where it is
 * missing; gives what was installed. Elsewhere nobody's machine is changed.
 */
export async function installForIntegration() {
  if (process.env.CI !== "true" || process.getuid?.() !== 0 || !existsSync("/etc/debian_version")) return [];
  const needed = { dockerd: "docker.io", "docker-compose": "docker-compose", debootstrap: "debootstrap" };
  const missing = Object.entries(needed).flatMap(([program, name]) =>
    ["/usr/sbin", "/usr/bin"].some((folder) => existsSync(path.join(folder, program))) ? [] : [name],
  );
  if (!missing.length) return [];
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  await run("apt-get", ["update", "-qq"], { env });
  await run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", "iptables", ...missing], { env });
  return missing;
}

/** An engine that answers, or the reason why there is none. `stop` ends what was started here. */
export async function findEngine() {
  const answers = async () => (await run("docker", ["info"], { limit: 10_000 })).status === 0;
  if (await answers()) return { stop: async () => {} };
  if (process.getuid?.() !== 0) return { reason: "no Docker engine answers, and only root could start one" };
  const daemon = ["/usr/sbin/dockerd", "/usr/bin/dockerd"].find((file) => existsSync(file));
  if (!daemon) return { reason: "there is no Docker engine (on Debian: apt-get install docker.io)" };
  const folder = mkdtempSync(path.join(tmpdir(), "odoo-pg-docker-"));
  const log = path.join(folder, "dockerd.log");
  const output = openSync(log, "a");
  const child = spawn(daemon, ["--pidfile", path.join(folder, "pid")], {
    detached: true,
    stdio: ["ignore", output, output],
  });
  let ended = false;
  child.once("exit", () => (ended = true));
  const stop = async () => {
    child.kill("SIGTERM");
    await until("the engine to end", () => ended, 30_000).catch(() => child.kill("SIGKILL"));
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await until("the engine to answer", async () => ended || (await answers()), 60_000);
    if (ended) throw new Error("it ended at once");
    await forgetEndedRuns();
    return { stop };
  } catch {
    const words = readFileSync(log, "utf8").trim().split("\n").at(-1) ?? "";
    await stop();
    return { reason: `the Docker engine does not start here: ${words.slice(0, 300)}` };
  }
}

/** Names of what a run makes: of single containers, and of the projects of compose. */
const OF_A_RUN = ["odoo-pg-test-", "odoopgtest"];

/** In an engine that nobody else uses: clears away what runs left that were killed. Their containers start with it. */
async function forgetEndedRuns() {
  for (const name of OF_A_RUN) {
    const left = async (...list) =>
      (await docker(...list, "--filter", `name=${name}`)).split("\n").filter(Boolean);
    const containers = await left("ps", "-aq");
    if (containers.length) await docker("rm", "-f", "-v", ...containers);
    const volumes = await left("volume", "ls", "-q");
    if (volumes.length) await docker("volume", "rm", "-f", ...volumes);
    const networks = await left("network", "ls", "-q");
    if (networks.length) await docker("network", "rm", ...networks);
  }
}

/** Compose v2 where there is one, else docker-compose 1.29; undefined where there is neither. */
export async function findCompose() {
  if ((await run("docker", ["compose", "version"])).status === 0) return ["docker", "compose"];
  if ((await run("docker-compose", ["version"])).status === 0) return ["docker-compose"];
  return undefined;
}
