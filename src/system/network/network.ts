import { readFileSync, readdirSync, readlinkSync } from "node:fs";
import net from "node:net";
import { networkInterfaces } from "node:os";
import { isErrno } from "../files/errno.ts";
import { run } from "../process/process.ts";

/** Whether this machine has an IPv6 address, be it only the loopback one. */
export function hasIpv6(): boolean {
  return Object.values(networkInterfaces()).some((addresses) =>
    addresses?.some(({ family }) => family === "IPv6"),
  );
}

/** Whether a server could listen on this address and port now. */
export async function isPortFree(port: number, host = "127.0.0.1"): Promise<boolean> {
  return await new Promise((resolve) => {
    const probe = net.createServer();
    probe.once("error", () => resolve(false));
    probe.listen({ port, host, exclusive: true }, () => probe.close(() => resolve(true)));
  });
}

export interface PortHolder {
  readonly pid: number;
  readonly command: string;
  /** Where it works; undefined where that is not known. */
  readonly folder?: string | undefined;
}

/** The process that listens on a TCP port, as far as this user may know. */
export async function portHolder(port: number): Promise<PortHolder | undefined> {
  if (process.platform === "linux") return linuxPortHolder(port);
  const lsof = await run("lsof", ["-nP", `-iTCP:${port}`, "-sTCP:LISTEN", "-Fpc"]).catch(() => undefined);
  const pid = /^p(\d+)$/m.exec(lsof?.stdout ?? "")?.[1];
  const command = /^c(.+)$/m.exec(lsof?.stdout ?? "")?.[1];
  return pid === undefined ? undefined : { pid: Number(pid), command: command ?? "?" };
}

/** The sockets that listen on a port, as links to them read. proc(5): /proc/net/tcp has their inodes (state 0A). */
function listeningSockets(port: number): ReadonlySet<string> {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  const sockets = new Set<string>();
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    let text = "";
    try {
      text = readFileSync(table, "utf8");
    } catch {
      continue;
    }
    for (const line of text.split("\n").slice(1)) {
      const fields = line.trim().split(/\s+/);
      if (fields[1]?.endsWith(`:${hex}`) && fields[3] === "0A" && fields[9])
        sockets.add(`socket:[${fields[9]}]`);
    }
  }
  return sockets;
}

/** How many of these sockets a process has. @throws Error where it is another user's, or has ended */
function socketsOf(pid: number | string, sockets: ReadonlySet<string>): number {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).filter((fd) => {
    try {
      return sockets.has(readlinkSync(`${folder}/${fd}`));
    } catch (error) {
      // Closed meanwhile, as is the one by which this folder was read. What may not be seen is another matter.
      if (isErrno(error, "ENOENT")) return false;
      throw error;
    }
  }).length;
}

/** How many sockets of a process listen on a port; undefined where that cannot be seen here. */
export function listenersOf(pid: number, port: number): number | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    return socketsOf(pid, listeningSockets(port));
  } catch {
    return undefined;
  }
}

function linuxPortHolder(port: number): PortHolder | undefined {
  const sockets = listeningSockets(port);
  if (sockets.size === 0) return undefined;
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      if (socketsOf(pid, sockets) === 0) continue;
      return {
        pid: Number(pid),
        command: readFileSync(`/proc/${pid}/comm`, "utf8").trim(),
        folder: readlinkSync(`/proc/${pid}/cwd`),
      };
    } catch {
      // Another user's process, or one that ended meanwhile.
    }
  }
  return undefined;
}

/**
 * Sends a text to a Unix socket and returns all that comes back until the other side closes.
 * @throws Error when nothing listens or no whole answer came within `timeout` milliseconds.
 */
export async function askSocket(socketPath: string, text: string, timeout = 2000): Promise<string> {
  return await new Promise((resolve, reject) => {
    let answer = "";
    const socket = net.createConnection({ path: socketPath });
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`no answer from ${socketPath} within ${timeout} ms`));
    }, timeout);
    socket.setEncoding("utf8");
    // Half closed: HAProxy answers, then closes its side too.
    socket.once("connect", () => socket.end(text));
    socket.on("data", (chunk: string) => {
      answer += chunk;
    });
    socket.once("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    socket.once("end", () => {
      clearTimeout(timer);
      resolve(answer);
    });
  });
}

/** Whether something accepts connections on this address within `timeout` milliseconds. */
export async function accepts(host: string, port: number, timeout: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = net.createConnection({ host, port, timeout });
    const done = (answer: boolean) => (): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", done(true));
    socket.once("timeout", done(false));
    socket.once("error", done(false));
  });
}

/** Whether an address answers on a port, be it by a refusal, within `timeout` milliseconds: nothing between drops it. */
export async function reaches(host: string, port: number, timeout: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = net.createConnection({ host, port, timeout });
    const done = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", () => done(true));
    socket.once("timeout", () => done(false));
    socket.once("error", (error) => done("code" in error && error.code === "ECONNREFUSED"));
  });
}
