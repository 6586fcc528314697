import { Hold } from "../members/hold.ts";
import type { Answer, Found, Service } from "../services/service.ts";
import { OdooPgError } from "../errors.ts";
import { ensureDirectory, readTail, type Owner } from "../system/files/files.ts";
import { accepts } from "../system/network/network.ts";
import { askTls, type TlsIdentity } from "../system/network/mutual-tls.ts";
import { Daemon } from "./daemon.ts";
import type { HostFiles } from "./files.ts";
import type { HaProgram } from "./programs.ts";
import type { HostRecord } from "./record.ts";
import { API_PORT } from "./render.ts";

/** Milliseconds for an answer, and for Patroni to stop its server and end. */
const ANSWER_TIMEOUT = 2000;
const STOP_TIMEOUT = 120_000;

/** The Patroni of this host. Only it starts and stops the host's PostgreSQL, which outlives it where it is killed. */
export class PatroniService implements Service {
  readonly name = "patroni";
  readonly hold = new Hold();
  readonly #files: HostFiles;
  readonly #record: HostRecord;
  readonly #program: HaProgram;
  readonly #identity: TlsIdentity;
  readonly #owner: Owner | undefined;
  readonly #mayRun: () => Promise<boolean>;
  readonly #daemon: Daemon;
  /** It was started here, and did not answer yet. */
  #isNew = false;

  /** @param mayRun whether there is a whole data directory for it, and its files are written */
  constructor(
    files: HostFiles,
    record: HostRecord,
    program: HaProgram,
    identity: TlsIdentity,
    owner: Owner | undefined,
    mayRun: () => Promise<boolean>,
  ) {
    this.#files = files;
    this.#record = record;
    this.#program = program;
    this.#identity = identity;
    this.#owner = owner;
    this.#mayRun = mayRun;
    this.#daemon = new Daemon(files.patroniProcess);
  }

  get version(): string {
    return this.#program.version;
  }

  async find(): Promise<Found> {
    if ((await this.#daemon.pid()) !== undefined) return "running";
    return (await this.#mayRun()) ? "stopped" : "waiting";
  }

  async start(): Promise<void> {
    await ensureDirectory(this.#files.logDir, { mode: 0o700, owner: this.#owner });
    const lives = await this.#daemon.start(this.#program.path, [this.#files.patroniConfig], {
      owner: this.#owner,
      logFile: this.#files.patroniStartLog,
      cwd: this.#files.dir,
    });
    this.#isNew = true;
    if (lives) return;
    throw new OdooPgError("command_failed", {
      message: `Patroni ends at once: ${(await readTail(this.#files.patroniStartLog, 600)).trim()}`,
      safe: "A server that runs goes on.",
    });
  }

  async reload(): Promise<void> {
    await this.#daemon.signal("SIGHUP");
  }

  /** `fast`: with its server. `immediate`: Patroni alone. */
  async stop(mode: "fast" | "immediate"): Promise<readonly number[]> {
    return await this.#daemon.stop(mode === "fast" ? STOP_TIMEOUT : 0);
  }

  async probe(): Promise<Answer> {
    if ((await this.#daemon.pid()) === undefined) return "absent";
    const { address } = this.#record;
    const answered = await askTls({
      host: address,
      port: API_PORT,
      method: "GET",
      path: "/patroni",
      trust: this.#identity,
      timeout: ANSWER_TIMEOUT,
    }).then(
      () => true,
      () => false,
    );
    if (answered) {
      // Of a replica that ran already it takes the settings that run, not those of its file, until it reads that again.
      if (this.#isNew) await this.reload();
      this.#isNew = false;
      return "answers";
    }
    return (await accepts(address, API_PORT, 500)) ? "silent" : "busy";
  }
}
