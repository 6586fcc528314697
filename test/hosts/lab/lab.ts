import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { debian13Programs } from "../../../scripts/setup/debian-13.mjs";
import type { Process } from "../../support/processes.ts";
import { waitFor } from "../../support/wait.ts";
import { Host, inNetwork } from "./host.ts";

/** A program for Node.js: sockets in the file system that lead to addresses as its host reaches them, SOCKET=HOST:PORT each. */
const DOOR = `
import { connect, createServer } from "node:net";
for (const argument of process.argv.slice(1)) {
  const [socket, target] = argument.split("=");
  const [host, port] = target.split(":");
  createServer((client) => {
    const server = connect({ host, port: Number(port) });
    const end = () => { client.destroy(); server.destroy(); };
    for (const side of [client, server]) side.on("error", end).on("close", end).setNoDelay(true);
    client.pipe(server);
    server.pipe(client);
  }).listen(socket);
}`;

/** Why this machine cannot make hosts; undefined where it can. */
export function cannotMakeHosts(): string | undefined {
  if (process.platform !== "linux") return "hosts are made of Linux's namespaces";
  if (process.getuid?.() !== 0) return "hosts are made of namespaces, which only root may make";
  if (!existsSync(debian13Programs)) return "Patroni and etcd are missing: node scripts/setup.mjs --hosts";
  try {
    execFileSync("unshare", ["--net", "--pid", "--mount", "--fork", "true"], { stdio: "ignore" });
    execFileSync("unshare", ["--net", "nft", "list", "ruleset"], { stdio: "ignore" });
    return undefined;
  } catch {
    return "the kernel or the container forbids namespaces or nft";
  }
}

/** Logs of programs on a host's disk, not those of a server's data or of etcd's. */
function logsBelow(folder: string, within = ""): readonly string[] {
  return readdirSync(join(folder, within), { withFileTypes: true }).flatMap((entry) => {
    const name = join(within, entry.name);
    if (entry.isDirectory()) return /^(?:data|etcd|pg_\w+)/.test(entry.name) ? [] : logsBelow(folder, name);
    return entry.isFile() && /\.(?:log|start)(?:\.\d+)?$/.test(entry.name) ? [name] : [];
  });
}

/** A process, and for each thread of it what it waits for in the kernel. */
function whatWaits({ pid, command }: Process): string {
  const read = (file: string): string => {
    try {
      return readFileSync(`/proc/${pid}/${file}`, "utf8").trim();
    } catch {
      return "?";
    }
  };
  let threads: readonly string[] = [];
  try {
    threads = readdirSync(`/proc/${pid}/task`);
  } catch {
    return `${pid} ${command}: has ended`;
  }
  const state = (thread: string): string => /^State:\s+(\S)/m.exec(read(`task/${thread}/status`))?.[1] ?? "?";
  const lines = threads.map((thread) => {
    const [wait, call] = [read(`task/${thread}/wchan`), read(`task/${thread}/syscall`)];
    return `  ${thread} ${state(thread)} ${wait}, system call ${call}`;
  });
  return [`${pid} ${command}`, ...lines].join("\n");
}

/** Several hosts and a switch between them, all of this machine. */
export class Lab {
  readonly hosts: readonly Host[];
  readonly folder: string;
  readonly #switch: Host;

  private constructor(folder: string, hosts: readonly Host[], middle: Host) {
    this.folder = folder;
    this.hosts = hosts;
    this.#switch = middle;
  }

  /**
   * Makes hosts with these names, with addresses 10.77.0.1 and so on, and plugs them into one switch.
   * @param folder for their disks; a short path
   */
  static async make(folder: string, names: readonly string[]): Promise<Lab> {
    const middle = await Host.make("switch", "none", join(folder, "switch"));
    inNetwork(middle.pid, ["ip", "link", "add", "middle", "up", "type", "bridge"]);
    const hosts: Host[] = [];
    const lab = new Lab(folder, hosts, middle);
    try {
      for (const [index, name] of names.entries()) {
        const host = await Host.make(name, `10.77.0.${index + 1}`, join(folder, name));
        hosts.push(host);
        plug(host, middle);
      }
      return lab;
    } catch (error) {
      await lab.end();
      throw error;
    }
  }

  host(name: string): Host {
    const found = this.hosts.find((host) => host.name === name);
    if (!found) throw new Error(`No host is named ${name}`);
    return found;
  }

  /**
   * Drops what one host sends to another, in this direction alone.
   * @param port of a service: on the receiver's side (`to`), or on the sender's (`from`)
   */
  cut(from: Host, to: Host, service?: { readonly port: number; readonly of: "from" | "to" }): void {
    const port = service ? ` tcp ${service.of === "to" ? "dport" : "sport"} ${service.port}` : "";
    to.drop(`ip saddr ${from.address}${port}`);
  }

  /** Cuts two hosts from each other. */
  part(one: Host, other: Host): void {
    this.cut(one, other);
    this.cut(other, one);
  }

  /**
   * Copies what the programs of all hosts have written, and says what each process waits for.
   * @param telling processes that write on SIGUSR2 where they are
   */
  keepLogs(folder: string, telling?: RegExp): void {
    for (const host of telling ? this.hosts : [])
      for (const { pid } of host.processes(telling)) process.kill(pid, "SIGUSR2");
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
    for (const host of this.hosts) {
      const into = join(folder, host.name);
      rmSync(into, { recursive: true, force: true });
      mkdirSync(into, { recursive: true });
      writeFileSync(join(into, "processes"), host.processes().map(whatWaits).join("\n"));
      for (const name of logsBelow(host.folder))
        cpSync(join(host.folder, name), join(into, name.replaceAll("/", "-")));
    }
  }

  /** Plugs everything in and drops nothing any more. */
  heal(): void {
    for (const host of this.hosts) {
      host.plugIn();
      host.heal();
    }
  }

  /**
   * A folder of Unix sockets by which this process reaches services as a host does: PostgreSQL's clients take the folder
   * for the server's address.
   * @param services port by which each is known in the folder, and the address as the host reaches it
   */
  async door(host: Host, services: Readonly<Record<number, string>>): Promise<string> {
    const folder = join(host.folder, "door");
    mkdirSync(folder, { recursive: true });
    const socket = (port: string): string => join(folder, `.s.PGSQL.${port}`);
    const pairs = Object.entries(services).map(([port, target]) => `${socket(port)}=${target}`);
    host.start("door", [process.execPath, "--input-type=module", "--eval", DOOR, "--", ...pairs]);
    await waitFor("the door to open", () => Object.keys(services).every((port) => existsSync(socket(port))));
    return folder;
  }

  async end(): Promise<void> {
    await Promise.all([...this.hosts, this.#switch].map(async (host) => await host.end()));
  }
}

function plug(host: Host, middle: Host): void {
  const [own, other] = [String(host.pid), String(middle.pid)];
  const cable = `to-${host.name}`;
  const pair = ["ip", "link", "add", "eth0", "netns", own, "type", "veth", "peer", "name", cable];
  execFileSync(pair[0] ?? "", [...pair.slice(1), "netns", other]);
  inNetwork(middle.pid, ["ip", "link", "set", cable, "master", "middle", "up"]);
  inNetwork(host.pid, ["ip", "address", "add", `${host.address}/24`, "dev", "eth0"]);
  inNetwork(host.pid, ["ip", "link", "set", "eth0", "up"]);
}
