import { isPooled } from "../../config/pooling.ts";
import { LONG_WAIT_SECONDS } from "../../model/waiting.ts";
import { warning, type FoundWarning } from "../../model/warnings.ts";
import { odooPg } from "../../next-step.ts";
import type { ClusterView } from "../view.ts";

/** Of HAProxy, PgBouncer, and the clients that wait there. */
export function endpoints({ input }: ClusterView): FoundWarning[] {
  const { agent, config } = input;
  const { host, readAnswers, writeAnswers } = input.endpoints;
  const next = agent?.keeping ? odooPg("logs", "haproxy") : odooPg("up");
  if (agent?.operation === "up" && !agent.haproxy) {
    return [
      warning("haproxy_down", {
        message: "The endpoints are not open yet: the cluster is starting.",
        next: odooPg("status", "--watch"),
      }),
    ];
  }
  const poolers = silentPoolers(input);
  if (agent?.haproxy === false || (readAnswers === false && writeAnswers === false && !poolers.length)) {
    return [
      warning("haproxy_down", {
        message: "HAProxy does not answer: neither endpoint serves.",
        next,
      }),
    ];
  }
  // An endpoint that PgBouncer does not serve is reported as such.
  const isTold = (name: Endpoint): boolean => agent?.poolers?.[name]?.answers === false;
  const closed = [
    ...(readAnswers === false ? (["read"] as const) : []),
    ...(writeAnswers === false ? (["write"] as const) : []),
  ].filter((name) => !isTold(name));
  return [
    ...closed.map((name) =>
      warning("endpoint_down", {
        message: `The ${name} endpoint (${host}:${config.endpoints[name].port}) takes no connections.`,
        next: agent?.keeping && isPooled(config, name) ? odooPg("logs", POOLER_LOG[name]) : next,
      }),
    ),
    ...poolers,
    ...waitingClients(input),
  ];
}

type Endpoint = "read" | "write";

/** The log of the PgBouncer in front of each endpoint. */
const POOLER_LOG = { write: "pgbouncer", read: "pgbouncer-read" } as const;

function silentPoolers({ agent, config, endpoints: { host } }: ClusterView["input"]): FoundWarning[] {
  return (["write", "read"] as const)
    .filter((name) => agent?.poolers?.[name]?.answers === false)
    .map((name) =>
      warning("endpoint_down", {
        message: `PgBouncer does not answer: the ${name} endpoint (${host}:${config.endpoints[name].port}) serves nobody.`,
        next: odooPg("logs", POOLER_LOG[name]),
      }),
    );
}

/** A restart is over before this is said; what stays is a server that is full, or not there. */
function waitingClients({ agent, config }: ClusterView["input"]): FoundWarning[] {
  return (["write", "read"] as const).flatMap((name) => {
    const waiting = agent?.waiting_clients?.[name];
    if (!waiting || waiting.longest_seconds < LONG_WAIT_SECONDS) return [];
    const { clients, longest_seconds } = waiting;
    const who = clients === 1 ? "1 client waits" : `${clients} clients wait`;
    return [
      warning("clients_waiting", {
        message: `${who} at the ${name} endpoint for a server, for up to ${Math.round(longest_seconds)} s: it is full or down. After ${config.endpoints.wait_seconds} s they are refused.`,
        next: odooPg("doctor"),
      }),
    ];
  });
}
