import { copiesWords } from "../../cluster/backups/copies.ts";
import { windowWords } from "../../cluster/backups/window.ts";
import { provenWords as secondWords } from "../../cluster/backups/second-drill.ts";
import { createColors } from "picocolors";
import type { NodeStatus, StatusDocument } from "../../cluster/documents/status.ts";
import { showBytes, showSeconds, showShare } from "../../model/quantities.ts";
import type { Verdict, Warning } from "../../model/warnings.ts";
import { printNext } from "../../next-step.ts";
import { oneLine, printableLine } from "../../printable.ts";
import { briefly, wrap, wrapAll } from "../../wrap.ts";

export interface SheetStyle {
  readonly colours: boolean;
  /** Characters in a line; text to be copied is never broken. */
  readonly width: number;
  /** How odoo-pg is typed there. */
  readonly called?: string;
  /** Whether messages are shown whole, however long they are. */
  readonly whole?: boolean;
}

/** Known to be nothing, as the lag of a primary. */
const NOTHING = "–";
/** Not known. */
const UNKNOWN = "?";
/** Beyond this, the WAL that a slot keeps is worth mentioning: four segments are normal. */
const EVERYDAY_WAL = 64 * 1024 * 1024;
const NARROWEST = 60;
const WIDEST = 100;

const MARKS = { ok: "●", warning: "▲", critical: "✖" } as const satisfies Record<Verdict, string>;

/** A status for people, the most important line last. Pure; times are in the time zone of the process. */
export function sheet(status: StatusDocument, style: SheetStyle): string {
  const { bold, dim, green, red, yellow } = createColors(style.colours);
  const width = Math.min(WIDEST, Math.max(NARROWEST, style.width));
  const paint = { ok: green, warning: yellow, critical: red };
  const colour = (verdict: Verdict, text: string): string => paint[verdict](text);

  const table = tableOf(status);
  const widths = HEADINGS.map((heading, column) =>
    Math.max(heading.length, ...table.map(({ cells }) => (cells[column] ?? "").length)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();

  return [
    headline(status, bold, (text) => colour(status.verdict, text)),
    dim(`    ${line(HEADINGS)}`),
    ...table.map(({ branch, health, cells }) => {
      const mark = health === undefined ? dim("○") : colour(health, MARKS[health]);
      return ` ${branch}${mark} ${branch ? "" : " "}${line(cells)}`;
    }),
    ...unexplained(status).flatMap((text) => wrap(text, width, "  ")),
    `Write   ${writeLine(status)}`,
    ...wrap(`Read    ${readLine(status)}`, width, "        "),
    ...backupsLines(status).flatMap((text) => wrap(`Backups ${text}`, width, "        ")),
    ...(status.window
      ? wrap(
          `Seconds ${windowWords(status.window, Date.parse(status.at))}${provenPart(status)}`,
          width,
          "        ",
        )
      : []),
    ...(status.copies.length
      ? wrap(`Copies  ${copiesWords(status.copies, Date.parse(status.at))}`, width, "        ")
      : []),
    ...(status.console?.answers ? [`Console ${clean(status.console.url)}`] : []),
    ...(status.agent.operation === null
      ? []
      : [`Agent   is working on: odoo-pg ${clean(status.agent.operation)}`]),
    // The worst comes last: it is what the eye meets first.
    ...status.warnings.toReversed().flatMap((warning) => warningLines(warning, { ...style, width }, colour)),
    ...(status.warnings.length ? [] : allIsWell(status, width, (text) => colour("ok", text))),
  ].join("\n");
}

function provenPart({ second_proven: proven, at }: StatusDocument): string {
  return proven ? ` · ${secondWords(proven, Date.parse(at))}` : "";
}

function headline(
  { cluster, verdict, warnings, postgres_version, timeline, database_bytes }: StatusDocument,
  bold: (text: string) => string,
  colour: (text: string) => string,
): string {
  const count = warnings.length ? ` (${warnings.length})` : "";
  const facts = [
    `PostgreSQL ${clean(postgres_version ?? UNKNOWN)}`,
    `timeline ${timeline ?? UNKNOWN}`,
    // Before it is counted there is nothing to show.
    ...(database_bytes === null ? [] : [showBytes(database_bytes)]),
  ];
  if (warnings.some(({ code }) => code === "cluster_stopped"))
    return `${bold(cluster)}  ${colour("○ STOPPED")}`;
  return `${bold(cluster)}  ${colour(`${MARKS[verdict]} ${verdict.toUpperCase()}${count}`)}   ${facts.join(" · ")}`;
}

/** A database that is not backed up yet is never left out. */
function allIsWell(
  { not_backed_up: open }: StatusDocument,
  width: number,
  colour: (text: string) => string,
): string[] {
  if (open.length === 0) return [`${colour(MARKS.ok)} All is well.`];
  const text = `All else is well: ${named(open)} ${open.length === 1 ? "has" : "have"} no backup yet. The next run makes it.`;
  const [first = "", ...more] = wrap(text, width - 2, "");
  return [`${colour(MARKS.ok)} ${first}`, ...more.map((line) => `  ${line}`)];
}

/** The first of some names, and how many more there are. */
function named(names: readonly string[]): string {
  const shown = names.slice(0, 3).map((name) => oneLine(clean(name), 40));
  const more = names.length - shown.length;
  return more > 0 ? `${shown.join(", ")} and ${more} more` : shown.join(", ");
}

function backupsLines({ backups, not_backed_up: open }: StatusDocument): string[] {
  if (!backups) return [];
  return backups.databases === 0 && open.length > 0 ? [`none yet of ${named(open)}`] : [backupsLine(backups)];
}

function backupsLine(backups: NonNullable<StatusDocument["backups"]>): string {
  const { age_seconds, databases, size_bytes } = backups;
  // Without backups nothing is good or proven.
  if (databases === 0)
    return size_bytes === 0
      ? "there is no database to back up"
      : `there is no database to back up · ${showBytes(size_bytes)} of earlier backups`;
  return [
    age_seconds === null ? "not of every database" : `${showSeconds(age_seconds)} old`,
    `${databases} ${databases === 1 ? "database" : "databases"}`,
    showBytes(size_bytes),
    provenWords(backups),
  ].join(" · ");
}

/** Until when every database is proven to be restorable. */
function provenWords({ proofs }: NonNullable<StatusDocument["backups"]>): string {
  const failed = proofs.find(({ failed_at }) => failed_at !== null);
  if (failed)
    return `restore of ${clean(failed.database)} FAILED on ${failed.failed_at?.slice(0, 10) ?? UNKNOWN}`;
  const dates = proofs.flatMap(({ proven_at }) => proven_at ?? []).sort();
  const [oldest] = dates;
  if (oldest === undefined) return "never proven by a restore";
  const never = proofs.length - dates.length;
  return never === 0
    ? `proven by a restore on ${oldest.slice(0, 10)}`
    : `${never} of ${proofs.length} databases never proven by a restore`;
}

const HEADINGS = ["NODE", "ROLE", "STATE", "LAG", "SLOT", "DISK", "POOL"];

interface TableRow {
  /** The branch that connects a replica to its primary. */
  readonly branch: string;
  /** Undefined for a server that is stopped, as all others are. */
  readonly health: Verdict | undefined;
  readonly cells: readonly string[];
}

function tableOf(status: StatusDocument): TableRow[] {
  const primaries = status.nodes.filter(({ role }) => role === "primary");
  const replicas = status.nodes.filter(({ role }) => role === "replica");
  const row =
    (branches: (index: number) => string) =>
    (node: NodeStatus, index: number): TableRow => ({
      branch: branches(index),
      health: healthOf(node, status.warnings),
      cells: [
        node.name,
        node.role,
        stateCell(node, status.at),
        lagCell(node),
        slotCell(node),
        node.disk_used_ratio === null ? UNKNOWN : showShare(node.disk_used_ratio),
        node.role === "primary" ? NOTHING : node.in_pool ? "yes" : "no",
      ],
    });
  return [
    ...primaries.map(row(() => "")),
    ...replicas.map(row((index) => (index === replicas.length - 1 ? "└" : "├"))),
  ];
}

function healthOf(node: NodeStatus, warnings: readonly Warning[]): Verdict | undefined {
  const own = warnings.filter((warning) => warning.node === node.name);
  if (own.some(({ severity }) => severity === "critical")) return "critical";
  if (own.length) return "warning";
  return node.state === "stopped" ? undefined : node.state === "unreachable" ? "warning" : "ok";
}

function stateCell({ state, last_seen }: NodeStatus, at: string): string {
  const text = clean(state).slice(0, 24);
  return (state === "unreachable" || state === "stopped") && last_seen !== null
    ? `${text} (last seen ${showTime(last_seen, at)})`
    : text;
}

function lagCell({ role, lag_bytes, lag_seconds }: NodeStatus): string {
  if (role === "primary") return NOTHING;
  if (lag_bytes === null && lag_seconds === null) return UNKNOWN;
  const bytes = lag_bytes === null ? UNKNOWN : showBytes(lag_bytes);
  return `${bytes} / ${lag_seconds === null ? UNKNOWN : showSeconds(lag_seconds)}`;
}

function slotCell({ role, slot }: NodeStatus): string {
  if (slot === null) return role === "primary" ? NOTHING : UNKNOWN;
  const keeps =
    slot.kept_bytes !== null && slot.kept_bytes > EVERYDAY_WAL ? `keeps ${showBytes(slot.kept_bytes)}` : "";
  if (slot.state === "ok") return keeps || "ok";
  return keeps ? `${slot.state}, ${keeps}` : slot.state;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** `09:38`, or `21 Nov 09:38` on another day than `at`. */
function showTime(instant: string, at: string): string {
  const time = new Date(instant);
  if (Number.isNaN(time.getTime())) return UNKNOWN;
  const clock = [time.getHours(), time.getMinutes()].map((part) => String(part).padStart(2, "0")).join(":");
  if (time.toDateString() === new Date(at).toDateString()) return clock;
  return `${time.getDate()} ${MONTHS[time.getMonth()] ?? UNKNOWN} ${clock}`;
}

/** Why a replica that has no warning of its own serves no reads. */
function unexplained({ nodes, warnings }: StatusDocument): string[] {
  return nodes
    .filter(({ name, role, in_pool }) => {
      const warned = warnings.some(
        ({ node, code }) =>
          node === name || ["pool_empty", "cluster_not_running", "cluster_stopped"].includes(code),
      );
      return role === "replica" && !in_pool && !warned;
    })
    .flatMap(({ name, reason }) => (reason === null ? [] : [`  ${name} serves no reads: ${clean(reason)}`]));
}

function address({ host, port }: { host: string; port: number }): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

function openness(answers: boolean | null): string {
  return answers === null ? ` ${UNKNOWN}` : answers ? "" : " (closed)";
}

function writeLine({ endpoints: { write } }: StatusDocument): string {
  return `${address(write)}${openness(write.answers)} → ${write.node ?? "nobody"}${pooled(write)}${line(write.waiting)}`;
}

/** How many share how many sessions, where they do. */
function pooled({
  pooler,
}: StatusDocument["endpoints"]["read"] | StatusDocument["endpoints"]["write"]): string {
  if (!pooler) return "";
  if (pooler.clients === null) return "; PgBouncer does not answer";
  const sessions = (pooler.servers_active ?? 0) + (pooler.servers_idle ?? 0);
  return `; ${pooler.clients} clients share ${sessions} sessions`;
}

/** How many connections wait there, where any do. */
function line(waiting: StatusDocument["endpoints"]["read"]["waiting"]): string {
  if (!waiting?.clients) return "";
  return `; ${waiting.clients} waiting, up to ${Math.ceil(waiting.longest_seconds)} s`;
}

function readLine({ endpoints: { read, write }, nodes }: StatusDocument): string {
  const why = nodes.length === 1 ? "the only node here" : "as no replica is in the pool";
  const fallback = write.node === null ? "nobody" : `${write.node}, ${why}`;
  const to = read.pool.length ? read.pool.join(", ") : fallback;
  return `${address(read)}${openness(read.answers)} → ${to} (${read.consistency})${pooled(read)}${line(read.waiting)}`;
}

function warningLines(
  { severity, message, next_step }: Warning,
  style: SheetStyle,
  colour: (verdict: Verdict, text: string) => string,
): string[] {
  // Line breaks in a server's own message are kept.
  const lines = message.split("\n").flatMap((text) => wrapAll(clean(text), style.width - 2));
  const [first = "", ...more] = style.whole ? lines : briefly(lines, style.width - 2, "whole: --full");
  return [
    `${colour(severity, MARKS[severity])} ${first}`,
    ...more.map((text) => `  ${text}`),
    `  Next: ${clean(printNext(next_step, style.called))}`,
  ];
}

/** A line of a server's message, which may contain anything. */
export function clean(text: string): string {
  return printableLine(text.replaceAll("\t", " ").trimEnd());
}
