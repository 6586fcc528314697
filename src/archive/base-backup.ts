import { nodeLayoutOf, type Layout } from "../config/layout.ts";
import type { Config } from "../config/schema.ts";
import { OdooPgError, toOdooPgError } from "../errors.ts";
import { nextStep, odooPg } from "../next-step.ts";
import { oneLine } from "../printable.ts";
import type { ArchiveStatus } from "../model/backups/archive-status.ts";
import { releaseLock, takeLock } from "../store/lock.ts";
import { tablespaceLinks } from "../postgres/tablespaces.ts";
import { unlessCopying } from "../store/copying.ts";
import { readState, recordedPrimary } from "../store/state.ts";
import { now } from "../system/clock.ts";
import type { Owner } from "../system/files/files.ts";
import { processors } from "../system/machine.ts";
import { ownPid } from "../system/process/process.ts";
import { archivePlaceOf, type ArchivePlace } from "./place.ts";
import {
  expireBases,
  listBases,
  makeBase,
  readRepository,
  rebuildInfo,
  type Pgbackrest,
} from "./pgbackrest.ts";
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
  const node = recordedPrimary(config.nodes, state);
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
    const note = async (error: string | null, skipped = before?.expiry_skipped_since ?? null) => {
      const bases = error === null ? await listBases(pgbackrest, systemIdentifier) : (before?.bases ?? []);
      const tablespaces = error === null ? present : (before?.tablespaces ?? []);
      const status: ArchiveStatus = {
        version: 1,
        written_at: iso(),
        begun,
        bases,
        tablespaces,
        expiry_skipped_since: skipped,
        error,
      };
      await writeArchiveStatus(layout.stateDir, status);
      return status;
    };
    try {
      await makeBase(pgbackrest, type, processors());
      return await note(null, await expireUnlessCopied(pgbackrest, layout, before));
    } catch (error) {
      await note(oneLine(toOdooPgError(error).message));
      throw error;
    }
  } finally {
    await releaseLock(place.lockFile, ownPid);
  }
}

/**
 * Removes what is expired, where the last base backup had to leave it, and notes what is left.
 * @returns whether it is removed
 * @throws OdooPgError locked while a base backup is made, or why it cannot be removed
 */
export async function expireLeft(
  { place, pgbackrest, systemIdentifier }: OpenRepository,
  layout: Layout,
): Promise<boolean> {
  await takeLock(place.lockFile, ownPid);
  try {
    const before = await readArchiveStatus(layout.stateDir);
    if (!before) return true;
    const skipped = await expireUnlessCopied(pgbackrest, layout, before);
    const bases = await listBases(pgbackrest, systemIdentifier);
    await writeArchiveStatus(layout.stateDir, {
      ...before,
      written_at: iso(),
      bases,
      expiry_skipped_since: skipped,
    });
    return skipped === null;
  } finally {
    await releaseLock(place.lockFile, ownPid);
  }
}

/**
 * Removes from a copy of another host's repository what has expired, and has what names its base backups fit them. While a
 * copy elsewhere is made of it nothing is removed.
 * @param keepsAll whether nothing is to be removed at all
 * @throws OdooPgError locked while somebody else works in it, or why it cannot be done
 */
export async function expireCopy(
  { place, pgbackrest }: Pick<OpenRepository, "place" | "pgbackrest">,
  layout: Layout,
  keepsAll: boolean,
): Promise<void> {
  await takeLock(place.lockFile, ownPid);
  try {
    if (keepsAll || (await expireUnlessCopied(pgbackrest, layout, undefined)) !== null)
      await rebuildInfo(pgbackrest);
  } finally {
    await releaseLock(place.lockFile, ownPid);
  }
}

/** @returns since when it is left; null where it is removed */
async function expireUnlessCopied(
  pgbackrest: Pgbackrest,
  layout: Layout,
  before: ArchiveStatus | undefined,
): Promise<string | null> {
  const removed = await unlessCopying(layout, async () => {
    await expireBases(pgbackrest);
    return true;
  });
  return removed === true ? null : (before?.expiry_skipped_since ?? iso());
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
