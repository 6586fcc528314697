import { nextStep, odooPg } from "../../next-step.ts";
import path from "node:path";
import { OdooPgError } from "../../errors.ts";
import { printableLine } from "../../printable.ts";
import { pause } from "../../system/clock.ts";
import { readContents, type CataloguedBackup } from "../../backup/catalogue.ts";
import { findDifferences } from "../../backup/contents/compare.ts";
import { objectsIn, type Contents } from "../../backup/contents/contents.ts";
import { readFilestoreList } from "../../backup/attachments/filestore-list.ts";
import type { BackupPlace } from "../../backup/place.ts";
import type { BackupSource } from "../../backup/source.ts";
import { verifyFolder } from "../../backup/verify.ts";
import { readArchiveList } from "./archive-list.ts";
import { neededFilestore, NewFilestore } from "../target/attachments.ts";
import { withBackupFolder } from "./backup-folder.ts";
import { assertRoom, jobsOf, tableProgress, type Filling, type Loaded } from "./filling.ts";
import type { Provenance } from "./provenance.ts";
import { piecesOf } from "../reading/input.ts";
import { listArchive, loadArchive, type ArchiveLoaded } from "./load.ts";
import { ownedBy } from "../target/owners.ts";
import { asideNotes, withoutSetAside } from "../target/set-aside.ts";
import { SqlLoader, type SqlOrder } from "./sql-loader.ts";
import { unpacked } from "./unpacked.ts";

export interface BackupLoading {
  /** Where the attachments come from; undefined when they are not restored. */
  readonly pool: BackupPlace | undefined;
  /** Whether the checksums of the backup were checked just now. */
  readonly checked: boolean;
  readonly provenance: Provenance;
}

/**
 * Loads a backup of odoo-pg. Its checksums are checked while it is loaded: nothing that is loaded is trusted until they
 * match.
 * @throws OdooPgError backup_damaged, dump_unusable, disk_full …
 */
export async function loadBackup(
  filling: Filling,
  backup: CataloguedBackup,
  how: BackupLoading,
): Promise<Loaded> {
  return await withBackupFolder(
    async (use) => await unpacked(filling, use),
    backup,
    async (there) => await loadThere(filling, there, how),
  );
}

async function loadThere(filling: Filling, backup: CataloguedBackup, how: BackupLoading): Promise<Loaded> {
  const { provenance } = how;
  const sealed = provenance.is === "own" && provenance.sealed;
  // Where its checksums prove its origin, none of it is trusted before they match.
  if (sealed && !how.checked) await checkFolder(filling.source, backup);
  const checking = how.checked || sealed ? Promise.resolve() : checkFolder(filling.source, backup);
  // Its error is handled when the load has ended.
  checking.catch(() => {});
  try {
    const loaded = await loadUnchecked(filling, backup, how);
    await checking;
    return loaded;
  } catch (error) {
    // The damage to the backup is reported rather than the errors that it caused.
    if (filling.source.signal?.aborted !== true) await checking;
    throw error;
  }
}

async function checkFolder(source: BackupSource, { id, folder, manifest }: CataloguedBackup): Promise<void> {
  const problems: string[] = [];
  await verifyFolder(
    folder,
    (problem) => problems.push(problem),
    () => source.signal?.throwIfAborted(),
  );
  if (!problems.length) return;
  throw new OdooPgError("backup_damaged", {
    message: `Backup ${id} is damaged: ${problems.slice(0, 5).join(", ")}.`,
    safe: "Nothing that existed was changed.",
    next: nextStep`Choose another one: ${odooPg("backup", "list", "--database", manifest.database)}`,
  });
}

async function loadUnchecked(
  filling: Filling,
  backup: CataloguedBackup,
  { pool, provenance }: BackupLoading,
): Promise<Loaded> {
  const { source, database, target, progress } = filling;
  const { manifest, folder } = backup;
  if (manifest.server_major > source.installation.major) {
    throw new OdooPgError("dump_unusable", {
      message: `${backup.id} was made from PostgreSQL ${manifest.server_major}, and this server is PostgreSQL ${source.installation.major}.`,
      safe: "Nothing was changed.",
      next: "Restore it into a cluster of that version or later.",
    });
  }
  const expected = await readContents(folder);
  const own = provenance.is === "own";
  const { filestore } = manifest;
  const files = pool !== undefined && filestore.included ? filestore.bytes : 0;
  await assertRoom(source, manifest.database_bytes, files);
  progress.step(database, "create the database");
  await target.createEmpty(expected.database);
  progress.step(database, "load");
  const copying = pool !== undefined && filestore.included ? fillFromPool(filling, folder, pool) : undefined;
  // Its error is handled when the load has ended.
  copying?.catch(() => {});
  const { setAside, notes } = await loadDump(filling, backup, {
    trusted: own,
    immutableUnaccent: expected.unaccent?.immutable === true,
    rightsKnown: expected.rights !== undefined,
  });
  await copying;
  const promised = withoutSetAside(expected, setAside);
  return {
    objects: objectsIn(promised),
    differences: (found) =>
      findDifferences(ownedBy(promised, target.loader, found), found, {
        owners: true,
        definitions: manifest.server_major === source.installation.major,
      }),
    notes: [
      ...(provenance.is === "claimed" ? [claimedNote(source, provenance.because)] : []),
      ...notes,
      ...asideNotes(setAside),
      ...(filestore.included || filestore.reason === "not_odoo"
        ? []
        : [
            filestore.reason === "not_configured"
              ? "the backup holds no attachments: no filestore was configured where it was made"
              : "the backup holds no attachments: the database had no folder in the filestore when it was made",
          ]),
    ],
    setAside,
    owners: own ? promised : undefined,
    rights: rightsOf(expected),
    settings: expected.database.settings,
    knownMissing: filestore.included ? filestore.missing.count : undefined,
  };
}

function claimedNote({ place }: BackupSource, because: string | undefined): string {
  const nothing = "the backup says that it is of this cluster, and nothing proves it";
  return because === undefined
    ? `${nothing}: owners of its own are not taken over. Where you know that it is, copy it to ${place.dir} as root and ` +
        "restore it from there"
    : `${nothing}, as ${printableLine(because)}: owners of its own are not taken over. Where you know that it is, let nobody ` +
        `but root and the owner of the backups change it there, or copy it as root to where nobody else does`;
}

/** Undefined where the backup does not know them. */
export function rightsOf({ rights, database }: Contents): Loaded["rights"] {
  return rights && { all: rights, owner: database.owner };
}

async function loadDump(
  filling: Filling,
  { manifest, folder }: CataloguedBackup,
  how: Pick<SqlOrder, "trusted" | "immutableUnaccent" | "rightsKnown">,
): Promise<ArchiveLoaded> {
  const { source } = filling;
  const dump = manifest.dumps.find(({ format }) => format === "directory");
  if (dump) {
    const list = readArchiveList(await listArchive(source, folder));
    const archive = { name: folder, file: folder, list, jobs: jobsOf(filling), ...how };
    return await loadArchive(filling, archive, tableProgress(filling));
  }
  const [plain] = manifest.dumps;
  const file = path.join(folder, plain?.path ?? "");
  const compression = file.endsWith(".gz") ? "gzip" : file.endsWith(".zst") ? "zstd" : "none";
  const order = { name: file, part: undefined, converted: () => false, ...how };
  return await SqlLoader.load(
    filling,
    order,
    piecesOf({ file, at: file, compression }, undefined, source.signal),
  );
}

/** Number of files after which to yield: the load's output must be read, or it stalls. */
const FILES_AT_ONCE = 64;

async function fillFromPool(filling: Filling, folder: string, pool: BackupPlace): Promise<void> {
  const { source } = filling;
  const files = new NewFilestore(path.join(await neededFilestore(source.config), filling.target.name));
  filling.files = files;
  let count = 0;
  for await (const listed of readFilestoreList(folder)) {
    source.signal?.throwIfAborted();
    await files.addFromPool(pool, listed);
    count += 1;
    if (count % FILES_AT_ONCE === 0) await pause(0);
  }
  await files.finish();
}
