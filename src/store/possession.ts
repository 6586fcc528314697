import path from "node:path";
import * as z from "zod";
import { layoutOf, type Layout } from "../config/layout.ts";
import { resolvedConfigSchema, type Config } from "../config/schema.ts";
import { passfilePath } from "../postgres/render.ts";
import {
  ensureDirectory,
  passableFor,
  readableBy,
  writeFileAtomic,
  type Owner,
  type WriteOptions,
} from "../system/files/files.ts";
import { refuseChangesBy } from "../system/files/held/changers.ts";
import { inFolder, type Folder } from "../system/files/held/folder.ts";
import { currentUser } from "../system/machine.ts";
import { ownPid } from "../system/process/process.ts";
import { parseJson } from "../system/files/json-file.ts";
import { releaseLock, takeLock } from "./lock.ts";

/**
 * Makes the directories below a state directory. Where the servers run as another user, only the sockets' directory is
 * that user's; what the servers read is passed through to them.
 * @throws OdooPgError state_dir_unusable.
 */
export async function prepareStateDirectory(layout: Layout, owner: Owner | undefined): Promise<void> {
  await ensureDirectory(layout.stateDir, { mode: 0o755 });
  if (owner) refuseChangesBy(layout.stateDir, [owner]);
  await ensureDirectory(layout.agentDir);
  // By its name alone: the one file there that is for the servers is named to them.
  await ensureDirectory(layout.secretsDir, owner ? { ...passableFor(owner), mode: 0o710 } : {});
  await ensureDirectory(layout.haproxyDir, passableFor(owner));
  await ensureDirectory(layout.nodesDir, passableFor(owner));
  await ensureDirectory(layout.tlsDir, { mode: 0o755 });
  await ensureDirectory(layout.runDir, { owner });
}

/**
 * Up to 0.1 a state directory belonged to the servers' user. It is made ours here, where this user is another one; what
 * runs goes on. Whatever lies in it may have been put there by the servers' user, also in this moment, so nothing is
 * taken over by its name alone: the folder first, after which its entries stay what they are; then each file by a copy,
 * because who has the old one open could go on writing to it. Each step may be repeated.
 * @param given what the operator's own file says: of what was applied before, only what ran is believed
 * @throws OdooPgError locked while an agent is there, state_dir_unusable
 */
export async function takePossession(layout: Layout, owner: Owner | undefined, given: Config): Promise<void> {
  if (!owner) return;
  await inFolder(layout.stateDir, async (folder) => {
    if (isDone(folder)) return;
    refuseChangesBy(path.dirname(layout.stateDir), [owner]);
    await takeLock(layout.lockFile, ownPid);
    try {
      await take(folder, { us: { uid: currentUser().uid, gid: owner.gid }, servers: owner, given });
    } finally {
      await releaseLock(layout.lockFile, ownPid);
    }
  });
}

/** Is there while it is not all done. */
const UNFINISHED = "taking-possession";

/** Names of what lies in a state directory. */
const NAMES = ((): Readonly<
  Record<"applied" | "run" | "nodes" | "aside" | "secrets" | "haproxy" | "tls", string>
> => {
  const layout = layoutOf("/");
  return {
    applied: path.basename(layout.appliedFile),
    run: path.basename(layout.runDir),
    nodes: path.basename(layout.nodesDir),
    aside: path.basename(layout.asideDir),
    secrets: path.basename(layout.secretsDir),
    haproxy: path.basename(layout.haproxyDir),
    tls: path.basename(layout.tlsDir),
  };
})();

/** A change of owner: what the servers' user has becomes ours. */
interface Taking {
  /** With the servers' group. */
  readonly us: Owner;
  readonly servers: Owner;
  readonly given: Config;
}

function isDone(folder: Folder): boolean {
  const { uid } = currentUser();
  const names = folder.names();
  return (
    folder.owner.uid === uid &&
    !names.includes(UNFINISHED) &&
    names.every((name) => name === NAMES.run || folder.look(name)?.uid === uid)
  );
}

async function take(folder: Folder, taking: Taking): Promise<void> {
  // Before the folder is ours: a run that is cut off between the two must leave a mark.
  await writeFileAtomic(folder.at(UNFINISHED), "");
  folder.give(0o755, taking.us);
  await writeFileAtomic(folder.at(UNFINISHED), "");
  for (const name of folder.names()) {
    if (name === NAMES.run || name === UNFINISHED) continue;
    const inner = folder.into(name);
    if (inner) await takeFolder(inner, name, taking);
    else if (name === NAMES.applied) await takeApplied(folder, taking);
    else await takeFile(folder, name, taking);
  }
  await takeSockets(folder);
  folder.sync();
  await folder.remove(UNFINISHED);
}

async function takeFolder(folder: Folder, name: string, taking: Taking): Promise<void> {
  try {
    folder.give(name === NAMES.secrets ? 0o710 : name === NAMES.tls ? 0o755 : 0o750, taking.us);
    for (const entry of folder.names()) {
      const node = [NAMES.nodes, NAMES.aside].includes(name) ? folder.into(entry) : undefined;
      if (node) await takeNode(node, taking);
      else if (folder.look(entry)?.isDirectory() !== true) await takeFile(folder, entry, taking);
    }
  } finally {
    folder.close();
  }
}

/** Data and logs stay the servers'; what a server is configured by becomes ours. */
async function takeNode(folder: Folder, taking: Taking): Promise<void> {
  try {
    folder.give(0o750, taking.us);
    for (const entry of folder.names()) {
      if (folder.look(entry)?.isDirectory() !== true) await takeFile(folder, entry, taking, true);
    }
  } finally {
    folder.close();
  }
}

/** Only ours and only one file, or a file of the servers' user that becomes ours; anything else goes. */
async function takeFile(folder: Folder, name: string, taking: Taking, ofNode = false): Promise<void> {
  const { us, servers } = taking;
  const stat = folder.look(name);
  if (!stat) return;
  const isLinkOfOurs = stat.isSymbolicLink() && stat.uid === us.uid;
  const isFile = stat.isFile() && stat.nlink === 1;
  if (isLinkOfOurs || (isFile && stat.uid === us.uid && (stat.mode & 0o022) === 0)) return;
  // Only we ever wrote which process is ended, and who may give orders.
  const isOursAlone = name === "process.json" || name.startsWith("console_");
  if (!isFile || stat.uid !== servers.uid || isOursAlone) return await folder.remove(name);
  // HAProxy goes on writing to the file that it has open.
  if (name === "haproxy.log") return giveEntry(folder, name, taking);
  const content = folder.readText(name, LARGEST);
  if (content === undefined) return await folder.remove(name);
  await writeFileAtomic(folder.at(name), content, permissionsOf(folder, name, ofNode, taking));
}

/** Bytes of a file that are kept: more than any that odoo-pg writes. */
const LARGEST = 64 * 1024 * 1024;

function permissionsOf(folder: Folder, name: string, ofNode: boolean, { servers }: Taking): WriteOptions {
  if (name === path.basename(passfilePath(layoutOf("/")))) return { owner: servers };
  if (name.endsWith(".crt") || name === "backup-status.json") return { mode: 0o644 };
  const isLog = /\.(?:log|jsonl)(?:\.\d+)?$/.test(name);
  const isRead = ofNode || isLog || path.basename(folder.path) === NAMES.haproxy;
  return isRead ? readableBy(servers) : {};
}

function giveEntry(folder: Folder, name: string, { us, servers }: Taking): void {
  folder.giveFile(name, servers, us, 0o600);
}

const { cluster, nodes, listen, endpoints } = resolvedConfigSchema.shape;
const formerSchema = z.object({ major: z.int(), config: z.object({ cluster, nodes, listen, endpoints }) });

/**
 * What was applied names programs, commands and places that root uses: these come from the operator's own file. What
 * ran, and where, is believed: of it the servers' user decides anyway.
 */
async function takeApplied(folder: Folder, { us, given }: Taking): Promise<void> {
  if (folder.look(NAMES.applied)?.uid === us.uid) return;
  const former = parseFormer(folder.readText(NAMES.applied, LARGEST));
  if (!former) return await folder.remove(NAMES.applied);
  const applied = { format: 1, config: { ...given, ...former.config }, major: former.major };
  await writeFileAtomic(folder.at(NAMES.applied), `${JSON.stringify(applied, undefined, 2)}\n`);
}

function parseFormer(text: string | undefined): z.output<typeof formerSchema> | undefined {
  const parsed = parseJson(text ?? "", formerSchema);
  return parsed.ok ? parsed.value : undefined;
}

/** The last agent's socket in the folder that stays the servers'. */
async function takeSockets(folder: Folder): Promise<void> {
  const run = folder.into(NAMES.run);
  if (!run) return;
  try {
    await run.remove(path.basename(layoutOf("/").formerAgentSocket));
  } finally {
    run.close();
  }
}
