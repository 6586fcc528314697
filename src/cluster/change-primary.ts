import { sayOf } from "../model/silence.ts";
import { nextStep, odooPg, type NextText } from "../next-step.ts";
import { showBytes } from "../model/quantities.ts";
import { bytesBehind, type Lsn } from "../model/lsn.ts";
import { factsOf, lagOf, type NodeObservation, type ServerFacts } from "../model/observation.ts";

/**
 * A replica further behind than this is not switched to: its catching up would be a pause of all writes.
 * The same figure as Patroni's bound for a failover is 1 MiB; a switchover waits for the rest, so it may be larger.
 */
const SWITCHOVER_MAX_LAG = 16 * 1024 * 1024;

/** Whether an action may go on, and with which steps, for the reader. */
export type Decision =
  | { readonly kind: "go"; readonly to: string; readonly steps: readonly string[]; readonly undo: NextText }
  | { readonly kind: "refuse"; readonly message: string; readonly next: NextText };

function refuse(message: string, next: NextText): Decision {
  return { kind: "refuse", message, next };
}

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

/** Decides a planned change of the primary. Without a wish the replica that is least behind is taken. */
export function decideSwitchover(input: {
  readonly primary: NodeObservation;
  readonly replicas: readonly NodeObservation[];
  readonly to: string | undefined;
}): Decision {
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
  return {
    kind: "go",
    to,
    steps: [
      `checkpoint on ${from}, so that its shutdown is short`,
      `new sessions wait at the write endpoint; sessions on ${from} end`,
      `stop ${from} (fast), with ${to} attached: it sends everything`,
      `check that ${to} has replayed all of it`,
      `promote ${to}; the write endpoint leads to it`,
      `start ${from} as a replica of ${to}${replicas.length > 1 ? "; the other replicas follow" : ""}`,
    ],
    undo: odooPg("switchover", "--to", from),
  };
}

function behind(replica: NodeObservation, primary: ServerFacts): number {
  const facts = factsOf(replica);
  return (facts && lagOf(facts, primary).bytes) ?? Number.MAX_SAFE_INTEGER;
}

export type Fence = "fast" | "immediate";

/** Decides whether a replica may be promoted although nothing hands over to it. What is lost is decided after fencing. */
export function decidePromote(input: {
  readonly node: string;
  readonly primary: NodeObservation;
  /** Whether the primary's process is there, answering or not. */
  readonly primaryRuns: boolean;
  /** Whether odoo-pg runs the primary, and so could stop it. */
  readonly foreign: boolean;
  readonly replicas: readonly NodeObservation[];
  readonly fence: Fence | undefined;
  readonly allowDataLoss: boolean;
}): Decision {
  const { node, primary, replicas, fence } = input;
  const from = primary.name;
  if (node === from) return refuse(`${node} is the primary already.`, odooPg("status"));
  const target = factsOf(replicas.find((replica) => replica.name === node));
  if (!target?.in_recovery) {
    return refuse(
      `${node} ${target ? "is not a replica" : "does not answer"}, so it cannot be promoted.`,
      odooPg("logs", node),
    );
  }
  if (input.primaryRuns && fence === undefined) {
    if (input.foreign) {
      return refuse(
        "The primary that this cluster follows answers; two primaries would be the worst of all.",
        nextStep`Stop it on its host, and keep it stopped; then: ${odooPg("promote", node)}`,
      );
    }
    return primary.answer.kind === "facts"
      ? refuse(
          `The primary ${from} answers; two primaries would be the worst of all.`,
          nextStep`Planned: ${odooPg("switchover", "--to", node)}. If ${from} must go: ${odooPg("promote", node, "--fence", "fast")}`,
        )
      : refuse(
          `The primary ${from} ${sayOf(primary.answer.silence)}, but its processes are there: they might go on later.`,
          odooPg("promote", node, "--fence", "immediate"),
        );
  }
  const ahead = replicas
    .filter((replica) => replica.name !== node)
    .map((replica) => ({
      name: replica.name,
      bytes: bytesBehind(position(factsOf(replica)), position(target)),
    }))
    .toSorted((a, b) => b.bytes - a.bytes)[0];
  if (ahead && ahead.bytes > 0 && !input.allowDataLoss) {
    return refuse(
      `${ahead.name} has received ${showBytes(ahead.bytes)} more than ${node}.`,
      odooPg("promote", ahead.name),
    );
  }
  return {
    kind: "go",
    to: node,
    steps: [
      ...(input.primaryRuns && !input.foreign
        ? [`stop ${from} (${fence ?? "immediate"}) and keep it down`]
        : [`keep ${from} down`]),
      `find out what ${node} lacks of ${from}'s log; go on only if that is nothing, or its loss is accepted`,
      `promote ${node}; the write endpoint leads to it`,
      input.foreign
        ? "make odoo-pg's roles and the template; the other nodes follow"
        : `${from} waits as "needs rejoin", its data untouched`,
    ],
    undo: input.foreign
      ? `none: take "upstream" out of odoo-pg.yaml`
      : nextStep`${odooPg("rejoin", from)}, then ${odooPg("switchover", "--to", from)}`,
  };
}

/** The end of what a replica has received, replayed or not. */
export function position(facts: ServerFacts | undefined): Lsn {
  const received = facts?.receive_lsn ?? 0n;
  const replayed = facts?.replay_lsn ?? 0n;
  return received > replayed ? received : replayed;
}
