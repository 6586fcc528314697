import * as z from "zod";
import { processIdentity } from "./process.ts";

/** A process: its id, and what tells it from a later one with the same id. */
export const knownProcessSchema = z.object({ pid: z.int().positive(), identity: z.string() });

export type KnownProcess = z.output<typeof knownProcessSchema>;

/** Undefined where it is gone. */
export async function knownProcess(pid: number): Promise<KnownProcess | undefined> {
  const identity = await processIdentity(pid);
  return identity === undefined ? undefined : { pid, identity };
}

/** Whether it is this very process still. */
export async function isStillThere({ pid, identity }: KnownProcess): Promise<boolean> {
  return (await processIdentity(pid)) === identity;
}
