import { OdooPgError } from "../../errors.ts";
import { Hold } from "../../members/hold.ts";
import type { Answer, Found, Service } from "../../services/service.ts";
import { readTail, readTextIfAny, writeFileAtomic, type Owner } from "../../system/files/files.ts";
import { rotateOpenLog } from "../../system/log.ts";
import { askTls, type TlsIdentity } from "../../system/network/mutual-tls.ts";
import { accepts } from "../../system/network/network.ts";
import type { HostFiles } from "../documents/files.ts";
import type { HostRecord } from "../documents/record.ts";
import { serialsIn } from "../joining/authority.ts";
import { Daemon } from "./daemon.ts";
import type { HaProgram } from "./programs.ts";

/** Milliseconds for an answer. */
const ANSWER_TIMEOUT = 2000;

/** How a program of several hosts is started. */
export interface ProgramParts {
  readonly files: HostFiles;
  readonly record: HostRecord;
  readonly program: HaProgram;
  readonly identity: TlsIdentity;
  readonly owner: Owner | undefined;
}

/** What is particular to one such program. */
export interface ProgramTraits {
  readonly name: string;
  /** Records which process was started. */
  readonly processFile: string;
  readonly logFile: string;
  /** Records which certificates were revoked when it was started. */
  readonly revokedFile: string;
  /** Its port on the host's own address, and the path that is asked there. */
  readonly port: number;
  readonly question: { readonly method: "GET" | "POST"; readonly path: string; readonly body?: unknown };
  /** Milliseconds to end in good order. */
  readonly stopTimeout: number;
  /** A sentence for the error when it does not start: what is safe. */
  readonly safe: string;
}

/** etcd or Patroni: the agent keeps it running, and asks it over TLS whether it lives. It outlives the agent. */
export abstract class HostProgram implements Service {
  readonly name: string;
  readonly hold = new Hold();
  protected readonly parts: ProgramParts;
  protected readonly daemon: Daemon;
  readonly #traits: ProgramTraits;
  #lastAnswer: Answer = "absent";

  constructor(parts: ProgramParts, traits: ProgramTraits) {
    this.name = traits.name;
    this.parts = parts;
    this.#traits = traits;
    this.daemon = new Daemon(traits.processFile);
  }

  /** Whether it is to run here. */
  protected abstract isWanted(): Promise<boolean>;

  /** Prepares its files. @returns its arguments */
  protected abstract prepare(): Promise<readonly string[]>;

  /** Further variables of its environment. */
  protected get environment(): Readonly<Record<string, string>> {
    return {};
  }

  abstract reload(): Promise<void>;

  get version(): string {
    return this.parts.program.version;
  }

  /** Its last answer to supervision, so that a report need not wait. */
  get lastAnswer(): Answer {
    return this.#lastAnswer;
  }

  async find(): Promise<Found> {
    if ((await this.daemon.pid()) !== undefined) return "running";
    return (await this.isWanted()) ? "stopped" : "waiting";
  }

  async start(): Promise<void> {
    const { name, logFile, safe, revokedFile } = this.#traits;
    const { program, owner, files } = this.parts;
    const args = await this.prepare();
    // Recorded before it reads the list: a certificate revoked in between is then handled twice, rather than not at all.
    await writeFileAtomic(revokedFile, serialsIn((await readTextIfAny(files.revocations)) ?? "").join(" "));
    const { environment } = this;
    if (await this.daemon.start(program.path, args, { owner, logFile, cwd: files.dir, environment })) return;
    throw new OdooPgError("command_failed", {
      message: `${name} ends at once: ${(await readTail(logFile, 600)).trim()}`,
      safe,
    });
  }

  /**
   * Serial numbers of certificates that were revoked since it was started: connections made with them still exist. Times of
   * files would not tell.
   */
  async revokedSince(): Promise<readonly string[]> {
    if ((await this.daemon.pid()) === undefined) return [];
    const [list, known] = await Promise.all(
      [this.parts.files.revocations, this.#traits.revokedFile].map(readTextIfAny),
    );
    const before = new Set((known ?? "").split(" "));
    return serialsIn(list ?? "").filter((serial) => !before.has(serial));
  }

  async stop(mode: "fast" | "immediate"): Promise<readonly number[]> {
    return await this.daemon.stop(mode === "fast" ? this.#traits.stopTimeout : 0);
  }

  async probe(): Promise<Answer> {
    this.#lastAnswer = await this.#probe();
    return this.#lastAnswer;
  }

  /** `busy` where its port does not listen yet, as of etcd without a majority: ending it would fix nothing. */
  async #probe(): Promise<Answer> {
    if ((await this.daemon.pid()) === undefined) return "absent";
    const { port, question, logFile } = this.#traits;
    rotateOpenLog(logFile);
    const { address } = this.parts.record;
    const answered = await askTls({
      host: address,
      port,
      ...question,
      trust: this.parts.identity,
      timeout: ANSWER_TIMEOUT,
    }).then(
      () => true,
      () => false,
    );
    if (answered) return "answers";
    return (await accepts(address, port, 500)) ? "silent" : "busy";
  }
}
