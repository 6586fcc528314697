import { endpointHost, POOLED_TO } from "../config/values/addresses.ts";
import { pooledEndpoints } from "../config/pooling.ts";
import { maxConnections } from "../config/settings/table.ts";
import { figuresOf, openTransactions, type PoolerFigures } from "../endpoints/pgbouncer/admin.ts";
import { pgbouncerFiles, type PgbouncerFiles } from "../endpoints/pgbouncer/files.ts";
import { PgbouncerProcess } from "../endpoints/pgbouncer/process.ts";
import { OLDEST_PGBOUNCER, type PgbouncerProgram } from "../endpoints/pgbouncer/program.ts";
import { renderAccess, renderPgbouncer, type PgbouncerInput } from "../endpoints/pgbouncer/render.ts";
import { poolSizes } from "../endpoints/pgbouncer/sizes.ts";
import { renderUsers } from "../endpoints/pgbouncer/userlist.ts";
import { SERVERS_PORT, type Backend } from "../endpoints/servers.ts";
import { messageOf, OdooPgError } from "../errors.ts";
import { Hold } from "../members/hold.ts";
import type { NodeOperation } from "../model/node-state.ts";
import type { Runtime } from "../members/runtime.ts";
import { ensureNodeCertificate } from "../postgres/certificates.ts";
import type { StopMode } from "../postgres/server.ts";
import type { PassingRole } from "../postgres/sql/access/pooled-roles.ts";
import type { Progress } from "../progress.ts";
import { now, waitUntil } from "../system/clock.ts";
import {
  ensureDirectory,
  kindOf,
  passableFor,
  readableBy,
  writeFileAtomic,
  writeFileIfChanged,
  type Owner,
} from "../system/files/files.ts";
import { readTextOfOthers } from "../system/files/held/by-path.ts";
import { rotateOpenLog, type Log } from "../system/log.ts";
import type { Console } from "../system/sql/console.ts";
import type { Answer, Found, Service } from "./service.ts";

/** Clients at once, for each pooler. */
export const POOLED_CLIENTS = 2000;
/** Milliseconds for open transactions to end before a planned change. */
export const PAUSE_TIMEOUT = 10_000;
/** The roles that may log in; undefined where the primary has not reported them yet. */
export type PassingRoles = readonly PassingRole[] | undefined;

/** What both poolers go by: found and read for them in one place. */
export interface PoolerFacts {
  readonly program: PgbouncerProgram | undefined;
  readonly roles: PassingRoles;
}

/** Servers of other hosts, and how many hosts have poolers that share them. */
export interface Elsewhere {
  /** File with the authority that signed their certificates. */
  readonly authority: string;
  readonly hosts: number;
}

/** The PgBouncer of one endpoint. It is wanted from `ensure` to `retire`. */
export class Pooler implements Service {
  readonly name: string;
  readonly hold = new Hold();
  readonly endpoint: Backend;
  /** As it was when it was last asked; undefined where it does not answer. */
  figures: PoolerFigures | undefined;
  readonly #files: PgbouncerFiles;
  readonly #process: PgbouncerProcess;
  readonly #owner: Owner | undefined;
  readonly #log: Log;
  readonly #facts: () => PoolerFacts;
  /** What it was last brought to; undefined while it is not wanted. */
  #input: PgbouncerInput | undefined;
  /** How often its files have changed, and which of these changes it has read. */
  #changes = 0;
  #read = 0;
  /** Keeps a PAUSE that has not come to its end: without it PgBouncer would go on. */
  #pausing: Console | undefined;
  readonly #elsewhere: (() => Elsewhere) | undefined;

  constructor(
    { layout, owner, log }: Pick<Runtime, "layout" | "owner" | "log">,
    endpoint: Backend,
    facts: () => PoolerFacts,
    elsewhere?: () => Elsewhere,
  ) {
    this.name = `pgbouncer (${endpoint})`;
    this.endpoint = endpoint;
    this.#files = pgbouncerFiles(layout, endpoint);
    this.#process = new PgbouncerProcess(this.#files, layout.stateDir, owner);
    this.#owner = owner;
    this.#log = log;
    this.#facts = facts;
    this.#elsewhere = elsewhere;
  }

  /** Whether it listens on this port now. */
  async holds(port: number): Promise<boolean> {
    const presence = await this.#process.presence();
    return presence.state !== "absent" && presence.record.port === port;
  }

  /**
   * Starts it, takes it over, or has it read its configuration again: that cuts no session. Another port or address,
   * or one that hangs, needs another process.
   */
  async ensure(runtime: Runtime, progress: Progress): Promise<void> {
    await this.#held("start", async () => await this.#bringTo(runtime, progress));
  }

  /** Meanwhile supervision keeps its hands off. */
  async #held(operation: NodeOperation, act: () => Promise<void>): Promise<void> {
    await this.hold.take(operation);
    try {
      await act();
    } finally {
      this.hold.release();
    }
  }

  async #bringTo(runtime: Runtime, progress: Progress): Promise<void> {
    await this.#writeCertificate(runtime);
    const input = this.#inputOf(runtime);
    await this.#writeFiles(input);
    const presence = await this.#process.presence();
    this.#input = input;
    if (presence.state === "running" && isWhere(presence.record, input)) {
      await this.reload();
      // An agent that died may have left it paused.
      await this.resume();
      await this.probe();
      return;
    }
    if (presence.state !== "absent") {
      const why = presence.state === "running" ? "where it listens changes" : "it hangs";
      progress.step("pgbouncer", `end the one of the ${this.endpoint} endpoint: ${why}`);
      await this.#end(presence.state === "running" ? presence.record.port : undefined);
    }
    progress.step("pgbouncer", `start for the ${this.endpoint} endpoint`);
    await this.start();
  }

  /** Ends it where it runs and is not wanted: transactions finish first, idle clients are cut. */
  async retire(progress: Progress): Promise<void> {
    this.#input = undefined;
    await this.#held("stop", async () => {
      const presence = await this.#process.presence();
      if (presence.state === "absent") return;
      progress.step("pgbouncer", `stop: the ${this.endpoint} endpoint no longer pools`);
      await this.#end(presence.state === "running" ? presence.record.port : undefined);
    });
  }

  /** Ends it for good, as when the cluster goes down. @throws OdooPgError timed_out */
  async takeDown(): Promise<void> {
    await this.#held("stop", async () => {
      await this.stop("fast");
    });
  }

  /** @param port where it answers, so that transactions can come to their end before */
  async #end(port: number | undefined): Promise<void> {
    if (port !== undefined) await this.#pauseAt(port, PAUSE_TIMEOUT);
    await this.stop("fast");
  }

  async find(): Promise<Found> {
    if (!this.#input) return "waiting";
    if (this.#process.isAlive()) return "running";
    return (await this.#process.presence()).state === "absent" ? "stopped" : "running";
  }

  async start(): Promise<void> {
    const { program } = this.#facts();
    if (!program || !this.#input) throw new Error("PgBouncer was not brought up yet");
    this.#pausing = undefined;
    await this.#writeFiles(this.#input);
    this.#read = this.#changes;
    await this.#process.start(program, this.#input.port, this.#input.listen);
    await this.probe();
  }

  async reload(): Promise<void> {
    if (!this.#input) return;
    const changes = this.#changes;
    await this.#process.admin(this.#input.port).order("RELOAD");
    this.#read = changes;
  }

  async probe(): Promise<Answer> {
    const port = this.#input?.port;
    if (port === undefined) return "absent";
    try {
      this.figures = figuresOf(await this.#process.admin(port).pools());
      rotateOpenLog(this.#files.log);
      return "answers";
    } catch {
      this.figures = undefined;
      return this.#process.isAlive() ? "silent" : "absent";
    }
  }

  /** Ends it with all its sessions: an orderly stop has paused it before. @throws OdooPgError timed_out */
  async stop(_mode: StopMode): Promise<readonly number[]> {
    this.figures = undefined;
    const pausing = this.#pausing;
    this.#pausing = undefined;
    await pausing?.close();
    return await this.#process.stop();
  }

  /** Applies who may log in now, and how many share a server. */
  async refresh(runtime: Runtime): Promise<void> {
    if (!this.#input || !this.hold.isFree) return;
    const input = this.#inputOf(runtime);
    await this.#writeFiles(input);
    // Including what an unanswered order should have told it.
    if (this.#read === this.#changes) return;
    this.#input = input;
    await this.reload();
    this.#log("info", `${this.name}: roles have changed, read again`);
  }

  /**
   * Lets open transactions come to their end and begins no others: clients wait, until `resume`.
   * @param timeout milliseconds
   * @returns how many are still open when it is over; one that is gone or does not answer carries none
   */
  async pause(timeout: number): Promise<number> {
    const port = await this.#port();
    return port === undefined ? 0 : await this.#pauseAt(port, timeout);
  }

  async #pauseAt(port: number, timeout: number): Promise<number> {
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
        { what: "open transactions", timeout },
      );
    } catch (error) {
      if (!(error instanceof OdooPgError))
        this.#log("warn", `${this.name} is not paused: ${messageOf(error)}`);
    }
    return open;
  }

  /** Goes on after `pause`, whichever process paused it. */
  async resume(): Promise<void> {
    const pausing = this.#pausing;
    this.#pausing = undefined;
    // It refuses where nothing is paused, and one that is started again is not.
    const port = await this.#port();
    if (port !== undefined)
      await this.#process
        .admin(port)
        .order("RESUME")
        .catch(() => {});
    await pausing?.close();
  }

  /** Where it listens: also of one that an agent before this one started. */
  async #port(): Promise<number | undefined> {
    if (this.#input) return this.#input.port;
    const presence = await this.#process.presence();
    return presence.state === "running" ? presence.record.port : undefined;
  }

  #inputOf({ config, kept }: Runtime): PgbouncerInput {
    const { program, roles } = this.#facts();
    const owners = (roles ?? []).filter(({ owns }) => owns).length;
    const { port } = config.endpoints[this.endpoint];
    const elsewhere = this.#elsewhere?.();
    return {
      port,
      servers: elsewhere
        ? { address: POOLED_TO, port, authority: elsewhere.authority }
        : { socket: SERVERS_PORT[this.endpoint] },
      listen: config.listen,
      networks: config.networks,
      files: this.#files,
      sizes: poolSizes(
        maxConnections(config, kept),
        owners,
        pooledEndpoints(config).length,
        elsewhere?.hosts,
      ),
      maxClients: POOLED_CLIENTS,
      waitSeconds: Math.ceil(config.endpoints.wait_seconds),
      version: program?.version ?? OLDEST_PGBOUNCER,
    };
  }

  /** Clients' TLS ends in PgBouncer: it has a certificate like those of the nodes. */
  async #writeCertificate({ config, layout, machine }: Runtime): Promise<void> {
    await ensureDirectory(this.#files.dir, passableFor(this.#owner));
    const node = { name: `${this.endpoint}-endpoint`, host: endpointHost(config.listen) };
    await ensureNodeCertificate(config, layout, node, this.#files, this.#owner, machine.hostname, now());
  }

  /** Writes what PgBouncer reads, and counts what has changed. Where the roles are not known, who could log in still can. */
  async #writeFiles(input: PgbouncerInput): Promise<void> {
    const { roles } = this.#facts();
    const { config, access, users } = this.#files;
    const readable = readableBy(this.#owner);
    if (await writeFileIfChanged(config, renderPgbouncer(input), readable)) this.#changes++;
    if (await writeFileIfChanged(access, renderAccess(input.networks), readable)) this.#changes++;
    if (!roles && (await kindOf(users)) !== undefined) return;
    const text = renderUsers(roles ?? []);
    // Only the servers' user has it: what it holds by now is compared, never believed.
    if ((await readTextOfOthers(users)) === text) return;
    await writeFileAtomic(users, text, this.#owner ? { owner: this.#owner } : {});
    this.#changes++;
  }
}

function isWhere(
  a: Pick<PgbouncerInput, "port" | "listen">,
  b: Pick<PgbouncerInput, "port" | "listen">,
): boolean {
  return a.port === b.port && [...a.listen].sort().join() === [...b.listen].sort().join();
}
