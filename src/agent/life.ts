import type { Layout } from "../config/layout.ts";
import { releaseLock, takeLock } from "../store/lock.ts";
import { prepareStateDirectory } from "../store/possession.ts";
import type { Owner } from "../system/files/files.ts";
import type { Log } from "../system/log.ts";
import { ownPid } from "../system/process/process.ts";
import { Complaints } from "./complaints.ts";
import { Loop, type Part } from "./loop.ts";

/** Closes something that was opened. */
type Close = () => Promise<void> | void;

/**
 * The life of an agent, whatever it is made of: it has the state directory for itself, opens what it listens on, lets its
 * parts observe and act until it is ended, and closes what it opened. Agents differ only in their parts: with servers of
 * their own (`Agent`), as one of several hosts (`HostAgent`), with nothing but endpoints (`EndpointsAgent`).
 */
export class AgentLife {
  readonly #layout: Layout;
  readonly #owner: Owner | undefined;
  readonly #leave: () => Promise<void>;
  readonly complaints: Complaints;
  readonly #closes: Close[] = [];
  #loop: Loop | undefined;

  /** @param leave releases what the parts hold, once no request can come any more */
  constructor(layout: Layout, owner: Owner | undefined, log: Log, leave: () => Promise<void>) {
    this.#layout = layout;
    this.#owner = owner;
    this.#leave = leave;
    this.complaints = new Complaints(log);
  }

  /**
   * Takes the lock of the state directory, then opens. What fails leaves nothing open.
   * @param open opens everything, and adds to its argument what closes each thing; the first added is called first
   * @throws OdooPgError locked, state_dir_unusable, or what `open` throws
   */
  async open(open: (closed: (...by: readonly Close[]) => void) => Promise<void>): Promise<void> {
    await prepareStateDirectory(this.#layout, this.#owner);
    await takeLock(this.#layout.lockFile, ownPid);
    try {
      await open((...by) => void this.#closes.push(...by));
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** Lets the parts observe and act until `isEnding`, then closes. */
  async run(parts: readonly Part[], isEnding: () => boolean): Promise<void> {
    this.#loop = new Loop(parts, this.complaints);
    await this.#loop.run(isEnding);
    await this.close();
  }

  /** Makes the next turn of the loop begin soon. */
  wake(): void {
    this.#loop?.wake();
  }

  /** Closes everything and releases the lock of the state directory, also where something does not close. */
  async close(): Promise<void> {
    try {
      for (const close of this.#closes.splice(0)) await close();
      await this.#leave();
    } finally {
      await releaseLock(this.#layout.lockFile, ownPid);
    }
  }
}
