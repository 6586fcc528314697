import type { Layout, NodeConfig } from "../config/layout.ts";
import type { Config } from "../config/schema.ts";
import {
  ensureDirectory,
  passableFor,
  readableBy,
  writeFileIfChanged,
  type Owner,
} from "../system/files/files.ts";
import { makeFolder } from "../system/files/folder.ts";
import { confOf, type ArchivePlace } from "./place.ts";
import type { Pgbackrest } from "./pgbackrest.ts";
import { renderPgbackrest } from "./render.ts";

/** Writes pgBackRest's configuration and makes its folders. May be run again. */
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
  await makeFolder(place.repository, 0o700, owner);
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
