import { silenceSchema } from "../model/silence.ts";
import * as z from "zod";
import { serverFactsSchema, type NodeObservation } from "../model/observation.ts";
import type { NodeHandle } from "./node-handle.ts";

/** The agent's answer to a request for observations: a new one of each server, by the sessions it has anyway. */
export const observationsSchema = z.object({
  nodes: z
    .object({
      name: z.string(),
      /** Our clock, milliseconds, as `last_seen`. */
      at: z.number(),
      last_seen: z.number().nullable(),
      /** What the server told, as it told it; null when it did not answer. */
      reply: serverFactsSchema.nullable(),
      /** Why it did not answer; null when it did. */
      silence: silenceSchema.nullable(),
    })
    .array(),
  /** Bytes of all databases of the primary, as of the last seconds; null where that is not known. */
  database_bytes: z.number().nullable(),
  /** The databases that hold users' data; null where that is not known. */
  databases: z.string().array().nullable().default(null),
});

/** Looks at every node now: the `nodes` of what `observationsSchema` reads. Takes as long as the slowest, at most two seconds for one that hangs. */
export async function observeAll(handles: Iterable<NodeHandle>): Promise<readonly object[]> {
  return await Promise.all(
    [...handles].map(async (handle) => {
      const { name, at, answer, lastSeen } = await handle.observe();
      return {
        name,
        at,
        last_seen: lastSeen ?? null,
        reply: handle.reply?.json ?? null,
        silence: answer.kind === "none" ? answer.silence : null,
      };
    }),
  );
}

/** The same, as it arrives. */
export function observationsOf({ nodes }: z.output<typeof observationsSchema>): NodeObservation[] {
  return nodes.map(({ name, at, last_seen: lastSeen, reply, silence }) => ({
    name,
    at,
    answer: reply
      ? { kind: "facts", depth: "full", facts: reply }
      : { kind: "none", silence: silence ?? { kind: "other" } },
    lastSeen: lastSeen ?? undefined,
  }));
}
