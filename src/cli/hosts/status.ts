import { toOdooPgError, type ExitStatus } from "../../errors.ts";
import { requireHostsStatus } from "../../hosts/ask-agent.ts";
import { sayAnySecond, sayTroubles } from "../../hosts/decisions/any-second.ts";
import { sayBackups } from "../../hosts/decisions/backups.ts";
import {
  HEADINGS,
  rowOf,
  sayFailover,
  sayFillingDisks,
  sayKeptAside,
  sayRemoved,
  sayStrange,
  sayView,
} from "../../hosts/render/sheet.ts";
import { now, pause } from "../../system/clock.ts";
import { onSignals } from "../../system/process/process.ts";
import { clearScreen } from "../../system/terminal.ts";
import type { Context } from "../context.ts";
import { showTable } from "../table.ts";

/**
 * `status` where the cluster has several hosts: each host, the targets of this one's endpoints, and whether another
 * host would take over by itself.
 * @returns 0; 1 where there is no primary
 * @throws OdooPgError not_running
 */
export async function hostsSheet(
  { layout, output }: Pick<Context, "layout" | "output">,
  options: { readonly json: boolean },
): Promise<ExitStatus> {
  const status = await requireHostsStatus(layout);
  const exit = status.primary === null ? 1 : 0;
  if (options.json) {
    output.out(JSON.stringify(status, undefined, 2));
    return exit;
  }
  output.out(sayView(status));
  showTable(
    output,
    HEADINGS,
    status.hosts.map((host) => rowOf(status, host)),
  );
  const { endpoints } = status;
  const own = status.hosts.find(({ name }) => name === status.seen_from)?.report;
  if (own && own.role !== "witness") {
    output.out(`Write    127.0.0.1:${endpoints.write} → ${own.writes ?? "waits for a primary"}`);
    output.out(`Read     127.0.0.1:${endpoints.read} → ${own.reads.join(", ") || own.writes || "nobody"}`);
  }
  output.out(`Backups: ${sayBackups(status)}`);
  const seconds = sayAnySecond(status, now());
  if (seconds !== undefined) output.out(`Window: ${seconds}`);
  for (const line of sayTroubles(status)) output.out(`Any second: ${line}`);
  for (const line of sayRemoved(status)) output.out(`Removed: ${line}`);
  for (const line of sayStrange(status)) output.out(`The store: ${line}`);
  for (const disk of sayFillingDisks(status)) output.out(`Make room: ${disk}`);
  for (const kept of sayKeptAside(status)) output.out(`Kept aside, yours to remove: ${kept}`);
  output.out(`Failover: ${sayFailover(status)}`);
  return exit;
}

/** Milliseconds between two sheets. */
const WATCH_EVERY = 2000;

/** The same again and again, until Ctrl-C. */
export async function watchHosts(context: Pick<Context, "layout" | "output">): Promise<ExitStatus> {
  const ended = new AbortController();
  const unhook = onSignals(["SIGINT", "SIGTERM"], () => ended.abort());
  try {
    while (!ended.signal.aborted) {
      if (context.output.terminal) clearScreen();
      await hostsSheet(context, { json: false }).catch((error: unknown) =>
        context.output.err(toOdooPgError(error).message),
      );
      context.output.out("");
      await pause(WATCH_EVERY, ended.signal).catch(() => {});
    }
  } finally {
    unhook();
  }
  return 130;
}
