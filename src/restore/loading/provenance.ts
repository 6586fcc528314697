import path from "node:path";
import type { CataloguedBackup } from "../../backup/catalogue.ts";
import { isSealed } from "../../backup/seal.ts";
import type { BackupSource } from "../../backup/source.ts";
import { linkTarget, realPath } from "../../system/files/files.ts";
import { whoElseChanges } from "../../system/files/folder.ts";
import { currentUser } from "../../system/machine.ts";

/**
 * Of which cluster a backup is. What it says of itself proves nothing: everybody may know a system identifier.
 *
 * `own`: by its place, the backups' folder, or by its seal, and in both cases only where nobody else could put something else
 * there. `sealed`: its files are to be held against its checksums before they are believed.
 * `claimed`: it says so, and nothing proves it. `foreign`: of another cluster.
 */
export type Provenance =
  | { readonly is: "own"; readonly sealed: boolean }
  /** `because`: who else controls what is there, as the end of a sentence; undefined where nobody does. */
  | { readonly is: "claimed"; readonly because: string | undefined }
  | { readonly is: "foreign" };

/** To be asked once for a restore, before anything is read: what proved something may be another thing by the next time. */
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

/** Root, who runs this, and to whom backups belong. */
function trusted({ owner }: BackupSource): number[] {
  return [0, currentUser().uid, ...(owner ? [owner.uid] : [])];
}

async function liesInPlace({ place }: BackupSource, folder: string): Promise<boolean> {
  if ((await linkTarget(folder)) !== undefined) return false;
  const dir = await realPath(place.dir);
  return dir !== undefined && (await realPath(path.dirname(path.resolve(folder)))) === dir;
}
