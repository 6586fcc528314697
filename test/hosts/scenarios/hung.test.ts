import { setTimeout as pause } from "node:timers/promises";
import { beforeAll, expect, test } from "vitest";
import type { Host } from "../lab/host.ts";
import { type Lab } from "../lab/lab.ts";
import { describeOnHosts } from "../on-hosts.ts";
import { AGENT, ETCD, type Fault, PATRONI, type Scene, SERVER, Stage } from "./scene.ts";

/** Milliseconds after which Patroni's lease on the primary is over for certain. */
const BEYOND_LEASE = 27_000;

const wakes =
  (command: RegExp) =>
  ({ primary }: Scene): void => {
    for (const { pid } of primary.processes(command)) process.kill(pid, "SIGCONT");
  };

/** The host whose etcd leads the others. */
async function leaderOfStore({ lab, several, other }: Scene): Promise<Host> {
  const sheet = (await several.run(other, "status")).stdout;
  const name = /^(\w+) .*yes, leads/m.exec(sheet)?.[1];
  if (name === undefined) throw new Error(`nobody leads the store:\n${sheet}`);
  return lab.host(name);
}

/** Has the primary's host lead the store: by stopping the others' members for a moment, one after another. */
async function leadStoreFrom(scene: Scene): Promise<void> {
  for (let tries = 0; tries < 10; tries += 1) {
    const leader = await leaderOfStore(scene);
    if (leader === scene.primary) return;
    leader.signal(ETCD, "SIGSTOP");
    await pause(2500);
    leader.signal(ETCD, "SIGCONT");
    await pause(1500);
  }
  throw new Error("the primary's host does not come to lead the store");
}

function all(lab: Lab, command: RegExp, signal: NodeJS.Signals): void {
  for (const host of lab.hosts) host.signal(command, signal);
}

/** Programs that stand still or are killed, and hosts that do. */
const faults: readonly Fault[] = [
  {
    name: "Patroni hangs on the primary's host (SIGSTOP)",
    passes: "no two hosts accept commits at once; writes pause 25 s at most; 0 rows lost, 0 reads stale",
    happens: ({ primary }) => primary.signal(PATRONI, "SIGSTOP"),
    lasts: BEYOND_LEASE,
    ends: wakes(PATRONI),
    most: 25_000,
  },
  {
    name: "the agent hangs on the primary's host (SIGSTOP)",
    passes: "writes go on; 0 reads stale",
    happens: ({ primary }) => primary.signal(AGENT, "SIGSTOP"),
    lasts: 10_000,
    ends: wakes(AGENT),
    most: 3000,
  },
  {
    name: "the primary's server hangs (SIGSTOP), and wakes",
    passes: "another host takes over; no two accept commits at once; 0 rows lost, 0 reads stale",
    happens: ({ primary }) => primary.signal(SERVER, "SIGSTOP"),
    lasts: BEYOND_LEASE,
    ends: wakes(SERVER),
    most: 30_000,
  },
  {
    name: "the primary's host freezes as a whole, and wakes after another has taken over",
    passes: "no two hosts accept commits at once; 0 rows lost, 0 reads stale",
    happens: ({ primary }) => primary.signal(/./, "SIGSTOP"),
    lasts: BEYOND_LEASE,
    ends: wakes(/./),
    most: 25_000,
  },
  {
    name: "kill -9 of etcd on the primary's host",
    passes: "no outage",
    happens: ({ primary }) => primary.signal(ETCD, "SIGKILL"),
    most: 3000,
  },
  {
    name: "kill -9 of etcd on all hosts",
    passes: "no outage",
    happens: ({ lab }) => all(lab, ETCD, "SIGKILL"),
    most: 5000,
  },
  {
    name: "the primary's host lost, whose etcd leads the others",
    passes: "another host takes over when Patroni's lease of 20 s is over; 0 rows lost, 0 reads stale",
    async happens(scene) {
      await leadStoreFrom(scene);
      scene.primary.unplug();
    },
    ends: ({ lab }) => lab.heal(),
    most: 28_000,
  },
  {
    name: "a replica copied anew (reseed)",
    passes: "no outage; its old data is kept aside",
    async happens({ several, replica }) {
      await several.do(replica, "reseed");
    },
    async afterwards({ replica }) {
      const aside = await replica.do(["sh", "-c", "ls -d /srv/s/nodes/*/data.aside-[0-9]*"]);
      expect(aside.split("\n")).toHaveLength(1);
    },
    most: 8000,
  },
];

describeOnHosts("three hosts, and programs that hang", () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await Stage.of();
  }, 240_000);

  for (const fault of faults) test(fault.name, async () => await stage.suffers(fault), 200_000);
});
