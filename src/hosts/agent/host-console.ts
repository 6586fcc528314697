import { ConsoleServer } from "../../console/console.ts";
import { OdooPgError } from "../../errors.ts";
import type { StatusDocument } from "../../cluster/documents/status.ts";
import { factsAccess } from "../../members/facts-node.ts";
import type { Runtime } from "../../members/runtime.ts";
import { Metrics } from "../../metrics/gather.ts";
import type { StatusSource } from "../../observe/status-source.ts";
import { OdooFactsCache } from "../../odoo/facts-cache.ts";
import { now } from "../../system/clock.ts";
import { copyAges, windowOfHosts } from "../decisions/any-second.ts";
import { pageOrderOf, pageOrders } from "../decisions/page-order.ts";
import type { HostOrder } from "../documents/orders.ts";
import type { HostsStatus } from "../documents/report.ts";
import { HOSTS_POLICY, hostsPage } from "../render/page.ts";
import { isHeard } from "../decisions/heard.ts";
import type { Outcome } from "./host.ts";
import type { HostAgentOptions } from "./found-here.ts";
import { notOffered, PageDesk } from "./orders/page-desk.ts";

export interface HostConsoleParts {
  readonly options: Pick<HostAgentOptions, "layout" | "program" | "version" | "log"> & {
    readonly machine: Pick<HostAgentOptions["machine"], "hostname">;
  };
  /** How odoo-pg is typed on this host, wherever one is. */
  readonly called: string;
  /** Of this host's own server; undefined where there is none. */
  readonly runtime: () => Runtime | undefined;
  readonly ownStatus: Pick<StatusSource, "disk" | "backups">;
  /** What alarms are judged by. */
  readonly judged: () => Promise<StatusDocument>;
  readonly hosts: () => Promise<HostsStatus>;
  readonly carryOut: (order: HostOrder) => Promise<Outcome>;
}

/** The page and the metrics of one of several hosts, at the console's address. */
export function hostConsole({
  options,
  called,
  runtime,
  ownStatus,
  judged,
  hosts,
  carryOut,
}: HostConsoleParts): ConsoleServer {
  const { layout, machine, program, version, log } = options;
  const desk = new PageDesk({ status: hosts, carryOut, called, log });
  const metrics = new Metrics({
    runtime,
    statusSource: {
      status: async () => withHostsWord(await judged(), await hosts()),
      disk: async (node) => await ownStatus.disk(node),
      backups: async () => await ownStatus.backups(),
    },
    facts: new OdooFactsCache(() => factsAccess(runtime())),
    poolLeaves: () => undefined,
    hosts: async () => {
      const status = await hosts();
      return {
        cluster: status.cluster,
        leads: status.store.answers && status.primary === status.seen_from,
        storeAnswers: status.store.answers,
        failoverReady: status.failover.ready,
        hosts: status.hosts.map((host) => ({ name: host.name, role: host.role, answers: isHeard(host) })),
        copies: windowOfHosts(status) === undefined ? [] : copyAges(status, now()),
      };
    },
    version,
  });
  return new ConsoleServer({
    layout,
    hostname: machine.hostname,
    program,
    source: {
      configFile: () => undefined,
      called,
      document: async () => {
        throw await Promise.resolve(
          new OdooPgError("refused", { message: "With several hosts the page is made on the host." }),
        );
      },
      samples: async () => await Promise.resolve([]),
      subscribe: () => () => {},
    },
    board: {
      page: async ({ token, asked, refused }) => {
        const status = await hosts();
        const wanted = pageOrderOf(asked, status, now());
        const isGone = token !== undefined && asked["order"] !== undefined && wanted === undefined;
        return hostsPage(status, runtime() ? (await judged()).warnings : [], {
          called,
          token,
          offers: pageOrders(status, now()),
          asked: wanted,
          refused: refused ?? (isGone ? notOffered() : undefined),
          last: desk.last,
          watching: asked["watch"] !== undefined,
        });
      },
      policy: HOSTS_POLICY,
      order: async (form, by) => await desk.begin(form, by),
    },
    metrics: async () => await metrics.text(),
    log,
  });
}

/** This host's server is one of several: whether it is read from, and how far it is behind, its agent knows. Pure. */
function withHostsWord(status: StatusDocument, hosts: HostsStatus): StatusDocument {
  const own = hosts.hosts.find(({ name }) => name === hosts.seen_from)?.report;
  return {
    ...status,
    nodes: status.nodes.map((node) => ({
      ...node,
      in_pool: own?.reads.includes(hosts.seen_from) ?? false,
      lag_bytes: own?.postgres?.lag_bytes ?? null,
    })),
  };
}
