import * as z from "zod";
import { CLIENT_PORT } from "../../consensus/etcd.ts";
import { now, waitUntil } from "../../system/clock.ts";
import { ensureDirectory, kindOf, move, removeFile, writeFileAtomic } from "../../system/files/files.ts";
import { readJsonFile } from "../../system/files/json-file.ts";
import { peerUrlOf } from "../documents/places.ts";
import type { Host } from "../documents/record.ts";
import { etcdArguments, type EtcdStart } from "../render/etcd.ts";
import { HostProgram, type ProgramParts } from "./host-program.ts";

const startSchema = z.object({
  state: z.enum(["new", "existing"]),
  members: z.record(z.string(), z.string()),
});

/** Milliseconds for etcd to answer after it was made the only member. */
const FORCE_TIMEOUT = 60_000;

/** This host's member of the store. */
export class EtcdService extends HostProgram {
  #start: EtcdStart | undefined;
  #isForced = false;

  constructor(parts: ProgramParts) {
    super(parts, {
      name: "etcd",
      processFile: parts.files.etcdProcess,
      logFile: parts.files.etcdLog,
      revokedFile: parts.files.etcdRevoked,
      port: CLIENT_PORT,
      question: { method: "POST", path: "/v3/maintenance/status", body: {} },
      stopTimeout: 10_000,
      safe: "The servers keep running.",
    });
  }

  /** How this host's member is started; undefined where it has none. */
  async startedAs(): Promise<EtcdStart | undefined> {
    this.#start ??= await readJsonFile(this.parts.files.etcdStart, startSchema, {
      code: "state_dir_unusable",
      safe: "The other hosts keep the store.",
      next: "Put the file back from a copy.",
    });
    return this.#start;
  }

  /**
   * Gives this host a member, from the next check on. A former member's data is put aside: that one was removed for
   * good.
   */
  async become(start: EtcdStart): Promise<void> {
    if ((await this.startedAs()) === undefined) await this.#clear();
    await writeFileAtomic(this.parts.files.etcdStart, `${JSON.stringify(start)}\n`);
    this.#start = start;
  }

  /** Ends this host's member after the others have removed it, and puts its data aside. */
  async retire(): Promise<void> {
    // First, so that supervision does not start it again.
    await removeFile(this.parts.files.etcdStart);
    this.#start = undefined;
    await this.#clear();
  }

  /** Whether something is left of a member whose end was interrupted. */
  async isLeft(): Promise<boolean> {
    return (await this.startedAs()) === undefined && (await kindOf(this.parts.files.etcdDir)) !== undefined;
  }

  async #clear(): Promise<void> {
    const { etcdDir } = this.parts.files;
    await this.hold.take("remove");
    try {
      await this.stop("fast");
      if ((await kindOf(etcdDir)) !== undefined) await move(etcdDir, `${etcdDir}.removed-${now()}`);
    } finally {
      this.hold.release();
    }
  }

  /**
   * Makes this member the only one, with its data: etcd forgets all others, and is then started in the ordinary way.
   * Source: etcd 3.5, "Disaster recovery": --force-new-cluster
   * @throws OdooPgError command_failed, timed_out
   */
  async forceNewCluster(own: Pick<Host, "name" | "address">): Promise<void> {
    await this.hold.take("restart");
    try {
      await this.stop("fast");
      this.#isForced = true;
      await this.start();
      await waitUntil(async () => (await this.probe()) === "answers", {
        what: "etcd to answer alone",
        timeout: FORCE_TIMEOUT,
        interval: 200,
      });
      await this.become({ state: "existing", members: { [own.name]: peerUrlOf(own) } });
    } finally {
      this.#isForced = false;
      await this.stop("fast");
      this.hold.release();
    }
  }

  protected async isWanted(): Promise<boolean> {
    return (await this.startedAs()) !== undefined;
  }

  protected async prepare(): Promise<readonly string[]> {
    const { files, record, owner } = this.parts;
    const start = await this.startedAs();
    if (!start) throw new Error("this host has no member of the store");
    await ensureDirectory(files.etcdDir, { mode: 0o700, owner });
    const args = etcdArguments(record, record.cluster, files, start);
    return this.#isForced ? [...args, "--force-new-cluster"] : args;
  }

  /**
   * Ends all its connections by killing it, as it checks the list of revoked certificates only when a client connects. What
   * it has acknowledged is on the disk. It is not stopped in good order: its last answers would be errors that Patroni takes
   * for the loss of its lock, while a member that is gone is only a store that does not answer.
   * @throws OdooPgError command_failed
   */
  async startAgain(): Promise<void> {
    await this.hold.take("restart");
    try {
      await this.stop("immediate");
      await this.start();
    } finally {
      this.hold.release();
    }
  }

  async reload(): Promise<void> {
    // It has nothing to reload while it runs.
  }
}
