import { lockHolder } from "../../store/lock.ts";
import { endpointsViewFile } from "../../container/endpoints-agent.ts";
import { endpointsViewSchema } from "../../container/endpoints-view.ts";
import { OdooPgError, type ExitStatus } from "../../errors.ts";
import { readJsonFile } from "../../system/files/json-file.ts";
import type { Context } from "../context.ts";
import { showTable } from "../table.ts";

/** `status` where only the endpoints run: their targets, and which nodes answer. @throws OdooPgError not_running */
export async function endpointsStatus(
  { layout, output, config }: Context,
  options: { readonly json: boolean },
): Promise<ExitStatus> {
  const view = await readJsonFile(endpointsViewFile(layout), endpointsViewSchema, {
    code: "state_dir_unusable",
    safe: "The endpoints keep running.",
    next: "Their agent rewrites it twice a second: run the same command again.",
  });
  if (!view || (await lockHolder(layout.lockFile)) === undefined) {
    throw new OdooPgError("not_running", { message: "The agent of these endpoints is not running." });
  }
  const answers = view.nodes.some(({ name, state }) => name === view.primary && state === "primary");
  if (options.json) output.out(JSON.stringify(view, undefined, 2));
  else {
    showTable(
      output,
      ["NODE", "STATE", "POOL", "WHY"],
      view.nodes.map(({ name, state, reason }) => [
        name,
        state,
        state === "primary" ? "–" : view.pool.includes(name) ? "yes" : "no",
        reason ?? "",
      ]),
    );
    const { read, write } = config.endpoints;
    output.out(`Write   ${write.port} → ${answers ? view.primary : "waits for a primary"}`);
    output.out(`Read    ${read.port} → ${view.pool.join(", ") || view.primary || "nobody"}`);
  }
  return answers ? 0 : 1;
}
