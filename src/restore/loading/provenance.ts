import path from "node:path";
import type { CataloguedBackup } from "../../backup/catalogue.ts";
import { isSealed } from "../../backup/seal.ts";
import type { BackupSource } from "../../backup/source.ts";
import { linkTarget, realPath } from "../../system/files/files.ts";
import { whoElseChanges } from "../../system/files/held/who-else.ts";
import { currentUser } from "../../system/machine.ts";

/**
 * Whether a backup is of this cluster. The system identifier in its manifest proves nothing: anybody may know it.
 *
 * `own`: proven by its place in the backups' folder, or by its seal, and only where no other user could change what lies
 * there. `sealed`: proven by its seal, so its files must match its checksums before they are believed.
 * `claimed`: its manifest says so, and nothing proves it. `foreign`: of another cluster.
 */
export type Provenance =
  | { readonly is: "own"; readonly sealed: boolean }
  /** `because`: who else controls what is there, as the end of a sentence; undefined where nobody does. */
  | { readonly is: "claimed"; readonly because: string | undefined }
  | { readonly is: "foreign" };

/** To be called once for a restore, before anything is read: what lies there may be another backup the next time. */
export async function provenanceOf(
  source: BackupSource,
  { folder, manifest, madeHere }: CataloguedBackup,
): Promise<Provenance> {
  const [row] = await source.superuser.use((session) =>
    session.query("SELECT system_identifier::text AS own FROM pg_control_system()"),
  );
  if (row?.["own"] !== manifest.system_identifier) return { is: "foreign" };
  if (madeHere) return { is: "own", sealed: false };
  const because = whoElseChanges(folder, trusted(source));
  if (because !== undefined) return { is: "claimed", because };
  if (await liesInPlace(source, folder)) return { is: "own", sealed: false };
  return (await isSealed(source.layout, folder)) ? { is: "own", sealed: true } : { is: "claimed", because };
}

/** User ids: root's, this user's, and the owner's of backups. */
function trusted({ owner }: BackupSource): number[] {
  return [0, currentUser().uid, ...(owner ? [owner.uid] : [])];
}

async function liesInPlace({ place }: BackupSource, folder: string): Promise<boolean> {
  if ((await linkTarget(folder)) !== undefined) return false;
  const dir = await realPath(place.dir);
  return dir !== undefined && (await realPath(path.dirname(path.resolve(folder)))) === dir;
}
