import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import os from "node:os";
import { isErrno, type Owner } from "./files/files.ts";
import { hasIpv6 } from "./network/network.ts";
import { run } from "./process/process.ts";

/** What the machine and the process are: read once, at the edge. */
export interface Machine {
  readonly platform: NodeJS.Platform;
  readonly hostname: string;
  readonly home: string;
  readonly isRoot: boolean;
  /** Bytes of memory that this process may use: the container's limit where there is one. */
  readonly memoryBytes: number;
  readonly hasIpv6: boolean;
  /** Whether all of 127.0.0.0/8 is this machine, not 127.0.0.1 alone. */
  readonly hasLoopbackNetwork: boolean;
  /** The present user. */
  readonly userName: string;
}

export function readMachine(): Machine {
  const limit = process.constrainedMemory();
  const total = os.totalmem();
  return {
    platform: os.platform(),
    hostname: os.hostname(),
    home: os.homedir(),
    isRoot: process.geteuid?.() === 0,
    memoryBytes: limit > 0 && limit < total ? limit : total,
    userName: os.userInfo().username,
    hasIpv6: hasIpv6(),
    hasLoopbackNetwork: os.platform() === "linux",
  };
}

/** The present user. */
export function currentUser(): Owner {
  const { username, uid, gid } = os.userInfo();
  return { name: username, uid, gid };
}

/**
 * Goes on with another user's rights, for good: as root, so that no link of that user's leads root anywhere. Node with a
 * libuv of the system's, as in Debian 13, changes no rights of its own process (CVE-2024-22017): there the same command
 * line is run by a child with those rights, and this process ends as it does.
 */
export async function takeRightsOf({ uid, gid }: Owner): Promise<void> {
  try {
    process.setgroups?.([gid]);
  } catch (error) {
    if (!isErrno(error, "ERR_INVALID_STATE")) throw error;
    await endAsChildOf(uid, gid);
  }
  process.setgid?.(gid);
  process.setuid?.(uid);
}

/** The child has none of root's groups (uv_spawn: setgroups). Signals reach it. */
async function endAsChildOf(uid: number, gid: number): Promise<never> {
  const args = [...process.execArgv, ...process.argv.slice(1)];
  const child = spawn(process.execPath, args, { uid, gid, stdio: "inherit" });
  // Ctrl-C reaches both from the terminal.
  process.on("SIGINT", () => {});
  for (const signal of ["SIGTERM", "SIGHUP"] as const) process.on(signal, () => void child.kill(signal));
  const status = await new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => resolve(code ?? 128));
  });
  process.exit(status);
}

/** Set for the commands that the console starts: for whom. */
export const ASKED_BY = "ODOO_PG_ASKED_BY";

/** Who started this process: for whom the console did, the user in front of sudo, or the present user. */
export function requester(): string {
  return process.env[ASKED_BY] ?? process.env["SUDO_USER"] ?? presentUser();
}

function presentUser(): string {
  try {
    return os.userInfo().username;
  } catch {
    // A container may run as a user that no file names.
    return `uid ${process.geteuid?.() ?? "?"}`;
  }
}

/** The name of a user by its number; the number where no file names it. */
export async function userName(uid: number): Promise<string> {
  if (uid === process.geteuid?.()) return presentUser();
  const text = await readFile("/etc/passwd", "utf8").catch(() => "");
  const line = text.split("\n").find((one) => one.split(":")[2] === String(uid));
  return line?.split(":")[0] ?? `uid ${uid}`;
}

/** Looks a user up in the system's user database; undefined when there is none of that name. */
export async function findUser(name: string): Promise<Owner | undefined> {
  const parse = (line: string | undefined): Owner | undefined => {
    const [found, , uid, gid] = line?.split(":") ?? [];
    return found === name && uid !== undefined && gid !== undefined
      ? { name, uid: Number(uid), gid: Number(gid) }
      : undefined;
  };
  try {
    const local = parse(
      readFileSync("/etc/passwd", "utf8")
        .split("\n")
        .find((line) => line.startsWith(`${name}:`)),
    );
    if (local) return local;
  } catch {
    // No such file on some systems: the commands below know.
  }
  if (os.platform() === "darwin") {
    const uid = await run("id", ["-u", name]);
    const gid = await run("id", ["-g", name]);
    return uid.exitCode === 0 ? { name, uid: Number(uid.stdout), gid: Number(gid.stdout) } : undefined;
  }
  const getent = await run("getent", ["passwd", name]).catch(() => undefined);
  return parse(getent?.stdout.split("\n")[0]);
}

/** Processors that this process may use. */
export function processors(): number {
  return os.availableParallelism();
}
