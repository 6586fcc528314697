import { chmodSync, chownSync, existsSync, lstatSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { User } from "../support/program.ts";

/**
 * Lays a state directory out as odoo-pg 0.1 did where the servers run as another user: all of it that user's, but what
 * 0.1 wrote as root. Its agent must not run; servers and HAProxy may.
 */
export function layOutAsBefore(stateDir: string, servers: User): void {
  const ofRoot =
    /\/(?:agent\.lock|agent\.log\.start|process\.json|console_\w+\.password|\w+_loader_\w+\.pgpass)$/;
  const give = (file: string): void => {
    if (!ofRoot.test(file)) chownSync(file, servers.uid, servers.gid);
    if (/\.(?:key|conf|cfg)$/.test(file)) chmodSync(file, 0o600);
  };
  rmSync(join(stateDir, "agent"), { recursive: true, force: true });
  give(stateDir);
  for (const name of readdirSync(stateDir)) {
    const entry = join(stateDir, name);
    give(entry);
    if (!lstatSync(entry).isDirectory()) continue;
    if (name !== "tls") chmodSync(entry, 0o700);
    for (const inner of readdirSync(entry)) {
      const file = join(entry, inner);
      if (!lstatSync(file).isSocket()) give(file);
      if (name !== "nodes") continue;
      chmodSync(file, 0o700);
      for (const part of readdirSync(file)) if (part !== "data") give(join(file, part));
      const startLog = join(file, "start.log");
      if (existsSync(startLog)) renameSync(startLog, join(file, "log", "start.log"));
    }
  }
}
