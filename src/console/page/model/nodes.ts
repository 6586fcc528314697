import type { ConsoleDocument, NodeDisk } from "../../../cluster/documents/console.ts";
import type { NodeStatus, StatusDocument } from "../../../cluster/documents/status.ts";
import { showShare } from "../../../model/quantities.ts";
import { DISKS } from "../../../model/troubles/disks.ts";
import { bytes, clock, listing, many, NOTHING, seconds, UNKNOWN } from "./show.ts";
import type { Level } from "./verdict.ts";

export interface NodeRow {
  readonly name: string;
  readonly address: string;
  readonly role: "primary" | "replica";
  readonly level: Level;
  readonly state: string;
  /** Why, where there is a reason to give. */
  readonly reason: string | null;
  readonly lag: string;
  readonly lagTime: string;
  readonly slot: string;
  readonly disk: string;
  /** From 0 to 1; undefined where it is not known. */
  readonly diskUsed: number | undefined;
  readonly diskLevel: Level;
  readonly daysLeft: string;
  readonly reads: string;
  /** The button that its state asks for. */
  readonly remedy: "rejoin" | "reseed" | undefined;
}

/** The primary first, then its replicas by name. */
export function nodeRows({ status, disks }: ConsoleDocument, now: number): readonly NodeRow[] {
  const primaries = status.nodes.filter(({ role }) => role === "primary");
  const replicas = status.nodes.filter(({ role }) => role === "replica");
  return [...primaries, ...replicas].map((node) =>
    rowOf(
      node,
      status,
      disks.find((disk) => disk.node === node.name),
      now,
    ),
  );
}

function rowOf(node: NodeStatus, status: StatusDocument, disk: NodeDisk | undefined, now: number): NodeRow {
  const ratio = ratioOf(node, disk);
  return {
    name: node.name,
    address: `${node.host.includes(":") ? `[${node.host}]` : node.host}:${node.port}`,
    role: node.role,
    level: levelOf(node, status),
    state: stateText(node, now),
    reason: node.reason,
    lag: node.role === "primary" ? NOTHING : bytes(node.lag_bytes),
    lagTime: node.role === "primary" ? "" : seconds(node.lag_seconds),
    slot: slotText(node),
    disk: ratio === undefined ? UNKNOWN : showShare(ratio),
    diskUsed: ratio,
    diskLevel:
      ratio === undefined
        ? "unknown"
        : ratio * 100 >= DISKS.disk_nearly_full.threshold.value
          ? "critical"
          : ratio * 100 >= DISKS.disk_filling.threshold.value
            ? "warning"
            : "ok",
    daysLeft: daysText(disk),
    reads: readsText(node, status),
    remedy: remedyOf(node, status),
  };
}

/** The next step of a warning about a node, where the page can do it. */
function remedyOf({ name }: NodeStatus, { warnings }: StatusDocument): NodeRow["remedy"] {
  const commands = warnings
    .filter((warning) => warning.node === name)
    .flatMap(({ next_step: step }) => step.filter((part) => typeof part === "object"));
  return (["rejoin", "reseed"] as const).find((kind) =>
    commands.some(
      ({ program, arguments: args }) =>
        program === "odoo-pg" && args.length === 2 && args[0] === kind && args[1] === name,
    ),
  );
}

function levelOf({ name, state }: NodeStatus, { warnings }: StatusDocument): Level {
  const own = warnings.filter((warning) => warning.node === name);
  if (own.some(({ severity }) => severity === "critical")) return "critical";
  if (own.length > 0) return "warning";
  return state === "stopped" ? "off" : state === "unreachable" ? "warning" : "ok";
}

function stateText({ state, last_seen }: NodeStatus, now: number): string {
  return (state === "unreachable" || state === "stopped") && last_seen !== null
    ? `${state}, last seen ${clock(last_seen, now)}`
    : state;
}

/** Beyond this, the WAL that a slot keeps is worth mentioning: four segments are normal. */
const EVERYDAY_WAL = 64 * 1024 * 1024;

function slotText({ role, slot }: NodeStatus): string {
  if (slot === null) return role === "primary" ? NOTHING : UNKNOWN;
  const keeps =
    slot.kept_bytes !== null && slot.kept_bytes > EVERYDAY_WAL ? `keeps ${bytes(slot.kept_bytes)}` : "";
  if (slot.state === "ok") return keeps || "ok";
  return keeps ? `${slot.state}, ${keeps}` : slot.state;
}

function ratioOf({ disk_used_ratio }: NodeStatus, disk: NodeDisk | undefined): number | undefined {
  if (disk_used_ratio !== null) return disk_used_ratio;
  const { free_bytes = null, total_bytes = null } = disk ?? {};
  if (free_bytes === null || total_bytes === null || total_bytes === 0) return undefined;
  return 1 - free_bytes / total_bytes;
}

/** More than this is not shown in days: it is too far off to plan for. */
const FAR_AWAY_DAYS = 365;

function daysText(disk: NodeDisk | undefined): string {
  const free = disk?.free_bytes ?? null;
  const room = free === null ? "" : `${bytes(free)} free`;
  const days = disk?.days_left ?? null;
  if (days === null) return room;
  const left =
    days > FAR_AWAY_DAYS
      ? "more than a year left"
      : days < 1
        ? "less than a day left"
        : `${many(Math.floor(days), "day")} left`;
  const hours = disk?.history_hours ?? null;
  const told = hours === null ? left : `${left} at the pace of the last ${many(hours, "hour")}`;
  return room === "" ? told : `${room}, ${told}`;
}

function readsText(node: NodeStatus, { endpoints }: StatusDocument): string {
  if (node.role === "replica") return node.in_pool ? "serves reads" : "serves no reads";
  return endpoints.read.pool.length > 0 ? "" : "serves reads too";
}

/** One sentence under the heading. */
export function nodesSummary({ nodes, endpoints }: StatusDocument): string {
  const { pool } = endpoints.read;
  const reads =
    pool.length === 0
      ? "no replica serves reads"
      : `${listing(pool)} ${pool.length === 1 ? "serves" : "serve"} reads`;
  return `${many(nodes.length, "node")}, ${reads}.`;
}

export interface EndpointLine {
  readonly name: string;
  readonly address: string;
  readonly leadsTo: string;
  readonly level: Level;
  readonly note: string;
}

/** Where Odoo connects. */
export function endpointLines({ endpoints: { read, write } }: StatusDocument): readonly EndpointLine[] {
  const fallback = write.node === null ? "nobody" : `${write.node}, as no replica serves reads`;
  const level = (answers: boolean | null): Level =>
    answers === null ? "unknown" : answers ? "ok" : "critical";
  const note = (answers: boolean | null): string =>
    answers === null ? "not known whether it answers" : answers ? "" : "closed";
  return [
    {
      name: "Write",
      address: addressOf(write),
      leadsTo: write.node ?? "nobody",
      level: write.node === null ? "critical" : level(write.answers),
      note: [note(write.answers), queue(write.waiting)].filter((text) => text !== "").join(", "),
    },
    {
      name: "Read",
      address: addressOf(read),
      leadsTo: read.pool.length > 0 ? read.pool.join(", ") : fallback,
      level: level(read.answers),
      note: [read.consistency, note(read.answers), queue(read.waiting)]
        .filter((text) => text !== "")
        .join(", "),
    },
  ];
}

/** How many connections wait there for a server, where any do. */
function queue(waiting: StatusDocument["endpoints"]["read"]["waiting"]): string {
  return waiting?.clients ? `${waiting.clients} waiting, up to ${Math.ceil(waiting.longest_seconds)} s` : "";
}

function addressOf({ host, port }: { readonly host: string; readonly port: number }): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** Possible targets of a switchover: the replicas that stream. */
export function successors({ nodes }: StatusDocument): readonly string[] {
  return nodes
    .filter(({ role, state }) => role === "replica" && !["unreachable", "stopped"].includes(state))
    .map(({ name }) => name);
}
