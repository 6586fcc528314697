import type { NodeConfig } from "../config/layout.ts";
import type { NodeObservation } from "../model/observation.ts";

/**
 * A server as its observers see it, wherever it runs: one of this host (`NodeHandle`), one of another host
 * (`RemoteServer`), or a primary that somebody else runs (`ForeignPrimary`). Only the first can be started and stopped.
 */
export interface Member {
  readonly node: NodeConfig;
  /** What was last seen. */
  readonly observation: NodeObservation;
  /** A look that begins now. Never throws: that it does not answer is an answer. */
  observe(): Promise<NodeObservation>;
  /** The look in progress, else a new one: for callers that look again soon. Never throws. */
  observeShared(): Promise<NodeObservation>;
  /** Closes its observing sessions. */
  disconnect(): Promise<void>;
}
