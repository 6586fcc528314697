import { factsOf, isPrimary, position } from "../model/observation.ts";
import { replicationRefusal } from "../postgres/foreign-primary.ts";
import { hasWal } from "../postgres/sql/operations.ts";
import { now, within } from "../system/clock.ts";
import type { NodeHandle } from "./node-handle.ts";
import { ownPrimary, type Runtime } from "./runtime.ts";
import { readPassword } from "../store/secrets.ts";

/** Milliseconds that a replica stands still, not streaming, before the primary is asked; it may be replaying what it has. */
const STANDS_STILL = 3000;
/** Milliseconds between two questions about the same replica, and for an answer. */
const ASK_EVERY = 5000;
const ANSWER_LIMIT = 1000;

/**
 * Finds out whether a replica that answers, but does not stream, can ever do so again: whether the primary still has the
 * WAL that comes next. A node that was taken out and comes back with its old data may have missed too much. Its own last
 * look is taken; the primary is asked now and then.
 */
export async function lookWhetherStranded(runtime: Runtime, handle: NodeHandle): Promise<boolean> {
  const facts = factsOf(handle.observation);
  const primary = ownPrimary(runtime);
  if (!facts) return handle.stranded;
  if (
    !primary ||
    !isPrimary(primary.observation) ||
    !facts.in_recovery ||
    facts.receiver_status === "streaming" ||
    facts.replay_paused
  ) {
    handle.standing = undefined;
    handle.stranded = false;
    handle.refusal = undefined;
    return false;
  }
  const lsn = position(facts);
  const { at } = handle.observation;
  if (handle.standing?.lsn !== lsn) handle.standing = { lsn, since: at, lookedAt: 0 };
  const { standing } = handle;
  if (at - standing.since < STANDS_STILL || now() - standing.lookedAt < ASK_EVERY) return handle.stranded;
  standing.lookedAt = now();
  handle.refusal = await askWhetherRefused(runtime, primary);
  const answer = primary.use(async (session) => await hasWal(session, lsn));
  handle.stranded = !(await within(ANSWER_LIMIT, primary.node.name, answer));
  return handle.stranded;
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
    connectLimit: ANSWER_LIMIT,
    encryption: "prefer",
  });
  return await within(2 * ANSWER_LIMIT, primary.node.name, refusal).catch(() => undefined);
}
