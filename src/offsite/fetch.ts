import { writeIn } from "../system/files/held/by-path.ts";
import path from "node:path";
import * as z from "zod";
import type { OpenRepository } from "../archive/base-backup.ts";
import { listBases } from "../archive/pgbackrest.ts";
import { archivePlaceOf } from "../archive/place.ts";
import { findPgbackrest } from "../archive/program.ts";
import { pgbackrestOf, writeConfigurations } from "../archive/setup.ts";
import { recoverCluster } from "../archive/whole-cluster.ts";
import { backupPlaceOf } from "../backup/place.ts";
import { nodeLayoutOf, type NodeConfig } from "../config/layout.ts";
import type { Config } from "../config/schema.ts";
import { OdooPgError } from "../errors.ts";
import { newestTimeline } from "../model/timeline.ts";
import { nextStep, odooPg } from "../next-step.ts";
import { assertFilestores } from "../odoo/filestore.ts";
import { findInstallation } from "../postgres/installation.ts";
import type { Progress } from "../progress.ts";
import { fillFilestores, type FilledFilestore } from "../restore/loading/fill-filestores.ts";
import { changeCopyStatus } from "../store/copy-status.ts";
import { whileCopying } from "../store/copying.ts";
import { prepareStateDirectory } from "../store/possession.ts";
import { passwordFile } from "../store/secrets.ts";
import { readState, recordedPrimary, writeState, type ClusterState } from "../store/state.ts";
import { now } from "../system/clock.ts";
import {
  deviceOf,
  diskSpace,
  ensureDirectory,
  kindOf,
  linkTarget,
  move,
  namesIn,
  permissionsOf,
  removeTree,
  writeFileAtomic,
  type Owner,
} from "../system/files/files.ts";
import { inspectJsonFile } from "../system/files/json-file.ts";
import { processors } from "../system/machine.ts";
import { runOrFail } from "../system/process/process.ts";
import { DESCRIPTION, readDescription, type Description } from "./description.ts";
import {
  copyBytes,
  fetchFolder,
  folderBytes,
  listCopies,
  openRestic,
  type Elsewhere,
  type Restic,
  type ResticOptions,
  type Snapshot,
} from "./restic.ts";

export interface FetchOptions extends ResticOptions {
  readonly config: Config;
  /** The user that the servers run as; undefined where everything is one user. */
  readonly serverOwner: Owner | undefined;
  /** Owner of the backups. */
  readonly backupOwner: Owner | undefined;
}

export interface FetchReport {
  /** The copy has everything that existed at this moment. */
  readonly at: string;
  /** Null where the copy has only backups. */
  readonly cluster: {
    readonly lastChange: string | null;
    readonly base: string;
    readonly filestores: readonly FilledFilestore[];
  } | null;
  /** The configuration of that time, for comparison. */
  readonly configuration: string | null;
}

const filledSchema = z.object({
  database: z.string(),
  files: z.number(),
  missing: z.object({ count: z.number(), first: z.string().array().readonly() }),
});

/** Progress of a fetch: finished parts are not fetched again. */
const fetchedSchema = z.object({
  snapshot: z.string(),
  done: z.enum(["backups", "repository"]).array(),
  /** A cluster that is whole, and where it gets its name. */
  cluster: z
    .object({
      data_dir: z.string(),
      last_change: z.string().nullable(),
      base: z.string(),
      timeline: z.number(),
      filestores: filledSchema.array(),
    })
    .optional(),
});
type Fetched = z.output<typeof fetchedSchema>;

/**
 * Rebuilds on an empty host what a copy elsewhere holds: the backups with their attachments, the repository of any
 * second, and the cluster itself with all the WAL that the copy has. May be repeated: finished parts stay.
 * @throws OdooPgError refused where there is a cluster already, or what keeps it from being made
 */
export async function fetchFrom(
  elsewhere: Elsewhere,
  options: FetchOptions,
  progress: Progress,
): Promise<FetchReport> {
  const { config, layout, serverOwner } = options;
  if (await readState(layout)) {
    throw new OdooPgError("refused", {
      message: `There is a cluster already: ${layout.stateDir}. A copy is fetched to where there is none.`,
      safe: "Nothing was changed.",
      next: "To bring back databases of it, copy its backups aside with restic, and restore them by their paths.",
    });
  }
  await prepareStateDirectory(layout, serverOwner);
  return await whileCopying(layout, elsewhere.name, options.signal, async () => {
    const restic = await openRestic(elsewhere, options);
    const recordFile = path.join(layout.offsiteDir, "fetched.record");
    const before = await inspectJsonFile(recordFile, fetchedSchema);
    const fetched = before?.ok === true ? before.value : undefined;
    const copy = copyToFetch(await listCopies(restic), config.cluster, fetched);
    const described = copy?.paths.find((folder) => path.basename(folder) === DESCRIPTION);
    if (!copy || described === undefined) {
      throw new OdooPgError("refused", {
        message: `${elsewhere.name} holds no copy of a cluster that is called "${config.cluster}".`,
        safe: "Nothing was changed.",
        next: 'Give "cluster" in odoo-pg.yaml the name that it had.',
      });
    }
    progress.step(null, `read what the copy of ${copy.time.slice(0, 19)} holds`);
    const here = path.join(layout.offsiteDir, "fetched");
    await removeTree(here);
    await fetchFolder(restic, copy.id, described, here);
    const folder = path.join(here, described);
    const description = await readDescription(folder);
    const begun = fetched?.snapshot === copy.id ? fetched : { snapshot: copy.id, done: [] };
    const work = new Fetching(options, restic, { recordFile, fetched: begun }, description, progress);
    const report = await work.all();
    const configuration = path.join(folder, "odoo-pg.yaml");
    await changeCopyStatus(layout, elsewhere.name, { key_confirmed_at: new Date(now()).toISOString() });
    return { ...report, configuration: (await kindOf(configuration)) === "file" ? configuration : null };
  });
}

/**
 * The newest copy of a cluster, or the one of which a part was fetched already: parts of two copies do not fit
 * together.
 */
export function copyToFetch(
  copies: readonly Snapshot[],
  cluster: string,
  fetched: Fetched | undefined,
): Snapshot | undefined {
  const own = copies.filter(({ hostname }) => hostname === cluster);
  const begun = fetched?.done.length ? own.find(({ id }) => id === fetched.snapshot) : undefined;
  return begun ?? own.at(-1);
}

/** Bytes to be fetched into a folder, and the bytes free on its disk. */
interface Room {
  readonly folder: string;
  readonly device: number | undefined;
  readonly bytes: number;
  readonly free: number;
}

/** The first disk with less room than everything that is fetched to it needs. */
export function lackingRoom(places: readonly Room[]): Room | undefined {
  return places
    .map((place) => {
      const there = places.filter(({ device }) => device === place.device);
      return { ...place, bytes: there.reduce((sum, { bytes }) => sum + bytes, 0) };
    })
    .find(({ bytes, free }) => bytes > free);
}

/** In the folder that is filled: what is fetched, until it is whole. */
const FETCHED = ".fetched";

/** What an empty folder may contain: the above, and what a new file system has at its root. */
const NOT_CONTENT = new Set([FETCHED, "lost+found"]);

const ROOT = { uid: 0, gid: 0 };

function notEmpty(folder: string): OdooPgError {
  return new OdooPgError("refused", {
    message: `${folder} is not empty.`,
    safe: "It was left as it is.",
    next: nextStep`Move what is in it away, then: ${odooPg("backup", "fetch")}`,
  });
}

class Fetching {
  readonly #options: FetchOptions;
  readonly #restic: Restic;
  readonly #description: Description;
  readonly #progress: Progress;
  readonly #recordFile: string;
  #fetched: Fetched;

  constructor(
    options: FetchOptions,
    restic: Restic,
    { recordFile, fetched }: { readonly recordFile: string; readonly fetched: Fetched },
    description: Description,
    progress: Progress,
  ) {
    this.#options = options;
    this.#restic = restic;
    this.#recordFile = recordFile;
    this.#description = description;
    this.#progress = progress;
    this.#fetched = fetched;
  }

  async all(): Promise<Omit<FetchReport, "configuration">> {
    const { config, layout, backupOwner, serverOwner } = this.#options;
    const { at, backups, repository, state, passwords } = this.#description;
    const [dir, place] = [backupPlaceOf(config).dir, archivePlaceOf(config, layout)];
    const whole = repository !== null && state !== null;
    if (whole) await this.#requireFit();
    await this.#requireRoom([
      { folder: dir, from: null },
      ...(whole ? [{ folder: place.repository, from: repository }] : []),
    ]);
    await this.#folder("backups", backups, dir, backupOwner);
    if (whole) await this.#folder("repository", repository, place.repository, serverOwner);
    for (const [role, password] of Object.entries(passwords))
      await writeFileAtomic(passwordFile(layout, roleOf(role)), `${password}\n`);
    const cluster = whole ? await this.#cluster(state) : null;
    return { at, cluster };
  }

  /** @throws OdooPgError config_invalid where another configuration is needed */
  async #requireFit(): Promise<void> {
    const { config, searchPath, install } = this.#options;
    // Odoo's user writes there; only the owner of the folder tells who that is.
    if (config.odoo.filestore !== undefined) await assertFilestores(config.odoo.filestore);
    const { major } = this.#description;
    if (!config.backup.any_second.enabled) {
      throw new OdooPgError("config_invalid", {
        message: "The copy holds the repository of any second, and the configuration has it off.",
        safe: "Nothing was changed.",
        next: 'Write "any_second: { enabled: true }" below "backup" in odoo-pg.yaml, then run the same command again.',
      });
    }
    const installation = await findInstallation(config.postgres, { searchPath, install });
    if (major === null || installation.major === major) return;
    throw new OdooPgError("postgres_missing", {
      message: `The cluster was one of PostgreSQL ${major}; what is here is ${installation.major}.`,
      safe: "Nothing was changed.",
      next: install({ apt: `postgresql-${major}`, brew: `postgresql@${major}` }),
    });
  }

  /** @throws OdooPgError disk_full before anything is fetched */
  async #requireRoom(
    folders: readonly { readonly folder: string; readonly from: string | null }[],
  ): Promise<void> {
    if (this.#fetched.done.length) return;
    const { snapshot } = this.#fetched;
    const places: Room[] = [];
    let rest = await copyBytes(this.#restic, snapshot);
    for (const { folder, from } of folders.toReversed()) {
      await ensureDirectory(folder, (await permissionsOf(folder)) ?? {});
      // Attachments of backups have many names there and one copy: everything outside the repository counts as theirs.
      const bytes = from === null ? rest : Math.min(rest, await folderBytes(this.#restic, snapshot, from));
      rest -= bytes;
      places.push({
        folder,
        device: await deviceOf(folder),
        bytes,
        free: (await diskSpace(folder)).freeBytes,
      });
    }
    const lacking = lackingRoom(places);
    if (!lacking) return;
    throw new OdooPgError("disk_full", {
      message: `The copy holds ${lacking.bytes} bytes for the disk of ${lacking.folder}, which has ${lacking.free} left.`,
      safe: "Nothing was fetched.",
      next: 'Put "backup.dir" and "backup.any_second.repository" on larger disks.',
    });
  }

  async #folder(
    step: "backups" | "repository",
    from: string,
    to: string,
    owner: Owner | undefined,
  ): Promise<void> {
    const into = path.join(to, FETCHED);
    const found = path.join(into, from);
    const done = this.#fetched.done.includes(step);
    // Noted before it is moved: what has not been moved yet is whole.
    const waits = done && (await kindOf(found)) === "directory";
    const filled = (await namesIn(to)).some((name) => !NOT_CONTENT.has(name));
    if (done && filled && !waits) return await removeTree(into);
    if (filled && !waits) throw notEmpty(to);
    // No other user may put anything there meanwhile.
    await ensureDirectory(to, this.#asRoot ? { owner: ROOT } : {});
    if (!waits) await this.#fetchInto(step, from, into, owner);
    // One by one: the folder itself may be a mount point, which can neither be replaced nor filled from another disk.
    for (const name of await namesIn(found)) {
      const place = path.join(to, name);
      if ((await linkTarget(place)) !== undefined || (await kindOf(place)) !== undefined) throw notEmpty(to);
      await move(path.join(found, name), place);
    }
    const { mode = 0o700 } = (await permissionsOf(found)) ?? {};
    await ensureDirectory(to, { mode: mode & 0o777, ...(this.#asRoot ? { owner: owner ?? ROOT } : {}) });
    await removeTree(into);
  }

  /** Whether what is fetched can be given to whom it belongs. */
  get #asRoot(): boolean {
    return this.#options.serverOwner !== undefined || this.#options.backupOwner !== undefined;
  }

  /** Fetches a folder whole into another one, and notes it. */
  async #fetchInto(
    step: Fetched["done"][number],
    from: string,
    into: string,
    owner: Owner | undefined,
  ): Promise<void> {
    const found = path.join(into, from);
    const others = this.#fetched.done.filter((other) => other !== step);
    if (others.length < this.#fetched.done.length) await this.#note({ done: others });
    this.#progress.step(
      null,
      `fetch the ${step === "backups" ? "backups and attachments" : "base backups and WAL"}`,
    );
    await removeTree(into);
    await ensureDirectory(into);
    await fetchFolder(this.#restic, this.#fetched.snapshot, from, into);
    // The copy has none of it, for example no backup yet.
    if ((await kindOf(found)) !== "directory") await ensureDirectory(found);
    if (step === "repository") await this.#putInfo(found);
    // It has the user ids of another host.
    if (this.#asRoot) {
      // Root's, where no other user shall own them.
      const { uid, gid } = owner ?? ROOT;
      await runOrFail("chown", ["-R", "-h", `${uid}:${gid}`, found], { timeout: 0 });
    }
    await this.#note({ done: [...others, step] });
  }

  /** The base backups as listed before they were copied: later ones may not be whole. */
  async #putInfo(repository: string): Promise<void> {
    // The folders are as the servers' user of the lost host left them: a link in them may lead elsewhere.
    for (const [name, text] of Object.entries(this.#description.info))
      await writeIn(path.join(repository, safeName(name)), text);
  }

  async #note(changes: Partial<Omit<Fetched, "snapshot">>): Promise<void> {
    this.#fetched = { ...this.#fetched, ...changes };
    await writeFileAtomic(this.#recordFile, JSON.stringify(this.#fetched));
  }

  async #cluster(state: ClusterState): Promise<NonNullable<FetchReport["cluster"]>> {
    const { config, layout, serverOwner: owner, searchPath, install, signal } = this.#options;
    const node = recordedPrimary(config.nodes, state) ?? config.nodes[0];
    if (!node) throw new Error("a configuration has a node");
    const installation = await findInstallation(config.postgres, { searchPath, install });
    const repository = await this.#open(state, node, installation.major);
    const { pgbackrest, systemIdentifier, dataDir } = repository;
    const { cluster: whole } = this.#fetched;
    // Noted before it gets its name; the place was empty then.
    if (whole?.data_dir === dataDir && (await namesIn(dataDir)).length > 0)
      return await this.#takeUp(state, node, whole);
    const bases = (await listBases(pgbackrest, systemIdentifier)).toReversed();
    const known = this.#description.timeline ?? newestTimeline(state.history, undefined);
    await recoverCluster(
      {
        repository,
        layout,
        owner,
        installation,
        target: undefined,
        bases,
        timelines: known === undefined ? [undefined] : [known, undefined],
        dataDir,
        goesOn: true,
        preloaded: "",
        processors: processors(),
        progress: this.#progress,
        signal,
      },
      {
        whileRunning: async (superuser) =>
          await fillFilestores(config, backupPlaceOf(config), superuser, this.#progress),
        beforeName: async ({ lastChange = null, base, timeline, used: filestores }) =>
          await this.#note({
            cluster: {
              data_dir: dataDir,
              last_change: lastChange,
              base,
              timeline,
              filestores: [...filestores],
            },
          }),
      },
    );
    const { cluster: made } = this.#fetched;
    if (!made) throw new Error("a cluster that has its name was noted");
    return await this.#takeUp(state, node, made);
  }

  /** Makes a finished data directory this host's cluster. */
  async #takeUp(
    state: ClusterState,
    node: NodeConfig,
    { last_change: lastChange, base, timeline, filestores }: NonNullable<Fetched["cluster"]>,
  ): Promise<NonNullable<FetchReport["cluster"]>> {
    // Last of all: this tells the next `up` whose primary it is.
    await writeState(this.#options.layout, {
      ...state,
      primary: node.name,
      removed: [],
      stopped: undefined,
      history: [
        ...state.history,
        {
          at: new Date(now()).toISOString(),
          kind: "promote",
          from: state.primary,
          to: node.name,
          why: `fetched from a copy of ${this.#description.at}`,
          timeline,
          writes_paused_ms: null,
        },
      ],
    });
    return { lastChange, base, filestores };
  }

  async #open(state: ClusterState, node: NodeConfig, major: number): Promise<OpenRepository> {
    const { config, layout, serverOwner: owner, searchPath, install, signal } = this.#options;
    const place = archivePlaceOf(config, layout);
    const program = await findPgbackrest(major, { searchPath, install });
    await writeConfigurations(config, layout, place, owner);
    return {
      place,
      dataDir: nodeLayoutOf(layout, node).dataDir,
      pgbackrest: pgbackrestOf(program, place, node, owner, signal),
      systemIdentifier: state.system_identifier ?? "",
    };
  }
}

/** @throws Error for a path that would lead elsewhere */
function safeName(name: string): string {
  if (/^(?:archive|backup)\/[A-Za-z0-9_-]+\/(?:archive|backup)\.info(?:\.copy)?$/.test(name)) return name;
  throw new Error(`not the name of a list of base backups: ${JSON.stringify(name)}`);
}

function roleOf(role: string): "postgres" | "replicator" | "odoo" | "collectd" | "openerp" {
  if (role === "replicator" || role === "odoo" || role === "collectd" || role === "openerp") return role;
  return "postgres";
}
