import type { Lsn } from "../model/lsn.ts";
import { waitUntil } from "../system/clock.ts";
import type { Session } from "../system/sql/sql.ts";
import { checkpoint, hasOlderStatements, standbysFlushed, writeMark } from "./sql/operations.ts";

/** Milliseconds for standbys to answer to a mark; one that does not is let go by the next decision. */
const ANSWER_TIMEOUT = 5000;

/**
 * Proves that commits wait for the standbys on the list that was just written and read, for everyone:
 * 1. The primary's reload has reached all its processes once our own session has seen it (the postmaster signals all
 *    in one pass).
 * 2. Two marks, one after the other, are answered by every listed standby. A WAL sender takes a new configuration
 *    before it reads answers, and the second mark is sent only after the first was answered: so its answer was read
 *    under the new list.
 * 3. Commits only wait at all once the checkpointer has read the list. A checkpoint that begins after the reload
 *    proves that it has.
 * 4. A statement takes synchronous_commit when it begins: none that began before the rule may be left.
 * @param listed all that are on the list now
 * @param ruleSince when the server first read that commits wait (its clock, milliseconds); undefined where 3 and 4 are
 *   proven for this start of it already
 * @returns the position from which on commits wait: what was acknowledged before lies below it
 * @throws OdooPgError timed_out
 */
export async function waitedForFrom(
  session: Session,
  listed: () => readonly string[],
  ruleSince: number | undefined,
): Promise<Lsn> {
  for (const round of ["first", "second"]) {
    const mark = await writeMark(session);
    const all = listed();
    await waitUntil(async () => await standbysFlushed(session, all, mark), {
      what: `the ${round} answer of ${all.join(", ")}`,
      timeout: ANSWER_TIMEOUT,
    });
  }
  if (ruleSince !== undefined) {
    await checkpoint(session);
    await waitUntil(async () => !(await hasOlderStatements(session, ruleSince)), {
      what: "statements that began before the list was in force",
      timeout: ANSWER_TIMEOUT,
    });
  }
  return await writeMark(session);
}
