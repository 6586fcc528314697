import { expect, vi } from "vitest";
import { type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import type { Ran } from "../support/program.ts";
import { waitFor } from "../support/wait.ts";
import { Ledger } from "./ledger.ts";
import { nodeProcesses, type NodeProcesses } from "./node-processes.ts";

// Clusters of several nodes that fail and recover, several at once on few cores.
vi.setConfig({ testTimeout: 180_000 });

type Name = `pg${number}`;

/** A cluster that something happens to: steps, waits and what holds afterwards, in the order of an operation's log. */
export interface Scenario {
  readonly cluster: ThrowawayCluster;
  readonly node: (name: Name) => NodeProcesses;
  /** Starts the continuous checker. */
  readonly writing: (clients?: number) => Promise<Ledger>;
  /** One thing that is done; a failure names it. */
  readonly step: <T>(what: string, act: () => Promise<T> | T) => Promise<T>;
  /** Waits for a condition; default limit 30 s. */
  readonly until: (
    what: string,
    condition: () => Promise<boolean> | boolean,
    timeout?: number,
  ) => Promise<void>;
  /** Runs `odoo-pg ARGS`, which must succeed. */
  readonly succeeds: (...args: readonly string[]) => Promise<Ran>;
  /** Runs `odoo-pg ARGS`, which must be refused with this code; returns what it said. */
  readonly refuses: (code: string, ...args: readonly string[]) => Promise<string>;
  /** The warning of a status with this code about this node, waited for. */
  readonly warned: (
    code: string,
    node: Name | null,
  ) => Promise<{ readonly message: string; readonly next: string }>;
  /** Waits until a replica streams and has all that the primary had, and the cluster is healthy. */
  readonly healthy: () => Promise<void>;
  /** The node that answers on an endpoint. */
  readonly answering: (endpoint: "read" | "write") => Promise<Name>;
  /** A value from a node, asked as the superuser. */
  readonly value: (node: Name, statement: string, database?: string) => Promise<unknown>;
}

export interface ScenarioOptions {
  readonly nodes?: number;
  readonly consistency?: "eventual" | "bounded" | "read-your-writes";
  readonly maxLag?: string;
  /** Of both endpoints. */
  readonly pooling?: "none" | "transaction";
  /** Seconds that a client waits at an endpoint. */
  readonly waitSeconds?: number;
  readonly parameters?: Readonly<Record<string, string>>;
  /** Called before the first `up`. */
  readonly prepare?: (cluster: ThrowawayCluster) => Promise<void> | void;
}

/** Brings a cluster up and waits until it is healthy. */
export async function scenario(options: ScenarioOptions = {}): Promise<Scenario> {
  const { nodes = 2, consistency = "bounded", maxLag, pooling = "none", parameters = {} } = options;
  const cluster = await throwawayCluster({
    nodes,
    config: {
      endpoints: {
        ...(options.waitSeconds === undefined ? {} : { wait_seconds: options.waitSeconds }),
        read: { consistency, pooling, ...(maxLag === undefined ? {} : { max_lag: maxLag }) },
        write: { pooling },
      },
      postgres: { parameters: { ...parameters } },
    },
  });
  await options.prepare?.(cluster);
  await cluster.up();
  await cluster.healthy();

  const processes = new Map<Name, NodeProcesses>();
  const value = async (node: Name, statement: string, database = "postgres"): Promise<unknown> => {
    const session = await cluster.session(node, "postgres", database);
    try {
      return await session.value(statement);
    } finally {
      await session.close();
    }
  };
  return {
    cluster,
    value,
    node(name) {
      const known = processes.get(name) ?? nodeProcesses(cluster, name);
      processes.set(name, known);
      return known;
    },
    async writing(clients = 4) {
      const ledger = new Ledger(cluster);
      await ledger.open(clients);
      return ledger;
    },
    async step(what, act) {
      try {
        return await act();
      } catch (cause) {
        throw new Error(`${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
      }
    },
    until: async (what, condition, timeout = 30_000) => await waitFor(what, condition, { timeout }),
    async succeeds(...args) {
      const ran = await cluster.run(args, { timeout: 120_000 });
      expect(ran.exitCode, `odoo-pg ${args.join(" ")}\n${ran.stdout}\n${ran.stderr}`).toBe(0);
      return ran;
    },
    async refuses(code, ...args) {
      const ran = await cluster.run(args, { timeout: 120_000 });
      expect(ran.exitCode, `odoo-pg ${args.join(" ")}\n${ran.stdout}\n${ran.stderr}`).not.toBe(0);
      expect(ran.stderr).toContain(`Error (${code})`);
      return ran.stderr;
    },
    async warned(code, node) {
      let found: { readonly message: string; readonly next: string } | undefined;
      await waitFor(`a warning ${code}`, async () => {
        const { warnings } = await cluster.status();
        found = warnings.find((one) => one.code === code && one.node === node);
        if (!found) throw new Error(JSON.stringify(warnings));
        return true;
      });
      if (!found) throw new Error(`No warning ${code}`);
      return found;
    },
    healthy: async () => await cluster.healthy(),
    async answering(endpoint) {
      const session = await cluster.session(endpoint, "odoo");
      const name = String(await session.value("SHOW cluster_name")).split("/")[1];
      await session.close();
      return `pg${Number(name?.slice(2))}`;
    },
  };
}
