import { sayOf } from "../model/silence.ts";
import * as z from "zod";
import { factsOf, type NodeObservation } from "../model/observation.ts";
import type { Eligibility } from "../cluster/pool.ts";

/** The last observation of the endpoints' agent: it is kept in a file, which `status` reads. */
export const endpointsViewSchema = z.object({
  version: z.literal(1),
  /** The node that receives writes; null before any primary has answered. */
  primary: z.string().nullable(),
  /** Replicas that receive reads; where there is none, reads go to the primary. */
  pool: z.string().array(),
  nodes: z
    .object({
      name: z.string(),
      state: z.enum(["primary", "replica", "unreachable"]),
      /** Why a node gets no sessions. */
      reason: z.string().nullable(),
    })
    .array(),
});
export type EndpointsView = z.output<typeof endpointsViewSchema>;

export function viewOfEndpoints(
  observations: readonly NodeObservation[],
  primary: string | undefined,
  eligibilities: readonly Eligibility[],
): EndpointsView {
  return {
    version: 1,
    primary: primary ?? null,
    pool: eligibilities.filter(({ eligible }) => eligible).map(({ name }) => name),
    nodes: observations.map((observation) => {
      const facts = factsOf(observation);
      const eligibility = eligibilities.find(({ name }) => name === observation.name);
      const silence = observation.answer.kind === "none" ? sayOf(observation.answer.silence) : undefined;
      const state = facts ? (facts.in_recovery ? "replica" : "primary") : "unreachable";
      const old = state === "primary" && observation.name !== primary ? "an old primary: stop it" : undefined;
      return { name: observation.name, state, reason: old ?? silence ?? eligibility?.reason ?? null };
    }),
  };
}
