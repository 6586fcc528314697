import type { Config } from "../../config/schema.ts";
import path from "node:path";
import { nodeLayoutOf } from "../../config/layout.ts";
import { pgbouncerFiles } from "../../endpoints/pgbouncer/files.ts";
import { OdooPgError, type ExitStatus } from "../../errors.ts";
import { newestLog } from "../../postgres/server.ts";
import { pause } from "../../system/clock.ts";
import { kindOf } from "../../system/files/files.ts";
import { readOnOfOthers, tailOfOthers } from "../../system/files/folder.ts";
import { onSignals } from "../../system/process/process.ts";
import type { Context } from "../context.ts";

const TAIL_BYTES = 64 * 1024;
const TAIL_LINES = 100;

/** Prints the end of a log, and with `follow` what is added to it, also when a new file begins. */
export async function logs(
  context: Context,
  target: string | undefined,
  options: { follow?: boolean },
): Promise<ExitStatus> {
  const file = await logFile(context, target ?? "agent");
  if (file !== undefined) {
    const lines = (await tailOfOthers(file, TAIL_BYTES)).trimEnd().split("\n");
    context.output.out(lines.slice(-TAIL_LINES).join("\n"));
  } else if (!options.follow) {
    context.output.err(`There is no log of ${target ?? "agent"} yet.`);
  }
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
    if (more.text) context.output.out(more.text.replace(/\n$/, ""));
  }
  return 130;
}

async function logFile(context: Context, target: string): Promise<string | undefined> {
  const { config, layout } = context;
  const there = async (file: string): Promise<string | undefined> =>
    (await kindOf(file)) === "file" ? file : undefined;
  if (target === "agent") return await there(layout.agentLog);
  if (target === "haproxy") return await there(path.join(layout.haproxyDir, "haproxy.log"));
  const pooler = /^pgbouncer(?:-(read|write))?$/.exec(target);
  if (pooler) {
    const files = pgbouncerFiles(layout, pooler[1] === "read" ? "read" : "write");
    const other = pgbouncerFiles(layout, "read");
    return (await there(files.log)) ?? (pooler[1] === undefined ? await there(other.log) : undefined);
  }
  const node = config.nodes.find(({ name }) => name === target);
  if (!node) {
    throw new OdooPgError("node_unknown", {
      message: `There is no log of "${target}". Use one of: ${logsOf(config).join(", ")}.`,
    });
  }
  const files = nodeLayoutOf(layout, node);
  return (await newestLog(files)) ?? (await there(files.startLog));
}

/** What has a log here. */
function logsOf({ endpoints, nodes }: Config): string[] {
  const pools = [endpoints.write, endpoints.read].some(({ pooling }) => pooling === "transaction");
  return ["agent", "haproxy", ...(pools ? ["pgbouncer"] : []), ...nodes.map(({ name }) => name)];
}
