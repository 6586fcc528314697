import { now } from "../system/clock.ts";
import { readCatalogue, type CataloguedBackup } from "../backup/catalogue.ts";
import type { BackupPlace } from "../backup/place.ts";
import { proofsAfter } from "../cluster/backups/proofs.ts";
import { filesOfPrefix, poolPrefixes } from "../backup/attachments/pool.ts";
import { changeBackupStatus } from "../store/backup-status.ts";
import type { BackupStatus, RunReport } from "../model/backups/backup-report.ts";

/** A drill that found nothing to restore proves nothing. */
function provesSomething({ kind, databases }: RunReport): boolean {
  return kind === "drill" && databases.some(({ outcome }) => outcome !== "dropped");
}

/** The backups in a place, and their size. */
interface Amount {
  readonly backups: readonly CataloguedBackup[];
  /** All backups and the pool. */
  readonly bytes: number;
}

async function amountIn(place: BackupPlace): Promise<Amount> {
  let bytes = 0;
  for (const prefix of await poolPrefixes(place))
    for (const size of filesOfPrefix(place, prefix).values()) bytes += size;
  // Read last: scanning the pool takes long, and backups that another run makes meanwhile count too.
  const { backups } = await readCatalogue(place);
  return { backups, bytes: backups.reduce((sum, { manifest }) => sum + manifest.size_bytes, bytes) };
}

/** Writes the status of the backups after a run, from the contents of the place. */
export async function writeBackupStatus(
  stateDir: string,
  place: BackupPlace,
  databases: readonly string[],
  run: RunReport,
): Promise<BackupStatus> {
  const { backups, bytes } = await amountIn(place);
  const newest = new Map(backups.map(({ manifest }) => [manifest.database, manifest]));
  const without = databases.filter((name) => !newest.has(name));
  const times = databases.flatMap((name) => newest.get(name)?.finished_at ?? []).sort();
  const at = now();
  return await changeBackupStatus(stateDir, (before): BackupStatus => ({
    version: 1,
    written_at: new Date(at).toISOString(),
    last_good_at: without.length ? null : (times[0] ?? null),
    databases: databases.length,
    without_backup: without,
    backups: backups.length,
    size_bytes: bytes,
    last_run: run.kind === "backup" ? run : (before?.last_run ?? null),
    last_drill: provesSomething(run) ? run : (before?.last_drill ?? null),
    drills_begun_at: run.kind === "drill" ? run.started_at : before?.drills_begun_at,
    rotation_skipped_since: skippedSince(before, run),
    lacking: databases.flatMap((database) => {
      const { id = "", lacks = [] } = newest.get(database) ?? {};
      return lacks.length ? [{ database, id, lacks }] : [];
    }),
    proofs: proofsAfter({ databases, backups, before, run, now: at }),
  }));
}

/** Notes that expired backups were removed by hand. Does nothing where there is no record of runs. */
export async function noteRotation(stateDir: string, place: BackupPlace): Promise<void> {
  const { backups, bytes } = await amountIn(place);
  await changeBackupStatus(
    stateDir,
    (before) =>
      before && {
        ...before,
        written_at: new Date(now()).toISOString(),
        backups: backups.length,
        size_bytes: bytes,
        rotation_skipped_since: undefined,
      },
  );
}

/** Since when expired backups have been left in place. A run that removes nothing anyway does not change it. Pure. */
function skippedSince(before: BackupStatus | undefined, run: RunReport): string | undefined {
  if (run.rotation === "done") return undefined;
  const since = before?.rotation_skipped_since;
  return run.rotation === "skipped" ? (since ?? run.finished_at) : since;
}
