import { beforeAll, expect, test } from "vitest";
import { describeOnHosts } from "../on-hosts.ts";
import type { Host } from "../lab/host.ts";
import { waitFor } from "../../support/wait.ts";
import { AGENT, ETCD, type Fault, PATRONI, POSTMASTER, REPLAY, SERVER, Stage } from "./scene.ts";

/** Of these the others follow: they run in CI. */
const faults: readonly Fault[] = [
  {
    name: "switchover by plan",
    passes: "writes pause 2.5 s at most; 0 acknowledged rows lost, 0 reads stale",
    happens: async ({ several }) => await several.switchover(),
    planned: true,
    most: 4000,
  },
  {
    name: "kill -9 of the primary's postmaster",
    passes: "another host takes over within 6 s; 0 acknowledged rows lost, 0 reads stale",
    happens: ({ primary }) => primary.signal(POSTMASTER, "SIGKILL"),
    most: 6000,
  },
  {
    name: "a replica's server stopped (SIGSTOP)",
    passes: "writes pause 8 s at most; 0 reads stale",
    happens: ({ replica }) => replica.signal(SERVER, "SIGSTOP"),
    ends: ({ replica }) => replica.signal(SERVER, "SIGCONT"),
    most: 8000,
  },
  {
    name: "a replica's replay hangs, while it still receives",
    passes: "writes pause 8 s at most; 0 reads stale",
    happens: ({ replica }) => replica.signal(REPLAY, "SIGSTOP"),
    ends: ({ replica }) => replica.signal(REPLAY, "SIGCONT"),
    most: 8000,
  },
  {
    name: "all of etcd stopped",
    passes: "writes go on",
    happens: ({ lab }) => {
      for (const host of lab.hosts) host.signal(ETCD, "SIGSTOP");
    },
    // Longer than Patroni waits for its store.
    lasts: 12_000,
    ends: ({ lab }) => {
      for (const host of lab.hosts) for (const { pid } of host.processes(ETCD)) process.kill(pid, "SIGCONT");
    },
    most: 5000,
  },
  {
    name: "kill -9 of Patroni on the primary's host",
    passes: "no outage",
    happens: ({ primary }) => primary.signal(PATRONI, "SIGKILL"),
    most: 3000,
  },
  {
    name: "kill -9 of the agent on the primary's host",
    passes: "no outage; 0 reads stale",
    happens: ({ primary }) => primary.signal(AGENT, "SIGKILL"),
    ends: async ({ several, primary }) => void (await several.do(primary, "up")),
    most: 3000,
  },
  {
    name: "the primary's host lost, and back",
    passes:
      "another host takes over when Patroni's lease of 20 s is over; 0 acknowledged rows lost, 0 reads stale; the host comes back as a replica, its diverged data kept aside",
    happens: ({ primary }) => primary.unplug(),
    ends: ({ lab }) => lab.heal(),
    // What it wrote to the end, and nobody acknowledged, is kept.
    afterwards: async ({ primary, other, several }) => {
      const kept = await primary.do(["sh", "-c", "ls -d /srv/s/nodes/*/data.aside-rewound/*/PG_VERSION"]);
      const newest = kept.split("\n").at(-1)?.replace("/PG_VERSION", "") ?? "";
      expect(newest).not.toBe("");
      // Each host looks at its disk every few seconds.
      await waitFor("another host to tell of it", async () => {
        const told = await several.do(other, "status");
        if (told.includes(`Kept aside, yours to remove: ${primary.name}: `) && told.includes(newest))
          return true;
        throw new Error(told);
      });
    },
    most: 25_000,
  },
];

describeOnHosts("three hosts, made of one that ran", () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await Stage.of();
  }, 240_000);

  test("each host shows the cluster on a page and tells metrics, and the primary's alone what is of all", async () => {
    const { several, lab } = stage;
    await several.ready();
    const primary = await several.leader();
    const other = lab.hosts.find((host) => host !== primary) ?? primary;
    const planned = await several.run(other, "switchover", "--dry-run");
    expect(planned.stderr).toMatch(/^plan 2\. reads go to the primary, on every host$/m);
    expect(planned.stderr).toContain("Dry run: nothing was changed.");
    expect(await several.leader()).toBe(primary);
    const get = async (host: Host, path: string): Promise<string> =>
      await host.do(["curl", "-sSf", "--max-time", "10", `http://127.0.0.1:5050${path}`]);
    for (const host of lab.hosts) {
      const page = await get(host, "/");
      expect(page).toContain(`as ${host.name} sees it`);
      expect(page).toContain("Failover: ready");
      expect(await several.do(host, "console")).toMatch(/^http:\/\/127\.0\.0\.1:5050\/sign-in\?key=/m);
      // An agent that has just begun has not looked yet.
      let metrics = "";
      await waitFor("a look at the own server", async () =>
        /^pg_up\{.*\} 1$/m.test((metrics = await get(host, "/metrics"))),
      );
      expect(metrics).toMatch(/^odoo_pg_store_answers\{.*\} 1$/m);
      const ofAll = /^odoo_pg_(?:failover_ready|host_answers|backup_enabled)\{/m;
      if (host === primary) expect(metrics).toMatch(ofAll);
      else expect(metrics).not.toMatch(ofAll);
      expect(metrics).toMatch(new RegExp(`^odoo_pg_node_primary\\{.*\\} ${host === primary ? 1 : 0}$`, "m"));
    }
  }, 60_000);

  for (const fault of faults) test(fault.name, async () => await stage.suffers(fault), 200_000);
});
