import { gatherStatus, type StatusRequest } from "../../agent/gather-status.ts";
import type { StatusDocument } from "../../cluster/documents/status.ts";
import { OdooPgError, type ExitStatus } from "../../errors.ts";
import { odooPg } from "../../next-step.ts";
import { pause } from "../../system/clock.ts";
import { clearScreen, type Output } from "../../system/terminal.ts";
import { namedFile, type Context } from "../context.ts";
import { asPublished } from "../published.ts";
import { BUILD } from "../setup/version.ts";
import { sheet } from "./sheet.ts";

/** Milliseconds between two sheets of --watch. */
const WATCH_EVERY = 2000;

type StatusContext = Pick<Context, "config" | "configFile" | "invocation">;

/**
 * Prints the status of the cluster. With `watch`, again and again until Ctrl-C: over the last sheet on a terminal, one
 * sheet below the other elsewhere.
 * @returns 0 ok or warning, 1 critical, 69 when nothing of the cluster answers, 130 when a watch was interrupted.
 * @throws OdooPgError usage for `json` with `watch`; state_dir_unusable when the state cannot be read.
 */
export async function status(
  context: StatusContext,
  options: { json?: boolean; watch?: boolean; full?: boolean },
  output: Output,
): Promise<ExitStatus> {
  if (options.watch) {
    if (!options.json) return await watch(context, output);
    throw new OdooPgError("usage", {
      message: "--json prints one document, and --watch prints again and again: use one of them.",
      next: odooPg("status", "--json"),
    });
  }
  const document = await seenFrom(context);
  output.out(
    options.json
      ? JSON.stringify(document, undefined, 2)
      : sheet(document, { ...output, whole: options.full === true }),
  );
  return statusExit(document);
}

function statusExit(document: StatusDocument): ExitStatus {
  if (document.warnings.some(({ code }) => code === "cluster_not_running" || code === "cluster_stopped"))
    return 69;
  return document.verdict === "critical" ? 1 : 0;
}

async function watch(context: StatusContext, output: Output): Promise<ExitStatus> {
  const { onSignals } = await import("../../system/process/process.ts");
  const ended = new AbortController();
  const unhook = onSignals(["SIGINT", "SIGTERM"], () => ended.abort());
  try {
    while (!ended.signal.aborted) {
      const text = sheet(await seenFrom(context), output);
      if (ended.signal.aborted) break;
      if (output.terminal) clearScreen();
      output.out(output.terminal ? `${text}\n\nEvery ${WATCH_EVERY / 1000} s, until Ctrl-C.` : `${text}\n`);
      // An aborted pause rejects: that is the end of the watch.
      await pause(WATCH_EVERY, ended.signal).catch(() => {});
    }
  } finally {
    unhook();
  }
  return 130;
}

/** The status, with the console's address as it is reached from outside of a container. */
async function seenFrom(context: StatusContext): Promise<StatusDocument> {
  const document = await gatherStatus(requestOf(context));
  if (!document.console) return document;
  const url = asPublished(document.console.url, context.invocation.environment);
  return { ...document, console: { ...document.console, url } };
}

function requestOf(context: StatusContext): StatusRequest {
  return { config: context.config, configFile: namedFile(context), build: BUILD };
}
