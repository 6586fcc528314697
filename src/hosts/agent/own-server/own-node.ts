import { seeFigures } from "../../../postgres/figures.ts";
import { inspectDataDirectory } from "../../../postgres/data-directory.ts";
import { reloadAndWait } from "../../../postgres/reload.ts";
import { findPostmaster, reloadServer, stopServer } from "../../../postgres/server.ts";
import { Superuser } from "../../../postgres/sql/access/superuser.ts";
import type { Runtime } from "../../../members/runtime.ts";
import { configurationMark } from "../../documents/record.ts";
import type { HostReport } from "../../documents/report.ts";
import type { PatroniService } from "../../programs/patroni-service.ts";
import { Mutex } from "../../../system/mutex.ts";
import { ownConfig, writeOwnFiles, type Changed, type OwnFilesInput } from "../../render/own-files.ts";
import type { OwnServer } from "../endpoints/host-pool.ts";
import type { OneHost } from "../host.ts";
import { ownRuntime } from "./own-runtime.ts";
import type { StoreWatch } from "../store-watch.ts";

/** Milliseconds to connect to this host's own server. */
const OWN_SERVER_TIMEOUT = 2000;

/** What this host's programs read, and its server: written as the cluster's document says. */
export class OwnNode {
  readonly #host: OneHost;
  readonly #store: StoreWatch;
  /** Hosts that this one's server does not let replicate, for the time being. */
  #refused: readonly string[] = [];
  #archiveCommand: string | undefined;
  readonly #turns = new Mutex();
  #runtime: Runtime | undefined;
  /** Of what the files were last written; "" before they ever were. */
  #written = "";
  /** The same, as it was when it was last seen that nothing has changed: most looks need no further one. */
  #unchanged: OwnFilesInput | undefined;
  #own: { readonly of: OwnFilesInput; readonly is: ReturnType<typeof ownConfig> } | undefined;
  #configuration = "";
  /** Whether the files are checked once more, on request. */
  #again = false;
  /** Whether nothing is written any more. */
  #rests = false;
  #machine: HostReport["machine"] | undefined;

  constructor(host: OneHost, store: StoreWatch) {
    this.#host = host;
    this.#store = store;
  }

  /** This host's server for parts that know a cluster of one host; undefined where it has none. */
  get runtime(): Runtime | undefined {
    return this.#runtime;
  }

  /** The mark of the configuration that is applied here; "" before any is. */
  get configuration(): string {
    return this.#configuration;
  }

  /** What this host gives its server; undefined before that was looked at, and where it has none. */
  get machine(): HostReport["machine"] | undefined {
    return this.#machine;
  }

  /** Makes the files be checked once more: someone may have changed them by hand. */
  lookAgain(): void {
    this.#again = true;
  }

  /** The configuration that this host applies, its node, and that one's places. */
  get own(): ReturnType<typeof ownConfig> {
    const input = this.input();
    if (!this.#own || !areSame(this.#own.of, input)) this.#own = { of: input, is: ownConfig(input) };
    return this.#own.is;
  }

  get files() {
    return this.own.files;
  }

  /** By what its server archives while it is the primary; undefined: nothing is archived. */
  get archiveCommand(): string | undefined {
    return this.#archiveCommand;
  }

  /** The same, from the next time on that the files are written. */
  set archiveCommand(command: string | undefined) {
    this.#archiveCommand = command;
  }

  /** The same, at once: returns when the server has read it. @throws OdooPgError timed_out, SqlError */
  async archiveBy(command: string | undefined): Promise<void> {
    await this.#write(() => (this.#archiveCommand = command));
    const { node, files } = this.own;
    await this.server().use(async (session) => await reloadAndWait(session, files.dataDir, node.name));
  }

  /** What the files are made from. */
  input(document = this.#store.document): OwnFilesInput {
    const { layout, owner, machine, installation, fileConfig } = this.#host;
    return {
      layout,
      owner,
      machine,
      record: this.#store.record,
      document,
      fileConfig: fileConfig(),
      installation,
      refused: this.#refused,
      archiveCommand: this.#archiveCommand,
    };
  }

  /** Writes what changed, and has whoever reads it read it. @returns whether anything was to be looked at */
  async apply(patroni: PatroniService | undefined, wake: () => void): Promise<void> {
    const { installation, log } = this.#host;
    if (this.#rests || this.#isWritten(this.input())) return;
    this.#unchanged = undefined;
    const { input, changed } = await this.#write(() => (this.#again = false));
    const text = textOf(input);
    // It looks for the store's members every 200 s only, and a reload does not tell it of them: so it is started again,
    // which its server does not notice.
    if (installation && changed.patroni) await patroni?.stop("immediate");
    // Also at first: an agent before may have written them, and come no further.
    if (installation && (changed.server || this.#written === "")) {
      const { files } = ownConfig(input);
      if (await findPostmaster(files.dataDir)) await reloadServer(files.dataDir);
    }
    if (installation) {
      for (const handle of this.#runtime?.nodes.values() ?? []) await handle.disconnect();
      this.#runtime = await ownRuntime({ ...input, installation }, log, wake);
      const { config, files } = ownConfig(input);
      const { figures } = await seeFigures(config, files.dataDir, input.machine.platform);
      this.#machine = { memory_bytes: figures.memoryBytes, cpus: figures.cpus, disk: figures.disk };
    }
    this.#written = text;
    this.#configuration = configurationMark(input.document);
  }

  /**
   * Writes nothing any more, and returns when what is being written is: files that somebody takes away would be there again.
   * @returns what ends that
   */
  async rest(): Promise<() => void> {
    return await this.#turns.run(async () => {
      this.#rests = true;
      return await Promise.resolve(() => {
        this.#rests = false;
      });
    });
  }

  #isWritten(now: OwnFilesInput): boolean {
    if (this.#again) return false;
    if (this.#unchanged && areSame(this.#unchanged, now)) return true;
    if (textOf(now) !== this.#written) return false;
    this.#unchanged = now;
    return true;
  }

  /**
   * Writes the files by what is known in its turn: of two that write at once the later one must not know less, such as
   * whose replication is refused since.
   */
  async #write(begin: () => void): Promise<{ readonly input: OwnFilesInput; readonly changed: Changed }> {
    return await this.#turns.run(async () => {
      if (this.#rests)
        throw new Error("this host leaves, or becomes one of its own: its files stay as they are");
      begin();
      const input = this.input();
      return { input, changed: await writeOwnFiles(input) };
    });
  }

  /**
   * Whether there is a whole data directory for Patroni, its files are written, and the store says that this machine is
   * one of the cluster's: Patroni itself goes by names, and takes the key of another one with this name for its own.
   */
  async mayRunPatroni(): Promise<boolean> {
    const { installation, owner } = this.#host;
    if (!this.#store.isListedInStore) return false;
    if (!installation || this.#store.view?.dynamic === undefined || this.#written === "") return false;
    const data = await inspectDataDirectory(this.files.dataDir, installation, owner);
    return data.kind === "whole";
  }

  /** Whether this host has a database, and no data directory for it. */
  async lacksData(): Promise<boolean> {
    const { installation, owner } = this.#host;
    if (!installation || this.#written === "") return false;
    const data = await inspectDataDirectory(this.files.dataDir, installation, owner);
    return data.kind === "absent" || data.kind === "empty";
  }

  /** Ends the server of a host that the others have given up: it must not go on with what it has when it comes back. */
  async ceaseWhereRemoved(patroni: PatroniService | undefined): Promise<void> {
    if (this.#store.isListed || !patroni || patroni.hold.operation !== undefined) return;
    this.#host.log(
      "warn",
      "this host was removed from the cluster, or another machine was given its name: its server is stopped, its data stays",
    );
    await patroni.hold.take("remove");
    await patroni.stop("fast");
    // One that was just started, or is paused, leaves it running.
    await stopServer(this.files.dataDir, this.#store.record.name, "fast");
  }

  /** The server, for whoever keeps the pool. */
  server(): OwnServer {
    const { node, files } = ownConfig(this.input());
    const superuser = Superuser.of(this.#host.layout, node);
    const use: OwnServer["use"] = async (act) =>
      await superuser.use(act, {
        applicationName: "odoo-pg agent",
        connectTimeout: OWN_SERVER_TIMEOUT,
        settings: { synchronous_commit: "local" },
      });
    return {
      dataDir: files.dataDir,
      use,
      refuse: async (names) => {
        await this.#write(() => (this.#refused = names));
        await use(async (session) => await reloadAndWait(session, files.dataDir, node.name));
      },
    };
  }

  async observe(): Promise<void> {
    await Promise.all(
      [...(this.#runtime?.nodes.values() ?? [])].map(async (handle) => await handle.observeShared()),
    );
  }

  async close(): Promise<void> {
    for (const handle of this.#runtime?.nodes.values() ?? []) await handle.disconnect();
  }
}

/** Whether files are made of the very same: what is read anew is another object, be it equal or not. */
function areSame(one: OwnFilesInput, other: OwnFilesInput): boolean {
  return (
    one.document === other.document &&
    one.fileConfig === other.fileConfig &&
    one.record === other.record &&
    one.refused === other.refused &&
    one.archiveCommand === other.archiveCommand
  );
}

function textOf({ document, fileConfig, record, refused, archiveCommand }: OwnFilesInput): string {
  return JSON.stringify([document, fileConfig, record, refused, archiveCommand]);
}
