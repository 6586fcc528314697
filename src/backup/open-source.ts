import { odooPg } from "../next-step.ts";
import path from "node:path";
import { readState, recordedPrimary } from "../store/state.ts";
import type { Layout } from "../config/layout.ts";
import type { Config } from "../config/schema.ts";
import { messageOf, OdooPgError } from "../errors.ts";
import { findInstallation } from "../postgres/installation.ts";
import { Superuser } from "../postgres/sql/access/superuser.ts";
import type { Owner } from "../system/files/files.ts";
import { takeFolders } from "../system/files/held/by-path.ts";
import { currentUser, findUser, processors, type Machine } from "../system/machine.ts";
import type { Manifest } from "./manifest.ts";
import { backupPlaceOf } from "./place.ts";
import type { ProgramSearch } from "../system/install.ts";
import type { BackupSource } from "./source.ts";

export interface SourceOptions extends ProgramSearch {
  readonly config: Config;
  readonly layout: Layout;
  /** The user that the servers run as; undefined where everything is one user. */
  readonly serverOwner: Owner | undefined;
  readonly machine: Machine;
  readonly version: string;
  readonly requestedBy: Manifest["requested_by"]["kind"];
  readonly signal?: AbortSignal | undefined;
}

/**
 * Finds the primary of this host and the programs of its version. The agent need not run; the primary must.
 * @throws OdooPgError not_running, primary_unreachable, postgres_missing, no_unprivileged_user.
 */
export async function openBackupSource(options: SourceOptions): Promise<BackupSource> {
  const { config, layout } = options;
  const state = await readState(layout);
  const node = recordedPrimary(config.nodes, state);
  if (state === undefined || node === undefined) {
    const elsewhere = state !== undefined && node === undefined;
    throw new OdooPgError("not_running", {
      message: elsewhere
        ? `The primary (${state.primary}) is not on this host, and this has to be done there.`
        : `Cluster ${config.cluster} has not been started yet.`,
      safe: "Nothing was changed.",
      next: elsewhere ? "Run the same command on the primary's host." : odooPg("up"),
    });
  }
  const superuser = Superuser.of(layout, node);
  const major = await serverMajor(node.name, superuser);
  const installation = await findInstallation(
    { version: major, bin_dir: config.postgres.bin_dir },
    { searchPath: options.searchPath, install: options.install },
  );
  return {
    config,
    place: backupPlaceOf(config),
    installation,
    superuser,
    replicas: config.nodes.filter((one) => one !== node).map((one) => Superuser.of(layout, one)),
    layout,
    secretsDir: layout.secretsDir,
    restoresDir: path.join(layout.stateDir, "restores"),
    owner: await backupOwner(options),
    requestedBy: {
      kind: options.requestedBy,
      user: currentUser().name ?? "unknown",
      host: options.machine.hostname,
    },
    version: options.version,
    processors: processors(),
    signal: options.signal,
  };
}

async function serverMajor(node: string, superuser: Superuser): Promise<number> {
  try {
    return await superuser.use(
      async (session) => {
        const [row] = await session.query(
          "SELECT current_setting('server_version_num')::int / 10000 AS major, pg_is_in_recovery() AS replica",
        );
        if (row?.["replica"] === true) throw new Error("it is a replica now");
        return Number(row?.["major"]);
      },
      { connectTimeout: 5000 },
    );
  } catch (error) {
    throw new OdooPgError("primary_unreachable", {
      message: `The primary ${node} does not answer: ${messageOf(error)}.`,
      safe: "Nothing was changed; earlier backups are untouched.",
      next: odooPg("status"),
      cause: error,
    });
  }
}

/**
 * The owner of the backups; undefined: this user. Up to 0.1 they belonged to the servers' user, where root would follow
 * links.
 * @throws OdooPgError no_unprivileged_user, config_invalid.
 */
async function backupOwner({ config, machine, serverOwner }: SourceOptions): Promise<Owner | undefined> {
  const name = config.backup.user;
  if (machine.isRoot) {
    if (name === undefined) {
      const { dir } = backupPlaceOf(config);
      if (serverOwner) await takeFolders(dir, serverOwner);
      return undefined;
    }
    const user = await findUser(name);
    if (user) return user;
    throw new OdooPgError("no_unprivileged_user", {
      message: `The backups are to belong to user "${name}", but there is no such user.`,
      safe: "Nothing was changed.",
      next: `Create it (useradd --system --no-create-home ${name}), or correct "backup.user".`,
    });
  }
  if (name === undefined || name === currentUser().name) return undefined;
  throw new OdooPgError("config_invalid", {
    message: `The backups are to belong to user "${name}", but odoo-pg runs as ${currentUser().name}, which cannot give files away.`,
    safe: "Nothing was changed.",
    next: `Run odoo-pg as root or as ${name}, or leave "backup.user" out.`,
  });
}
