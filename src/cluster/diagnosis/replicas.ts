import type { Config } from "../../config/schema.ts";
import { slotWalLimit } from "../../config/settings/advised.ts";
import { parseBytes } from "../../config/values/postgres-units.ts";
import { showBytes, showSeconds } from "../../model/quantities.ts";
import { warning, type FoundWarning } from "../../model/warnings.ts";
import { nextStep, odooPg } from "../../next-step.ts";
import { keepsMuch } from "../slot-wal.ts";
import type { ClusterView, NodeView } from "../view.ts";
import { afterSilence, oneLine } from "./words.ts";

/** Of a replica while there is a primary to follow: its slot, whether it streams, how far it is behind. */
export function ofReplica(replica: NodeView, primary: NodeView, view: ClusterView): FoundWarning[] {
  const { name, facts, slot } = replica;
  if (slot?.state === "lost") {
    return [
      warning("slot_lost", {
        node: name,
        message: `${name} can no longer catch up: ${primary.name} removed WAL that it still needs. Rebuild it; its present data is kept.`,
        next: odooPg("reseed", name),
      }),
    ];
  }
  const found = [...ofSlot(replica, primary, view)];
  if (!facts || !primary.identity) return found;
  const theirs = primary.identity.timeline;
  const streams = facts.receiver_status === "streaming";
  const refusal = streams ? null : (replica.account?.refusal ?? null);
  // A replica that does not stream tells the timeline of its last checkpoint, which may be from before a change of the primary.
  if (refusal !== null && facts.timeline <= theirs) {
    found.push(
      warning("replica_not_streaming", {
        node: name,
        message: `${name} does not stream from ${primary.name}: its data grows stale. ${primary.name} refuses the role "replicator" (${oneLine(refusal)}).`,
        next: nextStep`give the role its password and rights back: ${odooPg("up")}`,
      }),
    );
  } else if (facts.timeline > theirs || (facts.timeline < theirs && !streams)) {
    const diverged = facts.timeline > theirs;
    found.push(
      warning("wrong_timeline", {
        node: name,
        message: `${name} is on timeline ${facts.timeline}, ${primary.name} on ${theirs}: it does not follow.${diverged ? " Rebuild it; its present data is kept." : ""}`,
        next: diverged ? odooPg("reseed", name) : odooPg("logs", name),
      }),
    );
  } else if (!streams && replica.account?.stranded) {
    found.push(
      warning("needs_reseed", {
        node: name,
        message: `${name} cannot catch up: ${primary.name} no longer has the WAL it needs. Rebuild it; its present data is kept.`,
        next: odooPg("reseed", name),
      }),
    );
  } else if (!streams) {
    found.push(
      warning("replica_not_streaming", {
        node: name,
        message: `${name} does not stream from ${primary.name}: its data grows stale.`,
        next: odooPg("logs", name),
      }),
    );
  } else if (facts.replay_paused) {
    found.push(
      warning("replay_paused", {
        node: name,
        message: `Replay is paused on ${name}${behindBy(replica)}: someone called pg_wal_replay_pause().`,
        next: odooPg("psql", name, "--", "-c", "SELECT pg_wal_replay_resume()"),
      }),
    );
  } else if (isBehind(replica, view.input.config)) {
    found.push(
      warning("replica_behind", {
        node: name,
        message: `${name}${behindBy(replica, " is ")} (limit ${limitOf(view.input.config)})${replica.pooled ? "" : ": it serves no reads until it has caught up"}.`,
        next: odooPg("status", "--watch"),
      }),
    );
  }
  return found;
}

function ofSlot(replica: NodeView, primary: NodeView, view: ClusterView): FoundWarning[] {
  const { name, slot } = replica;
  // A replica that is being made gets its slot on the way.
  if (slot?.state === "missing" && replica.facts) {
    return [
      warning("slot_missing", {
        node: name,
        message: `${name} has no slot on ${primary.name}: WAL that it needs may be removed at any time.`,
        next: odooPg("up"),
      }),
    ];
  }
  const kept = slot?.kept_bytes ?? 0;
  const limit = slotLimit(view.input.config, primary);
  const disk = primary.disk?.totalBytes;
  const much = slot?.state === "unreserved" || keepsMuch(kept, limit, disk);
  if (!much) return [];
  const beyond =
    limit === undefined
      ? "without any limit (max_slot_wal_keep_size)"
      : `and no more than ${showBytes(limit)}: beyond that ${name} has to be rebuilt`;
  return [
    warning("slot_keeps_wal", {
      node: name,
      message:
        slot?.state === "unreserved"
          ? `The slot of ${name} is beyond its limit: ${primary.name} may remove WAL that ${name} needs at any moment.`
          : `${primary.name} keeps ${showBytes(kept)} of WAL for ${name}, ${beyond}.`,
      next: replica.facts ? odooPg("logs", name) : afterSilence(replica, view),
    }),
  ];
}

function behindBy({ lag }: NodeView, verb = ", "): string {
  if (lag.bytes === undefined) return "";
  const seconds = lag.seconds === undefined ? "" : ` / ${showSeconds(lag.seconds)}`;
  return `${verb}${showBytes(lag.bytes)}${seconds} behind`;
}

function isBehind({ lag, pooled }: NodeView, config: Config): boolean {
  const { max_lag, max_lag_seconds } = config.endpoints.read;
  if (lag.bytes === undefined) return false;
  if (lag.bytes > max_lag) return true;
  // The age of what was last replayed overstates on a primary with pauses: the agent, which measures, has the last word.
  return max_lag_seconds !== undefined && !pooled && (lag.seconds ?? 0) > max_lag_seconds;
}

function limitOf(config: Config): string {
  const { max_lag, max_lag_seconds } = config.endpoints.read;
  return max_lag_seconds === undefined
    ? showBytes(max_lag)
    : `${showBytes(max_lag)} / ${showSeconds(max_lag_seconds)}`;
}

/** Bytes that slots may keep on the primary; undefined when there is no limit. */
function slotLimit(config: Config, primary: NodeView): number | undefined {
  const set = config.postgres.parameters["max_slot_wal_keep_size"];
  if (set === undefined) return primary.disk && slotWalLimit(primary.disk.totalBytes);
  // Without a unit PostgreSQL reads megabytes.
  const bytes = parseBytes(/^\d+$/.test(set) ? `${set}MB` : set);
  return typeof bytes === "number" ? bytes : undefined;
}
