import { linkSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";

/** Where reserved ports are written down, one file each, for all test runs of this user on this machine. */
export function portLockFolder(): string {
  return `/tmp/opg-ports-${process.getuid?.() ?? 0}`;
}

/**
 * Writes down that this process uses a port. A link appears at once and with its content.
 * @returns whether nobody had it before
 */
export function reservePort(port: number): boolean {
  const folder = portLockFolder();
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const own = join(folder, `.${process.pid}`);
  writeFileSync(own, String(process.pid));
  try {
    linkSync(own, join(folder, String(port)));
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  } finally {
    rmSync(own, { force: true });
  }
}

/** Gives a reserved port back. */
export function releasePort(port: number): void {
  rmSync(join(portLockFolder(), String(port)), { force: true });
}

/** Whether one could listen on this port of the loopback address now. */
export async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** Who listens on a port, for a message. */
export function listenerOf(port: number): string {
  const unknown = "something listens";
  if (process.platform !== "linux") return unknown;
  const hexadecimal = port.toString(16).toUpperCase().padStart(4, "0");
  const sockets = ["/proc/net/tcp", "/proc/net/tcp6"]
    .flatMap((file) => readFileSync(file, "utf8").split("\n"))
    .map((line) => line.trim().split(/\s+/))
    // Columns: sl, local_address, rem_address, st (0A is LISTEN), …, inode.
    .filter((columns) => columns[1]?.endsWith(`:${hexadecimal}`) === true && columns[3] === "0A")
    .map((columns) => `socket:[${columns[9]}]`);
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const holds = readdirSync(`/proc/${pid}/fd`).some((fd) =>
        sockets.includes(readlinkSync(`/proc/${pid}/fd/${fd}`)),
      );
      if (!holds) continue;
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
      return `process ${pid} listens: ${command}`;
    } catch {
      // It ended, or closed the file, meanwhile; or it belongs to somebody else.
    }
  }
  return unknown;
}
