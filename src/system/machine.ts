import { readFileSync } from "node:fs";
import os from "node:os";
import type { Owner } from "./files.ts";
import { hasIpv6 } from "./network.ts";
import { run } from "./process.ts";

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

/** Goes on with another user's rights, for good: as root, so that no link of that user's leads root anywhere. */
export function takeRightsOf({ uid, gid }: Owner): void {
  process.setgroups?.([gid]);
  process.setgid?.(gid);
  process.setuid?.(uid);
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
