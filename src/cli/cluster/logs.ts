import type { Config } from "../../config/schema.ts";
import path from "node:path";
import { nodeLayoutOf } from "../../config/layout.ts";
import { pgbouncerFiles } from "../../endpoints/pgbouncer/files.ts";
import { OdooPgError, type ExitStatus } from "../../errors.ts";
import { newestLog } from "../../postgres/server.ts";
import { pause } from "../../system/clock.ts";
import { kindOf } from "../../system/files/files.ts";
import { readOnOfOthers, tailOfOthers } from "../../system/files/held/by-path.ts";
import { onSignals } from "../../system/process/process.ts";
import type { Context } from "../context.ts";
import { nodeCalled } from "../hosts/several.ts";
import { requireCluster } from "../which-cluster.ts";

/** Bytes read from the end; more when searching for a text. */
const TAIL_BYTES = 256 * 1024;
const SEARCHED_BYTES = 8 * 1024 * 1024;
const MOST_LINES = 10_000;

interface LogOptions {
  readonly follow: boolean;
  readonly match: string | undefined;
  readonly lines: string;
  readonly json: boolean;
}

/** Prints the end of a log, and with `follow` what is added to it, also when a new file begins. */
export async function logs(
  context: Context,
  target: string | undefined,
  options: LogOptions,
): Promise<ExitStatus> {
  const wanted = wantedLines(options);
  await requireCluster(context);
  const file = await logFile(context, target ?? "agent");
  const end = file === undefined ? [] : (await linesOf(file, options.match)).slice(-wanted);
  if (options.json) {
    const document = { version: 1, log: target ?? "agent", file: file ?? null, lines: end };
    context.output.out(JSON.stringify({ ...document, logs: logsOf(context.config) }, undefined, 2));
    return 0;
  }
  if (file !== undefined) context.output.out(end.join("\n"));
  else if (!options.follow) context.output.err(`There is no log of ${target ?? "agent"} yet.`);
  if (!options.follow) return 0;
  const ended = new AbortController();
  onSignals(["SIGINT", "SIGTERM"], () => ended.abort());
  let current = file;
  let offset = file === undefined ? 0 : (await readOnOfOthers(file, Number.MAX_SAFE_INTEGER - 1)).offset;
  while (!ended.signal.aborted) {
    await pause(200, ended.signal).catch(() => {});
    const newest = await logFile(context, target ?? "agent");
    if (newest !== current) [current, offset] = [newest, 0];
    if (current === undefined) continue;
    const more = await readOnOfOthers(current, offset);
    offset = more.offset;
    const added = more.text.replace(/\n$/, "").split("\n").filter(holding(options.match));
    if (more.text && added.length) context.output.out(added.join("\n"));
  }
  return 130;
}

/** @throws OdooPgError usage */
function wantedLines({ lines, follow, json }: LogOptions): number {
  const wanted = Number(lines);
  if (!Number.isInteger(wanted) || wanted < 1 || wanted > MOST_LINES)
    throw new OdooPgError("usage", { message: `--lines must be a whole number from 1 to ${MOST_LINES}.` });
  if (follow && json)
    throw new OdooPgError("usage", {
      message: "--follow and --json cannot be used together: a document has an end.",
    });
  return wanted;
}

async function linesOf(file: string, match: string | undefined): Promise<string[]> {
  const text = await tailOfOthers(file, match === undefined ? TAIL_BYTES : SEARCHED_BYTES);
  return text.trimEnd().split("\n").filter(holding(match));
}

function holding(match: string | undefined): (line: string) => boolean {
  if (match === undefined) return () => true;
  const wanted = match.toLowerCase();
  return (line) => line.toLowerCase().includes(wanted);
}

async function logFile(context: Context, target: string): Promise<string | undefined> {
  const { config, layout } = context;
  const there = async (file: string): Promise<string | undefined> =>
    (await kindOf(file)) === "file" ? file : undefined;
  if (target === "agent") return await there(layout.agentLog);
  if (target === "backup" && !config.nodes.some(({ name }) => name === "backup"))
    return await there(layout.backupLog);
  if (target === "haproxy") return await there(path.join(layout.haproxyDir, "haproxy.log"));
  const pooler = /^pgbouncer(?:-(read|write))?$/.exec(target);
  if (pooler) {
    const files = pgbouncerFiles(layout, pooler[1] === "read" ? "read" : "write");
    const other = pgbouncerFiles(layout, "read");
    return (await there(files.log)) ?? (pooler[1] === undefined ? await there(other.log) : undefined);
  }
  const node = await nodeCalled(context, target);
  if (!node) {
    throw new OdooPgError("node_unknown", {
      message: `There is no log of "${target}". Use one of: ${logsOf(config).join(", ")}.`,
    });
  }
  const files = nodeLayoutOf(layout, node);
  return (await newestLog(files)) ?? (await there(files.startLog));
}

/** The services that have a log here. */
function logsOf({ endpoints, nodes }: Config): string[] {
  const pools = [endpoints.write, endpoints.read].some(({ pooling }) => pooling === "transaction");
  return ["agent", "haproxy", "backup", ...(pools ? ["pgbouncer"] : []), ...nodes.map(({ name }) => name)];
}
