import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { freePorts } from "./ports.ts";
import { processesUsing } from "./processes.ts";
import { type Ran, type RunOptions, runProgram } from "./program.ts";
import { atEnd } from "./scope.ts";
import { temporaryFolder } from "./temporary-folder.ts";

type Configuration = Readonly<Record<string, unknown>>;

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
  /** Runs a command with --json and returns its document, whatever its exit status. */
  json(args: readonly string[], options?: RunOptions): Promise<unknown>;
  /** @throws Error with what the command printed, when it fails */
  up(): Promise<Ran>;
  /** @throws Error with what the command printed, when it fails */
  down(): Promise<Ran>;
  /** A password that odoo-pg has generated, such as that of role "odoo". */
  password(role: string): string;
}

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
  } = {},
): Promise<ThrowawayCluster> {
  const folder = temporaryFolder();
  const configFile = join(folder, "odoo-pg.yaml");
  const stateDir = join(folder, "state");
  const count = options.nodes ?? 2;
  const [read = 0, write = 0, spare = 0, ...nodes] = await freePorts(count + 3);
  const defaults = {
    cluster: "test",
    state_dir: stateDir,
    nodes: nodes.map((port, index) => ({ name: `pg${index + 1}`, port })),
    endpoints: { read: { port: read }, write: { port: write } },
    postgres: { parameters: { shared_buffers: "16MB" } },
  };

  const run = (args: readonly string[], runOptions: RunOptions = {}): Promise<Ran> => {
    // After "--" come the arguments of another program.
    const end = args.includes("--") ? args.indexOf("--") : args.length;
    return runProgram([...args.slice(0, end), "--config", configFile, ...args.slice(end)], {
      ...runOptions,
      home: folder,
      env: { ...options.env, ...runOptions.env },
    });
  };
  const succeed = async (command: string): Promise<Ran> => {
    const ran = await run([command]);
    if (ran.exitCode === 0) return ran;
    throw new Error(`odoo-pg ${command} ended with ${ran.exitCode}:\n${ran.stdout}\n${ran.stderr}`);
  };

  const cluster: ThrowawayCluster = {
    folder,
    configFile,
    stateDir,
    ports: { nodes, read, write, spare },
    configure(changes) {
      writeFileSync(configFile, stringify(merge(defaults, merge(options.config ?? {}, changes))));
    },
    run,
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
    up: () => succeed("up"),
    down: () => succeed("down"),
    password: (role) => readFileSync(join(stateDir, "secrets", `${role}.password`), "utf8").trimEnd(),
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
