import { nextStep, odooPg } from "../next-step.ts";
import { X509Certificate } from "node:crypto";
import path from "node:path";
import type { Layout } from "../config/layout.ts";
import { endpointHost, isAddress } from "../config/values/addresses.ts";
import type { Config } from "../config/schema.ts";
import { listenerAt, needsSignIn, type Listener } from "./access/listeners.ts";
import { OneTimeKeys, KEY_LIFETIME } from "./access/one-time-keys.ts";
import { SignIns } from "./access/sign-ins.ts";
import { Tries } from "./access/tries.ts";
import { Feed } from "./feed.ts";
import { Jobs } from "./jobs.ts";
import { Downloads } from "./downloads.ts";
import { Uploads } from "./uploads.ts";
import { GivenSecret } from "./given-secret.ts";
import { Readings } from "./readings.ts";
import type { Board, ConsoleSource } from "./source.ts";
import { messageOf, OdooPgError } from "../errors.ts";
import { ensureNodeCertificate } from "../postgres/certificates.ts";
import { monotonic, now } from "../system/clock.ts";
import { isErrno, readTextIfAny } from "../system/files/files.ts";
import type { Log } from "../system/log.ts";
import { portHolder } from "../system/network/network.ts";
import { Mutex } from "../system/mutex.ts";
import { serveWeb, type WebServer } from "../system/network/web.ts";
import { ensureConsolePasswords } from "../store/secrets.ts";

/** Milliseconds before another attempt to listen where it failed. */
const TRY_EVERY = 10_000;

export interface ConsoleServerOptions {
  readonly layout: Layout;
  readonly hostname: string;
  /** How to start odoo-pg again. */
  readonly program: readonly [string, string];
  readonly source: ConsoleSource;
  /** With several hosts. */
  readonly board?: Board;
  readonly metrics: (() => Promise<string>) | undefined;
  readonly log: Log;
}

/** The agent's status of its console. */
export interface ConsoleAccount {
  readonly url: string;
  /** Why it is not served, or not at all of its addresses. */
  readonly problem: string | null;
}

interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/** Serves the console as the applied configuration wants it. Errors are reported, and never keep the cluster down. */
export class ConsoleServer {
  readonly #options: ConsoleServerOptions;
  readonly #signIns = new SignIns();
  readonly #keys = new OneTimeKeys();
  readonly #tries = new Tries();
  readonly #jobs: Jobs;
  readonly #readings: Readings;
  readonly #downloads: Downloads;
  readonly #uploads: Uploads;
  readonly #secrets: GivenSecret;
  readonly #feed: Feed;
  /** The wanted console; undefined where there must be none. */
  #wanted: Config | undefined;
  /** The listeners, by address. */
  readonly #open = new Map<string, WebServer>();
  /** The settings that the open ones were opened with. */
  #openedWith = "";
  #problem: string | undefined;
  #triedAt = -Infinity;
  readonly #mutex = new Mutex();

  constructor(options: ConsoleServerOptions) {
    this.#options = options;
    this.#uploads = new Uploads({ dir: options.layout.uploadsDir, log: options.log });
    this.#secrets = new GivenSecret({ dir: options.layout.secretsDir, log: options.log });
    this.#jobs = new Jobs({
      uploads: this.#uploads,
      secrets: this.#secrets,
      stateDir: options.layout.stateDir,
      program: options.program,
      configFile: () => options.source.configFile(),
      called: options.source.called,
      changed: () => this.#feed.changed(),
    });
    this.#readings = new Readings({
      stateDir: options.layout.stateDir,
      program: options.program,
      configFile: () => options.source.configFile(),
    });
    this.#downloads = new Downloads({ stateDir: options.layout.stateDir, program: options.program });
    this.#feed = new Feed(options.source, () => this.#jobs.list());
  }

  /** Opens, changes or closes it. Never throws. */
  async apply(config: Config): Promise<void> {
    // What an earlier agent could not remove.
    if (!this.#wanted) await Promise.all([this.#uploads.close(), this.#secrets.drop()]);
    this.#wanted = config.console.enabled ? config : undefined;
    await this.#inTurn(async () => await this.#settle());
  }

  /** Tries again where it could not listen. Called on every tick of the agent; does not wait. */
  tick(): void {
    if (this.#problem === undefined || monotonic() - this.#triedAt < TRY_EVERY) return;
    this.#triedAt = monotonic();
    void this.#inTurn(async () => await this.#settle());
  }

  get account(): ConsoleAccount | null {
    return this.#wanted ? { url: urlOf(this.#wanted), problem: this.#problem ?? null } : null;
  }

  /** A link that signs in once, as operator. @throws OdooPgError not_running where there is no console. */
  newLink(): { readonly link: string; readonly until: string } {
    const at = now();
    if (!this.#wanted || this.#open.size === 0) {
      throw new OdooPgError("not_running", {
        message: this.#wanted
          ? `The console is not served: ${this.#problem ?? "it is just being opened"}.`
          : "The console is turned off (console.enabled is false).",
        next: this.#wanted
          ? odooPg("status")
          : nextStep`Set "console: {enabled: true}" in odoo-pg.yaml, then: ${odooPg("up")}`,
      });
    }
    return {
      link: `${urlOf(this.#wanted)}sign-in?key=${this.#keys.make(at)}`,
      until: new Date(at + KEY_LIFETIME).toISOString(),
    };
  }

  async close(): Promise<void> {
    this.#wanted = undefined;
    await this.#inTurn(async () => await this.#settle());
    await this.#jobs.close();
    await this.#uploads.close();
    await this.#secrets.drop();
  }

  async #inTurn(act: () => Promise<void>): Promise<void> {
    await this.#mutex.run(act).catch((error: unknown) => {
      this.#tell(messageOf(error));
    });
  }

  #tell(problem: string | undefined): void {
    if (problem !== undefined && problem !== this.#problem)
      this.#options.log("warn", `the console is not served: ${problem}`);
    this.#problem = problem;
  }

  async #settle(): Promise<void> {
    this.#triedAt = monotonic();
    const config = this.#wanted;
    if (!config) {
      await this.#closeDoors();
      this.#tell(undefined);
      return;
    }
    const listeners = [...new Set(config.console.listen)].map(listenerAt);
    const certificate = listeners.some(({ secure }) => secure) ? await this.#certificate(config) : undefined;
    const asWanted = JSON.stringify([config.cluster, config.console, certificate]);
    if (asWanted !== this.#openedWith) await this.#closeDoors();
    this.#openedWith = asWanted;
    const problems: string[] = [];
    for (const listener of listeners) {
      if (this.#open.has(listener.address)) continue;
      try {
        this.#open.set(listener.address, await this.#openDoor(config, listener, certificate));
      } catch (error) {
        problems.push(await whyNot(error, listener.address, config.console.port));
      }
    }
    if (problems.length === 0 && this.#problem !== undefined)
      this.#options.log("info", "the console is served");
    this.#tell(problems.length ? problems.join("; ") : undefined);
  }

  async #closeDoors(): Promise<void> {
    for (const [address, server] of this.#open) {
      this.#open.delete(address);
      await server.close();
    }
  }

  async #openDoor(
    config: Config,
    listener: Listener,
    certificate: Certificate | undefined,
  ): Promise<WebServer> {
    const { layout, log, metrics, source, board } = this.#options;
    await ensureConsolePasswords(layout);
    // Loaded on demand: a console that is turned off costs nothing.
    const { consoleApp } = await import("./app.ts");
    const { pageFiles, PAGE_POLICY } = await import("./page-files.ts");
    const proof = certificate && new X509Certificate(certificate.certificate);
    const app = consoleApp(
      {
        cluster: config.cluster,
        readOnly: config.console.read_only,
        source,
        feed: this.#feed,
        jobs: this.#jobs,
        readings: this.#readings,
        downloads: this.#downloads,
        uploads: this.#uploads,
        secrets: this.#secrets,
        signIns: this.#signIns,
        keys: this.#keys,
        tries: this.#tries,
        passwords: async () => await ensureConsolePasswords(layout),
        page: board ? { files: [], policy: board.policy } : { files: pageFiles(), policy: PAGE_POLICY },
        board,
        metrics,
        log,
      },
      listener,
      (name) => proof?.checkHost(name) !== undefined,
    );
    return await serveWeb({
      host: listener.address,
      port: config.console.port,
      tls: listener.secure ? certificate : undefined,
      answer: (request, caller) => app.fetch(request, { ...caller }),
    });
  }

  /** The console's own certificate, of the cluster's authority; or the one that the configuration gives. */
  async #certificate(config: Config): Promise<Certificate> {
    const { layout, hostname } = this.#options;
    const { listen } = config.console;
    const files = {
      certificateFile: path.join(layout.tlsDir, "console.crt"),
      keyFile: path.join(layout.tlsDir, "console.key"),
    };
    const named = { name: "console", host: endpointHost(listen) };
    await ensureNodeCertificate({ ...config, listen }, layout, named, files, undefined, hostname, now());
    return {
      certificate: (await readTextIfAny(files.certificateFile)) ?? "",
      key: (await readTextIfAny(files.keyFile)) ?? "",
    };
  }
}

/** The address of the console for a browser on this host. */
function urlOf({ console: { listen, port } }: Pick<Config, "console">): string {
  const [first = "127.0.0.1"] = listen;
  const host = endpointHost(listen);
  const scheme = needsSignIn(first) ? "https" : "http";
  return `${scheme}://${isAddress(host) && host.includes(":") ? `[${host}]` : host}:${port}/`;
}

async function whyNot(failure: unknown, address: string, port: number): Promise<string> {
  if (isErrno(failure, "EADDRINUSE")) {
    const holder = await portHolder(port).catch(() => undefined);
    const by = holder ? ` by ${holder.command} (process ${holder.pid})` : "";
    return `port ${port} of ${address} is taken${by}`;
  }
  if (isErrno(failure, "EADDRNOTAVAIL", "ENOTFOUND")) return `${address} is not an address of this host`;
  return `${address}: ${messageOf(failure)}`;
}
