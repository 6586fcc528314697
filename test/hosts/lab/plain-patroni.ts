import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import * as z from "zod";
import { waitFor } from "../../support/wait.ts";
import { DISK, type Host } from "./host.ts";
import type { Lab } from "./lab.ts";

const WRITES = 5000;
const READS = 5001;
const MEMBERS = ["h1", "h2", "h3"] as const;

const clusterSchema = z.object({
  members: z.array(
    z.object({ name: z.string(), role: z.string(), state: z.string(), lag: z.unknown().optional() }),
  ),
});

/**
 * What many run without us: etcd, Patroni and HAProxy by the defaults and examples of their own documents, on three
 * hosts, with synchronous mode, and HAProxy on a fourth, "app", where the clients are.
 */
export class PlainPatroni {
  readonly lab: Lab;
  /** How clients on "app" reach it: a folder of sockets. */
  readonly door: string;

  private constructor(lab: Lab, door: string) {
    this.lab = lab;
    this.door = door;
  }

  static async start(lab: Lab): Promise<PlainPatroni> {
    const hosts = MEMBERS.map((name) => lab.host(name));
    const binaries = (await execa("pg_config", ["--bindir"])).stdout;
    for (const host of hosts) {
      await host.do(["chown", "postgres:", DISK]);
      startEtcd(host, hosts);
    }
    for (const host of hosts) {
      writeFileSync(
        join(host.folder, "patroni.json"),
        JSON.stringify(patroniConfiguration(host, hosts, binaries)),
      );
      startPatroni(host);
    }
    const app = lab.host("app");
    writeFileSync(join(app.folder, "haproxy.cfg"), haproxyConfiguration(hosts));
    app.start("haproxy", ["haproxy", "-f", `${DISK}/haproxy.cfg`]);
    const door = await lab.door(app, { [WRITES]: `127.0.0.1:${WRITES}`, [READS]: `127.0.0.1:${READS}` });
    const plain = new PlainPatroni(lab, door);
    await plain.ready();
    return plain;
  }

  get write() {
    return { host: this.door, port: WRITES, user: "postgres", password: "patroni", database: "postgres" };
  }

  get read() {
    return { ...this.write, port: READS };
  }

  async #members() {
    for (const host of MEMBERS) {
      const ran = await this.lab
        .host(host)
        .run(["curl", "-s", "-m", "2", `http://${this.lab.host(host).address}:8008/cluster`]);
      const parsed = ran.exitCode === 0 ? clusterSchema.safeParse(JSON.parse(ran.stdout)) : undefined;
      if (parsed?.success === true) return parsed.data.members;
    }
    return [];
  }

  /** Waits until there is a leader and both others stream, one of them synchronous. */
  async ready(timeout = 120_000): Promise<void> {
    await waitFor(
      "plain Patroni to be complete",
      async () => {
        const members = await this.#members();
        const streaming = members.filter(({ state }) => state === "streaming");
        const isComplete =
          members.some(({ role }) => role === "leader") &&
          streaming.length === MEMBERS.length - 1 &&
          streaming.some(({ role }) => role === "sync_standby");
        if (!isComplete) throw new Error(JSON.stringify(members));
        return true;
      },
      { timeout },
    );
  }

  async leader(): Promise<Host> {
    const leader = (await this.#members()).find(({ role }) => role === "leader");
    return this.lab.host(leader?.name ?? "none");
  }

  async switchover(): Promise<void> {
    const members = await this.#members();
    const name = (role: string): string => members.find((member) => member.role === role)?.name ?? "";
    const leader = this.lab.host(name("leader"));
    const order = JSON.stringify({ leader: leader.name, candidate: name("sync_standby") });
    await leader.do(["curl", "-s", "-X", "POST", "-d", order, `http://${leader.address}:8008/switchover`]);
  }

  /** What it wrote, for who looks into a failure. */
  logs(): string {
    return MEMBERS.map((name) => `${name}: ${join(this.lab.host(name).folder, "patroni.log")}`).join("\n");
  }
}

function startEtcd(host: Host, hosts: readonly Host[]): void {
  const at = (port: number): string => `http://${host.address}:${port}`;
  const cluster = hosts.map(({ name, address }) => `${name}=http://${address}:2380`).join(",");
  const options = [
    ["--name", host.name, "--data-dir", `${DISK}/etcd`],
    ["--listen-client-urls", `${at(2379)},http://127.0.0.1:2379`, "--advertise-client-urls", at(2379)],
    ["--listen-peer-urls", at(2380), "--initial-advertise-peer-urls", at(2380)],
    ["--initial-cluster", cluster, "--initial-cluster-state", "new"],
  ];
  host.start("etcd", ["etcd", ...options.flat()], { asServers: true });
}

function startPatroni(host: Host): void {
  host.start("patroni", ["patroni", `${DISK}/patroni.json`], { asServers: true });
}

/** As in postgres0.yml of Patroni's examples; JSON is YAML, too. */
function patroniConfiguration(host: Host, hosts: readonly Host[], binaries: string) {
  const access = ["host replication replicator 0.0.0.0/0 md5", "host all all 0.0.0.0/0 md5"];
  return {
    scope: "batman",
    name: host.name,
    restapi: { listen: `${host.address}:8008`, connect_address: `${host.address}:8008` },
    etcd3: { hosts: hosts.map(({ address }) => `${address}:2379`) },
    bootstrap: {
      dcs: {
        ttl: 30,
        loop_wait: 10,
        retry_timeout: 10,
        maximum_lag_on_failover: 1_048_576,
        synchronous_mode: true,
        postgresql: { use_pg_rewind: true, pg_hba: access, parameters: { shared_buffers: "32MB" } },
      },
      initdb: [{ encoding: "UTF8" }, { locale: "C.UTF-8" }, "data-checksums"],
    },
    postgresql: {
      listen: `${host.address}:5432`,
      connect_address: `${host.address}:5432`,
      data_dir: `${DISK}/data`,
      bin_dir: binaries,
      pgpass: `${DISK}/pgpass`,
      authentication: {
        replication: { username: "replicator", password: "rep-pass" },
        superuser: { username: "postgres", password: "patroni" },
        rewind: { username: "rewind_user", password: "rewind_password" },
      },
      parameters: { unix_socket_directories: DISK },
    },
  };
}

/** As in haproxy.cfg of Patroni's examples. */
function haproxyConfiguration(hosts: readonly Host[]): string {
  const listen = (name: string, port: number, check: string): readonly string[] => [
    `listen ${name}`,
    `    bind *:${port}`,
    `    option httpchk OPTIONS ${check}`,
    "    http-check expect status 200",
    "    default-server inter 3s fall 3 rise 2 on-marked-down shutdown-sessions",
    ...hosts.map((host) => `    server ${host.name} ${host.address}:5432 maxconn 100 check port 8008`),
    "",
  ];
  return [
    "global",
    "    maxconn 100",
    "defaults",
    "    mode tcp",
    "    retries 2",
    "    timeout client 30m",
    "    timeout connect 4s",
    "    timeout server 30m",
    "    timeout check 5s",
    ...listen("write", WRITES, "/primary"),
    ...listen("read", READS, "/replica"),
  ].join("\n");
}
