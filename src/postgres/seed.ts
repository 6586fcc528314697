import type { Layout, NodeConfig, NodeLayout } from "../config/layout.ts";
import type { Config } from "../config/schema.ts";
import { writeFileAtomic, type Owner } from "../system/files/files.ts";
import { inFolder } from "../system/files/held/folder.ts";
import { runOrFail } from "../system/process/process.ts";
import { forgetOwnSettings } from "./sql/altered-settings.ts";
import { freshDirectory } from "./initialise.ts";
import { programOf, type Installation } from "./installation.ts";
import { primaryConninfo } from "./render.ts";
import { conninfo } from "./sql/quoting.ts";
import { mappingOf, placesFor } from "./tablespaces.ts";

export interface SeedOptions {
  readonly config: Config;
  readonly layout: Layout;
  readonly node: NodeConfig;
  readonly files: NodeLayout;
  readonly installation: Installation;
  readonly owner: Owner | undefined;
  readonly upstream: { host: string; port: number };
  readonly follows?: "own" | "foreign";
  /** The replica's own slot; undefined: one that lasts as long as the copy. */
  readonly slot: string | undefined;
  /** How the primary is reached, where it runs on another host of this cluster. */
  readonly source?: Readonly<Record<string, string | number>> | undefined;
  /** The primary's tablespaces, by object id: each gets a place beside the copy. None where they cannot be read. */
  readonly tablespaces?: ReadonlyMap<string, string>;
  /** Called with bytes copied and bytes in all, as pg_basebackup tells them. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Makes a replica's data directory by a base backup of the primary, through the replica's own slot.
 * Returns the directory of the whole and synced copy, beside its place: the caller renames it. A half copy is never started.
 */
export async function seedDataDirectory(options: SeedOptions): Promise<string> {
  const { files, owner } = options;
  const newDataDir = await freshDirectory(files, owner);
  const places = await placesFor(files, newDataDir, options.tablespaces ?? new Map(), owner);
  await runOrFail(
    programOf(options.installation, "pg_basebackup"),
    [
      "-D",
      newDataDir,
      "-d",
      options.source ? conninfo(options.source) : primaryConninfo(options, options.upstream),
      "-X",
      "stream",
      ...(options.slot === undefined ? [] : ["-S", options.slot]),
      "-c",
      "fast",
      "--no-password",
      ...places.map(mappingOf),
      ...(options.onProgress ? ["-P"] : []),
    ],
    {
      owner,
      timeout: 0,
      signal: options.signal,
      ...(options.onProgress ? { onStderr: progressReader(options.onProgress) } : {}),
    },
  );
  await inFolder(newDataDir, async (folder) => {
    await writeFileAtomic(folder.at("standby.signal"), "", { owner });
    // Files that came along from the primary's directory and must not be taken for this node's own.
    await folder.remove("postmaster.opts");
  });
  await forgetOwnSettings(newDataDir, owner);
  return newDataDir;
}

/** pg_basebackup -P writes `  12345/67890 kB (18%), 0/1 tablespace` and a carriage return. */
function progressReader(onProgress: (done: number, total: number) => void): (text: string) => void {
  return (text) => {
    const last = [...text.matchAll(/(\d+)\/(\d+) kB/g)].at(-1);
    if (last?.[1] && last[2]) onProgress(Number(last[1]) * 1024, Number(last[2]) * 1024);
  };
}
