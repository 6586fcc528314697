import path from "node:path";
import { layoutOf } from "../config/layout.ts";
import { kindOf, ownerOf } from "../system/files/files.ts";
import { currentUser, userName } from "../system/machine.ts";
import { commandLines } from "../system/process/command-lines.ts";

/** A cluster of this host. Its place is read from processes, which any user may name as they like: it is a hint. */
export interface ClusterHere {
  readonly stateDir: string;
  /** The owner of the state directory. */
  readonly user: string;
  /** Whether this user may look after it. */
  readonly own: boolean;
}

/** Where root's cluster lies when nothing else is said. */
const ROOTS = "/var/lib/odoo-pg/odoo";

/** The clusters of this host that run, and root's where it is stopped; without that of `but`. Sorted by place. */
export async function clustersHere(but: string): Promise<ClusterHere[]> {
  const places = new Set([...commandLines().flatMap(({ args }) => stateDirNamedBy(args) ?? []), ROOTS]);
  places.delete(but);
  const found = await Promise.all(
    [...places].sort().map(async (stateDir): Promise<ClusterHere | undefined> => {
      const { appliedFile } = layoutOf(stateDir);
      const owner = await ownerOf(stateDir);
      if (!owner || !(await holdsCluster(appliedFile))) return undefined;
      const { uid } = currentUser();
      return { stateDir, user: await userName(owner.uid), own: owner.uid === uid };
    }),
  );
  return found.flatMap((one) => one ?? []);
}

async function holdsCluster(appliedFile: string): Promise<boolean> {
  return (await kindOf(appliedFile).catch(() => undefined)) === "file";
}

/** The state directory that an agent or a server was started with; undefined for any other process. Pure. */
export function stateDirNamedBy(args: readonly string[]): string | undefined {
  const agent = args.indexOf("agent");
  if (agent > 0 && args[agent + 1] === "--state-dir") return absolute(args[agent + 2]);
  const [, file] = /^config_file=(.*)\/nodes\/[^/]+\/postgresql\.conf$/.exec(args.at(-1) ?? "") ?? [];
  return absolute(file);
}

function absolute(text: string | undefined): string | undefined {
  return text !== undefined && path.isAbsolute(text) ? path.normalize(text) : undefined;
}
