import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { ClientConfig } from "pg";
import type { Host } from "../test/hosts/lab/host.ts";
import { cannotMakeHosts, Lab } from "../test/hosts/lab/lab.ts";
import { PlainPatroni } from "../test/hosts/lab/plain-patroni.ts";
import { Traffic } from "../test/hosts/lab/traffic.ts";
import { SeveralHosts, TELLING } from "../test/hosts/several-hosts.ts";
import { type Benchmark, median, table } from "./table.ts";
import { inFolder } from "./throwaway.ts";

/** Three hosts with a database each. */
interface Side {
  readonly lab: Lab;
  readonly databases: readonly Host[];
  /** The clients' address, on one of its hosts where they run there. */
  readonly clients: (on: Host) => Promise<{ readonly write: ClientConfig; readonly read: ClientConfig }>;
  readonly leader: () => Promise<Host>;
  readonly switchover: () => Promise<void>;
  /** Waits until every host runs its part again. */
  readonly ready: () => Promise<void>;
}

const HOSTS = ["h1", "h2", "h3", "app"] as const;
/** Milliseconds of quiet traffic before a fault and after it. */
const QUIET = 2000;

/** The target of a fault: not the host that the clients are on. */
interface Scene {
  readonly side: Side;
  readonly leader: Host;
  readonly replica: Host;
}

interface Fault {
  readonly name: string;
  readonly happens: (scene: Scene) => Promise<void> | void;
  /** Milliseconds that it lasts; otherwise until writes continue. */
  readonly lasts?: number;
  readonly ends?: (scene: Scene) => void;
  /** Number of repetitions, on our side. */
  readonly times?: number;
}

const SERVER = /^postgres: |^\S*\/postgres -D/;
const REPLAY = /^postgres: .*startup/;
const ETCD = /etcd .*data-dir/;

function signalAll({ side }: Scene, signal: NodeJS.Signals): void {
  for (const host of side.databases) host.signal(ETCD, signal);
}

const faults: readonly Fault[] = [
  { name: "planned switchover", happens: async ({ side }) => await side.switchover(), times: 3 },
  {
    name: "kill -9 of the primary's postmaster",
    happens: ({ leader }) => leader.signal(/^\S*\/postgres -D/, "SIGKILL"),
  },
  {
    name: "a replica's server hangs for 12 s",
    happens: ({ replica }) => replica.signal(SERVER, "SIGSTOP"),
    lasts: 12_000,
    ends: ({ replica }) => replica.signal(SERVER, "SIGCONT"),
  },
  {
    name: "a replica's replay hangs for 12 s",
    happens: ({ replica }) => replica.signal(REPLAY, "SIGSTOP"),
    lasts: 12_000,
    ends: ({ replica }) => replica.signal(REPLAY, "SIGCONT"),
  },
  {
    name: "all of etcd stopped for 30 s",
    happens: (scene) => signalAll(scene, "SIGSTOP"),
    lasts: 30_000,
    ends: (scene) => signalAll(scene, "SIGCONT"),
  },
  {
    name: "the primary's host lost",
    happens: ({ leader }) => leader.unplug(),
    ends: ({ side }) => side.lab.heal(),
    times: 3,
  },
];

/** The clients' view of one fault. */
interface Seen {
  /** Milliseconds, of each time. */
  readonly gaps: readonly number[];
  readonly stale: number;
  readonly reads: number;
  readonly lost: number;
}

async function seenOnce(side: Side, fault: Fault): Promise<Seen> {
  console.error(`  ${fault.name} …`);
  await side.ready();
  const leader = await side.leader();
  const [replica, other] = side.databases.filter((host) => host !== leader);
  if (!replica || !other) throw new Error("fewer than three hosts");
  const scene = { side, leader, replica };
  const { write, read } = await side.clients(other);
  const traffic = await Traffic.start(write, read);
  await pause(QUIET);
  const since = performance.now();
  await fault.happens(scene);
  // The fault may take time to show.
  await pause(fault.lasts ?? QUIET);
  // Some stop everything until they end.
  if (fault.lasts !== undefined) fault.ends?.(scene);
  await traffic.goesOn(120_000);
  await pause(QUIET);
  const gap = traffic.longestGap(since);
  const { all: reads, stale } = traffic.readsSince(since);
  const lost = (await traffic.stop()).length;
  if (fault.lasts === undefined) fault.ends?.(scene);
  return { gaps: [gap], stale, reads, lost };
}

/** Lets each fault happen while clients write and read. */
async function measured(side: Side, isOurs: boolean): Promise<readonly Seen[]> {
  const seen: Seen[] = [];
  for (const fault of faults) {
    const each: Seen[] = [];
    for (let time = 0; time < (isOurs ? (fault.times ?? 1) : 1); time += 1)
      each.push(await seenOnce(side, fault));
    const sum = (of: (one: Seen) => number): number => each.reduce((all, one) => all + of(one), 0);
    seen.push({
      gaps: each.flatMap(({ gaps }) => gaps),
      stale: sum(({ stale }) => stale),
      reads: sum(({ reads }) => reads),
      lost: sum(({ lost }) => lost),
    });
  }
  return seen;
}

/** Megabytes of the processes on a host besides PostgreSQL. */
interface Memory {
  readonly shared: number;
  readonly whole: number;
}

const BESIDE: Readonly<Record<string, RegExp>> = {
  agent: /odoo-pg\.mjs agent/,
  Patroni: /bin\/patroni /,
  etcd: ETCD,
  HAProxy: /haproxy /,
};

function memoryOf(host: Host, command: RegExp): Memory {
  const of = (pid: number, field: string): number => {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
    return Number(new RegExp(`^${field}: +(\\d+) kB$`, "m").exec(text)?.[1] ?? 0) / 1024;
  };
  const pids = host.processes(command).map(({ pid }) => pid);
  const sum = (field: string): number => pids.reduce((all, pid) => all + of(pid, field), 0);
  return { shared: sum("Pss"), whole: sum("Rss") };
}

interface Measured {
  readonly seen: readonly Seen[];
  /** Milliseconds from empty hosts until every host runs its part. */
  readonly start: number;
  readonly memory: ReadonlyMap<string, Memory>;
}

/** Where the logs of all hosts are kept after a failure. */
const LOGS = "test-output/bench-hosts";

/** @param side of the table, for whose hosts the logs are kept after a failure */
async function inLab<T>(
  side: "plain" | "ours",
  names: readonly string[],
  use: (lab: Lab) => Promise<T>,
): Promise<T> {
  return await inFolder(async (folder) => {
    const lab = await Lab.make(folder, names);
    try {
      return await use(lab);
    } catch (error) {
      lab.keepLogs(join(LOGS, side), side === "ours" ? TELLING : undefined);
      console.error(`What the hosts wrote is kept in ${join(LOGS, side)}.`);
      throw error;
    } finally {
      await lab.end();
    }
  });
}

async function plain(): Promise<Measured> {
  return await inLab("plain", HOSTS, async (lab) => {
    const begin = performance.now();
    const patroni = await PlainPatroni.start(lab);
    const start = performance.now() - begin;
    const side: Side = {
      lab,
      databases: lab.hosts.slice(0, 3),
      clients: async () => await Promise.resolve({ write: patroni.write, read: patroni.read }),
      leader: async () => await patroni.leader(),
      switchover: async () => await patroni.switchover(),
      ready: async () => await patroni.ready(),
    };
    return { seen: await measured(side, false), start, memory: new Map() };
  });
}

/** Its clients are on a host that stays up: each host has its own endpoints. */
async function ours(program: string): Promise<Measured> {
  return await inLab("ours", HOSTS.slice(0, 3), async (lab) => {
    const begin = performance.now();
    const several = await SeveralHosts.start(lab, program);
    const start = performance.now() - begin;
    const side: Side = {
      lab,
      databases: lab.hosts,
      async clients(on) {
        return { write: await several.endpoint(on, "write"), read: await several.endpoint(on, "read") };
      },
      leader: async () => await several.leader(),
      switchover: async () => await several.switchover(),
      async ready() {
        await several.ready();
        await several.storeLedElsewhere();
      },
    };
    const seen = await measured(side, true);
    const host = await several.leader();
    const memory = new Map(Object.entries(BESIDE).map(([name, command]) => [name, memoryOf(host, command)]));
    return { seen, start, memory };
  });
}

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(1)} s`;

function cellsOf(one: Seen | undefined): string[] {
  if (!one) return ["", "", ""];
  const { gaps, stale, reads, lost } = one;
  const each = gaps.length > 1 ? ` (${gaps.map(seconds).join(", ")})` : "";
  return [`${seconds(median(gaps))}${each}`, `${stale} of ${reads}`, String(lost)];
}

function memoryTable(memory: ReadonlyMap<string, Memory>): string {
  const megabytes = (of: number): string => `${Math.round(of)} MB`;
  const all = [...memory.values()];
  const sum = (field: keyof Memory): number => all.reduce((sum, one) => sum + one[field], 0);
  return table(
    ["beside PostgreSQL", "PSS", "RSS"],
    [
      ...[...memory].map(([name, { shared, whole }]) => [name, megabytes(shared), megabytes(whole)]),
      ["all (the target: 220 MB)", megabytes(sum("shared")), megabytes(sum("whole"))],
    ],
  );
}

/** The clients' view of three hosts while they fail, compared with Patroni and its defaults. */
export const hosts: Benchmark = {
  name: "hosts",
  title: "Several hosts",
  async measure(program) {
    const reason = cannotMakeHosts();
    if (reason !== undefined) return `Not measured: ${reason}.`;
    const [beside, own] = [await plain(), await ours(program)];
    return [
      "Hosts are namespaces of one machine, three with a database each. One client inserts a row every 10 ms, four clients",
      "read. The gap is the longest time between two acknowledged rows (median, then each). A read is stale if it lacks a row",
      "that was acknowledged before it was sent. Plain Patroni is Patroni 4.0.7 with etcd 3.5.16 and HAProxy, set up by the",
      "defaults and examples of their documents (synchronous mode; reads from `/replica`); there Patroni itself switches over.",
      "The targets: a host lost 25 s, median 23 s; switchover 2.5 s; kill -9 6 s; a replica that hangs 8 s; etcd stopped:",
      "writes go on.",
      "",
      table(
        ["what happens", "gap", "stale reads", "rows lost", "plain Patroni: gap", "stale reads", "rows lost"],
        faults.map(({ name }, index) => [name, ...cellsOf(own.seen[index]), ...cellsOf(beside.seen[index])]),
      ),
      "",
      `From three empty hosts to ready: ${seconds(own.start)} by \`up\`, \`ha init\` and \`join\`, one after another (the target: 60 s);`,
      `plain Patroni ${seconds(beside.start)}, all three started at once from files written before. Memory of the primary's`,
      "host after all this (PSS divides what the hosts of this one machine share; RSS counts it each time):",
      "",
      memoryTable(own.memory),
    ].join("\n");
  },
};
