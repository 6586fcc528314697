import path from "node:path";
import type { Layout, NodeConfig } from "../config/layout.ts";
import type { Config } from "../config/schema.ts";

/** Where what belongs to any second back lies. */
export interface ArchivePlace {
  /** Base backups and WAL; the servers' user's. */
  readonly repository: string;
  /** The name by which pgBackRest knows the cluster in its repository. */
  readonly stanza: string;
  readonly dir: string;
  /** Of pgBackRest, while it works. */
  readonly locks: string;
  /** Whether WAL is taken into the repository, since when, and what it lacks. */
  readonly recordFile: string;
  /** That there was a repository, and where: its disk may not be mounted. Undefined where nobody remembers it. */
  readonly markFile?: string | undefined;
  /** The lock that is held while a base backup is made, or expired ones are removed. */
  readonly lockFile: string;
  /** Clusters of another moment, for as long as something is copied out of them. */
  readonly moments: string;
  /** The lock that is held while there is one. */
  readonly momentLock: string;
  /** Which of them is kept for the next one, and until when. */
  readonly keptFile: string;
  /** What is copied out of one, ours. */
  readonly copies: string;
}

export function archivePlaceOf(config: Config, layout: Layout): ArchivePlace {
  const at = (name: string): string => path.join(layout.archiveDir, name);
  return {
    repository: config.backup.any_second.repository ?? `${config.state_dir}.archive`,
    stanza: config.cluster,
    dir: layout.archiveDir,
    locks: at("locks"),
    recordFile: recordFileIn(layout),
    markFile: at("repository.json"),
    lockFile: at("base-backup.lock"),
    moments: at("moments"),
    momentLock: at("moment.lock"),
    keptFile: at("kept-moment.json"),
    copies: at("copies"),
  };
}

export function recordFileIn(layout: Layout): string {
  return path.join(layout.archiveDir, "archiving.json");
}

/** What pgBackRest is told by a node. Each has its own: it refuses WAL from a data directory that is not the one named. */
export function confOf(place: Pick<ArchivePlace, "dir">, node: Pick<NodeConfig, "name">): string {
  return path.join(place.dir, `${node.name}.conf`);
}
