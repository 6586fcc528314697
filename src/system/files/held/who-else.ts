import path from "node:path";
import { walk, whoChanges, type Changer } from "./changers.ts";
import { Folder } from "./folder.ts";
import { isHeld } from "./opening.ts";

/**
 * Which other user, besides the trusted ones, can change where a path leads or what lies there, all folders and files in it
 * included: the end of a sentence. Links, and entries that are no files, count as another user's. Where this program is not
 * root, the path itself is not examined: it is followed with no more than this user's rights.
 * @returns undefined where no other user does
 * @throws OdooPgError state_dir_unusable for a folder that may not be read
 */
export function whoElseChanges(named: string, uids: readonly number[]): string | undefined {
  const isOther = ({ uid }: Changer): boolean => uid === undefined || !uids.includes(uid);
  if (!isHeld()) {
    const folder = Folder.open(named);
    return folder ? changeIn(folder, isOther) : `${named} is no folder`;
  }
  const { changers, held, stat } = walk(path.resolve(named));
  if (held === undefined || !stat) return `${named} is no folder`;
  const folder = Folder.ofHeld(named, held, stat);
  try {
    const other = changers.find(isOther);
    return other ? whoChanges(other) : changeIn(folder, isOther);
  } finally {
    folder.close();
  }
}

function changeIn(folder: Folder, isOther: (changer: Changer) => boolean): string | undefined {
  const mine = { uid: folder.mode & 0o002 ? undefined : folder.owner.uid, at: folder.path };
  if (isOther(mine)) return whoChanges(mine);
  for (const name of folder.names()) {
    const at = path.join(folder.path, name);
    const stat = folder.look(name);
    const inner = stat?.isDirectory() ? folder.into(name) : undefined;
    if (inner) {
      try {
        const change = changeIn(inner, isOther);
        if (change !== undefined) return change;
      } finally {
        inner.close();
      }
    } else if (!stat?.isFile()) return `${at} is neither a file nor a folder`;
    else {
      const changer = { uid: stat.mode & 0o002 ? undefined : stat.uid, at };
      if (isOther(changer)) return whoChanges(changer);
    }
  }
  return undefined;
}
