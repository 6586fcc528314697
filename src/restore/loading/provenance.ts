import path from "node:path";
import type { CataloguedBackup } from "../../backup/catalogue.ts";
import { isSealed } from "../../backup/seal.ts";
import type { BackupSource } from "../../backup/source.ts";
import { linkTarget, permissionsOf, realPath } from "../../system/files/files.ts";
import { isChangedOnlyBy } from "../../system/files/folder.ts";
import { filesBelow } from "../../system/files/pool-files.ts";
import { currentUser } from "../../system/machine.ts";

/**
 * Of which cluster a backup is. What it says of itself proves nothing: everybody may know a system identifier.
 *
 * `own`: by its place, the backups' folder, and by whom its files belong to; or by its seal, where nobody else could put
 * something else there. `sealed`: its files are to be held against its checksums before they are believed.
 * `claimed`: it says so, and nothing proves it. `foreign`: of another cluster.
 */
export type Provenance =
  | { readonly is: "own"; readonly sealed: boolean }
  | { readonly is: "claimed" | "foreign" };

export async function provenanceOf(
  source: BackupSource,
  { folder, manifest, madeHere }: CataloguedBackup,
): Promise<Provenance> {
  const [row] = await source.superuser.use((session) =>
    session.query("SELECT system_identifier::text AS own FROM pg_control_system()"),
  );
  if (row?.["own"] !== manifest.system_identifier) return { is: "foreign" };
  if (madeHere) return { is: "own", sealed: false };
  const inPlace = await liesInPlace(source, folder);
  const sealed = await isSealed(source.layout, folder);
  if (inPlace && (await isOfUsers(source, folder))) return { is: "own", sealed: false };
  if (sealed && (inPlace || isChangedOnlyBy(folder, trusted(source)))) return { is: "own", sealed: true };
  return { is: "claimed" };
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

async function isOfUsers(source: BackupSource, folder: string): Promise<boolean> {
  const uids = trusted(source);
  for (const name of ["", ...filesBelow(folder)]) {
    const of = await permissionsOf(path.join(folder, name));
    if (!of || !uids.includes(of.owner.uid) || (of.mode & 0o002) !== 0) return false;
  }
  return true;
}
