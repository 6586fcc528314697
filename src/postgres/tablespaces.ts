import path from "node:path";
import type { NodeLayout } from "../config/layout.ts";
import type { Tablespaces } from "../model/tablespaces.ts";
import { linkTarget, namesIn, permissionsOf, realPath, type Owner } from "../system/files/files.ts";
import { makeFolder, removeIn } from "../system/files/held/by-path.ts";
import { runOrFail } from "../system/process/process.ts";

/**
 * Where the links in pg_tblspc lead, by the tablespace's object id. In-place tablespaces are directories, not links:
 * left out.
 */
export async function tablespaceLinks(dataDir: string): Promise<Map<string, string>> {
  const directory = path.join(dataDir, "pg_tblspc");
  const found = new Map<string, string>();
  for (const id of await namesIn(directory)) {
    const target = /^\d+$/.test(id) ? await linkTarget(path.join(directory, id)) : undefined;
    if (target !== undefined) found.set(id, path.resolve(directory, target));
  }
  return found;
}

/** Where the tablespaces of a data directory lie, links resolved; a directory that is gone keeps the path of its link. */
export async function tablespacesOf(dataDir: string): Promise<Tablespaces> {
  const places = new Map<string, string>();
  for (const [id, target] of await tablespaceLinks(dataDir))
    places.set(id, (await realPath(target)) ?? target);
  return places;
}

/** Where the WAL lies that is not in the data directory (`initdb --waldir`); undefined where it is. */
export async function walElsewhere(dataDir: string): Promise<string | undefined> {
  const target = await linkTarget(path.join(dataDir, "pg_wal"));
  return target === undefined ? undefined : path.resolve(dataDir, target);
}

/**
 * Closes pg_tblspc to the server's own user, so that it cannot make the link of a new tablespace: a primary then refuses
 * CREATE TABLESPACE before it writes WAL, and a replica stops at the WAL record before it touches the directory.
 */
export async function closeTablespaces(dataDir: string, owner: Owner | undefined): Promise<void> {
  await setMode(dataDir, 0o500, owner);
}

/** Undoes `closeTablespaces`. */
export async function openTablespaces(dataDir: string, owner: Owner | undefined): Promise<void> {
  await setMode(dataDir, 0o700, owner);
}

async function setMode(dataDir: string, mode: number, owner: Owner | undefined): Promise<void> {
  const directory = path.join(dataDir, "pg_tblspc");
  const present = await permissionsOf(directory);
  if (present === undefined || present.mode === mode) return;
  // Run as the servers' user: what that user may have put there is changed with no more than that user's rights.
  await runOrFail("chmod", [mode.toString(8), directory], { owner });
}

/** Where a data directory in the making has its tablespaces: beside it, under a name that stays when it is renamed. */
function placeFor(files: NodeLayout, fresh: string): string {
  return `${files.tablespacesPrefix}${fresh.slice(files.newDataPrefix.length)}`;
}

/** Makes an empty directory for each tablespace of a copy in the making. @returns where each comes from and goes to */
export async function placesFor(
  files: NodeLayout,
  fresh: string,
  tablespaces: ReadonlyMap<string, string>,
  owner: Owner | undefined,
): Promise<{ id: string; from: string; to: string }[]> {
  const place = placeFor(files, fresh);
  const places = [...tablespaces].map(([id, from]) => ({ id, from, to: path.join(place, id) }));
  if (places.length) await makeFolder(place, 0o700, owner);
  for (const { to } of places) await makeFolder(to, 0o700, owner);
  return places;
}

/**
 * The option of pg_basebackup that puts a tablespace elsewhere; `=` separates the two paths, so it is escaped in them.
 */
export function mappingOf({ from, to }: { from: string; to: string }): string {
  const escaped = (text: string): string => text.replaceAll("=", "\\=");
  return `--tablespace-mapping=${escaped(from)}=${escaped(to)}`;
}

/**
 * Gives a copied data directory its own tablespaces and WAL where its links lead out of it: otherwise a server on the copy
 * would write the original's files.
 * @param copy copies what is in one directory into another
 */
export async function partFromOriginal(
  files: NodeLayout,
  fresh: string,
  owner: Owner | undefined,
  copy: (from: string, to: string) => Promise<void>,
): Promise<void> {
  await openTablespaces(fresh, owner);
  for (const { id, from, to } of await placesFor(files, fresh, await tablespaceLinks(fresh), owner)) {
    await copy(from, to);
    await runOrFail("ln", ["-sfn", to, path.join(fresh, "pg_tblspc", id)], { owner });
  }
  const wal = await walElsewhere(fresh);
  if (wal === undefined) return;
  const own = path.join(fresh, "pg_wal");
  await runOrFail("rm", [own], { owner });
  await runOrFail("mkdir", ["-m", "700", own], { owner });
  await copy(wal, own);
}

/**
 * The directories beside a data directory that odoo-pg made for its tablespaces. One that a link leads to anywhere else,
 * where a person put it, is left out: it is not odoo-pg's to remove.
 */
export async function ownPlacesOf(files: NodeLayout, dataDir: string): Promise<string[]> {
  const parents = [...(await tablespaceLinks(dataDir)).values()].map((place) => path.dirname(place));
  return [...new Set(parents)].filter((place) => isOwnPlace(files, place));
}

function isOwnPlace({ tablespacesPrefix }: NodeLayout, place: string): boolean {
  return place.startsWith(tablespacesPrefix) && /^[0-9a-f]{8}$/.test(place.slice(tablespacesPrefix.length));
}

/**
 * Directories of tablespaces that neither the data directory nor a copy in the making uses: those of data that was kept
 * aside.
 */
export async function unusedPlaces(files: NodeLayout): Promise<string[]> {
  const parent = path.dirname(files.dataDir);
  const names = await namesIn(parent);
  const used = await ownPlacesOf(files, files.dataDir);
  return names
    .map((name) => path.join(parent, name))
    .filter((place) => isOwnPlace(files, place) && !used.includes(place))
    .filter((place) => {
      const copy = `${files.newDataPrefix}${place.slice(files.tablespacesPrefix.length)}`;
      return !names.includes(path.basename(copy));
    });
}

/** Removes the tablespaces of a data directory in the making. */
export async function removePlaceOf(files: NodeLayout, fresh: string): Promise<void> {
  const place = placeFor(files, fresh);
  if (isOwnPlace(files, place)) await removeIn(place);
}
