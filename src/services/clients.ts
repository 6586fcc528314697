import type { Progress } from "../progress.ts";

/** What has clients wait during a planned change, without cutting their transactions. */
export interface Clients {
  /** Lets open transactions come to their end, within a timeout; what is still open then is told. */
  readonly pause: (progress: Progress) => Promise<void>;
  /** Goes on, whoever has paused them. Never rejects. */
  readonly resume: () => Promise<void>;
}

/** Has clients wait while a planned change is made, whatever comes of it. */
export async function withClientsWaiting<T>(
  clients: Clients,
  progress: Progress,
  change: () => Promise<T>,
): Promise<T> {
  await clients.pause(progress);
  try {
    return await change();
  } finally {
    await clients.resume();
  }
}
