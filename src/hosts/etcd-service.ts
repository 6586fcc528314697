import * as z from "zod";
import { CLIENT_PORT } from "../consensus/etcd.ts";
import { Hold } from "../members/hold.ts";
import type { Answer, Found, Service } from "../services/service.ts";
import { OdooPgError } from "../errors.ts";
import { ensureDirectory, readTail, removeFile, writeFileAtomic, type Owner } from "../system/files/files.ts";
import { readJsonFile } from "../system/files/json-file.ts";
import { rotateOpenLog } from "../system/log.ts";
import { accepts } from "../system/network/network.ts";
import { askTls, type TlsIdentity } from "../system/network/mutual-tls.ts";
import { Daemon } from "./daemon.ts";
import type { HostFiles } from "./files.ts";
import type { HaProgram } from "./programs.ts";
import type { HostRecord } from "./record.ts";
import { etcdArguments, type EtcdStart } from "./render.ts";

const startSchema = z.object({
  state: z.enum(["new", "existing"]),
  members: z.record(z.string(), z.string()),
});

/** Milliseconds for an answer, and for a member to end in good order. */
const ANSWER_TIMEOUT = 2000;
const STOP_TIMEOUT = 10_000;

/** This host's member of the store. */
export class EtcdService implements Service {
  readonly name = "etcd";
  readonly hold = new Hold();
  readonly #files: HostFiles;
  readonly #record: HostRecord;
  readonly #program: HaProgram;
  readonly #identity: TlsIdentity;
  readonly #owner: Owner | undefined;
  readonly #daemon: Daemon;
  #start: EtcdStart | undefined;
  #lastAnswer: Answer = "absent";

  constructor(
    files: HostFiles,
    record: HostRecord,
    program: HaProgram,
    identity: TlsIdentity,
    owner: Owner | undefined,
  ) {
    this.#files = files;
    this.#record = record;
    this.#program = program;
    this.#identity = identity;
    this.#owner = owner;
    this.#daemon = new Daemon(files.etcdProcess);
  }

  /** How this host's member came to be; undefined where it has none. */
  async startedAs(): Promise<EtcdStart | undefined> {
    this.#start ??= await readJsonFile(this.#files.etcdStart, startSchema, {
      code: "state_dir_unusable",
      safe: "The other hosts keep the store.",
      next: "Put the file back from a copy.",
    });
    return this.#start;
  }

  /** Gives this host a member, from the next look on. */
  async become(start: EtcdStart): Promise<void> {
    await writeFileAtomic(this.#files.etcdStart, `${JSON.stringify(start)}\n`);
    this.#start = start;
  }

  /** Ends this host's member, which the others have removed. */
  async retire(): Promise<void> {
    // First: supervision must not start it again.
    await removeFile(this.#files.etcdStart);
    this.#start = undefined;
    await this.hold.take("remove");
    try {
      await this.stop("fast");
    } finally {
      this.hold.release();
    }
  }

  async find(): Promise<Found> {
    if (!(await this.startedAs())) return "waiting";
    return (await this.#daemon.pid()) === undefined ? "stopped" : "running";
  }

  async start(): Promise<void> {
    const start = await this.startedAs();
    if (!start) return;
    await ensureDirectory(this.#files.etcdDir, { mode: 0o700, owner: this.#owner });
    const { cluster } = this.#record;
    const args = etcdArguments(this.#record, cluster, this.#files, start);
    const lives = await this.#daemon.start(this.#program.path, args, {
      owner: this.#owner,
      logFile: this.#files.etcdLog,
      cwd: this.#files.dir,
    });
    if (lives) return;
    throw new OdooPgError("command_failed", {
      message: `etcd ends at once: ${(await readTail(this.#files.etcdLog, 600)).trim()}`,
      safe: "The servers keep running.",
    });
  }

  async reload(): Promise<void> {
    // It has nothing that it could take up while it runs.
  }

  async stop(mode: "fast" | "immediate"): Promise<readonly number[]> {
    return await this.#daemon.stop(mode === "fast" ? STOP_TIMEOUT : 0);
  }

  /** What it answered when supervision last asked: a report must wait for nobody. */
  get lastAnswer(): Answer {
    return this.#lastAnswer;
  }

  async probe(): Promise<Answer> {
    this.#lastAnswer = await this.#probe();
    return this.#lastAnswer;
  }

  /** Before it has found a majority nobody listens there: to end it then would mend nothing. */
  async #probe(): Promise<Answer> {
    if ((await this.#daemon.pid()) === undefined) return "absent";
    rotateOpenLog(this.#files.etcdLog);
    const { address } = this.#record;
    const answered = await askTls({
      host: address,
      port: CLIENT_PORT,
      method: "POST",
      path: "/v3/maintenance/status",
      body: {},
      trust: this.#identity,
      timeout: ANSWER_TIMEOUT,
    }).then(
      () => true,
      () => false,
    );
    if (answered) return "answers";
    return (await accepts(address, CLIENT_PORT, 500)) ? "silent" : "busy";
  }
}
