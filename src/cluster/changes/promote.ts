import { sayOf } from "../../model/silence.ts";
import { nextStep, odooPg } from "../../next-step.ts";
import { showBytes } from "../../model/quantities.ts";
import { bytesBehind } from "../../model/lsn.ts";
import { factsOf, position, type NodeObservation } from "../../model/observation.ts";
import type { Fence, PlanStep } from "../../model/plan.ts";
import { becomePrimary, refuse, type Plan, type Planned } from "./planned.ts";

interface PromoteInput {
  readonly node: string;
  readonly primary: NodeObservation;
  /** Whether the primary's process is there, answering or not. */
  readonly primaryRuns: boolean;
  /** Whether odoo-pg runs the primary, and so could stop it. */
  readonly foreign: boolean;
  readonly replicas: readonly NodeObservation[];
  readonly fence: Fence | undefined;
  readonly allowDataLoss: boolean;
}

/** Plans the promotion of a replica although nothing hands over to it. What is lost is decided after fencing. */
export function planPromote(input: PromoteInput): Planned {
  return obstacleOf(input) ?? { kind: "go", plan: planOf(input) };
}

/** Why it is refused; undefined where it may go on. */
function obstacleOf(input: PromoteInput): Planned | undefined {
  const { node, replicas } = input;
  if (node === input.primary.name) return refuse(`${node} is the primary already.`, odooPg("status"));
  const target = factsOf(replicas.find((replica) => replica.name === node));
  if (!target?.in_recovery) {
    return refuse(
      `${node} ${target ? "is not a replica" : "does not answer"}, so it cannot be promoted.`,
      odooPg("logs", node),
    );
  }
  if (input.primaryRuns && input.fence === undefined) return twoPrimaries(input);
  const ahead = othersOf(input)
    .map((replica) => ({
      name: replica.name,
      bytes: bytesBehind(position(factsOf(replica)), position(target)),
    }))
    .toSorted((a, b) => b.bytes - a.bytes)[0];
  return ahead && ahead.bytes > 0 && !input.allowDataLoss
    ? refuse(
        `${ahead.name} has received ${showBytes(ahead.bytes)} more than ${node}.`,
        odooPg("promote", ahead.name),
      )
    : undefined;
}

/** A primary that runs and is not fenced might go on beside the new one. */
function twoPrimaries({ node, primary, foreign }: PromoteInput): Planned {
  const from = primary.name;
  if (foreign) {
    return refuse(
      "The primary that this cluster follows answers; two primaries would be the worst outcome.",
      nextStep`Stop it on its host, and keep it stopped; then: ${odooPg("promote", node)}`,
    );
  }
  return primary.answer.kind === "none"
    ? refuse(
        `The primary ${from} ${sayOf(primary.answer.silence)}, but its processes are still there: they might resume.`,
        odooPg("promote", node, "--fence", "immediate"),
      )
    : refuse(
        `The primary ${from} answers; two primaries would be the worst outcome.`,
        nextStep`Planned: ${odooPg("switchover", "--to", node)}. If ${from} must go: ${odooPg("promote", node, "--fence", "fast")}`,
      );
}

function othersOf({ node, replicas }: PromoteInput): readonly NodeObservation[] {
  return replicas.filter((replica) => replica.name !== node);
}

function planOf(input: PromoteInput): Plan {
  const { node, fence } = input;
  const from = input.primary.name;
  // odoo-pg does not start a server that it does not run, so nothing has to prevent a start.
  const held = input.foreign ? [node] : [from, node];
  const why = input.allowDataLoss ? "data loss accepted" : "asked for";
  return {
    steps: [
      ...held.map((name): PlanStep => ({
        kind: "hold",
        node: name,
        operation: name === node ? "promote" : "fenced",
      })),
      { kind: "close_endpoints", node: from },
      {
        kind: "fence",
        node: from,
        running: input.primaryRuns && !input.foreign,
        ...(fence === undefined ? {} : { mode: fence }),
      },
      { kind: "limit_loss", node, of: from, accepted: input.allowDataLoss },
      ...becomePrimary(node),
      input.foreign ? { kind: "take_over", node } : { kind: "needs_rejoin", node: from, primary: node },
      { kind: "reopen_pool" },
      ...held.map((name): PlanStep => ({ kind: "release", node: name })),
      { kind: "route", node },
      { kind: "record_change", change: "promote", from, to: node, why, paused: "since_last_answer" },
      { kind: "settle", primary: node, replicas: othersOf(input).map(({ name }) => name) },
    ],
    undo: input.foreign
      ? `none: take "upstream" out of odoo-pg.yaml`
      : nextStep`${odooPg("rejoin", from)}, then ${odooPg("switchover", "--to", from)}`,
  };
}
