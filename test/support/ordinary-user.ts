import { chownSync } from "node:fs";
import { execa } from "execa";
import type { User } from "./program.ts";
import { temporaryFolder } from "./temporary-folder.ts";

/** As root the commands run as nobody: it has no home, no shell and no rights. */
export async function ordinaryUser(): Promise<User> {
  const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
  if (uid !== 0) return { uid, gid };
  const id = async (option: string): Promise<number> =>
    Number((await execa("id", [option, "nobody"])).stdout);
  return { uid: await id("-u"), gid: await id("-g") };
}

/** Somebody who has no cluster: root may have one at the place of the defaults. */
export async function newcomer(): Promise<{ readonly home: string; readonly user: User }> {
  const [home, user] = [temporaryFolder(), await ordinaryUser()];
  chownSync(home, user.uid, user.gid);
  return { home, user };
}
