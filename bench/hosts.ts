import { setTimeout as pause } from "node:timers/promises";
import type { ClientConfig } from "pg";
import type { Host } from "../test/hosts/lab/host.ts";
import { cannotMakeHosts, Lab } from "../test/hosts/lab/lab.ts";
import { PlainPatroni } from "../test/hosts/lab/plain-patroni.ts";
import { Traffic } from "../test/hosts/lab/traffic.ts";
import { SeveralHosts } from "../test/hosts/several-hosts.ts";
import { type Benchmark, table } from "./table.ts";
import { inFolder } from "./throwaway.ts";

/** Three hosts with a database each. */
interface Side {
  /** How clients reach it while a host is lost. */
  readonly clients: (lost: Host) => Promise<{ readonly write: ClientConfig; readonly read: ClientConfig }>;
  readonly leader: () => Promise<Host>;
  readonly switchover: () => Promise<void>;
  /** Waits until every host has its part again. */
  readonly ready: () => Promise<void>;
}

const HOSTS = ["h1", "h2", "h3", "app"] as const;
/** Milliseconds of quiet traffic between two faults. */
const QUIET = 3000;

interface Fault {
  readonly name: string;
  readonly happens: (side: Side, leader: Host) => Promise<void> | void;
  readonly mended: (side: Side, lab: Lab) => void;
}

const faults: readonly Fault[] = [
  { name: "planned switchover", happens: async (side) => await side.switchover(), mended: () => {} },
  {
    name: "kill -9 of the primary's postmaster",
    happens: (_, leader) => leader.signal(/^\S*\/postgres -D/, "SIGKILL"),
    mended: () => {},
  },
  {
    name: "the primary's host lost",
    happens: (_, leader) => leader.unplug(),
    mended: (_, lab) => lab.heal(),
  },
];

/** What clients saw of one fault. */
interface Seen {
  readonly gap: number;
  readonly stale: number;
  readonly reads: number;
  readonly lost: number;
}

/** Lets each fault happen while clients write and read. */
async function measured(lab: Lab, side: Side): Promise<readonly Seen[]> {
  const seen: Seen[] = [];
  for (const fault of faults) {
    await side.ready();
    const leader = await side.leader();
    const { write, read } = await side.clients(leader);
    const traffic = await Traffic.start(write, read);
    await pause(QUIET);
    const since = performance.now();
    await fault.happens(side, leader);
    // The fault may take its time to show.
    await pause(QUIET);
    await traffic.goesOn(120_000);
    await pause(QUIET);
    const gap = traffic.longestGap(since);
    const { all: reads, stale } = traffic.readsSince(since);
    const lost = (await traffic.stop()).length;
    seen.push({ gap, stale, reads, lost });
    fault.mended(side, lab);
  }
  return seen;
}

async function inLab<T>(names: readonly string[], use: (lab: Lab) => Promise<T>): Promise<T> {
  return await inFolder(async (folder) => {
    const lab = await Lab.make(folder, names);
    try {
      return await use(lab);
    } finally {
      await lab.end();
    }
  });
}

async function plain(): Promise<readonly Seen[]> {
  return await inLab(HOSTS, async (lab) => {
    const patroni = await PlainPatroni.start(lab);
    return await measured(lab, {
      clients: async () => await Promise.resolve({ write: patroni.write, read: patroni.read }),
      leader: async () => await patroni.leader(),
      switchover: async () => await patroni.switchover(),
      ready: async () => await patroni.ready(),
    });
  });
}

/** Its clients are on a host that keeps its parts: each host has its own endpoints. */
async function ours(program: string): Promise<readonly Seen[]> {
  return await inLab(HOSTS.slice(0, 3), async (lab) => {
    const several = await SeveralHosts.start(lab, program);
    return await measured(lab, {
      async clients(lost) {
        const host = lab.hosts.find((one) => one !== lost);
        if (!host) throw new Error("no other host");
        return { write: await several.endpoint(host, "write"), read: await several.endpoint(host, "read") };
      },
      leader: async () => await several.leader(),
      switchover: async () => await several.switchover(),
      ready: async () => await several.ready(),
    });
  });
}

/** What a client sees of three hosts while they fail, beside Patroni by its defaults. */
export const hosts: Benchmark = {
  name: "hosts",
  title: "Several hosts",
  async measure(program) {
    const reason = cannotMakeHosts();
    if (reason !== undefined) return `Not measured: ${reason}.`;
    const [beside, own] = [await plain(), await ours(program)];
    const cells = (one: Seen | undefined): string[] =>
      one
        ? [`${(one.gap / 1000).toFixed(1)} s`, `${one.stale} of ${one.reads}`, String(one.lost)]
        : ["", "", ""];
    return [
      "Hosts are namespaces of one machine, three with a database each. One client inserts a row every 10 ms, four read. The",
      "gap is the longest time between two acknowledged rows; a read is stale that lacks a row which was acknowledged before",
      "it was sent. Beside it Patroni 4.0.7 with etcd 3.5.16 and HAProxy by the defaults and examples of their documents",
      "(synchronous mode; reads from `/replica`), where Patroni itself is asked for the switchover.",
      "",
      table(
        ["what happens", "gap", "stale reads", "rows lost", "plain Patroni: gap", "stale reads", "rows lost"],
        faults.map(({ name }, index) => [name, ...cells(own[index]), ...cells(beside[index])]),
      ),
    ].join("\n");
  },
};
