import { readArchive, type ArchiveRecords } from "../archive/record.ts";
import type { CopyStatus } from "../model/backups/copy-status.ts";
import { readCopies } from "../store/copy-status.ts";
import { readBackupStatus, type BackupRecord } from "../store/backup-status.ts";
import { readSecondDrill } from "../store/second-drill.ts";
import type { BackupStatus } from "../model/backups/backup-report.ts";
import type { SecondDrill } from "../model/backups/second-drill.ts";
import { nodeLayoutOf, type Layout, type NodeConfig } from "../config/layout.ts";
import type { StatusDocument } from "../cluster/documents/status.ts";
import type { CertificateEnds } from "../cluster/certificates.ts";
import { statusOf } from "../cluster/status.ts";
import { withUpstream, type DiskUse } from "../cluster/view.ts";
import { endpointHost } from "../config/values/addresses.ts";
import { OdooPgError } from "../errors.ts";
import { odooPg } from "../next-step.ts";
import { databaseNames, databaseSizes } from "../postgres/sql/observing/facts.ts";
import { monotonic, now } from "../system/clock.ts";
import { accepts } from "../system/network/network.ts";
import { factsOf } from "../model/observation.ts";
import { certificateEndsOf } from "./certificate-ends.ts";
import { diskUseOf } from "./disk-use.ts";
import { Cached } from "../system/cached.ts";
import type { AgentReport } from "../cluster/documents/agent-report.ts";
import { ownPrimary, requireOwnPrimary, type Runtime } from "../members/runtime.ts";

/** Milliseconds for which a status is given again. */
const KEPT = 500;

/** Milliseconds between two reads, and for each, of what the agent's loop does not observe. */
const ENDPOINT = { every: 5000, timeout: 300 };
const DISK = { every: 10_000, timeout: 300 };
/** Less than for the disk: that must be known also while what was set aside is being counted. */
const ASIDE_TIMEOUT = 150;
const BACKUPS = { every: 3000, timeout: 300 };
/** pg_database_size() reads the size of every file of a database. */
const NAMES = { every: 3000, timeout: 300 };
const SIZES = { every: 300_000, timeout: 30_000 };
const NEW_DATABASE = 30_000;
const CERTIFICATES = { every: 10_000, timeout: 300 };

/** What the agent passes to the status source. */
export interface StatusInputs {
  readonly layout: Layout;
  readonly runtime: () => Runtime | undefined;
  /** Why there is no runtime, where something was applied. */
  readonly failure: () => OdooPgError | undefined;
  readonly report: () => Promise<AgentReport>;
}

const NOTHING_KNOWN: BackupRecord = { record: undefined };

/**
 * The status as the agent sees it: from what it has just seen anyway. Nothing is queried while there are no requests.
 * It is made by the same rules as the status of the command line.
 */
export class StatusSource {
  readonly #inputs: StatusInputs;
  readonly #endpoints = new Map<string, Cached<boolean>>();
  readonly #disks = new Map<string, Cached<DiskUse>>();
  readonly #backups: Cached<BackupRecord>;
  readonly #archive: Cached<ArchiveRecords>;
  readonly #copies: Cached<CopyStatus[]>;
  readonly #secondDrill: Cached<SecondDrill | undefined>;
  readonly #sizes: Cached<ReadonlyMap<string, number>>;
  readonly #certificates: Cached<CertificateEnds>;
  #kept: { readonly at: number; readonly status: Promise<StatusDocument> } | undefined;

  constructor(inputs: StatusInputs) {
    this.#inputs = inputs;
    this.#backups = new Cached({
      ...BACKUPS,
      read: async () => await readBackupStatus(inputs.layout.stateDir),
    });
    this.#archive = new Cached({ ...BACKUPS, read: async () => await readArchive(inputs.layout) });
    this.#copies = new Cached({ ...BACKUPS, read: async () => await readCopies(inputs.layout) });
    this.#secondDrill = new Cached({
      ...BACKUPS,
      read: async () => await readSecondDrill(inputs.layout.stateDir),
    });
    this.#certificates = new Cached({
      ...CERTIFICATES,
      read: async () => await certificateEndsOf(inputs.layout, inputs.runtime()?.config.nodes ?? []),
    });
    this.#sizes = new Cached({ ...SIZES, read: async () => await this.#readSizes() });
  }

  /**
   * How the cluster is, at most half a second old. Takes at most 300 ms.
   * @throws OdooPgError not_running while nothing was applied; why what was applied cannot be taken up.
   */
  async status(): Promise<StatusDocument> {
    const at = monotonic();
    if (this.#kept && at - this.#kept.at < KEPT) return await this.#kept.status;
    const status = this.#compose();
    this.#kept = { at, status };
    return await status;
  }

  /**
   * Bytes of each database of the primary, as last looked at: at most every five minutes, sooner where one of `names` was
   * not there yet. Undefined before.
   */
  databaseSizes(names: readonly string[] = []): ReadonlyMap<string, number> | undefined {
    const runtime = this.#inputs.runtime();
    const answers = runtime && factsOf(ownPrimary(runtime)?.observation);
    // Without a primary a read would only fail.
    if (!answers) return undefined;
    const known = this.#sizes.last();
    if (known && names.some((name) => !known.has(name))) this.#sizes.refreshAfter(NEW_DATABASE);
    return known;
  }

  /** The disk of a node's data directory; undefined where its file system does not answer. */
  async disk(node: NodeConfig): Promise<DiskUse | undefined> {
    const { dataDir } = nodeLayoutOf(this.#inputs.layout, node);
    return await among(this.#disks, dataDir, {
      ...DISK,
      read: async () => await diskUseOf(this.#inputs.layout, node, ASIDE_TIMEOUT),
    }).now();
  }

  /** What the last run of backups left; undefined where there was none. */
  async backups(): Promise<BackupStatus | undefined> {
    return (await this.#backups.now())?.record;
  }

  async #compose(): Promise<StatusDocument> {
    const runtime = this.#inputs.runtime();
    if (!runtime) {
      throw (
        this.#inputs.failure() ??
        new OdooPgError("not_running", { message: "Nothing was started here yet.", next: odooPg("up") })
      );
    }
    const { config, configFile, state, upstream } = runtime;
    const host = endpointHost(config.listen);
    const accepted = async (port: number): Promise<boolean | undefined> =>
      await among(this.#endpoints, `${host} ${port}`, {
        ...ENDPOINT,
        read: async () => await accepts(host, port, ENDPOINT.timeout),
      }).now();
    const [report, readAnswers, writeAnswers, backups, disks] = await Promise.all([
      this.#inputs.report(),
      accepted(config.endpoints.read.port),
      accepted(config.endpoints.write.port),
      this.#backups.now(),
      Promise.all(
        config.nodes.map(async (node): Promise<[string, DiskUse | undefined]> => [
          node.name,
          await this.disk(node),
        ]),
      ),
    ]);
    const observed = [...(upstream ? [upstream] : []), ...runtime.nodes.values()];
    return statusOf({
      config: upstream ? withUpstream(config, upstream.node) : config,
      // The agent knows what was applied, and no file.
      configChanged: false,
      record: { primary: state.primary, systemIdentifier: state.system_identifier },
      observations: observed.map(({ observation }) => observation),
      agent: report,
      databaseBytes: sum(this.databaseSizes()),
      databases: await this.#names.now(),
      disks: new Map(disks.flatMap(([name, disk]) => (disk ? [[name, disk]] : []))),
      certificates: await this.#certificates.now(),
      endpoints: { host, readAnswers, writeAnswers },
      backups: { ...(backups ?? NOTHING_KNOWN), launchedAt: state.history[0]?.at },
      archive: await this.#archive.now(),
      secondDrill: await this.#secondDrill.now(),
      copies: await this.#copies.now(),
      now: now(),
      configFile,
    });
  }

  readonly #names = new Cached({
    ...NAMES,
    read: async () => {
      const runtime = this.#inputs.runtime();
      if (!runtime) throw new Error("nothing runs");
      return await requireOwnPrimary(runtime).use(databaseNames);
    },
  });

  async #readSizes(): Promise<ReadonlyMap<string, number>> {
    const runtime = this.#inputs.runtime();
    if (!runtime) throw new Error("nothing runs");
    return await requireOwnPrimary(runtime).use(databaseSizes);
  }
}

/** The cached value of a name, made on first use. */
function among<T>(
  caches: Map<string, Cached<T>>,
  name: string,
  options: ConstructorParameters<typeof Cached<T>>[0],
): Cached<T> {
  const present = caches.get(name) ?? new Cached(options);
  caches.set(name, present);
  return present;
}

function sum(sizes: ReadonlyMap<string, number> | undefined): number | undefined {
  return sizes && [...sizes.values()].reduce((all, bytes) => all + bytes, 0);
}
