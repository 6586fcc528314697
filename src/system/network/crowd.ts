import type { Socket } from "node:net";

export interface CrowdLimits {
  /** Connections of strangers from one address, and from all, at the same time. */
  readonly fromOne: number;
  readonly fromAll: number;
}

/**
 * The connections of those who have not shown who they are. Where there are too many the oldest goes, not the newest: so
 * whoever opens connections and says nothing, or little, shuts nobody out. Those who are known are not counted any more.
 */
export class Crowd {
  readonly #limits: CrowdLimits;
  /** The oldest first. */
  readonly #strangers = new Map<string, Socket>();

  constructor(limits: CrowdLimits) {
    this.#limits = limits;
  }

  enter(socket: Socket): void {
    const name = nameOf(socket);
    this.#strangers.set(name, socket);
    socket.once("close", () => {
      // Another one may have the same port by now.
      if (this.#strangers.get(name) === socket) this.#strangers.delete(name);
    });
    const { fromOne, fromAll } = this.#limits;
    const own = [...this.#strangers.values()].filter(
      ({ remoteAddress }) => remoteAddress === socket.remoteAddress,
    );
    if (own.length > fromOne) this.#send(own[0]);
    if (this.#strangers.size > fromAll) this.#send(this.#strangers.values().next().value);
  }

  /** Whose connection this is has shown who they are. A connection with TLS has the addresses of the one that it is in. */
  know(socket: Socket): void {
    this.#strangers.delete(nameOf(socket));
  }

  #send(socket: Socket | undefined): void {
    if (!socket) return;
    this.#strangers.delete(nameOf(socket));
    socket.destroy();
  }
}

function nameOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress ?? ""} ${remotePort ?? 0}`;
}
