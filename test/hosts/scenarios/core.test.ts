import { setTimeout as pause } from "node:timers/promises";
import { beforeAll, describe, expect, test } from "vitest";
import { figure, seconds } from "../../faults/figures.ts";
import { program } from "../../support/program.ts";
import { atEnd } from "../../support/scope.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait.ts";
import type { Host } from "../lab/host.ts";
import { cannotMakeHosts, Lab } from "../lab/lab.ts";
import { Traffic } from "../lab/traffic.ts";
import { SeveralHosts } from "../several-hosts.ts";

const reason = cannotMakeHosts();
if (reason !== undefined) console.warn(`No hosts are tried: ${reason}.`);

/** Of a host's processes. */
const POSTMASTER = /^\S*\/postgres -D/;
const SERVER = /postgres/;
const REPLAY = /^postgres: .*startup/;
const PATRONI = /bin\/patroni /;
const ETCD = /bin\/etcd /;
const AGENT = /odoo-pg\.mjs agent/;

/** Milliseconds that a fault lasts, unless it is one of a moment. */
const LASTING = 10_000;

interface Fault {
  readonly name: string;
  /** What the promise is, for the table. */
  readonly passes: string;
  readonly happens: (primary: Host, replica: Host) => Promise<void> | void;
  readonly ends?: (primary: Host, replica: Host) => Promise<void> | void;
  /** Most milliseconds between two acknowledged rows; twice that on a busy machine. */
  readonly most: number;
}

describe.skipIf(reason !== undefined)("three hosts, made of one that ran", () => {
  let lab: Lab;
  let several: SeveralHosts;

  beforeAll(async () => {
    const begin = performance.now();
    lab = await Lab.make(temporaryFolder(), ["h1", "h2", "h3"]);
    atEnd(async () => await lab.end());
    several = await SeveralHosts.start(lab, program());
    figure(
      "Hosts: three empty hosts made highly available",
      "status says ready",
      seconds(performance.now() - begin),
    );
  }, 240_000);

  /** Lets a fault happen while clients on a host that keeps its parts write and read. */
  async function suffers({ name, passes, happens, ends, most }: Fault): Promise<void> {
    await several.ready();
    const primary = await several.leader();
    const [replica, other] = lab.hosts.filter((host) => host !== primary);
    if (!replica || !other) throw new Error("fewer than three hosts");
    const [write, read] = [await several.endpoint(other, "write"), await several.endpoint(other, "read")];
    const traffic = await Traffic.start(write, read);
    try {
      await waitFor("reads from replicas", () => traffic.reads.slice(-20).some(({ byReplica }) => byReplica));
      const since = performance.now();
      await happens(primary, replica);
      await pause(ends ? LASTING : 2000);
      await traffic.goesOn(90_000);
      await ends?.(primary, replica);
      await several.ready(other);
      await traffic.goesOn();
      const gap = traffic.longestGap(since);
      const { all, stale, byReplica } = traffic.readsSince(since);
      const lost = await traffic.stop();
      figure(
        `Hosts: ${name}`,
        passes,
        `${lost.length} of ${traffic.commits.length} rows lost; ${stale} of ${all} reads stale; writes paused ${seconds(gap)}`,
      );
      expect(lost, "acknowledged rows that are missing").toEqual([]);
      expect(stale, "reads that lack an acknowledged row").toBe(0);
      expect(byReplica).toBeGreaterThan(0);
      expect(gap, "longest time without an acknowledged row").toBeLessThan(2 * most);
    } finally {
      await traffic.stop().catch(() => []);
    }
  }

  const faults: readonly Fault[] = [
    {
      name: "kill -9 of the primary's postmaster",
      passes: "another host takes over; 0 acknowledged rows lost, 0 reads stale",
      happens: (primary) => primary.signal(POSTMASTER, "SIGKILL"),
      most: 10_000,
    },
    {
      name: "a replica's server stopped (SIGSTOP)",
      passes: "writes pause 8 s at most; 0 reads stale",
      happens: (_, replica) => replica.signal(SERVER, "SIGSTOP"),
      ends: (_, replica) => replica.signal(SERVER, "SIGCONT"),
      most: 8000,
    },
    {
      name: "a replica's replay hangs, while it still receives",
      passes: "writes pause 8 s at most; 0 reads stale",
      happens: (_, replica) => replica.signal(REPLAY, "SIGSTOP"),
      ends: (_, replica) => replica.signal(REPLAY, "SIGCONT"),
      most: 8000,
    },
    {
      name: "the WAL stream to a replica dropped in silence",
      passes: "writes pause 8 s at most; 0 reads stale",
      happens: (primary, replica) => lab.cut(primary, replica, { port: 5433, of: "from" }),
      ends: () => lab.heal(),
      most: 8000,
    },
    {
      name: "all of etcd stopped",
      passes: "writes go on",
      happens: () => {
        for (const host of lab.hosts) host.signal(ETCD, "SIGSTOP");
      },
      ends: () => {
        for (const host of lab.hosts)
          for (const { pid } of host.processes(ETCD)) process.kill(pid, "SIGCONT");
      },
      most: 5000,
    },
    {
      name: "kill -9 of Patroni on the primary's host",
      passes: "no outage",
      happens: (primary) => primary.signal(PATRONI, "SIGKILL"),
      most: 3000,
    },
    {
      name: "kill -9 of the agent on the primary's host",
      passes: "no outage; 0 reads stale",
      happens: (primary) => primary.signal(AGENT, "SIGKILL"),
      ends: async (primary) => void (await several.do(primary, "up")),
      most: 3000,
    },
    {
      name: "the primary's host lost, and back",
      passes:
        "writes again within 25 s; 0 acknowledged rows lost, 0 reads stale; the host comes back as a replica",
      happens: (primary) => primary.unplug(),
      ends: () => lab.heal(),
      most: 30_000,
    },
  ];

  for (const fault of faults) test(fault.name, async () => await suffers(fault), 200_000);
});
