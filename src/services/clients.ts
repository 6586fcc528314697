import type { Progress } from "../progress.ts";

/**
 * Milliseconds for which new clients wait at most for a server that is about to be stopped. Once it stops it says so itself
 * to whoever asks before a client is led there, so this need not last until another takes its place.
 */
export const HOLD_NEW_FOR = 15_000;

/** What has clients wait during a planned change, without cutting their transactions. */
export interface Clients {
  /** Lets open transactions finish within a timeout; what is still open then is reported. */
  readonly pause: (progress: Progress) => Promise<void>;
  /** Resumes them, whichever process paused them. Never rejects. */
  readonly resume: () => Promise<void>;
  /**
   * Has new clients wait instead of being led to a node, for some seconds at most, and returns when those who were logging
   * in have finished. Never rejects: who is not held comes into the stop, and no change fails for that.
   */
  readonly holdNew: (node: string) => Promise<void>;
  /** Ends that. Never rejects. */
  readonly letInNew: (node: string) => Promise<void>;
}

/** Makes clients wait while a node is stopped and started by plan, whatever the outcome. */
export async function withClientsWaiting<T>(
  clients: Clients,
  node: string,
  progress: Progress,
  change: () => Promise<T>,
): Promise<T> {
  return await withNewWaiting(clients, node, async () => {
    await clients.pause(progress);
    try {
      return await change();
    } finally {
      await clients.resume();
    }
  });
}

/** The same for new clients alone, as of a replica: others may serve those of a pooler. */
export async function withNewWaiting<T>(
  clients: Pick<Clients, "holdNew" | "letInNew">,
  node: string,
  change: () => Promise<T>,
): Promise<T> {
  await clients.holdNew(node);
  try {
    return await change();
  } finally {
    await clients.letInNew(node);
  }
}
