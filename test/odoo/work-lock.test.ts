import { setTimeout as pause } from "node:timers/promises";
import { beforeAll, expect, test } from "vitest";
import { lockWork } from "../../src/odoo/work-lock.ts";
import { connect, type Session } from "../../src/system/sql/sql.ts";
import { withSession } from "../support/with-session.ts";
import { nodeWithRoles, type ThrowawayNode } from "../postgres/throwaway-node.ts";
import { atEnd } from "../support/scope.ts";
import { waitFor } from "../support/wait.ts";

let node: ThrowawayNode;
let session: Session;

beforeAll(async () => {
  ({ node, session } = await nodeWithRoles());
});

/** A session of Odoo's role, in the database that everybody may enter. */
async function tenant(): Promise<Session> {
  const own = await connect({ ...node.superuser, user: "odoo", password: node.passwords.odoo });
  atEnd(own.close);
  return own;
}

const lock = (what: string, kind = ""): string => `SELECT pg_advisory_lock${kind}(3328, hashtext('${what}'))`;

test("one odoo-pg has it, until its session ends", async () => {
  const first = await node.access.session();
  expect(await lockWork(first, "a")).toBe(true);
  expect(await lockWork(session, "a")).toBe(false);
  expect(await lockWork(session, "b")).toBe(true);
  await first.close();
  await waitFor("it to be free", async () => await lockWork(session, "a"));
});

test.each(["", "_shared"])(
  "nobody else keeps it from that: sessions that have it or wait for it are ended",
  async (kind) => {
    const what = `seized${kind}`;
    const [holder, waiter, other] = [await tenant(), await tenant(), await tenant()];
    await holder.query(lock(what, kind));
    const waiting = waiter.query(lock(what)).catch(() => {});
    await waitFor("it to be waited for", async () => {
      const rows = await session.query("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted");
      return rows.length > 0;
    });
    await other.query(lock("something else"));
    expect(await lockWork(session, what)).toBe(true);
    await waiting;
    await waitFor("both to be gone", () => holder.broken() && waiter.broken());
    expect(await other.query("SELECT 1 AS one")).toEqual([{ one: 1 }]);
    // It is held, and nothing else of the session is changed.
    await withSession(node.superuser, async (second) => expect(await lockWork(second, what)).toBe(false));
    expect(await session.query("SHOW lock_timeout")).toEqual([{ lock_timeout: "0" }]);
  },
);

test("a tenant that comes again at once does not get it back", async () => {
  await (await tenant()).query(lock("again"));
  const trying = { on: true };
  const hammering = (async () => {
    while (trying.on) {
      const next = await connect({ ...node.superuser, user: "odoo", password: node.passwords.odoo });
      await next.query(`SET lock_timeout = '5s'; ${lock("again")}`).catch(() => {});
      while (trying.on && !next.broken()) await pause(5);
      await next.close();
    }
  })();
  try {
    expect(await lockWork(session, "again")).toBe(true);
  } finally {
    trying.on = false;
    await session.query("SELECT pg_advisory_unlock_all()");
  }
  await hammering;
});
