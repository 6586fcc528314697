import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Client, type ClientConfig } from "pg";
import * as z from "zod";
import { parse, stringify } from "yaml";
import { waitFor } from "../support/wait.ts";
import { DISK, type Host } from "./lab/host.ts";
import type { Lab } from "./lab/lab.ts";
import type { OwnServer } from "./lab/strays.ts";

/** Where the store keeps the document that the hosts share, and what of it is known here. */
export const DOCUMENT = "/odoo-pg-hosts/lab/document";
const KEY = Buffer.from(DOCUMENT).toString("base64");
const foundSchema = z.object({ kvs: z.object({ value: z.string() }).array().length(1) });
const documentSchema = z.looseObject({
  config: z.looseObject({ postgres: z.looseObject({ parameters: z.record(z.string(), z.string()) }) }),
  restart: z.string().array(),
  hosts: z.looseObject({ name: z.string() }).array(),
  revoked: z.looseObject({ serial: z.string() }).array(),
});
type StoredDocument = z.output<typeof documentSchema>;

const SERVER = 5433;
const READS = 5435;
const WRITES = 5436;
/** Milliseconds for a command that copies a server, and waits for it. */
const LONG = 150_000;

/** Processes whose threads tell on SIGUSR2 where they are: odoo-pg's Patroni, and no other. */
export const TELLING = /bin\/patroni /;

/** odoo-pg on several hosts, driven by its commands alone. */
export class SeveralHosts {
  readonly lab: Lab;
  /** Those with a database. */
  readonly databases: readonly Host[];
  readonly #program: string;
  /** Of hosts that have another one, by their names. */
  readonly #others = new Map<string, string>();
  readonly #doors = new Map<string, string>();

  private constructor(lab: Lab, program: string, databases: readonly Host[]) {
    this.lab = lab;
    this.databases = databases;
    this.#program = program;
  }

  /** One host that runs alone, with a database for clients; `adopt` and `join` make it several. */
  static async alone(lab: Lab, program: string, witness?: Host): Promise<SeveralHosts> {
    const databases = lab.hosts.filter((host) => host !== witness);
    const several = new SeveralHosts(lab, program, databases);
    for (const host of lab.hosts) several.#configure(host, host === lab.hosts[0]);
    await several.do(several.#first, "up");
    await several.value(several.#first, "CREATE DATABASE ledger OWNER odoo");
    return several;
  }

  /** One running host, which is made the first of several, and the others join it; the last one as a witness where `witness`. */
  static async start(lab: Lab, program: string, options: { readonly witness?: boolean } = {}) {
    const witness = options.witness === true ? lab.hosts.at(-1) : undefined;
    const several = await SeveralHosts.alone(lab, program, witness);
    await several.adopt();
    for (const host of lab.hosts.slice(1)) await several.join(host);
    await several.ready();
    return several;
  }

  get #first(): Host {
    const [first] = this.lab.hosts;
    if (!first) throw new Error("a lab without hosts");
    return first;
  }

  /** Makes the running cluster the first of several hosts. */
  async adopt(): Promise<void> {
    const { address, name } = this.#first;
    await this.do(this.#first, "ha", "init", "--address", address, "--name", name);
  }

  #configure(host: Host, isFirst: boolean): void {
    const own = {
      nodes: [{ name: host.name, port: SERVER }],
      listen: ["127.0.0.1", host.address],
      postgres: { parameters: { shared_buffers: "16MB" } },
      backup: { enabled: false },
    };
    const configuration = { cluster: "lab", state_dir: `${DISK}/s`, ...(isFirst ? own : {}) };
    writeFileSync(join(host.folder, "odoo-pg.yaml"), stringify(configuration));
  }

  /** Has a host's configuration file say something more. */
  configure(host: Host, more: Readonly<Record<string, unknown>>): void {
    const file = join(host.folder, "odoo-pg.yaml");
    const known: unknown = parse(readFileSync(file, "utf8"));
    writeFileSync(file, stringify(Object.assign({}, known, more)));
  }

  /** Runs `odoo-pg ARGS` on a host. */
  async run(host: Host, ...args: readonly string[]) {
    const program = this.#others.get(host.name) ?? this.#program;
    const command = [process.execPath, program, ...args, "--config", `${DISK}/odoo-pg.yaml`];
    return await host.run(command, { timeout: LONG });
  }

  /** Installs another program on a host, which its agent is from now on. */
  async install(host: Host, program: string): Promise<void> {
    this.#others.set(host.name, program);
    await this.do(host, "up");
  }

  /** Asks the store by its gateway, as a host may that has a part in it. @returns what it answers */
  async askStore(host: Host, path: string, body: object): Promise<unknown> {
    const file = (name: string): string => `${DISK}/s/ha/${name}`;
    const trust = ["--cacert", file("ca.crt"), "--cert", file("host.crt"), "--key", file("host.key")];
    const url = `https://${host.address}:2379/v3/${path}`;
    const command = ["curl", "-sSf", "--max-time", "10", ...trust, "--data-binary", "@-", url];
    return JSON.parse(await host.do(command, { input: JSON.stringify(body) }));
  }

  /** The document that the hosts share, as it stands in the store. */
  async document(): Promise<StoredDocument> {
    const found = foundSchema.parse(await this.askStore(await this.leader(), "kv/range", { key: KEY }));
    return documentSchema.parse(
      JSON.parse(Buffer.from(found.kvs[0]?.value ?? "", "base64").toString("utf8")),
    );
  }

  /** Writes something in its place, as whoever has a host's key can. */
  async writeDocument(text: string): Promise<void> {
    const value = Buffer.from(text).toString("base64");
    await this.askStore(await this.leader(), "kv/put", { key: KEY, value });
  }

  async changeDocument(by: (document: StoredDocument) => StoredDocument): Promise<void> {
    await this.writeDocument(JSON.stringify(by(await this.document())));
  }

  /** Starts a host's agent as a unit of systemd would, with `env` over its surroundings. */
  inUnit(host: Host, env: Readonly<Record<string, string>>): void {
    const command = [process.execPath, this.#program, "up", "--foreground"];
    host.start("unit", [...command, "--config", `${DISK}/odoo-pg.yaml`], { env });
  }

  /** The same, which must succeed. @returns what it printed */
  async do(host: Host, ...args: readonly string[]): Promise<string> {
    const ran = await this.run(host, ...args);
    if (ran.exitCode === 0) return ran.stdout;
    throw new Error(`${host.name}: odoo-pg ${args.join(" ")}: ${ran.exitCode}\n${ran.stdout}\n${ran.stderr}`);
  }

  /** What another host joins with. */
  async invitation(by = this.#first, ...kind: readonly string[]): Promise<string> {
    return /odoo-pg join '?([^'\s]+)/.exec(await this.do(by, "ha", "invite", ...kind))?.[1] ?? "";
  }

  /** The arguments by which a host joins. */
  joining({ address, name }: Host, invitation: string): readonly string[] {
    const isWitness = this.databases.every((host) => host.name !== name);
    return ["join", invitation, "--address", address, "--name", name, ...(isWitness ? ["--witness"] : [])];
  }

  /** @param by the host that invites */
  async join(host: Host, by = this.#first): Promise<void> {
    await this.do(host, ...this.joining(host, await this.invitation(by)));
  }

  /** What `status --json` of a host prints. */
  async status(host: Host): Promise<unknown> {
    return JSON.parse((await this.run(host, "status", "--json")).stdout);
  }

  /** Waits until status says on a host that a failover can be made, and that all replicas are read from. */
  async ready(host = this.databases[0]): Promise<void> {
    const replicas = this.databases.slice(1).map(() => String.raw`\w+`);
    const full = new RegExp(`^Read .*→ ${replicas.join(", ")}$`, "m");
    await waitFor(
      "failover to be ready",
      async () => {
        if (!host) return false;
        const { stdout } = await this.run(host, "status");
        if (/^Failover: ready$/m.test(stdout) && full.test(stdout)) return true;
        throw new Error(stdout);
      },
      { timeout: 120_000 },
    );
  }

  password(role: string): string {
    const [first] = this.lab.hosts;
    return readFileSync(join(first?.folder ?? "", "s/secrets", `${role}.password`), "utf8").trimEnd();
  }

  /** Asks a host's own server, as its superuser. @throws Error where it does not answer */
  async value(host: Host, statement: string): Promise<unknown> {
    const client = new Client({
      host: join(host.folder, "s/run"),
      port: SERVER,
      user: "postgres",
      password: this.password("postgres"),
      database: "postgres",
      connectionTimeoutMillis: 2000,
      query_timeout: 2000,
    });
    client.on("error", () => {});
    try {
      await client.connect();
      const { rows } = await client.query<unknown[]>({ text: statement, rowMode: "array" });
      return rows[0]?.[0];
    } finally {
      void client.end().catch(() => {});
    }
  }

  /** The host whose server is primary. @param but not one that believes to be, and is known not to be reached */
  async leader(but?: Host): Promise<Host> {
    let found: Host | undefined;
    await waitFor("a primary", async () => {
      for (const host of this.databases) {
        if (host === but) continue;
        const inRecovery = await this.value(host, "SELECT pg_is_in_recovery()").catch(() => undefined);
        if (inRecovery === false) found = host;
      }
      return found !== undefined;
    });
    if (!found) throw new Error("no primary");
    return found;
  }

  /**
   * Waits until the store is led from another host than the primary's, which the primary's agent sees to; returns the
   * primary. A host that is lost with the store's leader on it costs seconds more: that is a scenario of its own.
   */
  async storeLedElsewhere(): Promise<Host> {
    const primary = await this.leader();
    await waitFor("the store to be led from another host than the primary's", async () => {
      const { stdout } = await this.run(primary, "status");
      return /yes, leads/.test(stdout) && !new RegExp(`^${primary.name} .*yes, leads`, "m").test(stdout);
    });
    return primary;
  }

  /** Copies what the programs of all hosts have written, and says what each process waits for: for who looks into a failure. */
  keepLogs(folder: string): void {
    this.lab.keepLogs(folder, TELLING);
  }

  /** Changes the primary by plan. */
  async switchover(): Promise<void> {
    await this.do(await this.leader(), "switchover");
  }

  /** How a client on a host reaches the host's own server, past all endpoints. */
  ownServer(host: Host): OwnServer {
    const { address, folder } = host;
    const socket = { host: join(folder, "s/run"), port: SERVER, connectionTimeoutMillis: 3000 };
    return { address, config: { ...socket, ...this.#client } };
  }

  get #client() {
    return { user: "odoo", password: this.password("odoo"), database: "ledger" };
  }

  /** Both endpoints of these hosts, by their names. */
  async endpoints(hosts: readonly Host[]): Promise<ReadonlyMap<string, ClientConfig>> {
    const found = new Map<string, ClientConfig>();
    for (const host of hosts)
      for (const which of ["write", "read"] as const)
        found.set(`${which} endpoint of ${host.name}`, await this.endpoint(host, which));
    return found;
  }

  /** How clients on a host reach an endpoint. */
  async endpoint(host: Host, which: "write" | "read"): Promise<ClientConfig> {
    const services = { [WRITES]: `127.0.0.1:${WRITES}`, [READS]: `127.0.0.1:${READS}` };
    const known = this.#doors.get(host.name);
    const door = known ?? (await this.lab.door(host, services));
    this.#doors.set(host.name, door);
    return {
      host: door,
      port: which === "write" ? WRITES : READS,
      ...this.#client,
      // Hosts are let in by TLS alone, with whichever certificate the server has.
      ssl: { rejectUnauthorized: false },
    };
  }
}
