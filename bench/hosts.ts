import { setTimeout as pause } from "node:timers/promises";
import type { ClientConfig } from "pg";
import type { Host } from "../test/hosts/lab/host.ts";
import { cannotMakeHosts, Lab } from "../test/hosts/lab/lab.ts";
import { PlainPatroni } from "../test/hosts/lab/plain-patroni.ts";
import { Traffic } from "../test/hosts/lab/traffic.ts";
import { type Benchmark, table } from "./table.ts";
import { inFolder } from "./throwaway.ts";

/** Three hosts with a database each, and clients. */
interface Side {
  readonly write: ClientConfig;
  readonly read: ClientConfig;
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
  readonly happens: (side: Side) => Promise<void>;
  readonly mended: (side: Side, lab: Lab) => void;
}

const faults: readonly Fault[] = [
  { name: "planned switchover", happens: async (side) => await side.switchover(), mended: () => {} },
  {
    name: "kill -9 of the primary's postmaster",
    happens: async (side) => (await side.leader()).signal(/^\S*postgres (-D|.*--config)/, "SIGKILL"),
    mended: () => {},
  },
  {
    name: "the primary's host lost",
    happens: async (side) => (await side.leader()).unplug(),
    mended: (_, lab) => lab.heal(),
  },
];

/** Lets each fault happen while clients write and read; a row of cells for each. */
async function measured(lab: Lab, side: Side): Promise<readonly (readonly string[])[]> {
  const traffic = await Traffic.start(side.write, side.read);
  const rows: { readonly gap: number; readonly reads: ReturnType<Traffic["readsSince"]> }[] = [];
  for (const fault of faults) {
    await side.ready();
    await pause(QUIET);
    const since = performance.now();
    await fault.happens(side);
    // The fault may take its time to show.
    await pause(QUIET);
    await traffic.goesOn(120_000);
    await pause(QUIET);
    rows.push({ gap: traffic.longestGap(since), reads: traffic.readsSince(since) });
    fault.mended(side, lab);
  }
  await side.ready();
  const lost = await traffic.stop();
  return [
    ...rows.map(({ gap, reads }, index) => [
      faults[index]?.name ?? "",
      `${(gap / 1000).toFixed(1)} s`,
      `${reads.stale} of ${reads.all}`,
    ]),
    ["acknowledged rows lost", `${lost.length} of ${traffic.commits.length}`, ""],
  ];
}

async function plainPatroni(): Promise<readonly (readonly string[])[]> {
  return await inFolder(async (folder) => {
    const lab = await Lab.make(folder, HOSTS);
    try {
      return await measured(lab, await PlainPatroni.start(lab));
    } finally {
      await lab.end();
    }
  });
}

/** What a client sees of three hosts while they fail, beside Patroni by its defaults. */
export const hosts: Benchmark = {
  name: "hosts",
  title: "Several hosts",
  async measure() {
    const reason = cannotMakeHosts();
    if (reason !== undefined) return `Not measured: ${reason}.`;
    const plain = await plainPatroni();
    return [
      "Hosts are network namespaces of one machine: three with a database each, and one with the clients. One client inserts",
      "a row every 10 ms, four read. The gap is the longest time between two acknowledged rows; a read is stale that lacks",
      "a row which was acknowledged before it was sent. Beside it Patroni 4.0.7 with etcd 3.5.16 and HAProxy by the defaults",
      "and examples of their documents (synchronous mode; reads from `/replica`).",
      "",
      table(["what happens", "plain Patroni: gap", "stale reads"], plain),
    ].join("\n");
  },
};
