import type { Config } from "../../config/schema.ts";
import { OdooPgError } from "../../errors.ts";
import { nextStep, odooPg } from "../../next-step.ts";
import { followsUpstream, type ClusterState } from "../../store/state.ts";

/** @throws OdooPgError refused: whose directory it is, and who is primary, is never changed by editing a file. */
export function requireFittingRecord(state: ClusterState, config: Config): void {
  const safe = "Nothing was changed.";
  if (state.cluster !== config.cluster) {
    throw new OdooPgError("refused", {
      message: `${config.state_dir} is the state directory of cluster "${state.cluster}", but the configuration is for "${config.cluster}".`,
      safe,
      next: `Set another state_dir for "${config.cluster}", or set "cluster: ${state.cluster}" again.`,
    });
  }
  if (config.upstream && !followsUpstream(state)) {
    throw new OdooPgError("refused", {
      message: `The configuration has "upstream", but the cluster has a primary of its own: ${state.primary}.`,
      safe,
      next: nextStep`Remove "upstream" (and SLAVEHOST), then: ${odooPg("up")}. To follow another primary, start with another state_dir.`,
    });
  }
  if (!config.upstream && followsUpstream(state)) {
    const node = config.nodes[0]?.name ?? "NODE";
    throw new OdooPgError("refused", {
      message:
        'The cluster follows a primary that odoo-pg does not run, and the configuration no longer has "upstream".',
      safe,
      next: nextStep`Put "upstream" back, then run ${odooPg("up")}. To make ${node} the primary: put it back, stop the other primary, then: ${odooPg("promote", node)}`,
    });
  }
}
