import type { Layout, NodeConfig } from "../config/layout.ts";
import type { Config } from "../config/schema.ts";
import {
  ensureDirectory,
  passableFor,
  readableBy,
  writeFileIfChanged,
  type Owner,
} from "../system/files/files.ts";
import { OdooPgError } from "../errors.ts";
import { diskAnswers } from "../system/files/answering.ts";
import { makeFolder } from "../system/files/held/by-path.ts";
import { confOf, type ArchivePlace } from "./place.ts";
import type { Pgbackrest } from "./pgbackrest.ts";
import { renderPgbackrest } from "./render.ts";
import { makeRepository } from "./repository-mark.ts";

/** Milliseconds for the disk of a repository to answer. */
const DISK_TIMEOUT = 5000;

/**
 * Writes pgBackRest's configuration and makes its folders. May be run again.
 * @throws OdooPgError repository_missing where the repository's disk is not mounted, timed_out where it hangs
 */
export async function writeConfigurations(
  config: Config,
  layout: Layout,
  place: ArchivePlace,
  owner: Owner | undefined,
): Promise<void> {
  await ensureDirectory(place.dir, passableFor(owner));
  await makeFolder(place.locks, 0o700, owner);
  for (const node of config.nodes) {
    const text = renderPgbackrest(config, layout, place, node);
    await writeFileIfChanged(confOf(place, node), text, readableBy(owner));
  }
  // What is done in a folder of a disk that hangs would hold up all of this program.
  if (!(await diskAnswers(place.repository, "write", DISK_TIMEOUT)))
    throw new OdooPgError("timed_out", {
      message: `The disk of ${place.repository}, the repository of any second, does not answer.`,
      safe: "The databases run. WAL waits until it can be archived.",
    });
  await makeRepository(place, owner);
}

/** pgBackRest as it works for a node. */
export function pgbackrestOf(
  program: string,
  place: ArchivePlace,
  node: Pick<NodeConfig, "name">,
  owner: Owner | undefined,
  signal?: AbortSignal,
): Pgbackrest {
  return { program, conf: confOf(place, node), stanza: place.stanza, owner, signal };
}
