import { nodeLayoutOf, type Layout } from "../config/layout.ts";
import type { Config } from "../config/schema.ts";
import { OdooPgError, toOdooPgError } from "../errors.ts";
import { nextStep, odooPg } from "../next-step.ts";
import { oneLine } from "../printable.ts";
import type { ArchiveStatus } from "../model/archive-status.ts";
import { releaseLock, takeLock } from "../store/lock.ts";
import { tablespaceLinks } from "../postgres/tablespaces.ts";
import { unlessCopying } from "../store/copying.ts";
import { readState } from "../store/state.ts";
import { now } from "../system/clock.ts";
import type { Owner } from "../system/files/files.ts";
import { processors } from "../system/machine.ts";
import { ownPid } from "../system/process/process.ts";
import { archivePlaceOf, type ArchivePlace } from "./place.ts";
import { expireBases, listBases, makeBase, readRepository, type Pgbackrest } from "./pgbackrest.ts";
import { readArchiveStatus, readArchiving, writeArchiveStatus } from "./record.ts";
import { pgbackrestOf } from "./setup.ts";

/** The repository of a cluster whose WAL goes into it. */
export interface OpenRepository {
  readonly place: ArchivePlace;
  /** Data directory of the primary that it is backed up from. */
  readonly dataDir: string;
  readonly pgbackrest: Pgbackrest;
  readonly systemIdentifier: string;
}

/**
 * Opens the repository as the primary of this host uses it.
 * @throws OdooPgError not_running where nothing was archived yet, config_invalid where any second is off
 */
export async function openRepository(
  config: Config,
  layout: Layout,
  owner: Owner | undefined,
  signal?: AbortSignal,
): Promise<OpenRepository> {
  if (!config.backup.any_second.enabled) {
    throw new OdooPgError("config_invalid", {
      message: "Any second back is off: only seconds after it is turned on can be restored.",
      safe: "Nothing was changed.",
      next: nextStep`Write "any_second: { enabled: true }" below "backup" in odoo-pg.yaml, then: ${odooPg("up")}`,
    });
  }
  const place = archivePlaceOf(config, layout);
  const [state, archiving] = [await readState(layout), await readArchiving(place.recordFile)];
  const node = config.nodes.find(({ name }) => name === state?.primary);
  if (!node || !archiving) {
    throw new OdooPgError("not_running", {
      message: "Nothing was archived here yet.",
      safe: "Nothing was changed.",
      next: odooPg("up"),
    });
  }
  const pgbackrest = pgbackrestOf(archiving.program, place, node, owner, signal);
  const { dataDir } = nodeLayoutOf(layout, node);
  return { place, dataDir, pgbackrest, systemIdentifier: archiving.system_identifier };
}

/**
 * Makes a base backup, removes what is expired, and notes what there is. What fails is noted, too.
 * @throws OdooPgError locked, or why there is no base backup
 */
export async function backUpBase(
  { place, dataDir, pgbackrest, systemIdentifier }: OpenRepository,
  layout: Layout,
  type: "full" | "diff",
): Promise<ArchiveStatus> {
  await takeLock(place.lockFile, ownPid);
  try {
    const before = await readArchiveStatus(layout.stateDir);
    const begun = { full: null, diff: null, ...before?.begun, [type]: iso() };
    const present = [...(await tablespaceLinks(dataDir)).keys()];
    const note = async (error: string | null): Promise<ArchiveStatus> => {
      const bases = error === null ? await listBases(pgbackrest, systemIdentifier) : (before?.bases ?? []);
      const tablespaces = error === null ? present : (before?.tablespaces ?? []);
      const status: ArchiveStatus = { version: 1, written_at: iso(), begun, bases, tablespaces, error };
      await writeArchiveStatus(layout.stateDir, status);
      return status;
    };
    try {
      await makeBase(pgbackrest, type, processors());
      await unlessCopying(layout, async () => await expireBases(pgbackrest));
    } catch (error) {
      await note(oneLine(toOdooPgError(error).message));
      throw error;
    }
    return await note(null);
  } finally {
    await releaseLock(place.lockFile, ownPid);
  }
}

/**
 * Reads all of the repository, while nothing is added to its base backups and nothing removed.
 * @returns what is damaged or missing, one line each
 * @throws OdooPgError locked while a base backup is made
 */
export async function proveRepository({ place, pgbackrest }: OpenRepository): Promise<string[]> {
  await takeLock(place.lockFile, ownPid);
  try {
    return await readRepository(pgbackrest);
  } finally {
    await releaseLock(place.lockFile, ownPid);
  }
}

function iso(): string {
  return new Date(now()).toISOString();
}
