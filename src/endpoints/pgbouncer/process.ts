import { nextStep, odooPg } from "../../next-step.ts";
import path from "node:path";
import * as z from "zod";
import { OdooPgError } from "../../errors.ts";
import { waitUntil } from "../../system/clock.ts";
import { fileBytes, readFrom, removeFile, writeFileAtomic, type Owner } from "../../system/files/files.ts";
import { readJsonFile } from "../../system/files/json-file.ts";
import { isStillThere, knownProcess, knownProcessSchema } from "../../system/process/known-process.ts";
import { isAlive, sendSignal, startDetached, waitForEnd } from "../../system/process/process.ts";
import { listenersOf, portHolder } from "../../system/network/network.ts";
import { commandLines } from "../../system/process/command-lines.ts";
import { currentUser } from "../../system/machine.ts";
import { PoolerAdmin } from "./admin.ts";
import type { PgbouncerFiles } from "./files.ts";
import type { PgbouncerProgram } from "./program.ts";

/** Milliseconds for a PgBouncer that was started to answer. */
const START_TIMEOUT = 10_000;
/** Milliseconds for PgBouncer to end once it was told to; it does so at once. */
const STOP_TIMEOUT = 2000;

/** The process that was started, and where it listens. */
const recordSchema = knownProcessSchema.extend({
  port: z.int().positive(),
  /** Addresses; as it always was in records that do not say. */
  listen: z.string().array().default(["127.0.0.1"]),
});
type ProcessRecord = z.output<typeof recordSchema>;

/**
 * - `running`: it answers on its console, and listens where it should.
 * - `absent`: the process that was started is gone.
 * - `unresponsive`: the process is there and does not answer, or clients do not reach it.
 */
export type PoolerPresence =
  | { readonly state: "running"; readonly record: ProcessRecord }
  | { readonly state: "absent" }
  | { readonly state: "unresponsive"; readonly record: ProcessRecord };

/**
 * The PgBouncer of one endpoint. It outlives this process; another one takes it over by the recorded process and by its
 * console, in a directory that only the servers' user and root enter.
 */
export class PgbouncerProcess {
  readonly #files: PgbouncerFiles;
  readonly #owner: Owner | undefined;
  readonly #directory: string;
  #record: ProcessRecord | undefined;

  /** @param directory where it runs; @param owner the user that it runs as */
  constructor(files: PgbouncerFiles, directory: string, owner: Owner | undefined) {
    this.#files = files;
    this.#directory = directory;
    this.#owner = owner;
  }

  /** Whether it runs. Takes as long as one answer, at most 2 s. @throws OdooPgError state_dir_unusable */
  async presence(): Promise<PoolerPresence> {
    const record = await this.#living();
    if (!record) return { state: "absent" };
    const isReached = listens(record) && (await this.#answersAt(record.port));
    return { state: isReached ? "running" : "unresponsive", record };
  }

  /** Whether the process lives, without asking it anything. */
  isAlive(): boolean {
    return this.#record !== undefined && isAlive(this.#record.pid);
  }

  admin(port: number): PoolerAdmin {
    return new PoolerAdmin(this.#files, port);
  }

  /**
   * Starts it with the configuration that was written. A PgBouncer that already runs with it and was not recorded is
   * ended: both would listen on the port, and orders would reach only one. Where a port is taken, PgBouncer runs
   * without it, and clients would reach the process that has the port.
   * @throws OdooPgError command_failed with its words, port_in_use
   */
  async start(program: PgbouncerProgram, port: number, listen: readonly string[]): Promise<void> {
    await this.#endUnrecorded(program);
    // Of a HAProxy of before, which had its way to the servers there; it is led elsewhere when it is reloaded.
    await removeFile(path.join(this.#files.runDir, `.s.PGSQL.${port}`));
    const logStart = (await fileBytes(this.#files.log).catch(() => undefined)) ?? 0;
    const { pid } = await startDetached(program.path, [this.#files.config], {
      owner: this.#owner,
      logFile: this.#files.log,
      cwd: this.#directory,
    });
    const started = await knownProcess(pid);
    try {
      if (started) await this.#remember({ ...started, port, listen: [...listen] });
    } catch (error) {
      sendSignal(pid, "SIGKILL");
      this.#record = undefined;
      throw error;
    }
    const answers = await waitUntil(
      async () => {
        if (await this.#answersAt(port)) return "yes";
        return isAlive(pid) ? false : "ended";
      },
      { what: "PgBouncer to answer", timeout: START_TIMEOUT },
    ).catch(() => "no");
    if (answers === "yes" && listens({ pid, port, listen })) return;
    sendSignal(pid, "SIGKILL");
    await this.#forget();
    throw answers === "yes" ? await portTaken(port) : await this.#explain(logStart);
  }

  /**
   * Ends it with its clients' sessions, by force where it hangs.
   * @returns the process, where it had to be killed
   * @throws OdooPgError timed_out
   */
  async stop(): Promise<readonly number[]> {
    const record = await this.#living();
    if (!record) return [];
    // At once: the caller has already let transactions end.
    sendSignal(record.pid, "SIGTERM");
    const ended = await waitForEnd(record.pid, STOP_TIMEOUT);
    if (!ended) sendSignal(record.pid, "SIGKILL");
    if (!(await waitForEnd(record.pid, STOP_TIMEOUT)))
      throw new OdooPgError("timed_out", { message: `PgBouncer (process ${record.pid}) cannot be ended.` });
    await this.#forget();
    return ended ? [] : [record.pid];
  }

  /** An odoo-pg that was killed, or met a full disk, may have started it without recording it. */
  async #endUnrecorded(program: PgbouncerProgram): Promise<void> {
    const { uid } = this.#owner ?? currentUser();
    for (const process of commandLines()) {
      const [started, config] = process.args;
      if (process.uid !== uid || started !== program.path || config !== this.#files.config) continue;
      sendSignal(process.pid, "SIGTERM");
      if (await waitForEnd(process.pid, STOP_TIMEOUT)) continue;
      sendSignal(process.pid, "SIGKILL");
      if (!(await waitForEnd(process.pid, STOP_TIMEOUT)))
        throw new OdooPgError("timed_out", {
          message: `PgBouncer (process ${process.pid}) cannot be ended.`,
        });
    }
  }

  async #answersAt(port: number): Promise<boolean> {
    return await this.admin(port)
      .order("SHOW VERSION")
      .then(
        () => true,
        () => false,
      );
  }

  /** The recorded process, if it is still there. @throws OdooPgError state_dir_unusable when the record is damaged */
  async #living(): Promise<ProcessRecord | undefined> {
    const record = await readJsonFile(this.#files.process, recordSchema, {
      code: "state_dir_unusable",
      safe: "The sessions that PgBouncer carries go on.",
      next: nextStep`It says which process is PgBouncer's. End those that are left (ps -C pgbouncer), remove the file, then: ${odooPg("up")}`,
    });
    this.#record = record && (await isStillThere(record)) ? record : undefined;
    return this.#record;
  }

  async #remember(record: ProcessRecord): Promise<void> {
    this.#record = record;
    await writeFileAtomic(this.#files.process, JSON.stringify(record));
  }

  async #forget(): Promise<void> {
    this.#record = undefined;
    await removeFile(this.#files.process);
  }

  async #explain(logStart: number): Promise<OdooPgError> {
    const { text } = await readFrom(this.#files.log, logStart);
    const words = text.trim().split("\n").slice(-4).join("\n  ");
    return new OdooPgError("command_failed", {
      message: `PgBouncer does not start${words === "" ? "." : `:\n  ${words}`}`,
      safe: "Nothing else was changed.",
      next: nextStep`Look at: ${odooPg("logs", "pgbouncer")}`,
    });
  }
}

/** Whether it has a socket for each address; where that cannot be seen, it is taken to have. */
function listens({
  pid,
  port,
  listen,
}: Pick<ProcessRecord, "pid" | "port"> & { listen: readonly string[] }): boolean {
  const wanted = listen.includes("*") ? 1 : listen.length;
  return (listenersOf(pid, port) ?? wanted) >= wanted;
}

async function portTaken(port: number): Promise<OdooPgError> {
  const holder = await portHolder(port);
  return new OdooPgError("port_in_use", {
    message: `PgBouncer cannot listen on port ${port}${holder ? `, which ${holder.command} (process ${holder.pid}) has` : ""}.`,
    safe: "Nothing else was changed.",
    next: "Stop that program, or choose another port for the endpoint in odoo-pg.yaml.",
  });
}
