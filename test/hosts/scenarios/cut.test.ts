import { beforeAll, test } from "vitest";
import type { Host } from "../lab/host.ts";
import { type Lab } from "../lab/lab.ts";
import { describeOnHosts } from "../on-hosts.ts";
import { type Fault, Stage } from "./scene.ts";

/** Ports of etcd, for clients and for its own members. */
const STORE = [2379, 2380];

function others(lab: Lab, host: Host): readonly Host[] {
  return lab.hosts.filter((one) => one !== host);
}

const heal = ({ lab }: { readonly lab: Lab }): void => lab.heal();

/** Hosts that do not reach each other any more, or not in everything. */
const faults: readonly Fault[] = [
  {
    name: "the primary's host cut from both others; clients on it stay",
    passes:
      "another host takes over when Patroni's lease of 20 s is over; no two accept commits at once; 0 rows lost, 0 reads stale",
    happens({ lab, primary }) {
      for (const host of others(lab, primary)) lab.part(primary, host);
    },
    ends: heal,
    most: 25_000,
  },
  {
    name: "what the primary's host sends reaches nobody, what others send reaches it",
    passes:
      "another host takes over when Patroni's lease of 20 s is over; no two accept commits at once; 0 rows lost, 0 reads stale",
    happens({ lab, primary }) {
      for (const host of others(lab, primary)) lab.cut(primary, host);
    },
    ends: heal,
    most: 25_000,
  },
  {
    name: "the primary's host cut from etcd alone",
    passes:
      "writes go on, or another host takes over when Patroni's lease of 20 s is over; 0 rows lost, 0 reads stale",
    happens({ lab, primary }) {
      for (const host of others(lab, primary)) {
        for (const port of STORE) {
          lab.cut(primary, host, { port, of: "to" });
          lab.cut(host, primary, { port, of: "to" });
        }
      }
    },
    lasts: 35_000,
    ends: heal,
    most: 25_000,
  },
  {
    name: "the WAL stream to a replica dropped in silence",
    passes: "writes pause 8 s at most; 0 reads stale",
    happens: ({ lab, primary, replica }) => lab.cut(primary, replica, { port: 5433, of: "from" }),
    ends: heal,
    most: 8000,
  },
  {
    name: "a replica's host lost, and back",
    passes: "writes pause 8 s at most; 0 reads stale",
    happens: ({ replica }) => replica.unplug(),
    ends: heal,
    most: 8000,
  },
  {
    name: "two switchovers in a row",
    passes: "writes pause 2.5 s at most each time; 0 rows lost, 0 reads stale",
    async happens({ several, primary }) {
      await several.switchover();
      await several.ready(primary);
      await several.switchover();
    },
    most: 4000,
  },
];

describeOnHosts("three hosts, and lines between them that are cut", () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await Stage.of();
  }, 240_000);

  for (const fault of faults) test(fault.name, async () => await stage.suffers(fault), 200_000);
});
