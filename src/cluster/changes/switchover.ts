import { sayOf } from "../../model/silence.ts";
import { nextStep, odooPg } from "../../next-step.ts";
import { showBytes } from "../../model/quantities.ts";
import { factsOf, lagOf, type NodeObservation, type ServerFacts } from "../../model/observation.ts";
import type { PlanStep } from "../../model/plan.ts";
import { becomePrimary, refuse, type Plan, type Planned } from "./planned.ts";

/**
 * A replica further behind than this is not switched to: its catching up would be a pause of all writes.
 * The same figure as Patroni's bound for a failover is 1 MiB; a switchover waits for the rest, so it may be larger.
 */
const SWITCHOVER_MAX_LAG = 16 * 1024 * 1024;

/** Why a replica cannot become primary without loss, or undefined when it can. */
function whyNotReady(replica: NodeObservation, primary: ServerFacts): string | undefined {
  const facts = factsOf(replica);
  if (!facts) return replica.answer.kind === "none" ? sayOf(replica.answer.silence) : "does not answer";
  if (!facts.in_recovery) return "is not a replica";
  if (facts.receiver_status !== "streaming") return "does not stream";
  if (facts.timeline !== primary.timeline)
    return `is on timeline ${facts.timeline}, the primary on ${primary.timeline}`;
  if (facts.replay_paused) return "has its replay paused";
  const { bytes, seconds } = lagOf(facts, primary);
  if (bytes === undefined) return "has an unknown lag";
  if (bytes > SWITCHOVER_MAX_LAG) {
    const age = seconds === undefined ? "" : `, about ${Math.round(seconds)} s`;
    return `is ${showBytes(bytes)} behind${age} (limit ${showBytes(SWITCHOVER_MAX_LAG)})`;
  }
  return undefined;
}

/** Plans a change of the primary that hands over. Without a wish the replica that is least behind is taken. */
export function planSwitchover(input: {
  readonly primary: NodeObservation;
  readonly replicas: readonly NodeObservation[];
  readonly to: string | undefined;
  /** Whether commits wait for the replicas of the read pool. */
  readonly readYourWrites: boolean;
  /** Whether clients of an endpoint come by a pooler, which can have them wait. */
  readonly pooled?: boolean;
}): Planned {
  const { primary, replicas } = input;
  const from = primary.name;
  if (input.to === from) return refuse(`${from} is the primary already.`, odooPg("status"));
  const facts = factsOf(primary);
  if (!facts || facts.in_recovery) {
    const reason = primary.answer.kind === "none" ? sayOf(primary.answer.silence) : "runs as a replica";
    return refuse(
      `The primary ${from} ${reason}; a switchover needs it to hand over.`,
      nextStep`Bring it back (${odooPg("up")}), or promote a replica: ${odooPg("promote", replicas[0]?.name ?? "NODE")}`,
    );
  }
  const candidates = replicas.filter((replica) => input.to === undefined || replica.name === input.to);
  if (!candidates.length)
    return refuse(
      "The cluster has no replica to switch to.",
      nextStep`Add a node to odoo-pg.yaml, then: ${odooPg("up")}`,
    );
  const reasons = new Map(candidates.map((replica) => [replica.name, whyNotReady(replica, facts)]));
  const ready = candidates
    .filter((replica) => reasons.get(replica.name) === undefined)
    .toSorted((a, b) => behind(a, facts) - behind(b, facts));
  const to = ready[0]?.name;
  if (to === undefined) {
    const all = [...reasons].map(([name, reason]) => `${name} ${reason ?? ""}`).join("; ");
    return refuse(
      `No switchover now: ${all}.`,
      nextStep`Until a replica streams and has caught up: ${odooPg("status", "--watch")}`,
    );
  }
  const others = replicas.map(({ name }) => name).filter((name) => name !== to);
  return { kind: "go", plan: handOver(from, to, others, input) };
}

/** One primary at any time: the old one is down and a standby before the record names the next. */
function handOver(
  from: string,
  to: string,
  others: readonly string[],
  { readYourWrites, pooled = false }: { readonly readYourWrites: boolean; readonly pooled?: boolean },
): Plan {
  const ofPoolers = (kind: "pause_clients" | "resume_clients"): PlanStep[] => (pooled ? [{ kind }] : []);
  return {
    steps: [
      { kind: "checkpoint", node: from, before: "shutdown" },
      { kind: "checkpoint", node: to, before: "promotion" },
      { kind: "make_slots", node: to, followers: [from, ...others] },
      { kind: "hold", node: from, operation: "switchover" },
      { kind: "hold", node: to, operation: "switchover" },
      // Who has just come sees nothing of the change.
      { kind: "hold_new_clients", node: from },
      // Before any session is cut, so that none of them has a transaction.
      ...ofPoolers("pause_clients"),
      // While the list that commits wait for changes, no replica may serve reads.
      readYourWrites ? { kind: "empty_pool" } : { kind: "leave_pool", node: to, required: true },
      { kind: "close_writes", node: from },
      { kind: "end_silent_senders", node: from },
      { kind: "stop", node: from, mode: "fast" },
      { kind: "await_replay", node: to, of: from },
      { kind: "become_standby", node: from },
      ...becomePrimary(to),
      { kind: "route", node: to },
      { kind: "let_in_new_clients", node: from },
      ...ofPoolers("resume_clients"),
      { kind: "record_change", change: "switchover", from, to, why: "asked for", paused: "measured" },
      { kind: "release", node: to },
      { kind: "follow", node: from, primary: to },
      { kind: "release", node: from },
      { kind: "reopen_pool" },
      { kind: "settle", primary: to, replicas: [from, ...others] },
    ],
    undo: odooPg("switchover", "--to", from),
  };
}

function behind(replica: NodeObservation, primary: ServerFacts): number {
  const facts = factsOf(replica);
  return (facts && lagOf(facts, primary).bytes) ?? Number.MAX_SAFE_INTEGER;
}
