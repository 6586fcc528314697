import { renameEntry, syncFolder } from "../../system/files/folder-files.ts";
import { baseProblem, foldersOf } from "./decide.ts";
import type { FileCopy } from "./file-copy.ts";
import { making, within } from "./folders.ts";
import type { OwnFolders, OwnRepository } from "./own.ts";
import type { Listed } from "./protocol.ts";
import { Failed } from "./round-end.ts";
import type { AskedSource } from "./source.ts";

/** Files after which the rest of the program has its turn, where each takes no time of its own. */
const AT_ONCE = 500;

/** How much of a base backup is still to come. */
export interface Copying {
  readonly label: string;
  readonly bytes: number;
  readonly bytesLeft: number;
}

/**
 * Copies a base backup of a source beside, and gives it its name when it is whole; goes on with what an earlier round has
 * of it.
 * @param told called whenever more of it is here
 * @throws Vanished, LaterRound, Failed
 */
export async function copyBase(
  label: string,
  {
    source,
    files: parts,
    folders,
    own,
    told,
  }: {
    readonly source: AskedSource;
    readonly files: FileCopy;
    readonly folders: OwnFolders;
    readonly own: OwnRepository;
    readonly told: (copying: Copying) => void;
  },
): Promise<void> {
  const { owner, stanza } = own;
  const what = `base backup ${label}`;
  const files = await source.baseFiles(label);
  const problem = baseProblem(files);
  if (problem !== undefined) throw new Failed("refused", `${what} of ${source.name} ${problem}`);
  const inRepository = await within(folders.root, ["backup", stanza], (folder) => folder.look(label));
  if (inRepository)
    throw new Failed("failed", `${what} is here, but not whole: the next base backup removes it`);
  const missing: Listed[] = [];
  for (const [index, file] of files.entries()) {
    if (index % AT_ONCE === 0) await source.breathe();
    if (!(await hasPart(folders, label, file))) missing.push(file);
  }
  const sum = (list: readonly Listed[]): number => list.reduce((total, [, bytes]) => total + bytes, 0);
  const bytesOfAll = sum(files);
  let bytesLeft = sum(missing);
  told({ label, bytes: bytesOfAll, bytesLeft });
  await parts.requireRoom(bytesLeft, what);
  for (const [path, bytes, at] of missing) {
    const part = await parts.take({ base: label, path }, bytes, at);
    const inner = path.split("/").slice(0, -1);
    await folders.inMaking([label, ...inner], async (target) => {
      await folders.inMaking([], async (making) => {
        await renameEntry(making, part, target, path.split("/").at(-1) ?? "");
      });
    });
    bytesLeft -= bytes;
    told({ label, bytes: bytesOfAll, bytesLeft });
  }
  // Names of files in it have to last before its own does.
  for (const inner of foldersOf(files)) await folders.inMaking([label, ...inner.split("/")], syncFolder);
  await folders.inMaking([label], syncFolder);
  await making(folders.root, ["backup", stanza], owner, async (target) => {
    await folders.inMaking([], async (making) => await renameEntry(making, label, target, label));
    await syncFolder(target);
  });
}

async function hasPart(folders: OwnFolders, label: string, [path, bytes]: Listed): Promise<boolean> {
  const parts = path.split("/");
  const last = parts.pop() ?? "";
  return await folders.inMaking([], async (making) => {
    const stat = await within(making, [label, ...parts], (folder) => folder.look(last));
    return stat?.isFile() === true && stat.size === bytes;
  });
}
