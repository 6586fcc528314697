import { execa } from "execa";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Client } from "pg";
import { freePorts, inFolder, serverUser } from "./throwaway.ts";

type Node = `pg${number}`;
type Role = "odoo" | "postgres" | "replicator";

/** Whether a client speaks TLS: what libpq calls sslmode. */
export type Encryption = "require" | "disable";

/** A running cluster for a measurement. */
export interface Replicated {
  readonly folder: string;
  readonly stateDir: string;
  readonly ports: { readonly read: number; readonly write: number; readonly node: (name: Node) => number };
  readonly password: (role: Role) => string;
  /** Password file for libpq, of all roles, readable by the servers' user. */
  readonly passfile: string;
  /** Runs a command of odoo-pg. @throws when it fails */
  readonly run: (...args: readonly string[]) => Promise<string>;
  readonly connect: (port: number, role?: Role, database?: string) => Promise<Client>;
  /** One statement as the superuser on a node: the first column of its first row. */
  readonly value: (node: Node, statement: string, database?: string) => Promise<unknown>;
  /** Waits until status says ok and every replica serves reads. */
  readonly healthy: () => Promise<void>;
  readonly postmaster: (node: Node) => number;
}

export interface Shape {
  readonly nodes: number;
  readonly consistency: "eventual" | "bounded" | "read-your-writes";
  readonly maxLag?: string;
  /** At the write endpoint; default none. */
  readonly pooling?: "none" | "transaction";
  readonly parameters?: Readonly<Record<string, string>>;
}

/** Brings a cluster up for one measurement, and removes it afterwards. */
export async function withReplicated<T>(
  program: string,
  shape: Shape,
  use: (cluster: Replicated) => Promise<T>,
): Promise<T> {
  return await inFolder(async (folder) => {
    const [read = 0, write = 0, ...nodes] = await freePorts(2 + shape.nodes);
    const stateDir = join(folder, "s");
    const configuration = join(folder, "odoo-pg.yaml");
    writeFileSync(
      configuration,
      JSON.stringify({
        cluster: "bench",
        state_dir: stateDir,
        nodes: nodes.map((port, index) => ({ name: `pg${index + 1}`, port })),
        endpoints: {
          read: { port: read, consistency: shape.consistency, max_lag: shape.maxLag ?? "16MB" },
          write: { port: write, pooling: shape.pooling ?? "none" },
        },
        postgres: { parameters: shape.parameters ?? {} },
        console: { enabled: false },
      }),
    );
    const run = async (...args: readonly string[]): Promise<string> =>
      (await execa(process.execPath, [program, ...args, "--config", configuration], { stdin: "ignore" }))
        .stdout;
    const password = (role: Role): string =>
      readFileSync(join(stateDir, "secrets", `${role}.password`), "utf8").trimEnd();
    const port = (name: Node): number => nodes[Number(name.slice(2)) - 1] ?? 0;
    const connect = async (to: number, role: Role = "odoo", database = "postgres"): Promise<Client> => {
      const client = new Client({
        host: "127.0.0.1",
        port: to,
        user: role,
        password: password(role),
        database,
      });
      client.on("error", () => {});
      await client.connect();
      return client;
    };
    const cluster: Replicated = {
      folder,
      stateDir,
      ports: { read, write, node: port },
      password,
      passfile: join(folder, "client", "pgpass"),
      run,
      connect,
      async value(node, statement, database) {
        const client = await connect(port(node), "postgres", database);
        try {
          const { rows } = await client.query<unknown[]>({ text: statement, rowMode: "array" });
          return rows[0]?.[0];
        } finally {
          await client.end();
        }
      },
      async healthy() {
        for (let tries = 0; ; tries += 1) {
          const ran = await execa(
            process.execPath,
            [program, "status", "--json", "--config", configuration],
            { stdin: "ignore", reject: false },
          );
          if (isHealthy(JSON.parse(ran.stdout), shape.nodes - 1)) return;
          if (tries > 300) throw new Error(`The cluster does not get healthy:\n${ran.stdout}`);
          await pause(100);
        }
      },
      postmaster: (node) =>
        Number.parseInt(readFileSync(join(stateDir, "nodes", node, "data/postmaster.pid"), "utf8"), 10),
    };
    try {
      await run("up");
      await writePassfile(cluster);
      await cluster.healthy();
      return await use(cluster);
    } finally {
      await run("down");
    }
  });
}

function isHealthy(status: unknown, replicas: number): boolean {
  if (typeof status !== "object" || status === null || !("verdict" in status) || !("endpoints" in status))
    return false;
  return status.verdict === "ok" && JSON.stringify(status.endpoints).split('"pg').length - 2 >= replicas;
}

/** libpq wants it to be readable by its owner only; the tools run as the servers' user. */
async function writePassfile({ passfile, password }: Replicated): Promise<void> {
  const user = await serverUser();
  mkdirSync(join(passfile, ".."), { recursive: true });
  const lines = (["odoo", "postgres", "replicator"] as const).map(
    (role) => `*:*:*:${role}:${password(role).replaceAll(/[\\:]/g, "\\$&")}`,
  );
  writeFileSync(passfile, `${lines.join("\n")}\n`, { mode: 0o600 });
  chmodSync(join(passfile, ".."), 0o711);
  if (user.uid !== undefined && user.gid !== undefined) chownSync(passfile, user.uid, user.gid);
}

/**
 * pgbench or another program of PostgreSQL, run as the servers' user.
 * @param encryption default `disable`. libpq's own, `prefer`, falls back without a word: where it cannot read the
 *   certificates below HOME, as this user below root's, two sides might be compared of which one is encrypted.
 */
export async function tool(
  cluster: Replicated,
  name: string,
  args: readonly string[],
  encryption: Encryption = "disable",
): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const { stdout: bin } = await execa("pg_config", ["--bindir"]);
  const path = existsSync(join(bin, name)) ? join(bin, name) : name;
  return await execa(path, args, {
    ...(await serverUser()),
    cwd: "/",
    stdin: "ignore",
    env: {
      HOME: cluster.folder,
      PGPASSFILE: cluster.passfile,
      PGHOST: "127.0.0.1",
      PGUSER: "odoo",
      PGSSLMODE: encryption,
    },
  });
}

/** Transactions a second of pgbench with 8 clients. */
export async function pgbench(
  cluster: Replicated,
  port: number,
  seconds: number,
  ...more: readonly string[]
): Promise<number> {
  return await pgbenchWith(8, "disable", cluster, port, seconds, ...more);
}

/** Transactions a second of pgbench with so many clients. */
export async function pgbenchWith(
  clients: number,
  encryption: Encryption,
  cluster: Replicated,
  port: number,
  seconds: number,
  ...more: readonly string[]
): Promise<number> {
  const { stdout } = await tool(
    cluster,
    "pgbench",
    ["-n", "-c", String(clients), "-j", "2", "-T", String(seconds), "-p", String(port), ...more, "pgbench"],
    encryption,
  );
  const tps = /tps = ([\d.]+) \(without/.exec(stdout)?.[1] ?? /tps = ([\d.]+)/.exec(stdout)?.[1];
  // Too many clients to connect in time.
  if (stdout.includes("actually processed: 0")) return 0;
  if (tps === undefined) throw new Error(`pgbench said:\n${stdout}`);
  return Number(tps);
}

/** Makes pgbench's tables through the write endpoint: 15 MB for each unit of scale. */
export async function preparePgbench(cluster: Replicated, scale: number): Promise<void> {
  const admin = await cluster.connect(cluster.ports.write);
  await admin.query("CREATE DATABASE pgbench");
  await admin.end();
  await tool(cluster, "pgbench", [
    "-i",
    "-q",
    "-s",
    String(scale),
    "-p",
    String(cluster.ports.write),
    "pgbench",
  ]);
  await cluster.healthy();
}

/** A server's postmaster with all its children: the processes that a stopped or killed machine takes along. */
export function processesOf(postmaster: number): readonly number[] {
  const children = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
        return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]) === postmaster;
      } catch {
        return false;
      }
    })
    .map(Number);
  return [postmaster, ...children];
}

export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // It ended by itself.
    }
  }
}
