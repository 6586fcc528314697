import { chownSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { type StatusDocument, statusDocumentSchema } from "../../src/cluster/documents/status.ts";
import type { Credentials } from "../../src/system/sql/sql.ts";
import { commands, runHere } from "./in-process.ts";
import { connect, type Session } from "./pg.ts";
import { freePorts } from "./ports.ts";
import { processesUsing } from "./processes.ts";
import {
  buildOfProgram,
  placeOf,
  type Ran,
  type Running,
  type RunOptions,
  runProgram,
  startProgram,
  type User,
} from "./program.ts";
import { atEnd } from "./scope.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import { waitFor } from "./wait.ts";

/** Nothing is printed by what runs in this process. */
const silent = {
  out: () => {},
  err: () => {},
  terminal: false,
  colours: false,
  width: 80,
  called: "odoo-pg",
};

type Configuration = Readonly<Record<string, unknown>>;

/** Commands that have a terminal, standard input or standard output for themselves. */
const APART = ["psql", "export", "role", "key"];

/** What a process knows by its own environment and not by what it was called with. */
const OF_PROCESS = ["PATH", "HOME", "TMPDIR", "TZ", "NO_COLOR", "TERM", "SUDO_USER", "ODOO_PG_ASKED_BY"];

function mayRunHere(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  { user, input, program, apart }: RunOptions,
): boolean {
  return (
    apart !== true &&
    user === undefined &&
    input === undefined &&
    program === undefined &&
    !args.some((word) => APART.includes(word) || word === "-") &&
    !Object.keys(env).some((name) => OF_PROCESS.includes(name) || name.startsWith("PG"))
  );
}

export interface ThrowawayCluster {
  /** Holds everything of this cluster. */
  readonly folder: string;
  readonly configFile: string;
  readonly stateDir: string;
  readonly ports: {
    /** One for each node: pg1, pg2, … */
    readonly nodes: readonly number[];
    readonly read: number;
    readonly write: number;
    /** Reserved but not used: for a node that a test adds. */
    readonly spare: number;
  };
  /** Writes the configuration file anew: the defaults of this cluster with `changes` merged in. */
  configure(changes: Configuration): void;
  /** Runs `odoo-pg ARGS --config FILE` and returns what it printed, whatever its exit status. */
  run(args: readonly string[], options?: RunOptions): Promise<Ran>;
  /** Starts `odoo-pg ARGS --config FILE` and does not wait for its end. */
  start(args: readonly string[], options?: Omit<RunOptions, "input" | "timeout">): Running;
  /** Runs a command with --json and returns its document, whatever its exit status. */
  json(args: readonly string[], options?: RunOptions): Promise<unknown>;
  /** @throws Error with what the command printed, when it fails */
  up(options?: RunOptions): Promise<Ran>;
  /** @throws Error with what the command printed, when it fails */
  down(): Promise<Ran>;
  /**
   * What `status --json` prints, checked against its schema: by the same code, in this process. A process for each look,
   * while a cluster is waited for, would take the processors from the cluster.
   */
  status(): Promise<StatusDocument>;
  /** Waits until the verdict is ok and every replica serves reads. */
  healthy(): Promise<void>;
  /** A password that odoo-pg has generated, such as that of role "odoo". */
  password(role: Role): string;
  /** The superuser's way to the first node, by its Unix socket. */
  superuser(): Credentials;
  /**
   * A session through an endpoint or on a node; "spare" is a node on the spare port. On a node as superuser, through an
   * endpoint as Odoo's role, when no role is named.
   */
  session(target: ClusterTarget, role?: Role, database?: string): Promise<Session>;
  /** A session on the node that is the primary now; as superuser when no role is named. */
  onPrimary(role?: Role, database?: string): Promise<Session>;
  /** Process id of a node's postmaster, from its postmaster.pid. */
  postmaster(node: string): number;
  /** Process id of the agent, from its lock. */
  agent(): number;
}

export type Role = "postgres" | "odoo" | "openerp" | "replicator" | "collectd";
export type ClusterTarget = "read" | "write" | "spare" | `pg${number}`;

/**
 * A cluster of its own for the present test (or, in beforeAll, the test file): configured, not started. At the end
 * it is stopped when it runs, and its folder is removed; what outlives `down` fails the test.
 */
export async function throwawayCluster(
  options: {
    /** Number of nodes; default 2: a primary and a replica. */
    readonly nodes?: number;
    /** Merged into the configuration file. */
    readonly config?: Configuration;
    /** Added to the environment of every command. */
    readonly env?: Readonly<Record<string, string>>;
    /** User that runs every command; default the present one. */
    readonly user?: User;
  } = {},
): Promise<ThrowawayCluster> {
  const folder = temporaryFolder();
  const asUser = options.user === undefined ? {} : { user: options.user };
  if (options.user) chownSync(folder, options.user.uid, options.user.gid);
  const configFile = join(folder, "odoo-pg.yaml");
  const stateDir = join(folder, "state");
  const count = options.nodes ?? 2;
  const [read = 0, write = 0, spare = 0, ...nodes] = await freePorts(count + 3);
  const defaults = {
    cluster: "test",
    state_dir: stateDir,
    nodes: nodes.map((port, index) => ({ name: `pg${index + 1}`, port })),
    // Most tests hold replicas back and go on writing: what waits for replicas has tests of its own.
    endpoints: { read: { port: read, consistency: "bounded" }, write: { port: write } },
    postgres: { parameters: { shared_buffers: "16MB" } },
    // At the full hour the agent would begin one.
    backup: { enabled: false },
    // Every cluster would want the same port.
    console: { enabled: false },
  };

  // Root takes another user's rights for that user's cluster: a process is a better place for it.
  const isOthers = (): boolean => existsSync(stateDir) && statSync(stateDir).uid !== process.getuid?.();
  const run = (args: readonly string[], runOptions: RunOptions = {}): Promise<Ran> => {
    // After "--" come the arguments of another program.
    const end = args.includes("--") ? args.indexOf("--") : args.length;
    const words = [...args.slice(0, end), "--config", configFile, ...args.slice(end)];
    const env = { ...options.env, ...runOptions.env };
    if (mayRunHere(args, env, { ...asUser, ...runOptions }) && !isOthers()) {
      const { environment, cwd, timeout } = placeOf({ ...runOptions, env, home: folder });
      return runHere(words, { environment, cwd, timeout });
    }
    return runProgram(words, { ...asUser, ...runOptions, home: folder, env });
  };
  const succeed = async (command: string, runOptions?: RunOptions): Promise<Ran> => {
    const ran = await run([command], runOptions);
    if (ran.exitCode === 0) return ran;
    throw new Error(`odoo-pg ${command} ended with ${ran.exitCode}:\n${ran.stdout}\n${ran.stderr}`);
  };

  const password = (role: Role): string =>
    readFileSync(join(stateDir, "secrets", `${role}.password`), "utf8").trimEnd();
  const portOf = (target: ClusterTarget): number => {
    if (target === "read") return read;
    if (target === "write") return write;
    return (target === "spare" ? spare : nodes[Number(target.slice(2)) - 1]) ?? 0;
  };
  const firstNumber = (...file: readonly string[]): number =>
    Number.parseInt(readFileSync(join(stateDir, ...file), "utf8"), 10);

  const cluster: ThrowawayCluster = {
    folder,
    configFile,
    stateDir,
    ports: { nodes, read, write, spare },
    configure(changes) {
      writeFileSync(configFile, stringify(merge(defaults, merge(options.config ?? {}, changes))));
    },
    run,
    start: (args, runOptions = {}) =>
      startProgram([...args, "--config", configFile], {
        ...asUser,
        ...runOptions,
        home: folder,
        env: { ...options.env, ...runOptions.env },
      }),
    async json(args, runOptions) {
      const ran = await run([...args, "--json"], runOptions);
      try {
        return JSON.parse(ran.stdout);
      } catch (cause) {
        throw new Error(
          `odoo-pg ${args.join(" ")} --json printed no document (exit status ${ran.exitCode}):\n${ran.stdout}\n${ran.stderr}`,
          { cause },
        );
      }
    },
    up: (runOptions) => succeed("up", runOptions),
    down: () => succeed("down"),
    async status() {
      if (isOthers()) return statusDocumentSchema.parse(await cluster.json(["status"]));
      const invocation = {
        args: [],
        environment: { ...options.env },
        cwd: folder,
        program: ["", ""],
        called: "odoo-pg",
      } as const;
      const { gatherStatus, loadContext } = commands();
      const { config } = await loadContext(invocation, silent, configFile);
      const document = await gatherStatus({ config, configFile, build: buildOfProgram() });
      return statusDocumentSchema.parse(JSON.parse(JSON.stringify(document)));
    },
    async healthy() {
      await waitFor(
        "the cluster to be healthy",
        async () => {
          const { verdict, nodes: seen, warnings } = await cluster.status();
          if (verdict === "ok" && seen.every(({ role, in_pool }) => role === "primary" || in_pool))
            return true;
          throw new Error(`${verdict}: ${JSON.stringify(seen)} ${JSON.stringify(warnings)}`);
        },
        { timeout: 60_000 },
      );
    },
    password,
    superuser: () => ({
      host: join(stateDir, "run"),
      port: portOf("pg1"),
      user: "postgres",
      password: password("postgres"),
      database: "postgres",
    }),
    session: async (target, role, database = "postgres") => {
      const user = role ?? (target === "read" || target === "write" ? "odoo" : "postgres");
      return await connect({ port: portOf(target), user, database, password: password(user) });
    },
    async onPrimary(role, database) {
      const primary = (await cluster.status()).nodes.find((node) => node.role === "primary");
      const number = nodes.findIndex((_, index) => primary?.name === `pg${index + 1}`) + 1;
      return await cluster.session(`pg${number}`, role, database);
    },
    postmaster: (node) => firstNumber("nodes", node, "data", "postmaster.pid"),
    agent: () => firstNumber("agent.lock"),
  };
  cluster.configure({});
  atEnd(async () => {
    if (processesUsing(folder).length > 0) await cluster.down();
  });
  return cluster;
}

/** Merges mappings; every other value of `over` takes the place of that of `base`. */
function merge(base: Configuration, over: Configuration): Configuration {
  const result: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const present = result[key];
    result[key] = isMapping(present) && isMapping(value) ? merge(present, value) : value;
  }
  return result;
}

function isMapping(value: unknown): value is Configuration {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
