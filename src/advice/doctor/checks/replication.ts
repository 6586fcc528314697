import { nextStep, odooPg, type NextText } from "../../../next-step.ts";
import { isCopySlot, slotName } from "../../../config/layout.ts";
import { showBytes, showSeconds } from "../../../model/quantities.ts";
import { keepsMuch } from "../../../cluster/slot-wal.ts";
import { REPLICA_SENSITIVE } from "../../../config/settings/table.ts";
import {
  numberOf,
  serversSeen,
  settingOf,
  observedValues,
  type Evidence,
  type Server,
  type SlotSeen,
} from "../evidence.ts";
import { finding, type FoundFinding } from "../findings.ts";
import { psqlOn, unset, shownSetting } from "../next-commands.ts";

const SHORTEST_DELAY = 5;
const LONGEST_DELAY = 300;
const DAY = 86_400;
const MB = 1024 * 1024;

/** Whether replicas can go on replaying, serve reads in peace, and cannot fill the primary's disk. */
export function checkReplication(evidence: Evidence): FoundFinding[] {
  const servers = serversSeen(evidence);
  const primary = servers.find(({ in_recovery }) => !in_recovery);
  return servers.flatMap((server) => [
    ...(server.in_recovery
      ? [...(primary ? settingsBelow(server, primary) : []), ...reads(server), ...conflicts(server)]
      : []),
    ...slots(evidence, server),
  ]);
}

function settingsBelow(replica: Server, primary: Server): FoundFinding[] {
  return REPLICA_SENSITIVE.flatMap((name) => {
    const [own, theirs] = [numberOf(replica, name), numberOf(primary, name)];
    if (own === undefined || theirs === undefined || own >= theirs) return [];
    return [
      finding("replica_settings_below", {
        node: replica.name,
        message: `${replica.name} has ${name} = ${own}, below the ${theirs} of its primary ${primary.name}: it stops replaying.`,
        evidence: { setting: name, replica: own, primary: theirs },
        next: odooPg("up"),
      }),
    ];
  });
}

function reads(replica: Server): FoundFinding[] {
  const found: FoundFinding[] = [];
  if (settingOf(replica, "hot_standby_feedback") === "off") {
    found.push(
      finding("standby_feedback_off", {
        node: replica.name,
        message: `${replica.name} does not tell its primary which rows its reads still need: vacuum cancels them.`,
        evidence: { hot_standby_feedback: "off" },
        ...unset(replica, "hot_standby_feedback"),
      }),
    );
  }
  const delay = numberOf(replica, "max_standby_streaming_delay");
  if (delay === undefined) return found;
  const seconds = delay / 1000;
  if (delay >= 0 && seconds >= SHORTEST_DELAY && seconds <= LONGEST_DELAY) return found;
  found.push(
    finding("standby_delay_unfit", {
      node: replica.name,
      message:
        delay < 0
          ? `A read on ${replica.name} may hold up replay without limit.`
          : `A read on ${replica.name} may hold up replay for ${showSeconds(seconds)}: ${
              seconds < SHORTEST_DELAY ? "reads are cancelled at once" : "others see old data meanwhile"
            }.`,
      evidence: { max_standby_streaming_delay: delay < 0 ? "-1" : `${seconds} s` },
      ...unset(replica, "max_standby_streaming_delay"),
    }),
  );
  return found;
}

function conflicts(replica: Server): FoundFinding[] {
  return observedValues(replica.conflicts).flatMap(({ by_reason, counted_seconds }) => {
    const total = Object.values(by_reason).reduce((sum, count) => sum + count, 0);
    const days = Math.max(1, (counted_seconds ?? 0) / DAY);
    if (total === 0 || counted_seconds === null || total / days < 1) return [];
    return [
      finding("replica_conflicts", {
        node: replica.name,
        message: `${replica.name} has cancelled ${total} ${total === 1 ? "read" : "reads"} in ${showSeconds(counted_seconds)}, because replay needed what ${total === 1 ? "it" : "they"} used.`,
        evidence: { ...by_reason, counted_seconds },
        next: psqlOn(replica.name, [
          "SELECT * FROM pg_stat_database_conflicts",
          "SHOW max_standby_streaming_delay",
        ]),
      }),
    ];
  });
}

function slots(evidence: Evidence, server: Server): FoundFinding[] {
  return observedValues(server.slots).flatMap((all) => [
    ...uncapped(server, all),
    ...all.flatMap((slot) => ofSlot(evidence, server, slot)),
  ]);
}

function uncapped(server: Server, all: readonly SlotSeen[]): FoundFinding[] {
  if (all.length === 0 || numberOf(server, "max_slot_wal_keep_size") !== -1) return [];
  return [
    finding("slot_without_cap", {
      node: server.name,
      message: `The ${all.length === 1 ? "slot" : `${all.length} slots`} on ${server.name} may keep WAL until the disk is full.`,
      evidence: { max_slot_wal_keep_size: shownSetting(server, "max_slot_wal_keep_size"), slots: all.length },
      ...unset(server, "max_slot_wal_keep_size"),
    }),
  ];
}

function ofSlot(evidence: Evidence, server: Server, slot: SlotSeen): FoundFinding[] {
  const replica = evidence.config.nodes.find(({ name }) => slotName(name) === slot.name);
  const drop = psqlOn(server.name, [`SELECT pg_drop_replication_slot('${slot.name}')`]);
  const figures = {
    slot: slot.name,
    type: slot.type,
    active: slot.active,
    wal_status: slot.wal_status,
    kept_bytes: slot.kept_bytes,
  };
  if (slot.wal_status === "lost") {
    // Patroni keeps the others' slots on a replica for the day when it is primary, and makes them again.
    if (evidence.hosts && server.in_recovery) return [];
    return [
      finding("slot_lost", {
        node: server.name,
        message: `The slot ${slot.name} on ${server.name} is lost: whatever uses it can never catch up.`,
        evidence: figures,
        next: !replica
          ? drop
          : evidence.hosts
            ? nextStep`on ${replica.name}: ${odooPg("reseed")}`
            : odooPg("reseed", replica.name),
      }),
    ];
  }
  // A base backup under way holds its slot; the slot of an interrupted one is dropped by the next.
  if (!slot.active && !replica && !isCopySlot(slot.name)) {
    return [
      finding("slot_unused", {
        node: server.name,
        message: `The ${slot.type} slot ${slot.name} on ${server.name} is not in use, and belongs to no node of this cluster. It keeps ${slot.kept_bytes === null ? "WAL" : `${showBytes(slot.kept_bytes)} of WAL`}.`,
        evidence: figures,
        next: nextStep`if nothing will use it again: ${drop}`,
      }),
    ];
  }
  const limit = numberOf(server, "max_slot_wal_keep_size") ?? -1;
  const [disk] = evidence.nodes
    .filter(({ name }) => name === server.name)
    .flatMap((node) => observedValues(node.disk));
  const kept = slot.kept_bytes ?? 0;
  const much =
    slot.wal_status === "unreserved" ||
    keepsMuch(kept, limit >= 0 ? limit * MB : undefined, disk?.totalBytes);
  if (!much) return [];
  return [
    finding("slot_keeps_wal", {
      node: server.name,
      message: `${server.name} keeps ${showBytes(kept)} of WAL for the slot ${slot.name}${limit >= 0 ? `, of ${showBytes(limit * MB)} at most` : ", without a limit"}.`,
      evidence: { ...figures, limit_bytes: limit >= 0 ? limit * MB : null },
      next: lateStep(evidence, replica?.name),
    }),
  ];
}

/** The next step for a replica that is so far behind. */
function lateStep({ hosts }: Evidence, replica: string | undefined): NextText {
  if (replica === undefined) return hosts ? odooPg("status") : odooPg("replication", "status");
  if (!hosts) return odooPg("logs", replica);
  const away = hosts.others.some(({ name, answers }) => name === replica && !answers);
  return away
    ? nextStep`start ${replica} again; nothing of it is dropped meanwhile. Only if it is lost for good: ${odooPg("ha", "remove", replica, "--confirm", replica)}`
    : nextStep`on ${replica}: ${odooPg("logs", replica)}`;
}
