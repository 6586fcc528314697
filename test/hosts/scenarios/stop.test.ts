import { Client } from "pg";
import { beforeAll, expect, test } from "vitest";
import { waitFor } from "../../support/wait.ts";
import type { Host } from "../lab/host.ts";
import { describeOnHosts } from "../on-hosts.ts";
import { type Fault, POSTMASTER, type Scene, SERVER, Stage } from "./scene.ts";

/** Milliseconds for a server that does not stop to be ended all the same: twice Patroni's patience, and a start. */
const ENDED = 40_000;

/** Freezes the server process of a session of its own: no order but a kill reaches it any more. */
async function freezeSession({ several, primary }: Scene): Promise<void> {
  const session = new Client(several.ownServer(primary).config);
  session.on("error", () => {});
  await session.connect();
  const { rows } = await session.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
  await primary.do(["kill", "-STOP", String(rows[0]?.pid)]);
}

/** The first process of a host's server, as seen from outside. */
function postmasterOf(host: Host): number | undefined {
  return host.processes(POSTMASTER)[0]?.pid;
}

/** Servers that do not end when they are told to. */
const faults: readonly Fault[] = [
  {
    name: "a switchover by plan whose server does not stop: one of its processes hangs",
    passes: "writes pause 15 s at most; 0 rows lost, 0 reads stale; the old primary comes back as a replica",
    async happens(scene) {
      await freezeSession(scene);
      await scene.several.switchover();
    },
    planned: true,
    most: 15_000,
  },
  {
    name: "the primary's host cut from both others, and its server does not stop",
    passes:
      "another host takes over when Patroni's lease of 20 s is over; the old server ends while it is cut off; 0 rows lost, 0 reads stale",
    async happens(scene) {
      const { lab, primary } = scene;
      const before = postmasterOf(primary);
      await freezeSession(scene);
      for (const host of lab.hosts) if (host !== primary) lab.part(primary, host);
      await waitFor("the old server to be ended", () => postmasterOf(primary) !== before, {
        timeout: ENDED,
      });
    },
    ends: ({ lab }) => lab.heal(),
    most: 25_000,
  },
  {
    name: "the primary's server hangs for good (SIGSTOP)",
    passes: "another host takes over; 0 rows lost, 0 reads stale; the host comes back by itself as a replica",
    happens: ({ primary }) => primary.signal(SERVER, "SIGSTOP"),
    afterwards: async ({ primary, several }) =>
      expect(await several.value(primary, "SELECT pg_is_in_recovery()")).toBe(true),
    most: 30_000,
  },
];

describeOnHosts("three hosts, and servers that do not stop", () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await Stage.of();
  }, 240_000);

  for (const fault of faults) test(fault.name, async () => await stage.suffers(fault), 200_000);
});
