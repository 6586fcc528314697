import { randomUUID } from "node:crypto";
import { mkdirSync } from "node:fs";
import { layoutOf } from "../../../src/config/layout.ts";
import { configSchema } from "../../../src/config/schema.ts";
import { hostConsole } from "../../../src/hosts/agent/host-console.ts";
import type { Outcome } from "../../../src/hosts/agent/host.ts";
import type { HostOrder } from "../../../src/hosts/documents/orders.ts";
import { hostsStatusSchema, type HostsStatus } from "../../../src/hosts/documents/report.ts";
import { freePort } from "../../support/ports.ts";
import { atEnd } from "../../support/scope.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { shownHost } from "../../hosts/standins.ts";

const host = (name: string) =>
  shownHost(name, {
    reads: ["db2", "db3"],
    kept_aside: ["/var/lib/odoo-pg/aside/data-20261129"],
    filling_disks: [{ path: "/srv/data", total_bytes: 1_000_000_000, free_bytes: 20_000_000 }],
  });

export const three: HostsStatus = hostsStatusSchema.parse({
  version: 1,
  cluster: "odoo",
  seen_from: "db2",
  store: { answers: true, seconds_ago: 0 },
  primary: "db1",
  synchronous: ["db2", "db3"],
  paused: false,
  failover: { ready: true, obstacles: [], away: ["db3"] },
  endpoints: { write: 5436, read: 5435 },
  hosts: [host("db1"), host("db2"), { ...host("db3"), seconds_ago: 70 }],
});

/** The console of one of several hosts, as its agent serves it; the hosts themselves are stood in for. */
export async function hosts(first: HostsStatus = three) {
  const port = await freePort();
  const folder = temporaryFolder();
  mkdirSync(layoutOf(folder).secretsDir);
  const orders: HostOrder[] = [];
  let status = first;
  let carryOut: (order: HostOrder) => Promise<Outcome> = async () => await Promise.reject(new Error("?"));
  const server = hostConsole({
    options: {
      layout: layoutOf(folder),
      machine: { hostname: "db2" },
      program: [process.execPath, "none"],
      version: "0.2.0",
      log: () => {},
    },
    called: "odoo-pg",
    runtime: () => undefined,
    ownStatus: {
      disk: async () => await Promise.reject(new Error("no server")),
      backups: async () => await Promise.reject(new Error("no server")),
    },
    judged: async () => await Promise.reject(new Error("no server")),
    hosts: async () => await Promise.resolve(status),
    carryOut: async (order) => {
      orders.push(order);
      return await carryOut(order);
    },
  });
  atEnd(async () => await server.close());
  const cluster = `t${randomUUID().slice(0, 8)}`;
  await server.apply({
    ...configSchema.parse({ cluster, console: { port } }),
    state_dir: folder,
    listen: ["127.0.0.1"],
  });
  return {
    url: `http://127.0.0.1:${port}/`,
    orders,
    link: () => server.newLink().link,
    be: (changes: Partial<HostsStatus>) => {
      status = { ...status, ...changes };
    },
    answer: (how: typeof carryOut) => {
      carryOut = how;
    },
  };
}
