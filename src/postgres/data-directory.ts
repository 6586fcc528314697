import { nextStep, odooPg, type NextText } from "../next-step.ts";
import path from "node:path";
import { isMountPoint, kindOf, type Owner } from "../system/files/files.ts";
import { inFolder, type Folder } from "../system/files/held/folder.ts";
import { run } from "../system/process/process.ts";
import { programOf, type Installation } from "./installation.ts";

/** The state of a data directory. */
export type DataDirectory =
  | { readonly kind: "absent" }
  | { readonly kind: "empty" }
  /** Not a data directory, or not one that this server can run; `reason` says why. It is never touched. */
  | { readonly kind: "unusable"; readonly reason: string; readonly next: NextText }
  | {
      readonly kind: "whole";
      /** 64-bit number as text: JSON numbers would corrupt it. */
      readonly systemIdentifier: string;
      /** Whether it would start as a standby (standby.signal is there). */
      readonly standby: boolean;
      /** As pg_controldata says, such as `shut down` or `in production`. */
      readonly state: string;
      readonly timeline: number;
      /** What a replica must at least be started with: the settings of the primary whose WAL it last replayed. */
      readonly floor: Readonly<Record<string, number>>;
    };

/** Settings that the control file keeps, by the names that pg_controldata prints. */
const CONTROL_SETTINGS = {
  max_connections: "max_connections setting",
  max_worker_processes: "max_worker_processes setting",
  max_wal_senders: "max_wal_senders setting",
  max_prepared_transactions: "max_prepared_xacts setting",
  max_locks_per_transaction: "max_locks_per_xact setting",
};

/**
 * Looks at a data directory without changing it; works whether or not a server runs on it.
 * @throws OdooPgError state_dir_unusable where a third user may change where its path leads
 */
export async function inspectDataDirectory(
  directory: string,
  installation: Installation,
  owner: Owner | undefined,
): Promise<DataDirectory> {
  const kind = await kindOf(directory);
  if (kind === undefined) return { kind: "absent" };
  if (kind !== "directory") {
    return {
      kind: "unusable",
      reason: `${directory} is not a directory`,
      next: "Move it away, or set another data_dir.",
    };
  }
  return (
    (await inFolder(directory, async (folder) => await inspectFolder(folder, installation, owner))) ?? {
      kind: "absent",
    }
  );
}

async function inspectFolder(
  folder: Folder,
  installation: Installation,
  owner: Owner | undefined,
): Promise<DataDirectory> {
  const directory = folder.path;
  const names = folder.names().filter((name) => name !== "lost+found");
  if (names.length === 0 && (await isMountPoint(directory))) {
    return {
      kind: "unusable",
      reason: `${directory} is a mount point, and a finished copy can only be put in its place by renaming`,
      next: `Set data_dir to a directory in it: ${path.join(directory, "data")}`,
    };
  }
  if (names.length === 0) return { kind: "empty" };
  const version = folder.readText("PG_VERSION")?.trim();
  if (version === undefined) {
    return {
      kind: "unusable",
      reason: `${directory} is not empty and is not a data directory of PostgreSQL (it has no PG_VERSION; it has ${names.slice(0, 3).join(", ")})`,
      next: "Move what is in it away, or set another data_dir.",
    };
  }
  if (version !== String(installation.major)) {
    return {
      kind: "unusable",
      reason: `${directory} was made by PostgreSQL ${version}, and the programs in ${installation.binDir} are PostgreSQL ${installation.major}`,
      next: `Set postgres.version: ${version} in odoo-pg.yaml (and install PostgreSQL ${version}), or move the data to PostgreSQL ${installation.major} with pg_upgrade or a dump.`,
    };
  }
  const holder = folder.owner;
  if (owner && holder.uid !== owner.uid) {
    return {
      kind: "unusable",
      reason: `${directory} belongs to the user with id ${holder.uid}, and the servers run as the one with id ${owner.uid}`,
      next: `Give it to that user (chown -R ${owner.uid}:${owner.gid} ${directory}), or set "user" in odoo-pg.yaml.`,
    };
  }
  const control = await run(programOf(installation, "pg_controldata"), ["-D", directory], { owner });
  const field = (name: string): string | undefined =>
    new RegExp(`^${name}:\\s+(.+)$`, "m").exec(control.stdout)?.[1]?.trim();
  const systemIdentifier = field("Database system identifier");
  const state = field("Database cluster state");
  const timeline = Number(field("Latest checkpoint's TimeLineID"));
  if (
    control.exitCode !== 0 ||
    systemIdentifier === undefined ||
    state === undefined ||
    !Number.isInteger(timeline)
  ) {
    return {
      kind: "unusable",
      reason: `${directory} cannot be read by pg_controldata: ${(control.stderr || control.stdout).trim().split("\n")[0] ?? ""}`,
      next: nextStep`Of the primary: leave it where it is, its WAL shows what a replica lacks, and go on with a replica: ${odooPg("promote", "NODE")}. Of a replica: move it away, then ${odooPg("up")}.`,
    };
  }
  const standby = folder.look("standby.signal") !== undefined;
  const floor: Record<string, number> = {};
  for (const [name, label] of Object.entries(CONTROL_SETTINGS)) {
    const value = Number(field(label));
    if (Number.isInteger(value)) floor[name] = value;
  }
  return { kind: "whole", systemIdentifier, standby, state, timeline, floor };
}
