import type { Layout } from "../config/layout.ts";
import type { NewEvent } from "../events/event.ts";
import { recorded, recordEvent } from "../events/journal.ts";
import { nodeEvents, type NodePast } from "../events/of-nodes.ts";
import type { Owner } from "../system/files/files.ts";
import type { Member } from "../members/member.ts";
import { NodeHandle } from "../members/node-handle.ts";

/** Writes the agent's events into the journal: orders, and nodes that come and go. */
export class EventWriter {
  readonly #layout: Layout;
  readonly #owner: Owner | undefined;
  readonly #nodes = new Map<string, NodePast>();

  constructor(layout: Layout, owner: Owner | undefined) {
    this.#layout = layout;
    this.#owner = owner;
  }

  write(event: NewEvent): void {
    recordEvent(this.#layout.stateDir, event, this.#owner);
  }

  /** Carries out an order and records the result. @param told makes the event of a success */
  async of<T>(
    order: { readonly kind: NewEvent["kind"]; readonly by: string; readonly node?: string | undefined },
    act: () => Promise<T>,
    told: (result: T) => NewEvent,
  ): Promise<T> {
    const { stateDir } = this.#layout;
    return await recorded({ ...order, stateDir, owner: this.#owner, told }, act);
  }

  /** Records which nodes came or went since the last call. Called in every turn of the loop. */
  observed(members: Iterable<Member>): void {
    for (const member of members) {
      const { node, observation } = member;
      // A node that an operation stops is not lost; its restart makes an event afterwards.
      const operation = member instanceof NodeHandle ? member.hold.operation : undefined;
      const stopped = operation !== undefined && operation !== "start";
      if (stopped && observation.answer.kind === "none") continue;
      const { past, event } = nodeEvents(this.#nodes.get(node.name), observation);
      this.#nodes.set(node.name, past);
      if (event) this.write(event);
    }
  }
}
