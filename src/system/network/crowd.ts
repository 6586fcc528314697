import type { Server } from "node:http";
import type { ListenOptions, Socket } from "node:net";

export interface CrowdLimits {
  /** Connections of strangers from one address, and from all, at the same time. */
  readonly fromOne: number;
  readonly fromAll: number;
}

/**
 * Connections whose other side has not shown a certificate yet. Where there are too many, the oldest is closed, not the
 * newest: so opening connections and saying nothing shuts nobody out. A connection that becomes known is not counted.
 */
export class Crowd {
  readonly #limits: CrowdLimits;
  /** The oldest first. */
  readonly #strangers = new Map<string, Socket>();

  constructor(limits: CrowdLimits) {
    this.#limits = limits;
  }

  /**
   * Lets a server listen, with all who connect in this crowd.
   * @returns what takes no more connections and cuts those that are open
   * @throws the system's error, such as EADDRINUSE
   */
  async listen(server: Server, where: ListenOptions): Promise<() => Promise<void>> {
    server.on("connection", (socket: Socket) => this.enter(socket));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(where, resolve);
    });
    // A connection that ends badly, or a TLS handshake that fails, is not reported.
    server.on("error", () => {});
    return async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    };
  }

  enter(socket: Socket): void {
    const name = nameOf(socket);
    this.#strangers.set(name, socket);
    socket.once("close", () => {
      // A later connection may come from the same port.
      if (this.#strangers.get(name) === socket) this.#strangers.delete(name);
    });
    const { fromOne, fromAll } = this.#limits;
    const own = [...this.#strangers.values()].filter(
      ({ remoteAddress }) => remoteAddress === socket.remoteAddress,
    );
    if (own.length > fromOne) this.#send(own[0]);
    if (this.#strangers.size > fromAll) this.#send(this.#strangers.values().next().value);
  }

  /** The other side has shown a certificate. A TLS socket has the addresses of the connection below it. */
  know(socket: Socket): void {
    this.#strangers.delete(nameOf(socket));
  }

  #send(socket: Socket | undefined): void {
    if (!socket) return;
    this.#strangers.delete(nameOf(socket));
    socket.destroy();
  }
}

/** Connections of those who have shown a certificate: each has so many, and the oldest of them is closed for one more. */
export class Known {
  readonly #most: number;
  /** The oldest first. */
  readonly #sockets = new Map<string, Set<Socket>>();

  constructor(most: number) {
    this.#most = most;
  }

  /** Does nothing for a connection that is known already. */
  enter(certificate: string, socket: Socket): void {
    const own = this.#sockets.get(certificate) ?? new Set<Socket>();
    if (own.has(socket) || socket.destroyed) return;
    this.#sockets.set(certificate, own.add(socket));
    socket.once("close", () => {
      own.delete(socket);
      if (own.size === 0) this.#sockets.delete(certificate);
    });
    const [oldest] = own;
    if (own.size <= this.#most || !oldest) return;
    own.delete(oldest);
    oldest.destroy();
  }
}

function nameOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress ?? ""} ${remotePort ?? 0}`;
}
