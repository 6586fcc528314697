import type { Part } from "../../agent/loop.ts";
import { monotonic } from "../../system/clock.ts";
import { makesBackups } from "../decisions/backups.ts";
import type { HostParts } from "./host-parts.ts";

/** Milliseconds between two looks at the store's members and at the agents of other hosts, and at what is the leader's to do. */
const MEMBERS_EVERY = 1000;
/** The same for members where the last look found all of them level: each look asks every one. */
const LEVEL_MEMBERS_EVERY = 2500;
const OTHERS_EVERY = 1000;

/** Milliseconds between two looks when this host's certificate ends. */
const CERTIFICATE_EVERY = 60_000;

/** Milliseconds between two questions whether the primary still is one, while the store says nothing of it. */
const CONFIRM_EVERY = 1000;

/** What the agent of one of several hosts does in each turn, in this order. @param wake makes the next one begin soon */
export function hostTurns(parts: HostParts, wake: () => void): Part[] {
  const { store, servers, node, routing, supervisor, revocations, work, guest } = parts;
  const { etcdService, patroni, endpoints, poolers, certificate, door, alarms } = parts;
  const { backups, attachments, archive, ownership } = parts;
  /** Whether this host does what is the primary's host's: no other one does so at the same time. */
  const isPrimarys = (): boolean => store.isListed && makesBackups(store.record.name, routing.writes);

  /** What hosts with access to the store do. */
  const withStore: Part[] = [
    aside(
      "members of the store",
      async () => await store.lookAtMembers(),
      () => (store.isLevel ? LEVEL_MEMBERS_EVERY : MEMBERS_EVERY),
    ),
    aside("other hosts", async () => await parts.others.ask(), OTHERS_EVERY),
    aside("revoked certificates", async () => await revocations.keepOut(), MEMBERS_EVERY),
    aside("whether this host was removed", async () => await revocations.askWhetherListed(), OTHERS_EVERY),
    aside(
      "work of the primary's host",
      async () => {
        // What a removed host no longer does: another machine may have its name by now.
        if (store.isListed) await work.do();
      },
      MEMBERS_EVERY,
    ),
  ];

  return [
    aside("store", async () => await (guest ? guest.read(await parts.report()) : store.read())),
    { name: "look", run: async () => await servers.look() },
    { name: "own server", run: async () => await node.observe(), aside: true },
    {
      name: "routing",
      run: () => {
        routing.decide();
        // While clients wait each look counts.
        if (!routing.isPrimaryUp) wake();
      },
    },
    ...(endpoints
      ? [
          { name: "haproxy", run: async () => await supervisor.check(endpoints) },
          { name: "endpoints", run: async () => await routing.lead(endpoints) },
          aside("right of the primary", async () => await routing.confirm(), CONFIRM_EVERY),
          { name: "routing's record", run: async () => await routing.remember() },
        ]
      : []),
    ...(poolers
      ? [
          aside("pgbouncer", async () => await poolers.supervise(supervisor)),
          aside("pgbouncer's roles", async () => await poolers.tick()),
        ]
      : []),
    aside("configuration", async () => await parts.applied.apply()),
    ...(guest ? [] : withStore),
    aside("pool", async () => await routing.keepPool()),
    aside("data", async () => await parts.data.ensure()),
    aside(
      "certificate",
      async () =>
        await certificate.renew(async () => {
          door.renew();
          // etcd reads its own at each connection.
          await patroni?.reload();
        }),
      CERTIFICATE_EVERY,
    ),
    aside("removed", async () => await node.ceaseWhereRemoved(patroni)),
    // Not one at a time: while one is started it is still asked whether it hangs.
    ...[etcdService, patroni].flatMap((service): Part[] =>
      service ? [{ name: service.name, run: async () => await supervisor.check(service), aside: true }] : [],
    ),
    { name: "console", run: () => parts.console.tick() },
    aside("databases' owners", async () => {
      if (node.runtime) await ownership.tick(node.runtime);
    }),
    {
      name: "backup",
      run: async () => {
        if (node.runtime && isPrimarys()) await backups.tick(node.runtime);
      },
    },
    aside("attachments", async () => {
      // As backups: into the folder of the primary's host, from the filestore that it has.
      if (node.runtime && isPrimarys()) await attachments.tick(node.runtime);
      else await attachments.close();
    }),
    aside("archive", async () => await archive.tick(isPrimarys())),
    {
      name: "alarms",
      run: () => {
        if (node.runtime) alarms.tick(node.runtime, parts.judged);
      },
    },
  ];
}

/**
 * A part that the others do not wait for, and that is not begun again while it is still running.
 * @param least milliseconds between two times that it is begun, or what says how many these are now
 */
function aside(name: string, act: () => Promise<void>, least: number | (() => number) = 0): Part {
  let isRunning = false;
  let begun = -Infinity;
  const isDue = (): boolean => monotonic() - begun >= (typeof least === "number" ? least : least());
  const run = async (): Promise<void> => {
    if (isRunning || !isDue()) return;
    isRunning = true;
    begun = monotonic();
    try {
      await act();
    } finally {
      isRunning = false;
    }
  };
  return { name, run, aside: true };
}
