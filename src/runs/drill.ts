import type { Progress } from "../progress.ts";
import { OdooPgError, toOdooPgError } from "../errors.ts";
import { storeFnames } from "../odoo/filestore.ts";
import { oneLine } from "../printable.ts";
import { now } from "../system/clock.ts";
import { explainSql, SqlError } from "../system/sql/sql.ts";
import { writeChecks, type CataloguedBackup } from "../backup/catalogue.ts";
import { keepDifferences } from "../backup/contents/differences.ts";
import { readFilestoreList } from "../backup/attachments/filestore-list.ts";
import { isOdooDatabase } from "../backup/contents/read-contents.ts";
import { restoreFailed, type Filling } from "../restore/loading/filling.ts";
import { loadBackup } from "../restore/loading/from-backup.ts";
import { NewDatabase } from "../restore/target/new-database.ts";
import { proveLoaded } from "../restore/prove.ts";
import { provenanceOf } from "../restore/loading/provenance.ts";
import { ownerOfRestored } from "../restore/restore.ts";
import type { BackupSource } from "../backup/source.ts";
import { verifyBackup, type SoundFiles, type Verified } from "../backup/verify.ts";

export interface Drilled extends Verified {
  /** Why it cannot be restored, in full. */
  readonly failure?: OdooPgError | undefined;
}

/**
 * Proves a backup: checks all its checksums, then does what a restore does, up to the point where the restored database
 * would get its name. There it is dropped. The result is noted in the backup.
 * @throws OdooPgError disk_full when there is no room for it. The scratch database is dropped in every case.
 */
export async function drillBackup(
  source: BackupSource,
  backup: CataloguedBackup,
  sound: SoundFiles,
  progress: Progress,
): Promise<Drilled | undefined> {
  const { owner, signal } = source;
  const verified = await verifyBackup(backup, sound, { owner, progress, signal });
  if (!verified?.ok) return verified;
  const failure = await failureOf(source, backup, progress);
  const at = new Date(now()).toISOString();
  const problems = failure ? [oneLine(failure.message)] : [];
  await keepDifferences(backup.folder, failure?.details ?? [], owner);
  await writeChecks(
    backup.folder,
    { version: 1, verified_at: at, drilled_at: failure ? null : at, problems },
    owner,
  );
  return { ...verified, ok: !failure, problems, failure };
}

/** Why a backup cannot be restored; undefined where it can. @throws errors that say nothing about the backup */
async function failureOf(
  source: BackupSource,
  backup: CataloguedBackup,
  progress: Progress,
): Promise<OdooPgError | undefined> {
  try {
    await restoreAndDrop(source, backup, progress);
    return undefined;
  } catch (error) {
    if (source.signal?.aborted === true || isDiskFull(error)) throw error;
    const known = error instanceof SqlError ? explainSql(error, backup.id) : toOdooPgError(error);
    if (known.code === "restore_failed") return known;
    const { code, message, details } = known;
    return new OdooPgError(code, { message: `it cannot be restored: ${message}`, details, cause: error });
  }
}

/** A lack of room on this host says nothing about the backup. */
function isDiskFull(error: unknown): boolean {
  return error instanceof OdooPgError && error.code === "disk_full";
}

async function restoreAndDrop(
  source: BackupSource,
  backup: CataloguedBackup,
  progress: Progress,
): Promise<void> {
  const { database } = backup.manifest;
  const target = await NewDatabase.begin(source);
  try {
    const filling: Filling = { source, database, target, progress, files: undefined, unpacked: 0 };
    progress.step(database, "restore into a scratch database");
    const provenance = await provenanceOf(source, backup);
    const loaded = await loadBackup(filling, backup, { pool: undefined, checked: true, provenance });
    const owner = await ownerOfRestored(source, backup, provenance);
    const attachments = async (): Promise<readonly string[]> => await compareWithList(filling, backup);
    const { notes } = await proveLoaded(filling, loaded, owner, attachments);
    for (const note of notes) progress.note(`${database}: ${note}`);
  } finally {
    await target.discard();
  }
}

/** Every attachment that the database names is in the list of the backup, whose files were all read before. */
async function compareWithList(
  { target }: Filling,
  { folder, manifest: { filestore } }: CataloguedBackup,
): Promise<readonly string[]> {
  if (!filestore.included) return [];
  const without = await target.loading.use(async (session) => {
    if (!(await isOdooDatabase(session))) return 0;
    await session.query("BEGIN READ ONLY");
    const list = readFilestoreList(folder);
    let missing = 0;
    try {
      // Both are sorted by bytes.
      let listed = await list.next();
      for await (const names of storeFnames(session)) {
        for (const name of names) {
          if (!listed.done && listed.value.storeFname === name) listed = await list.next();
          else missing += 1;
        }
      }
    } finally {
      await list.return(undefined);
    }
    await session.query("COMMIT");
    return missing;
  });
  if (without === filestore.missing.count) return [];
  throw restoreFailed([
    `${without} attachments of the database have no file in the backup, not ${filestore.missing.count}`,
  ]);
}
