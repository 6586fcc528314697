import type * as z from "zod";
import { promoteNode, switchover } from "../failover/manual/change-primary.ts";
import type { Progress } from "../progress.ts";
import type { PoolKeeper } from "../services/read-pool.ts";
import { reseed, rejoin } from "../failover/manual/rebuild.ts";
import type { operationSchema, Outcome } from "../cluster/documents/agent-report.ts";
import type { Runtime } from "../members/runtime.ts";

/** Leads a request to the operation that it names. */
export async function carryOut(
  request: z.output<typeof operationSchema>,
  runtime: Runtime,
  pool: PoolKeeper,
  progress: Progress,
): Promise<Outcome> {
  const dryRun = request.dry_run;
  if (request.operation === "switchover")
    return await switchover(runtime, pool, { to: request.to, dryRun }, progress);
  if (request.operation === "promote") {
    const { node, fence, confirm } = request;
    return await promoteNode(
      runtime,
      pool,
      { node, fence, confirm, allowDataLoss: request.allow_data_loss, dryRun },
      progress,
    );
  }
  const renewal = { node: request.node, discardOld: request.discard_old, dryRun };
  if (request.operation === "reseed") return await reseed(runtime, pool, renewal, progress);
  return await rejoin(runtime, pool, { ...renewal, reseed: request.reseed }, progress);
}
