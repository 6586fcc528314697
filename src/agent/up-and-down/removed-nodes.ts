import { nextStep, odooPg } from "../../next-step.ts";
import path from "node:path";
import { stamp } from "../../model/time-stamp.ts";
import { nodeLayoutOf, slotName, type NodeConfig } from "../../config/layout.ts";
import type { Config } from "../../config/schema.ts";
import { OdooPgError } from "../../errors.ts";
import { dropSlot, listSlots } from "../../postgres/sql/operations.ts";
import { stopServer } from "../../postgres/server.ts";
import { inspectDataDirectory } from "../../postgres/data-directory.ts";
import { openTablespaces } from "../../postgres/tablespaces.ts";
import { now } from "../../system/clock.ts";
import { ensureDirectory, kindOf, move } from "../../system/files/files.ts";
import type { Progress } from "../../progress.ts";
import { changeState, ownPrimary, type Runtime } from "../../members/runtime.ts";

/** @throws OdooPgError refused when the configuration leaves out the primary, or moves the data of a node. */
export function refuseNodeChanges(runtime: Runtime, before: Config | undefined): void {
  const present = new Map(runtime.config.nodes.map((node) => [node.name, node]));
  const { primary } = runtime.state;
  if (!runtime.upstream && !present.has(primary)) {
    throw new OdooPgError("refused", {
      message: `Node ${primary} is the primary, but the configuration no longer names it.`,
      safe: "Nothing was changed.",
      next: nextStep`Put ${primary} back into odoo-pg.yaml, make another node primary (${odooPg("switchover")}), then remove it.`,
    });
  }
  for (const node of before?.nodes ?? []) {
    const kept = present.get(node.name);
    if (kept && kept.data_dir !== node.data_dir) {
      throw new OdooPgError("refused", {
        message: `data_dir of node ${node.name} was changed; odoo-pg does not move data.`,
        safe: "Nothing was changed.",
        next: nextStep`Run ${odooPg("down")}, move ${nodeLayoutOf(runtime.layout, node).dataDir} to the new place yourself, then run ${odooPg("up")}. Or set data_dir back.`,
      });
    }
  }
}

/** A node that the configuration no longer has. */
type Gone = Pick<NodeConfig, "name" | "data_dir">;

/** Nodes that the configuration no longer has: stopped, their slots dropped, their data set aside. */
export async function removeGoneNodes(
  runtime: Runtime,
  before: Config | undefined,
  progress: Progress,
): Promise<void> {
  const present = new Set(runtime.config.nodes.map(({ name }) => name));
  const known = before?.nodes ?? [];
  const gone: Gone[] = known.filter(({ name }) => !present.has(name));
  // Begun by an `up` that was interrupted: nothing else knows of them.
  for (const name of runtime.state.removed) {
    if (present.has(name) || known.some((node) => node.name === name)) continue;
    if ((await kindOf(nodeLayoutOf(runtime.layout, { name }).dir)) !== undefined) gone.push({ name });
  }
  if (!gone.length) return;
  // Written first, so that after an interruption here the slots to drop are still known.
  const removed = [...new Set([...runtime.state.removed, ...gone.map(({ name }) => name)])];
  await changeState(runtime, { removed });
  for (const node of gone) await removeNode(runtime, node, progress);
}

/**
 * Records the nodes that an `up` is about to create, before anything of them is made: if it is interrupted, only this record
 * tells of the server and the slot that it leaves. A node whose slot is there already is not recorded: another server may use
 * the slot.
 */
export async function recordBegunNodes(
  runtime: Runtime,
  before: Config | undefined,
): Promise<readonly NodeConfig[]> {
  const added = runtime.config.nodes.filter((node) => before?.nodes.every(({ name }) => name !== node.name));
  if (added.length === 0) return [];
  const { removed } = runtime.state;
  // A primary that does not answer cannot be asked for its slots.
  const slots = await ownPrimary(runtime)
    ?.use(listSlots)
    .catch(() => undefined);
  const begun = added.filter(
    ({ name }) => removed.includes(name) || (slots && !slots.includes(slotName(name))),
  );
  const all = [...new Set([...removed, ...begun.map(({ name }) => name)])];
  if (all.length > removed.length) await changeState(runtime, { removed: all });
  return begun;
}

/** Stops nodes that a refused `up` created, and drops their slots. Their data stays for the next `up` that has them. */
export async function endBegunNodes(runtime: Runtime, begun: readonly NodeConfig[]): Promise<void> {
  for (const node of begun) {
    try {
      await stopIfOurs(runtime, node);
      await ownPrimary(runtime)?.use(async (session) => await dropSlot(session, slotName(node.name)));
    } catch (error) {
      runtime.log(
        "warn",
        `${node.name}, which an up began that was refused, is not ended yet: ${String(error)}`,
      );
    }
  }
}

/** Stops a node's server, if it is this cluster's: a `data_dir` that was named by mistake may be somebody else's. */
async function stopIfOurs(runtime: Runtime, node: Gone): Promise<void> {
  const { installation, owner, state } = runtime;
  const { dataDir } = nodeLayoutOf(runtime.layout, node);
  if (node.data_dir !== undefined) {
    const data = await inspectDataDirectory(dataDir, installation, owner);
    if (data.kind !== "whole" || data.systemIdentifier !== state.system_identifier) return;
  }
  await stopServer(dataDir, node.name, "fast");
  await openTablespaces(dataDir, owner);
}

async function removeNode(runtime: Runtime, node: Gone, progress: Progress): Promise<void> {
  const files = nodeLayoutOf(runtime.layout, node);
  progress.step(node.name, "remove: stop, drop its slot, keep its data aside");
  await stopIfOurs(runtime, node);
  // When the primary does not run yet, its slots are checked after its start.
  await ownPrimary(runtime)
    ?.use(async (session) => await dropSlot(session, slotName(node.name)))
    .catch((error: unknown) => runtime.log("warn", `slot of ${node.name} not dropped yet: ${String(error)}`));
  if ((await kindOf(files.dir)) === undefined) return;
  await ensureDirectory(runtime.layout.asideDir);
  const aside = path.join(runtime.layout.asideDir, `${node.name}-${stamp(now())}`);
  await move(files.dir, aside);
  progress.note(`The data of ${node.name} is kept in ${node.data_dir ?? aside}`);
}
