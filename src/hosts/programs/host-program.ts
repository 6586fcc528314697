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

/** What a program of several hosts is started with. */
export interface ProgramParts {
  readonly files: HostFiles;
  readonly record: HostRecord;
  readonly program: HaProgram;
  readonly identity: TlsIdentity;
  readonly owner: Owner | undefined;
}

/** How one such program differs from the next. */
export interface ProgramTraits {
  readonly name: string;
  /** Keeps which process was started. */
  readonly processFile: string;
  readonly logFile: string;
  /** Keeps which certificates were revoked when it was started. */
  readonly revokedFile: string;
  /** Where it answers on the host's own address, and what it is asked there. */
  readonly port: number;
  readonly question: { readonly method: "GET" | "POST"; readonly path: string; readonly body?: unknown };
  /** Milliseconds to end in good order. */
  readonly stopTimeout: number;
  /** What is safe when it does not start. */
  readonly safe: string;
}

/** etcd or Patroni: kept running by the agent, which it outlives, and asked over TLS whether it lives. */
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

  /** Makes what it needs. @returns its arguments */
  protected abstract prepare(): Promise<readonly string[]>;

  /** What it finds in its environment besides. */
  protected get environment(): Readonly<Record<string, string>> {
    return {};
  }

  abstract reload(): Promise<void>;

  get version(): string {
    return this.parts.program.version;
  }

  /** What it answered when supervision last asked: a report must wait for nobody. */
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
    // Before it reads the list itself: what comes between is revoked once more, rather than not at all.
    await writeFileAtomic(revokedFile, serialsIn((await readTextIfAny(files.revocations)) ?? "").join(" "));
    const { environment } = this;
    if (await this.daemon.start(program.path, args, { owner, logFile, cwd: files.dir, environment })) return;
    throw new OdooPgError("command_failed", {
      message: `${name} ends at once: ${(await readTail(logFile, 600)).trim()}`,
      safe,
    });
  }

  /**
   * Which certificates were revoked since it was started: whoever was connected by one of them still is. By their serial
   * numbers: files say nothing by when they were written.
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

  /** One whose port does not listen is not ready yet, such as etcd without a majority: ending it would fix nothing. */
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
