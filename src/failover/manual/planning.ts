import { nextStep, odooPg } from "../../next-step.ts";
import { isAnyPooled } from "../../config/pooling.ts";
import { planFinish } from "../../cluster/changes/finish.ts";
import type { Plan, Planned } from "../../cluster/changes/planned.ts";
import { planPromote } from "../../cluster/changes/promote.ts";
import { planRejoin, planReseed } from "../../cluster/changes/rebuild.ts";
import { planSwitchover } from "../../cluster/changes/switchover.ts";
import { OdooPgError } from "../../errors.ts";
import { factsOf, identityOf, isPrimary } from "../../model/observation.ts";
import { findPostmaster } from "../../postgres/server.ts";
import { NodeHandle } from "../../members/node-handle.ts";
import { handleOf, primaryOf, replicasOf, type Runtime } from "../../members/runtime.ts";
import type { PrimaryChange, Topology } from "../failover.ts";

/** Whether a change failed after its record, and where writes are led. */
type Now = Pick<Topology, "unfinished" | "writes">;

type Change<Kind extends PrimaryChange["kind"]> = Extract<PrimaryChange, { kind: Kind }>;

/**
 * Looks at the nodes and plans; changes nothing.
 * @throws OdooPgError as `Failover.plan` says
 */
export async function planOf(runtime: Runtime, change: PrimaryChange, now: Now): Promise<Plan> {
  if (change.kind === "switchover") return await switchover(runtime, change);
  if (change.kind === "promote") return await promote(runtime, change);
  if (change.kind === "finish") return await finish(runtime, change, now);
  return await (change.kind === "rejoin" ? rejoin : reseed)(runtime, change);
}

function goOn(planned: Planned): Plan {
  if (planned.kind === "go") return planned.plan;
  const { message, next } = planned;
  throw new OdooPgError("refused", { message, safe: "Nothing was changed.", next });
}

async function switchover(runtime: Runtime, { to }: Change<"switchover">): Promise<Plan> {
  if (to !== undefined) handleOf(runtime, to);
  const primary = primaryOf(runtime);
  await observeAll(runtime);
  return goOn(
    planSwitchover({
      primary: primary.observation,
      replicas: replicasOf(runtime).map((handle) => handle.observation),
      to,
      readYourWrites: runtime.config.endpoints.read.consistency === "read-your-writes",
      pooled: isAnyPooled(runtime.config),
    }),
  );
}

async function promote(runtime: Runtime, change: Change<"promote">): Promise<Plan> {
  const { node, fence, allowDataLoss } = change;
  handleOf(runtime, node);
  const primary = primaryOf(runtime);
  await observeAll(runtime);
  const foreign = runtime.upstream;
  if (foreign && fence !== undefined) {
    throw new OdooPgError("refused", {
      message: `${foreign.node.host}:${foreign.node.port} is not run by odoo-pg, so it cannot be stopped from here.`,
      safe: "Nothing was changed.",
      next: nextStep`Stop it on its host, and keep it stopped; then: ${odooPg("promote", node)}`,
    });
  }
  if (allowDataLoss && change.confirm !== runtime.config.cluster) {
    throw new OdooPgError("confirmation_missing", {
      message: `Losing data needs the cluster's name typed.`,
      safe: "Nothing was changed.",
      next: odooPg("promote", node, "--allow-data-loss", "--confirm", runtime.config.cluster),
    });
  }
  return goOn(
    planPromote({
      node,
      primary: primary.observation,
      primaryRuns:
        primary instanceof NodeHandle
          ? (await findPostmaster(primary.files.dataDir)) !== undefined
          : identityOf(primary.observation) !== undefined,
      foreign: foreign !== undefined,
      replicas: replicasOf(runtime).map((handle) => handle.observation),
      fence,
      allowDataLoss,
    }),
  );
}

async function rejoin(runtime: Runtime, { node, discardOld }: Change<"rejoin" | "reseed">): Promise<Plan> {
  const handle = await requireReplica(runtime, node);
  const { primary } = runtime.state;
  const observed = factsOf(await handle.observe());
  if (observed?.in_recovery && observed.receiver_status === "streaming") {
    return {
      steps: [],
      undo: "nothing was changed",
      remark: `${node} streams from ${primary} already: nothing to do.`,
    };
  }
  return planRejoin({ node, primary, discardOld });
}

async function reseed(runtime: Runtime, { node, discardOld }: Change<"rejoin" | "reseed">): Promise<Plan> {
  if (node === "") throw whichReplica(runtime);
  await requireReplica(runtime, node);
  const { primary } = runtime.state;
  return planReseed({ node, primary, discardOld, foreign: runtime.upstream !== undefined });
}

async function finish(
  runtime: Runtime,
  { route }: Change<"finish">,
  { unfinished, writes }: Now,
): Promise<Plan> {
  const primary = await primaryOf(runtime).observe();
  const replicas = await Promise.all(replicasOf(runtime).map(async (handle) => await handle.observe()));
  const became = runtime.state.history.filter(({ kind }) => kind !== "rejoin" && kind !== "reseed");
  return planFinish({
    primary,
    replicas,
    foreign: runtime.upstream !== undefined,
    route: route && writes === undefined,
    unfinished,
    lastPrimary: became.at(-1)?.to,
  });
}

function whichReplica(runtime: Runtime): OdooPgError {
  const names = replicasOf(runtime).map(({ node }) => node.name);
  const [first] = names;
  return new OdooPgError("usage", {
    message: `Which node do you want to rebuild? ${first === undefined ? "There is no replica." : `The replicas are: ${names.join(", ")}.`}`,
    safe: "Nothing was changed.",
    next: first === undefined ? odooPg("status") : odooPg("reseed", first),
  });
}

/** @throws OdooPgError refused for the primary, primary_unreachable when there is nobody to copy from. */
async function requireReplica(runtime: Runtime, name: string): Promise<NodeHandle> {
  const handle = handleOf(runtime, name);
  const primary = primaryOf(runtime);
  if (handle === primary) {
    throw new OdooPgError("refused", {
      message: `${name} is the primary: there is nothing to rebuild it from.`,
      safe: "Nothing was changed.",
      next: nextStep`To make another node primary first: ${odooPg("switchover")}`,
    });
  }
  if (isPrimary(await primary.observe())) return handle;
  throw new OdooPgError("primary_unreachable", {
    message: `The primary ${primary.node.name} does not answer, so ${name} cannot be rebuilt from it.`,
    safe: `The data of ${name} is untouched.`,
    next: odooPg("status"),
  });
}

async function observeAll(runtime: Runtime): Promise<void> {
  runtime.upstream?.forget();
  await runtime.upstream?.observe();
  await Promise.all([...runtime.nodes.values()].map(async (handle) => await handle.observe()));
}
