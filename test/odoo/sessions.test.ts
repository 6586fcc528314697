import { beforeAll, expect, test } from "vitest";
import { createRole, dropRole, listRoles } from "../../src/odoo/more-roles.ts";
import { endSession, endSessions, listSessions, sessionToEnd } from "../../src/odoo/sessions.ts";
import { connect, type Session } from "../../src/system/sql/sql.ts";
import { withSession } from "../support/with-session.ts";
import { nodeWithRoles, type ThrowawayNode } from "../postgres/throwaway-node.ts";
import { atEnd } from "../support/scope.ts";
import { waitFor } from "../support/wait.ts";

let node: ThrowawayNode;
let session: Session;

beforeAll(async () => {
  ({ node, session } = await nodeWithRoles());
  await session.query("CREATE DATABASE shop OWNER odoo");
});

async function client(name: string): Promise<Session> {
  const opened = await connect({
    ...node.superuser,
    user: "odoo",
    password: node.passwords.odoo,
    database: "shop",
    applicationName: name,
  });
  atEnd(opened.close);
  return opened;
}

test("sessions are listed with who blocks them; one's own and odoo-pg's are not", async () => {
  const [holder, waiter] = [await client("holder"), await client("waiter")];
  await node.session("shop");
  await holder.query("CREATE TABLE t ()");
  await holder.query("BEGIN; LOCK TABLE t");
  const waiting = waiter.query("SELECT FROM t").catch(() => {});
  const seen = await waitForBlocked();
  expect(seen.map(({ application, user }) => [application, user])).toEqual([
    ["holder", "odoo"],
    ["waiter", "odoo"],
  ]);
  expect(seen[1]).toMatchObject({ blocked_by: [seen[0]?.pid], waits_for: "Lock:relation", client: null });
  await holder.query("COMMIT");
  await waiting;
});

test("sessions of a database that is not there are an error", async () => {
  await expect(listSessions(session, "shpo")).rejects.toMatchObject({ code: "database_unknown" });
});

async function waitForBlocked() {
  let seen: Awaited<ReturnType<typeof listSessions>> = [];
  await waitFor("a session to be blocked", async () => {
    seen = await listSessions(session, "shop");
    return seen.some(({ blocked_by }) => blocked_by.length > 0);
  });
  return seen.toSorted((one, other) => (one.application < other.application ? -1 : 1));
}

test("what sessions run is cancelled, or they are ended; odoo-pg's own stay", async () => {
  const own = await node.session("shop");
  const [one, two] = [await client("one"), await client("two")];
  const cancelled = one.query("SELECT pg_sleep(60)").then(
    () => "slept",
    (error: unknown) => String(error),
  );
  await waitFor("it to sleep", async () =>
    (await listSessions(session, "shop")).some(
      ({ query, state }) => state === "active" && query.includes("pg_sleep"),
    ),
  );
  await expect(endSessions(session, "shpo", "terminate")).rejects.toMatchObject({ code: "database_unknown" });
  expect(await endSessions(session, "shop", "cancel")).toBe(1);
  expect(await cancelled).toContain("canceling statement");
  expect(one.broken()).toBe(false);
  expect(await endSessions(session, "shop", "terminate")).toBeGreaterThanOrEqual(2);
  await waitFor("them to end", () => one.broken() && two.broken());
  expect(await own.query("SELECT 1 AS one")).toEqual([{ one: 1 }]);
});

test("a session that calls itself odoo-pg's is a client's as any other, and is ended", async () => {
  const hidden = await client("odoo-pg agent");
  expect(
    (await listSessions(session, "shop")).map(({ application, user }) => [application, user]),
  ).toContainEqual(["odoo-pg agent", "odoo"]);
  expect(await endSessions(session, "shop", "terminate")).toBeGreaterThanOrEqual(1);
  await waitFor("it to end", () => hidden.broken());
});

test("of one session only what it runs is cancelled, and where it runs nothing that is said before", async () => {
  const one = await client("single");
  const [{ pid } = { pid: 0 }] = await one.query("SELECT pg_backend_pid() AS pid");
  const id = Number(pid);
  for (const act of [sessionToEnd, endSession]) {
    await expect(act(session, id, "cancel")).rejects.toMatchObject({ code: "refused" });
  }
  expect(await sessionToEnd(session, id, "terminate")).toMatchObject({ pid: id, application: "single" });
  expect(one.broken()).toBe(false);
  expect(await endSession(session, id, "terminate")).toMatchObject({ pid: id });
  await waitFor("it to end", () => one.broken());
  await expect(sessionToEnd(session, id, "terminate")).rejects.toMatchObject({ code: "session_unknown" });
});

test("a role for another Odoo may make databases, and is dropped when it owns none", async () => {
  const kept = ["postgres", "replicator", "collectd", "openerp", "odoo"];
  await createRole(session, "odoo two", "pass word", kept);
  expect((await listRoles(session)).find(({ name }) => name === "odoo two")).toEqual({
    name: "odoo two",
    login: true,
    createdb: true,
    superuser: false,
    has_password: true,
    member_of: [],
    databases: [],
  });
  await withSession({ ...node.superuser, user: "odoo two", password: "pass word" }, (own) =>
    own.query("CREATE DATABASE its_own"),
  );
  await expect(createRole(session, "odoo two", "x", kept)).rejects.toThrow("already exists");
  await expect(dropRole(session, "odoo two", kept)).rejects.toMatchObject({ code: "refused" });
  await session.query("DROP DATABASE its_own");
  await dropRole(session, "odoo two", kept);
  for (const name of ["odoo", "postgres", "pg_monitor"]) {
    await expect(dropRole(session, name, kept)).rejects.toMatchObject({ code: "refused" });
    await expect(createRole(session, name, "x", kept)).rejects.toMatchObject({ code: "refused" });
  }
});
