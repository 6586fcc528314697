import type { NodeConfig } from "../config/layout.ts";
import type { NodeObservation } from "../model/observation.ts";

/**
 * A server as its observers see it, wherever it runs: one of this host (`NodeHandle`), one of another host
 * (`RemoteServer`), or a primary that somebody else runs (`ForeignPrimary`). Only the first can be started and stopped.
 */
export interface Member {
  readonly node: NodeConfig;
  /** The last observation. */
  readonly observation: NodeObservation;
  /** An observation that begins now. Never throws: silence is an observation too. */
  observe(): Promise<NodeObservation>;
  /** The observation in progress, else a new one: for callers that observe again soon. Never throws. */
  observeShared(): Promise<NodeObservation>;
  /** Closes its observing sessions. */
  disconnect(): Promise<void>;
}
