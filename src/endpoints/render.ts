import { createHash } from "node:crypto";
import { endpointHost, isAddress, POOLED_TO } from "../config/values/addresses.ts";
import type { Consistency } from "../config/schema.ts";
import { RELATIVE } from "./files.ts";
import { gateFile, type GateInput } from "./gate.ts";
import {
  fallbackServer,
  frontendOf,
  nextWorker,
  NOBODY,
  pooledFrontendOf,
  poolServer,
  SERVERS_PORT,
  WAITING_LINE,
  writeServer,
  type Backend,
  type Membership,
} from "./servers.ts";

interface Listening {
  readonly port: number;
  /** Whether PgBouncer listens on the port, and HAProxy behind it. */
  readonly pooled?: boolean;
}

/** What HAProxy's configuration is made from. */
export interface HaproxyInput {
  readonly nodes: readonly {
    readonly name: string;
    readonly host: string;
    readonly port: number;
    /** The address to connect to it from: by it pg_hba.conf tells connections that come through HAProxy. */
    readonly source?: string | undefined;
    /** Whether it runs on this host, so that HAProxy reaches its Unix socket. */
    readonly own?: boolean;
  }[];
  readonly read: Listening & { readonly consistency: Consistency };
  readonly write: Listening;
  /** Addresses to listen on, as in the configuration: `*`, `0.0.0.0`, `::`, IP addresses, host names. */
  readonly listen: readonly string[];
  /** Networks in CIDR form that may connect, with TLS. */
  readonly networks: readonly string[];
  /** Whether this machine has IPv6: where not, `*` means IPv4 only. */
  readonly hasIpv6: boolean;
  /** Sessions at once, over both endpoints: above the sum of the nodes' max_connections. */
  readonly maxSessions: number;
  /** How clients wait for a server. */
  readonly gate: GateInput;
  /** Whether nodes are on other hosts: PgBouncer then speaks TLS to them through HAProxy, so it connects by TCP. */
  readonly elsewhere?: boolean;
  /** Sources that count as this host; default 127.0.0.0/8 and ::1. */
  readonly loopback?: readonly string[];
}

const LOOPBACK: readonly string[] = ["127.0.0.0/8", "::1/128"];

/** Milliseconds for one attempt to reach a server, and between two attempts. */
const ATTEMPT_MS = 250;
/** Seconds for a client's first bytes, besides the time for which it may wait for a server. */
const WORD_SECONDS = 15;
/**
 * First bytes of a connection, in hex: of one that asks for TLS, of one that only cancels a query (older clients send it
 * without TLS; it carries no data), and of one that begins TLS at once.
 * Source: PostgreSQL, "Message Formats": SSLRequest, CancelRequest; RFC 8446 5.1: a handshake record begins with 22.
 */
const SSL_REQUEST = "0000000804d2162f";
const CANCEL_REQUEST = "0000001004d2162e";
const TLS_HANDSHAKE = "16";

/** Start of `description` in `show info`; the fingerprint of the running configuration follows. */
export const DESCRIPTION_PREFIX = "odoo-pg-";

/** Identifies a configuration, whichever nodes are in the pool. */
export function fingerprintOf(input: HaproxyInput): string {
  return createHash("sha256")
    .update(render(input, NOBODY, ""))
    .digest("hex")
    .slice(0, 16);
}

/**
 * HAProxy's configuration (2.4 and later). Pure: the same input always gives the same bytes.
 * @param membership the servers that are ready as soon as it is loaded: at a reload those of the moment, at a start none.
 *   Later changes go by orders over the socket, not by the file.
 */
export function renderHaproxy(input: HaproxyInput, membership: Membership = NOBODY): string {
  return render(input, membership, fingerprintOf(input));
}

function render(input: HaproxyInput, membership: Membership, fingerprint: string): string {
  return `${[
    "# Made by odoo-pg. Changes are lost: change odoo-pg.yaml and run odoo-pg up.",
    "",
    ...section("global", [
      `description ${DESCRIPTION_PREFIX}${fingerprint}`,
      `maxconn ${input.maxSessions}`,
      `lua-load ${gateFile(input.gate)}`,
      // With more threads 2.6 forgets to wake connections that wait in Lua (seen around reloads). One is plenty for Odoo.
      "nbthread 1",
      // Where the limit of open files is too low, fewer sessions are better than no start.
      "no strict-limits",
      "log stdout format iso local0 notice",
    ]),
    ...section("defaults", [
      "mode tcp",
      "log global",
      "option tcplog",
      // Only sessions with an error are logged, and at a level that the log keeps.
      "option dontlog-normal",
      "option log-separate-errors",
      // A connection without data is a check that the port is open, as the agent makes them: not a failed session.
      "option dontlognull",
      // Sessions last for hours: a server that comes back gets the next ones.
      "balance leastconn",
      `timeout connect ${ATTEMPT_MS}ms`,
      // A client whose server went away just after the gate let it through waits by these retries.
      `retries ${Math.ceil((input.gate.waitSeconds * 1000) / ATTEMPT_MS)}`,
      "option redispatch 1",
      // Pooled connections are idle for hours; keepalive finds the peers that are gone.
      "timeout client 24d",
      "timeout server 24d",
      "timeout client-fin 30s",
      // A client that went away while its server hangs leaves a session that no order ends: it must not hold up a promotion.
      "timeout server-fin 1s",
      ...["clitcpka", "srvtcpka"].flatMap((side) => [
        `option ${side}`,
        `${side}-idle 60s`,
        `${side}-intvl 10s`,
        `${side}-cnt 3`,
      ]),
      `default-server init-addr last,libc,none on-marked-down shutdown-sessions${asksForNames(input) ? ASKING : ""}`,
    ]),
    ...(asksForNames(input) ? section("resolvers names", RESOLVERS) : []),
    ...entrance(input, "write"),
    ...section("backend write", [...chosenServer, ...writeServers(input, membership), waitingLine()]),
    ...section(`backend ${nextWorker("write")}`, nextServer(input, "write")),
    ...entrance(input, "read"),
    ...section("backend read", [...chosenServer, ...readServers(input, membership), waitingLine()]),
    ...section(`backend ${nextWorker("read")}`, nextServer(input, "read")),
  ]
    .join("\n")
    .trimEnd()}\n`;
}

/** Whether host names have to be resolved again and again: a container that is restarted may get another address. */
function asksForNames({ nodes }: HaproxyInput): boolean {
  return nodes.some(({ host }) => !isAddress(host) && host !== "localhost");
}

/** Each node is in the read backend twice: without allow-dup-ip the second server would get no address. */
const ASKING = " resolvers names resolve-prefer ipv4 resolve-opts allow-dup-ip";

/** A name that is no longer resolved keeps its address: whether a node is up is not for the name server to say. */
const RESOLVERS: readonly string[] = [
  "parse-resolv-conf",
  "resolve_retries 2",
  "timeout resolve 1s",
  "timeout retry 500ms",
  "hold valid 1s",
  ...["nx", "refused", "timeout", "other"].map((answer) => `hold ${answer} 24d`),
];

function section(title: string, lines: readonly string[]): string[] {
  return [title, ...lines.map((line) => `  ${line}`), ""];
}

/** The frontend of an endpoint: on its port, or behind PgBouncer, which then listens on that port. */
function entrance(input: HaproxyInput, backend: Backend): string[] {
  return input[backend].pooled === true
    ? section(`frontend ${pooledFrontendOf(backend)}`, pooledFrontend(input, backend))
    : section(`frontend ${frontendOf(backend)}`, frontend(input, backend));
}

function frontend(input: HaproxyInput, backend: Backend): string[] {
  const loopback = [...(input.loopback ?? LOOPBACK)].sort().join(" ");
  const networks = [...input.networks].sort().join(" ");
  // `*` includes all others.
  const listen = input.listen.includes("*") ? ["*"] : input.listen;
  const binds = listen.flatMap((address) => bindings(address, input[backend].port, input.hasIpv6));
  return [
    ...[...new Set(binds)].sort().map((binding) => `bind ${binding}`),
    `tcp-request connection reject unless { src ${[loopback, networks].join(" ").trim()} }`,
    inspectDelay(input),
    // A cancel request does not wait for a server.
    `tcp-request content accept if { req.payload(0,8) -m bin ${CANCEL_REQUEST} }`,
    // A client that sends nothing is not one of PostgreSQL.
    "tcp-request content reject unless { req.payload(0,8) -m found }",
    // PostgreSQL sees HAProxy's address, not the client's: that other hosts use TLS is enforced here.
    ...(networks === ""
      ? []
      : [
          `tcp-request content reject unless { src ${loopback} } || { req.payload(0,1) -m bin ${TLS_HANDSHAKE} } || { req.payload(0,8) -m bin ${SSL_REQUEST} }`,
        ]),
    ...gate(backend),
  ];
}

/** Rules by which a connection waits until a server takes it, and is then routed there. */
function gate(backend: Backend): string[] {
  return [
    `tcp-request content lua.gate ${backend}`,
    "tcp-request content reject if { var(txn.gone) -m found }",
    "tcp-request content use-service lua.refuse if { var(txn.late) -m found }",
    `use_backend ${nextWorker(backend)} if { var(txn.next) -m found }`,
    `default_backend ${backend}`,
  ];
}

/**
 * PgBouncer's way to the servers: a Unix socket in a directory that only root and the servers' user may enter, or, for
 * servers on other hosts, a loopback address. HAProxy's backend still chooses the server: PgBouncer never learns who is
 * primary.
 */
function pooledFrontend(input: HaproxyInput, backend: Backend): string[] {
  return [
    input.elsewhere === true
      ? `bind ${pooledAddress(input, backend)}`
      : `bind ${pooledSocket(backend)} mode 600`,
    inspectDelay(input),
    `tcp-request content accept if { req.payload(0,8) -m bin ${CANCEL_REQUEST} }`,
    "tcp-request content reject unless { req.payload(0,8) -m found }",
    ...gate(backend),
  ];
}

/** Sends a connection to the server that the gate chose. */
const chosenServer: readonly string[] = ["use-server %[var(txn.server)] if { var(txn.server) -m found }"];

/** A client that waits while HAProxy is reloaded is handed to the new worker, which knows who is primary now. */
function nextServer(input: HaproxyInput, backend: Backend): string[] {
  const address =
    input[backend].pooled === true
      ? input.elsewhere === true
        ? pooledAddress(input, backend)
        : pooledSocket(backend)
      : hostAndPort(endpointHost([...input.listen].sort()), input[backend].port);
  return [`server next-worker ${address}`];
}

/** Named as PostgreSQL names its socket for this port, so that PgBouncer finds it. */
function pooledSocket(backend: Backend): string {
  return socketOf(SERVERS_PORT[backend]);
}

function pooledAddress(input: HaproxyInput, backend: Backend): string {
  return hostAndPort(POOLED_TO, input[backend].port);
}

function inspectDelay({ gate: { waitSeconds } }: HaproxyInput): string {
  return `tcp-request inspect-delay ${Math.ceil(waitSeconds) + WORD_SECONDS}s`;
}

/** `*` and `::` mean what they mean in PostgreSQL's listen_addresses. */
function bindings(address: string, port: number, hasIpv6: boolean): string[] {
  if (address === "*") return [`0.0.0.0:${port}`, ...(hasIpv6 ? [`[::]:${port} v6only`] : [])];
  if (address === "::") return [`[::]:${port} v6only`];
  return [hostAndPort(address, port)];
}

function hostAndPort(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function sortedNodes(input: HaproxyInput): HaproxyInput["nodes"] {
  return input.nodes.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function serverLine(
  name: string,
  node: HaproxyInput["nodes"][number],
  ready: readonly string[],
  { pooled }: Listening,
  more = "",
): string {
  const state = ready.includes(node.name) ? "" : " disabled";
  return `server ${name} ${pooled === true && node.own === true ? socketOf(node.port) : byTcp(node)}${more}${state}`;
}

/**
 * PgBouncer has authenticated its clients by the same rules as the server: its connections take the shorter way by a Unix
 * socket. All others come by TCP, where the server authenticates them.
 */
function socketOf(port: number): string {
  return `unix@${RELATIVE.run}/.s.PGSQL.${port}`;
}

function byTcp({ host, port, source }: HaproxyInput["nodes"][number]): string {
  return `${hostAndPort(host, port)}${source === undefined ? "" : ` source ${source}`}`;
}

function writeServers(input: HaproxyInput, membership: Membership): string[] {
  return sortedNodes(input).map((node) =>
    serverLine(writeServer(node.name).server, node, membership.write, input.write),
  );
}

function readServers(input: HaproxyInput, membership: Membership): string[] {
  const asksAgent = input.read.consistency !== "eventual";
  const health = asksAgent ? ` check addr unix@${RELATIVE.healthSocket}` : " check";
  return [
    // The dead-man's switch: when the agent does not vouch for a replica, it serves no reads.
    ...(asksAgent
      ? [
          "option httpchk",
          // Without a Host header the agent's HTTP server answers 400.
          "http-check send meth GET uri-lf /pool/%[srv_name] ver HTTP/1.1 hdr Host odoo-pg",
          "http-check expect status 200",
        ]
      : []),
    "default-server inter 500ms fall 2 rise 1",
    ...sortedNodes(input).map((node) =>
      serverLine(poolServer(node.name).server, node, membership.pool, input.read, health),
    ),
    ...sortedNodes(input).map((node) =>
      serverLine(fallbackServer(node.name).server, node, membership.fallback, input.read, " backup"),
    ),
  ];
}

/** Port 1 of loopback: nothing listens there, and only root could. The refusal makes HAProxy wait and try again. */
function waitingLine(): string {
  return `server ${WAITING_LINE} 127.0.0.1:1 backup`;
}
