import { readFileSync } from "node:fs";

/** A user of this host, such as the one that runs the servers. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
  readonly name?: string | undefined;
}

/** Of a file or a folder: whose it is, and its mode. */
export interface Guarded extends Pick<Owner, "uid" | "gid"> {
  readonly mode: number;
}

/** Whether a user may read a file, by its owner, group and mode. */
export function mayRead(file: Guarded, user: Owner): boolean {
  return has(file, user, 0o4);
}

/** Whether a user may enter a folder, by its owner, group and mode. */
export function mayPass(folder: Guarded, user: Owner): boolean {
  return has(folder, user, 0o1);
}

/** As the kernel decides (path_resolution(7)): the first class that fits, and no other. */
function has({ uid, gid, mode }: Guarded, user: Owner, bit: number): boolean {
  if (user.uid === 0) return true;
  if (uid === user.uid) return (mode & (bit << 6)) !== 0;
  if (groupsOf(user).has(gid)) return (mode & (bit << 3)) !== 0;
  return (mode & bit) !== 0;
}

/** Whether a user is in a group. */
export function isOfGroup(user: Owner, gid: number): boolean {
  return groupsOf(user).has(gid);
}

const known = new Map<number, ReadonlySet<number>>();

/** A user's groups, by the system's files; of a user whom they do not name, the group of what belongs to the user. */
function groupsOf({ uid, gid }: Owner): ReadonlySet<number> {
  const present = known.get(uid);
  if (present) return present;
  const own = linesOf("/etc/passwd").find((fields) => fields[2] === String(uid));
  const groups = new Set<number>();
  if (own) groups.add(Number(own[3]));
  // The group root is given to what is nobody's, and says nothing of whoever owns it.
  else if (gid !== 0) groups.add(gid);
  for (const [, , group, members] of linesOf("/etc/group"))
    if (own?.[0] !== undefined && members?.split(",").includes(own[0])) groups.add(Number(group));
  known.set(uid, groups);
  return groups;
}

function linesOf(file: string): string[][] {
  try {
    return readFileSync(file, "utf8")
      .split("\n")
      .map((line) => line.split(":"));
  } catch {
    return [];
  }
}
