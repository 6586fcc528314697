import { beforeAll, expect, test } from "vitest";
import { waitFor } from "../../support/wait.ts";
import { close, open } from "../lab/client.ts";
import type { Host } from "../lab/host.ts";
import { describeOnHosts } from "../on-hosts.ts";
import { AGENT, ETCD, type Fault, PATRONI, Stage } from "./scene.ts";

const HAPROXY = /haproxy -W/;

/** What was stopped goes on; one that was killed meanwhile is no more. */
function wake(host: Host, command: RegExp): void {
  for (const { pid } of host.processes(command)) process.kill(pid, "SIGCONT");
}

/** Programs that hang elsewhere than on the primary's host, or of which the others have enough, and a line that is dead one way. */
const faults: readonly Fault[] = [
  {
    name: "etcd hangs on the primary's host alone (SIGSTOP)",
    passes: "writes pause 8 s at most; 0 rows lost, 0 reads stale",
    happens: ({ primary }) => primary.signal(ETCD, "SIGSTOP"),
    lasts: 12_000,
    ends: ({ primary }) => wake(primary, ETCD),
    most: 8000,
  },
  {
    name: "Patroni hangs on a replica's host (SIGSTOP)",
    passes: "no outage; 0 reads stale",
    happens: ({ replica }) => replica.signal(PATRONI, "SIGSTOP"),
    lasts: 15_000,
    ends: ({ replica }) => wake(replica, PATRONI),
    most: 3000,
  },
  {
    name: "the agent hangs on a replica's host (SIGSTOP)",
    passes: "writes go on; 0 reads stale",
    happens: ({ replica }) => replica.signal(AGENT, "SIGSTOP"),
    lasts: 10_000,
    ends: ({ replica }) => wake(replica, AGENT),
    most: 3000,
  },
  {
    name: "HAProxy hangs on the clients' host (SIGSTOP)",
    passes: "the agent starts another within 20 s; 0 rows lost, 0 reads stale",
    happens: ({ other }) => other.signal(HAPROXY, "SIGSTOP"),
    lasts: 15_000,
    most: 20_000,
  },
  {
    name: "what others send reaches the primary's host no more, what it sends reaches them",
    passes:
      "another host takes over when Patroni's lease of 20 s is over; no two accept commits at once; 0 rows lost, 0 reads stale",
    happens({ lab, primary }) {
      for (const host of lab.hosts) if (host !== primary) lab.cut(host, primary);
    },
    ends: ({ lab }) => lab.heal(),
    most: 25_000,
  },
];

describeOnHosts("three hosts, and what seldom happens to them", () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await Stage.of();
  }, 240_000);

  for (const fault of faults) test(fault.name, async () => await stage.suffers(fault), 200_000);

  test("two of three hosts lost: nobody writes, and when the second is back all goes on, with all that was acknowledged", async () => {
    const { lab, several, primary, replica, other } = await stage.scene();
    const write = await several.endpoint(other, "write");
    const before = await open(write);
    await before.query("CREATE TABLE kept AS SELECT 1 AS one");
    close(before);
    primary.unplug();
    replica.unplug();
    // Longer than the key of the primary lasts.
    await waitFor(
      "the last host to say that nobody is the primary",
      async () => /→ waits for a primary$/m.test((await several.run(other, "status")).stdout),
      { timeout: 60_000 },
    );
    expect((await several.run(other, "status")).stdout).toMatch(/^Failover: not ready/m);
    expect(await several.value(other, "SELECT pg_is_in_recovery()")).toBe(true);
    replica.plugIn();
    const after = await open(write);
    expect((await after.query("SELECT one FROM kept")).rows).toEqual([{ one: 1 }]);
    await after.query("DROP TABLE kept");
    close(after);
    lab.heal();
    await several.ready(other);
  }, 240_000);
});
