import { posix } from "node:path";

/** What the place of the state directory depends on, besides the configuration. */
export interface Surroundings {
  readonly isRoot: boolean;
  /** The user's home directory. */
  readonly home: string;
  /** $XDG_STATE_HOME, if it is set. */
  readonly xdgStateHome?: string | undefined;
  /** As Node.js names it: `linux`, `darwin`. */
  readonly platform: string;
}

/** Where the state of a cluster lies when the configuration does not say. */
export function defaultStateDir(cluster: string, surroundings: Surroundings): string {
  const { isRoot, home, xdgStateHome, platform } = surroundings;
  if (isRoot) return posix.join("/var/lib/odoo-pg", cluster);
  if (platform === "darwin") return posix.join(home, "Library/Application Support/odoo-pg", cluster);
  // The XDG specification has a relative path ignored.
  const base = xdgStateHome?.startsWith("/") === true ? xdgStateHome : posix.join(home, ".local/state");
  return posix.join(base, "odoo-pg", cluster);
}

/** Bytes. sun_path holds 107 bytes on Linux and 103 on macOS; the names of the sockets need the rest. */
const LONGEST_STATE_DIR = 80;

/** Why a path cannot be the state directory; undefined where it can. */
export function stateDirProblem(path: string): string | undefined {
  const { length } = new TextEncoder().encode(path);
  if (length <= LONGEST_STATE_DIR) return undefined;
  return `${path} is ${length} bytes long, and at most ${LONGEST_STATE_DIR} are possible: Unix sockets are below it, and the system limits their paths to 107 bytes (103 on macOS). Set "state_dir" to a shorter path`;
}
