import type { PlanStep } from "../../model/plan.ts";

/** A plan as people read it, a sentence for each step that is not mere bookkeeping. The one place of these words. */
export function planWords(steps: readonly PlanStep[]): string[] {
  return steps.flatMap((step) => wordsOf(step) ?? []);
}

function wordsOf(step: PlanStep): string | undefined {
  switch (step.kind) {
    case "pause_clients":
      return `open transactions of pooled clients${step.endpoint === "read" ? " that read" : ""} finish, new ones wait`;
    case "resume_clients":
      return "pooled clients go on";
    case "hold_new_clients":
      return `new clients wait instead of being led to ${step.node}; those who are logging in finish`;
    case "leave_pool":
      return `reads leave ${step.node}`;
    case "empty_pool":
      return "reads leave the replicas, then commits wait for none of them";
    case "rest_pool":
      return "reads go to the primary, on every host";
    case "hand_over":
      return `Patroni stops the server of ${step.node}, which sends everything, and promotes ${step.to}`;
    case "take_by_force":
      return `Patroni promotes ${step.node}${step.from === null ? "" : `; ${step.from} is stopped first`}`;
    case "await_primary":
      return `wait until writes go to ${step.node}`;
    case "close_writes":
      return `new sessions wait at the write endpoint; sessions on ${step.node} end`;
    case "close_endpoints":
      return "new sessions wait at both endpoints; those that are open end";
    case "route":
      return `the write endpoint leads to ${step.node}`;
    case "checkpoint":
      return `checkpoint on ${step.node}, so that its ${step.before} is short`;
    case "stop":
      return `stop ${step.node} (${step.mode}) while its replicas are attached: it sends everything`;
    case "fence":
      return step.running
        ? `stop ${step.node} (${step.mode ?? "immediate"}) and keep it down`
        : `keep ${step.node} down`;
    case "become_standby":
      return `from here on ${step.node} starts as a replica only`;
    case "start":
      return `start ${step.node} again`;
    case "needs_rejoin":
      return `${step.node} waits as "needs rejoin", its data untouched`;
    case "make_slots":
      return `create slots on ${step.node} for ${step.followers.join(", ")}`;
    case "await_replay":
      return `check that ${step.node} has replayed all that ${step.of} wrote`;
    case "limit_loss":
      return `find out what ${step.node} lacks of ${step.of}'s WAL; ${step.accepted ? "its loss is accepted" : "go on only if nothing that was acknowledged"}`;
    case "record_primary":
      return `record ${step.node} as the primary`;
    case "promote":
      return `promote ${step.node}`;
    case "take_over":
      return "create odoo-pg's roles and the template";
    case "follow":
      return `start ${step.node} as a replica of ${step.primary}`;
    case "await_streaming":
      return `wait until ${step.node} streams`;
    case "settle":
      return step.replicas.length === 0
        ? undefined
        : `${step.replicas.join(", ")}: settings and slots for following ${step.primary}`;
    case "require_room":
      return `check that there is room for a second copy beside the data of ${step.node}`;
    case "base_backup":
      return `copy ${step.from} beside the old data${step.serving ? ", which keeps serving meanwhile" : ""}`;
    case "stop_replica":
      return `stop ${step.node}`;
    case "rewind":
      return `copy the data of ${step.node}, and pg_rewind on the copy: back to where ${step.to} diverged`;
    case "keep_aside":
      return "rename the old data aside";
    case "put_in_place":
      return "put the copy in its place";
    case "discard_old":
      return "remove the old data";
    case "hold":
    case "release":
    case "let_in_new_clients":
    case "reopen_pool":
    case "reopen_writes":
    case "end_silent_senders":
    case "become_primary":
    case "drop_slots":
    case "release_commits":
    case "record_change":
    case "prepare_start":
    case "renew_slot":
    case "take_slot_of_copy":
      break;
  }
  return undefined;
}

/** Steps that take their time. */
const DOING: Partial<Record<PlanStep["kind"], string>> = {
  checkpoint: "checkpoint",
  stop: "stop",
  promote: "promote",
  discard_old: "remove the old data",
};

/** What is reported when a step begins; undefined where the step reports by itself, or is done at once. */
export function doing(step: PlanStep): { readonly node: string; readonly text: string } | undefined {
  if (step.kind === "follow") return { node: step.node, text: `start as a replica of ${step.primary}` };
  const text = DOING[step.kind];
  return text === undefined || !("node" in step) ? undefined : { node: step.node, text };
}
