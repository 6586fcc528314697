import { decideStart } from "../../../src/cluster/start.ts";
import type { NodeObservation } from "../../../src/model/observation.ts";
import type { PlanStep } from "../../../src/model/plan.ts";
import { primaryFacts, replicaFacts, seen, silent, slot } from "../../support/observations.ts";

/** As much of a node as decides whether two could take writes. */
interface SimulatedNode {
  running: boolean;
  /** One that is lost does not start, whoever tries. */
  lost: boolean;
  /** Whether its data directory is in its place. */
  data: boolean;
  /** Whether it starts as a standby, by its standby.signal. */
  standby: boolean;
  /** Whether the running server is in recovery. */
  recovering: boolean;
  /** Whether it has all that was ever acknowledged. */
  complete: boolean;
  slots: Set<string>;
}

/** A cluster of which the steps of a plan are true by definition. */
export class SimulatedCluster {
  record = "pg1";
  writes: string | undefined = "pg1";
  poolOpen = true;
  /** Whether clients of poolers wait. */
  paused = false;
  /** The node that no new client is led to. */
  heldNew: string | undefined;
  readonly held = new Set<string>();
  readonly nodes: Map<string, SimulatedNode>;

  constructor(names: readonly string[]) {
    this.nodes = new Map(
      names.map((name) => [
        name,
        {
          running: true,
          lost: false,
          data: true,
          standby: name !== "pg1",
          recovering: name !== "pg1",
          complete: name === "pg1",
          slots: new Set(name === "pg1" ? names.filter((other) => other !== name) : []),
        },
      ]),
    );
  }

  /** Nodes that would take a write. */
  get writable(): string[] {
    return [...this.nodes]
      .filter(([, { running, recovering }]) => running && !recovering)
      .map(([name]) => name);
  }

  node(name: string): SimulatedNode {
    const node = this.nodes.get(name);
    if (!node) throw new Error(`no node ${name}`);
    return node;
  }

  start(name: string): void {
    const node = this.node(name);
    if (node.running || node.lost || !node.data) return;
    node.running = true;
    node.recovering = node.standby;
  }

  /** What supervision does at each look, and `up` at the start of an agent: by the decision that both take. */
  supervise(): void {
    for (const [name, node] of this.nodes) {
      if (node.running || this.held.has(name)) continue;
      const decision = decideStart({
        node: name,
        primary: this.record,
        data: node.data
          ? { kind: "whole", systemIdentifier: "1", standby: node.standby }
          : { kind: "absent" },
        systemIdentifier: "1",
        othersWithData: [],
        cluster: "test",
      });
      if (decision.action === "start") this.start(name);
    }
  }

  /** The agent dies, and with it what it holds; a new one leads writes to whom the record names. */
  loseAgent(): void {
    this.held.clear();
    this.poolOpen = true;
    // It lasts for some seconds.
    this.heldNew = undefined;
    // The next one has its poolers go on.
    this.paused = false;
    this.writes = this.record;
  }

  /** What the agent sees of it. */
  observations(): NodeObservation[] {
    return [...this.nodes].map(([name, { running, recovering, slots }]) => {
      if (!running) return silent(name, "not_running");
      const facts = { slots: [...slots].map((other) => slot(other)) };
      return seen(name, recovering ? replicaFacts(facts) : primaryFacts(facts));
    });
  }

  apply(step: PlanStep): void {
    switch (step.kind) {
      case "hold":
        this.held.add(step.node);
        return;
      case "release":
        this.held.delete(step.node);
        return;
      case "pause_clients":
        this.paused = true;
        break;
      case "resume_clients":
        this.paused = false;
        break;
      case "hold_new_clients":
        this.heldNew = step.node;
        return;
      case "let_in_new_clients":
        this.heldNew = undefined;
        return;
      case "leave_pool":
      case "empty_pool":
        this.poolOpen = false;
        return;
      case "reopen_pool":
        this.poolOpen = true;
        return;
      case "close_endpoints":
        this.poolOpen = false;
        this.writes = undefined;
        return;
      case "close_writes":
        this.writes = undefined;
        return;
      case "route":
      case "reopen_writes":
        this.writes = step.node;
        return;
      case "stop":
      case "fence":
      case "stop_replica":
        this.node(step.node).running = false;
        return;
      case "start":
      case "follow":
        this.start(step.node);
        return;
      case "become_standby":
        this.node(step.node).standby = true;
        return;
      case "become_primary":
        this.node(step.node).standby = false;
        return;
      case "make_slots":
        for (const follower of step.followers) this.node(step.node).slots.add(follower);
        return;
      case "drop_slots":
        for (const follower of step.followers) this.node(step.node).slots.delete(follower);
        return;
      case "settle":
        for (const replica of step.replicas) {
          this.node(step.primary).slots.add(replica);
          if (this.node(replica).running) this.node(replica).slots.clear();
        }
        return;
      case "await_replay":
      case "limit_loss":
        this.node(step.node).complete = true;
        return;
      case "record_primary":
        this.record = step.node;
        return;
      case "promote":
        Object.assign(this.node(step.node), { recovering: false, standby: false });
        return;
      case "keep_aside":
        this.node(step.node).data = false;
        return;
      case "put_in_place":
        this.node(step.node).data = true;
        return;
      case "checkpoint":
      case "end_silent_senders":
      case "release_commits":
      case "take_over":
      case "needs_rejoin":
      case "record_change":
      case "prepare_start":
      case "await_streaming":
      case "require_room":
      case "base_backup":
      case "renew_slot":
      case "take_slot_of_copy":
      case "rewind":
      case "discard_old":
        return;
      case "rest_pool":
      case "hand_over":
      case "take_by_force":
      case "await_primary":
        throw new Error(`${step.kind} is a step of several hosts`);
    }
  }
}
