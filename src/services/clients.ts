import type { Progress } from "../progress.ts";

/** What has clients wait during a planned change, without cutting their transactions. */
export interface Clients {
  /** Lets open transactions finish within a timeout; what is still open then is reported. */
  readonly pause: (progress: Progress) => Promise<void>;
  /** Resumes them, whichever process paused them. Never rejects. */
  readonly resume: () => Promise<void>;
}

/** Makes clients wait while a planned change is made, whatever its outcome. */
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
