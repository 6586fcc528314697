import { factsOf, isPrimary, position } from "../model/observation.ts";
import { replicationRefusal } from "../postgres/foreign-primary.ts";
import { hasWal } from "../postgres/sql/operations.ts";
import { now, within } from "../system/clock.ts";
import type { NodeHandle } from "./node-handle.ts";
import { ownPrimary, type Runtime } from "./runtime.ts";
import { readPassword } from "../store/secrets.ts";

/** Milliseconds that a replica stalls, not streaming, before the primary is asked; it may be replaying what it has. */
const STANDS_STILL = 3000;
/** Milliseconds between two questions about the same replica, and for an answer. */
const ASK_EVERY = 5000;
const ANSWER_TIMEOUT = 1000;

/**
 * Finds out whether a replica that answers, but does not stream, can ever do so again: whether the primary still has the
 * WAL that comes next. A node that was taken out and comes back with its old data may have missed too much. Its own last
 * observation is used; the primary is asked every few seconds.
 */
export async function checkMissingWal(runtime: Runtime, handle: NodeHandle): Promise<boolean> {
  const facts = factsOf(handle.observation);
  const primary = ownPrimary(runtime);
  if (!facts) return handle.missingWal;
  if (
    !primary ||
    !isPrimary(primary.observation) ||
    !facts.in_recovery ||
    facts.receiver_status === "streaming" ||
    facts.replay_paused
  ) {
    handle.stalled = undefined;
    handle.missingWal = false;
    handle.refusal = undefined;
    return false;
  }
  const lsn = position(facts);
  const { at } = handle.observation;
  if (handle.stalled?.lsn !== lsn) handle.stalled = { lsn, since: at, askedAt: 0 };
  const { stalled } = handle;
  if (at - stalled.since < STANDS_STILL || now() - stalled.askedAt < ASK_EVERY) return handle.missingWal;
  stalled.askedAt = now();
  handle.refusal = await askWhetherRefused(runtime, primary);
  const answer = primary.use(async (session) => await hasWal(session, lsn));
  handle.missingWal = !(await within(ANSWER_TIMEOUT, primary.node.name, answer));
  return handle.missingWal;
}

/** Whether the primary lets the replicas' role in, tried as they do: with its password, by the node's address. */
async function askWhetherRefused(runtime: Runtime, primary: NodeHandle): Promise<string | undefined> {
  const password = await readPassword(runtime.layout, "replicator");
  if (password === undefined) return undefined;
  const { host, port } = primary.node;
  const user = "replicator";
  const refusal = replicationRefusal({
    host,
    port,
    user,
    password,
    database: "replication",
    connectTimeout: ANSWER_TIMEOUT,
    encryption: "prefer",
  });
  return await within(2 * ANSWER_TIMEOUT, primary.node.name, refusal).catch(() => undefined);
}
