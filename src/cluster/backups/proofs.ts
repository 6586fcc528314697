import type { BackupStatus, DatabaseProof, RunReport } from "../../model/backups/backup-report.ts";

type Failed = NonNullable<DatabaseProof["failed"]>;
type Proven = NonNullable<DatabaseProof["proven"]>;

/** What a backup says of itself that counts for a proof. Times in ISO 8601. */
interface BackupSeen {
  readonly id: string;
  readonly manifest: { readonly database: string; readonly finished_at: string };
  readonly checks: { readonly drilled_at: string | null };
}

interface ProofInput {
  /** Databases that are backed up. */
  readonly databases: readonly string[];
  /** All that lie in the place, the oldest first. */
  readonly backups: readonly BackupSeen[];
  readonly before: BackupStatus | undefined;
  readonly run: RunReport;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/**
 * How far each database can be brought back, after a run. What the backups say of themselves counts too, so that a lost
 * record, or a drill that was cut off, forgets no proof. Pure.
 */
export function proofsAfter({ databases, backups, before, run, now }: ProofInput): DatabaseProof[] {
  const known = new Map(knownProofs(before).map((proof) => [proof.database, proof]));
  return [...databases].sort().map((database) => {
    const own = backups.filter(({ manifest }) => manifest.database === database);
    const earlier = known.get(database);
    const drilled = own.flatMap(({ id, checks: { drilled_at: at } }) => (at === null ? [] : [{ at, id }]));
    const failures = run.kind === "drill" ? failuresOf(run, database) : [];
    // One of another host that was named by its path says nothing of this database.
    const ownFailures = failures.filter(({ id }) => own.some((backup) => backup.id === id));
    return {
      database,
      since: earlier?.since ?? own[0]?.manifest.finished_at ?? new Date(now).toISOString(),
      proven: newestOf([...(earlier?.proven ? [earlier.proven] : []), ...drilled]),
      failed: standing([...(earlier?.failed ? [earlier.failed] : []), ...ownFailures], drilled, own),
    };
  });
}

/** What a record says of each database. One of version 0.1.0 knows those of its last drill only. */
export function knownProofs(record: BackupStatus | undefined): readonly DatabaseProof[] {
  if (!record) return [];
  if (record.proofs) return record.proofs;
  const { last_drill: drill } = record;
  if (!drill) return [];
  const names = [...new Set(drill.databases.map(({ database }) => database))].sort();
  return names.flatMap((database) => {
    const failed = failuresOf(drill, database).at(-1) ?? null;
    const good = drill.databases.find((one) => one.database === database && one.outcome === "ok");
    if (!failed && !good) return [];
    const proven = good ? { at: drill.finished_at, id: good.id ?? "" } : null;
    return [{ database, since: drill.started_at, proven, failed }];
  });
}

/** Failures of a drill. Their moment is that of its begin: whatever it proved of the database, it proved later. */
function failuresOf({ databases, started_at: at }: RunReport, database: string): Failed[] {
  return databases
    .filter((one) => one.database === database && one.outcome === "failed")
    .map(({ id, error }) => ({ at, id: id ?? "", error: error ?? "" }));
}

function newestOf(proofs: readonly Proven[]): Proven | null {
  return proofs.reduce<Proven | null>((newest, one) => (newest && newest.at >= one.at ? newest : one), null);
}

/** The failure of the newest backup that no later proof of one as new, or newer, has answered. */
function standing(
  failures: readonly Failed[],
  drilled: readonly Proven[],
  own: readonly BackupSeen[],
): Failed | null {
  // A backup that has expired is older than all that are left.
  const age = (id: string): number => own.findIndex((backup) => backup.id === id);
  const open = failures.filter(
    (failed) => !drilled.some(({ at, id }) => at > failed.at && age(id) >= age(failed.id)),
  );
  return open.reduce<Failed | null>(
    (newest, one) => (newest && age(newest.id) > age(one.id) ? newest : one),
    null,
  );
}
