import { printableLine } from "../printable.ts";
import { keepPassing } from "../postgres/sql/passing.ts";
import type { Superuser } from "../postgres/sql/superuser.ts";
import type { Session } from "../system/sql/sql.ts";
import { closeOpen } from "./closing.ts";
import { giveToOwners, leaveGroup } from "./ownership.ts";

/**
 * Brings a cluster to where each database is its owner's: what older versions left shared is given to the owners, roles
 * leave the group that shared it, and doors that are open to everybody are closed. Each step looks first.
 * @param tell one line for each kind of change
 */
export async function settleRights(
  superuser: Superuser,
  session: Session,
  tell: (text: string) => void,
): Promise<void> {
  // Owners first: who leaves the group must not lose what he works with.
  const { given, busy } = await giveToOwners(superuser, session);
  if (given.length) tell(`give what ${count(given, "database")} shared to their owners`);
  if (busy.length)
    tell(`in use, so something there is still shared: ${busy.join(", ")}; the next up gives it to the owner`);
  const left = busy.length ? [] : await leaveGroup(session);
  if (left.length) tell(`take ${count(left, "role")} out of the group openerp`);
  const { closed, busy: open } = await closeOpen(session);
  if (closed.length)
    tell(`close ${count(closed, "database")} to all but the owner and who was given something there`);
  if (open.length)
    tell(
      `in use, so still open to everybody: ${printableLine(open.join(", "))}; the agent closes it when it is free`,
    );
  await keepPassing(session);
}

function count(things: readonly string[], what: string): string {
  return `${things.length} ${what}${things.length === 1 ? "" : "s"}`;
}
