import { endpointHost } from "../config/addresses.ts";
import { pooledEndpoints } from "../config/pooling.ts";
import { maxConnections } from "../config/settings/table.ts";
import { figuresOf, openTransactions, type PoolerFigures } from "../endpoints/pgbouncer/admin.ts";
import { pgbouncerFiles, type PgbouncerFiles } from "../endpoints/pgbouncer/files.ts";
import { PgbouncerProcess } from "../endpoints/pgbouncer/process.ts";
import type { PgbouncerProgram } from "../endpoints/pgbouncer/program.ts";
import { renderAccess, renderPgbouncer, type PgbouncerInput } from "../endpoints/pgbouncer/render.ts";
import { poolSizes } from "../endpoints/pgbouncer/sizes.ts";
import { renderUsers } from "../endpoints/pgbouncer/userlist.ts";
import type { Backend } from "../endpoints/servers.ts";
import { OdooPgError } from "../errors.ts";
import type { Runtime } from "../members/runtime.ts";
import { ensureNodeCertificate } from "../postgres/certificates.ts";
import type { PassingRole } from "../postgres/sql/pooled-roles.ts";
import type { Progress } from "../progress.ts";
import { monotonic, now, waitUntil } from "../system/clock.ts";
import {
  ensureDirectory,
  kindOf,
  passableFor,
  readableBy,
  writeFileAtomic,
  writeFileIfChanged,
  type Owner,
} from "../system/files/files.ts";
import { readTextOfOthers } from "../system/files/folder.ts";
import { rotateOpenLog, type Log } from "../system/log.ts";
import type { Console } from "../system/sql/console.ts";

/** Clients at once, for each pooler. */
export const POOLED_CLIENTS = 2000;
/** Milliseconds for open transactions to end before a planned change. */
export const PAUSE_LIMIT = 10_000;
/** Milliseconds without an answer after which PgBouncer counts as hung, and milliseconds between two questions. */
const HUNG_AFTER = 10_000;
const ASK_EVERY = 2000;

/** Who may log in; undefined where the primary has not said it yet. */
export type PassingRoles = readonly PassingRole[] | undefined;

/** The PgBouncer of one endpoint: brought to its configuration, kept running, paused and resumed. */
export class Pooler {
  readonly endpoint: Backend;
  /** As it was when it was last asked; undefined where it does not answer. */
  figures: PoolerFigures | undefined;
  readonly #files: PgbouncerFiles;
  readonly #process: PgbouncerProcess;
  readonly #owner: Owner | undefined;
  readonly #log: Log;
  /** What it was last brought to; undefined while it is not wanted. */
  #input: PgbouncerInput | undefined;
  /** When it last answered, and was last asked (monotonic). */
  #answeredAt = 0;
  #askedAt = 0;
  /** Keeps a PAUSE that has not come to its end: without it PgBouncer would go on. */
  #pausing: Console | undefined;

  constructor({ layout, owner, log }: Pick<Runtime, "layout" | "owner" | "log">, endpoint: Backend) {
    this.endpoint = endpoint;
    this.#files = pgbouncerFiles(layout, endpoint);
    this.#process = new PgbouncerProcess(this.#files, layout.stateDir, owner);
    this.#owner = owner;
    this.#log = log;
  }

  /** Whether it listens on this port now. */
  async holds(port: number): Promise<boolean> {
    const presence = await this.#process.presence();
    return presence.state !== "absent" && presence.record.port === port;
  }

  /**
   * Starts it, takes it over, or has it read its configuration again: that cuts no session. Another port, or one that
   * hangs, needs another process.
   */
  async ensure(
    program: PgbouncerProgram,
    runtime: Runtime,
    roles: PassingRoles,
    progress: Progress,
  ): Promise<void> {
    await this.#writeCertificate(runtime);
    const input = this.#inputOf(program, runtime, roles);
    await this.#writeFiles(input, roles);
    const presence = await this.#process.presence();
    this.#input = input;
    if (presence.state === "running" && presence.record.port === input.port) {
      await this.#process.admin(input.port).order("RELOAD");
      // An agent that died may have left it paused.
      await this.resume();
      return await this.#look(input.port);
    }
    if (presence.state !== "absent") {
      const why = presence.state === "running" ? "its port changes" : "it hangs";
      progress.step("pgbouncer", `end the one of the ${this.endpoint} endpoint: ${why}`);
      await this.#end(presence.state === "running" ? presence.record.port : undefined);
    }
    progress.step("pgbouncer", `start for the ${this.endpoint} endpoint`);
    await this.#start(program, input.port);
  }

  /** Ends it where it runs and is not wanted: transactions come to their end before, clients that idle are cut. */
  async retire(progress: Progress): Promise<void> {
    this.#input = undefined;
    const presence = await this.#process.presence();
    if (presence.state === "absent") return;
    progress.step("pgbouncer", `stop: the ${this.endpoint} endpoint pools no more`);
    await this.#end(presence.state === "running" ? presence.record.port : undefined);
  }

  /** @param port where it answers, so that transactions can come to their end before */
  async #end(port: number | undefined): Promise<void> {
    if (port !== undefined) await this.#pauseAt(port, PAUSE_LIMIT);
    await this.stop();
  }

  /** Ends it with all its sessions. @throws OdooPgError timed_out */
  async stop(): Promise<void> {
    this.figures = undefined;
    const pausing = this.#pausing;
    this.#pausing = undefined;
    await pausing?.close();
    await this.#process.stop();
  }

  async #start(program: PgbouncerProgram, port: number): Promise<void> {
    await this.#process.start(program, port);
    this.#answeredAt = monotonic();
    await this.#look(port);
  }

  /** Takes up who may log in now, and how many share a server. */
  async refresh(program: PgbouncerProgram, runtime: Runtime, roles: PassingRoles): Promise<void> {
    if (!this.#input) return;
    const input = this.#inputOf(program, runtime, roles);
    if (!(await this.#writeFiles(input, roles))) return;
    this.#input = input;
    await this.#process.admin(input.port).order("RELOAD");
    this.#log("info", `pgbouncer (${this.endpoint}): roles have changed, read again`);
  }

  /** Starts it again when it is gone, and ends it when it hangs. Call it at each look. */
  async keepRunning(program: PgbouncerProgram, runtime: Runtime, roles: PassingRoles): Promise<void> {
    if (!this.#input && !(await this.#adopt(program, runtime, roles))) return;
    const input = this.#input;
    if (!input) return;
    if (this.#process.isAlive()) return this.#ask(input.port);
    if ((await this.#process.presence()).state !== "absent") return;
    this.#log("warn", `pgbouncer (${this.endpoint}) is not running: starting it again`);
    this.#pausing = undefined;
    await this.#writeFiles(input, roles);
    await this.#start(program, input.port);
  }

  /** Takes over what an agent before this one has run; says whether there was something. */
  async #adopt(program: PgbouncerProgram, runtime: Runtime, roles: PassingRoles): Promise<boolean> {
    if ((await kindOf(this.#files.config)) === undefined) return false;
    this.#input = this.#inputOf(program, runtime, roles);
    if ((await this.#process.presence()).state === "running") await this.resume();
    return true;
  }

  /** Not waited for: one that hangs must not hold up the looks at the servers. */
  #ask(port: number): void {
    if (monotonic() - this.#askedAt < ASK_EVERY) return;
    this.#askedAt = monotonic();
    void this.#look(port);
  }

  async #look(port: number): Promise<void> {
    try {
      this.figures = figuresOf(await this.#process.admin(port).pools());
      this.#answeredAt = monotonic();
      rotateOpenLog(this.#files.log);
    } catch {
      this.figures = undefined;
      if (monotonic() - this.#answeredAt < HUNG_AFTER || !this.#process.isAlive()) return;
      this.#log(
        "error",
        `pgbouncer (${this.endpoint}) did not answer for ${HUNG_AFTER / 1000} s: it is ended`,
      );
      await this.#process.stop().catch((error: unknown) => this.#log("error", textOf(error)));
    }
  }

  /**
   * Lets open transactions come to their end and begins no others: clients wait, until `resume`.
   * @param limit milliseconds
   * @returns how many are still open at the limit; one that is gone or does not answer carries none
   */
  async pause(limit: number): Promise<number> {
    return this.#input ? await this.#pauseAt(this.#input.port, limit) : 0;
  }

  async #pauseAt(port: number, limit: number): Promise<number> {
    const admin = this.#process.admin(port);
    let open = 0;
    try {
      this.#pausing = await admin.open(0);
      // It answers only when the sessions of `postgres` have ended too, which may be never.
      this.#pausing.ask("PAUSE").catch(() => {});
      await waitUntil(
        async () => {
          open = openTransactions(await admin.pools());
          return open === 0;
        },
        { what: "open transactions", limit },
      );
    } catch (error) {
      if (!(error instanceof OdooPgError))
        this.#log("warn", `pgbouncer (${this.endpoint}) is not paused: ${textOf(error)}`);
    }
    return open;
  }

  /** Goes on after `pause`, whoever has paused it. */
  async resume(): Promise<void> {
    const pausing = this.#pausing;
    this.#pausing = undefined;
    // It refuses where nothing is paused, and one that is started again is not.
    if (this.#input)
      await this.#process
        .admin(this.#input.port)
        .order("RESUME")
        .catch(() => {});
    await pausing?.close();
  }

  #inputOf(program: PgbouncerProgram, { config, kept }: Runtime, roles: PassingRoles): PgbouncerInput {
    const endpoint = config.endpoints[this.endpoint];
    const owners = (roles ?? []).filter(({ owns }) => owns).length;
    return {
      port: endpoint.pooler_port,
      serversPort: endpoint.port,
      files: this.#files,
      sizes: poolSizes(maxConnections(config, kept), owners, pooledEndpoints(config).length),
      maxClients: POOLED_CLIENTS,
      waitSeconds: Math.ceil(config.endpoints.wait_seconds),
      version: program.version,
    };
  }

  /** TLS of clients ends in PgBouncer: it has a certificate like those of the nodes. */
  async #writeCertificate({ config, layout, machine }: Runtime): Promise<void> {
    await ensureDirectory(this.#files.dir, passableFor(this.#owner));
    const node = { name: `${this.endpoint}-endpoint`, host: endpointHost(config.listen) };
    await ensureNodeCertificate(config, layout, node, this.#files, this.#owner, machine.hostname, now());
  }

  /** Writes what PgBouncer reads; says whether any text changed. Where the roles are not known, who could log in still can. */
  async #writeFiles(input: PgbouncerInput, roles: PassingRoles): Promise<boolean> {
    const { config, access, users } = this.#files;
    const readable = readableBy(this.#owner);
    const changed = [
      await writeFileIfChanged(config, renderPgbouncer(input), readable),
      await writeFileIfChanged(access, renderAccess(), readable),
    ].includes(true);
    if (!roles && (await kindOf(users)) !== undefined) return changed;
    const text = renderUsers(roles ?? []);
    // The servers' user alone has it: what it holds by now is compared, and believed in nothing.
    if ((await readTextOfOthers(users)) === text) return changed;
    await writeFileAtomic(users, text, this.#owner ? { owner: this.#owner } : {});
    return true;
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
