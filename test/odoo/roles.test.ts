import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { ensureRoles, type RolePasswords } from "../../src/odoo/roles.ts";
import { type Row, type Session } from "../../src/system/sql/sql.ts";
import { withSession } from "../support/with-session.ts";
import { runningNode, type ThrowawayNode } from "../postgres/throwaway-node.ts";
import { waitFor } from "../support/wait.ts";

let node: ThrowawayNode;
let session: Session;
let passwords: RolePasswords;

beforeAll(async () => {
  node = await runningNode({
    log_statement: "all",
    log_min_duration_statement: "0",
    shared_preload_libraries: "pg_stat_statements",
  });
  session = await node.session();
  await session.query("CREATE EXTENSION pg_stat_statements");
  passwords = node.passwords;
  await ensureRoles(session, "odoo", passwords);
});

/** All that the server keeps about roles, with the transaction that wrote each row. */
async function stored(): Promise<Row[]> {
  return await session.query(
    `SELECT 'authid' AS catalogue, xmin::text, a::text AS content FROM pg_authid a
     UNION ALL SELECT 'setting', xmin::text, s::text FROM pg_db_role_setting s
     UNION ALL SELECT 'member', xmin::text, m::text FROM pg_auth_members m
     ORDER BY 1, 3`,
  );
}

async function logIn(user: string, password: string): Promise<Row[]> {
  // By TCP: at the socket the superuser comes in by who asks.
  return await withSession({ ...node.superuser, host: "127.0.0.1", user, password }, (own) =>
    own.query("SELECT session_user AS name"),
  );
}

test("the roles of a cluster have the rights that they need and no more", async () => {
  const rows = await session.query(
    `SELECT rolname, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolcanlogin
     FROM pg_roles WHERE rolname !~ '^(pg_|opg_)' ORDER BY rolname`,
  );
  const none = {
    rolsuper: false,
    rolcreatedb: false,
    rolcreaterole: false,
    rolreplication: false,
    rolbypassrls: false,
    rolcanlogin: true,
  };
  expect(rows).toEqual([
    { ...none, rolname: "collectd" },
    { ...none, rolname: "odoo", rolcreatedb: true },
    { ...none, rolname: "openerp", rolcreatedb: true, rolcanlogin: false },
    {
      rolname: "postgres",
      rolsuper: true,
      rolcreatedb: true,
      rolcreaterole: true,
      rolreplication: true,
      rolbypassrls: true,
      rolcanlogin: true,
    },
    { ...none, rolname: "replicator", rolreplication: true },
  ]);
  const members = await session.query(
    `SELECT r.rolname AS group, m.rolname AS member FROM pg_auth_members
     JOIN pg_roles r ON r.oid = roleid JOIN pg_roles m ON m.oid = member WHERE m.rolname !~ '^pg_' AND r.rolname !~ '^opg_' ORDER BY 1`,
  );
  expect(members).toEqual([{ group: "pg_monitor", member: "collectd" }]);
});

test("every role that may log in does so with its own password", async () => {
  for (const role of ["postgres", "replicator", "odoo", "collectd"] as const) {
    expect(await logIn(role, passwords[role])).toEqual([{ name: role }]);
    await expect(logIn(role, "wrong")).rejects.toMatchObject({ code: "28P01" });
  }
});

test("roles that are as they should be are not written again", async () => {
  const before = await stored();
  await ensureRoles(session, "odoo", passwords);
  expect(await stored()).toEqual(before);
});

test("what somebody changed in a role is put right, and only that", async () => {
  const before = await stored();
  await session.query(
    "ALTER ROLE odoo SUPERUSER; REVOKE pg_monitor FROM collectd; ALTER ROLE collectd RESET default_transaction_read_only",
  );
  await ensureRoles(session, "odoo", passwords);
  const contents = (rows: Row[]): unknown[] =>
    // The row of a membership has an identifier of its own since PostgreSQL 16.
    rows.filter((row) => row["catalogue"] !== "member").map((row) => row["content"]);
  expect(contents(await stored())).toEqual(contents(before));
  expect(await stored()).toHaveLength(before.length);
});

test("collectd reads statistics and cannot write", async () => {
  await withSession({ ...node.superuser, user: "collectd", password: passwords.collectd }, async (own) => {
    await session.query("SELECT 'a statement of another role'");
    const seen = await own.query(
      "SELECT query FROM pg_stat_activity WHERE query LIKE '%another role%' AND pid <> pg_backend_pid()",
    );
    expect(seen).toHaveLength(1);
    await expect(own.query("CREATE TABLE public.t ()")).rejects.toMatchObject({ code: "25006" });
  });
});

test("openerp logs in only as long as it has a password", async () => {
  await expect(logIn("openerp", "given")).rejects.toThrow(/authentication failed|not permitted to log in/);
  await ensureRoles(session, "odoo", { ...passwords, openerp: "given" });
  expect(await logIn("openerp", "given")).toEqual([{ name: "openerp" }]);
  await ensureRoles(session, "odoo", passwords);
  await expect(logIn("openerp", "given")).rejects.toThrow(/authentication failed|not permitted to log in/);
  const [row] = await session.query("SELECT rolpassword FROM pg_authid WHERE rolname = 'openerp'");
  expect(row).toEqual({ rolpassword: null });
});

test("a changed password takes effect at once, and the old one no longer does", async () => {
  const changed = { ...passwords, odoo: "it's \\ new" };
  await ensureRoles(session, "odoo", changed);
  expect(await logIn("odoo", changed.odoo)).toEqual([{ name: "odoo" }]);
  await expect(logIn("odoo", passwords.odoo)).rejects.toMatchObject({ code: "28P01" });
  await ensureRoles(session, "odoo", passwords);
});

test("Odoo's role may have any name, and another one leaves the first alone", async () => {
  const other = 'odoo-"prod"';
  await ensureRoles(session, other, passwords);
  expect(await logIn(other, passwords.odoo)).toEqual([{ name: other }]);
  expect(await logIn("odoo", passwords.odoo)).toEqual([{ name: "odoo" }]);
});

test("a role that cannot be made leaves all roles as they were, and the session usable", async () => {
  const before = await stored();
  await expect(
    ensureRoles(session, "pg_reserved", { ...passwords, replicator: "other" }),
  ).rejects.toMatchObject({ code: "42939" });
  expect(await stored()).toEqual(before);
});

test("no password and no verifier appears in the server's log, whatever it logs, and none among the statements that it counts", async () => {
  const secret = "a-password-that-is-looked-for";
  await ensureRoles(session, "odoo", { ...passwords, odoo: secret, openerp: `${secret}-2` });
  await ensureRoles(session, "odoo", passwords);
  await session.query("SELECT 'the end of the log'");

  const logged = (): string =>
    readdirSync(node.files.logDir)
      .map((name) => readFileSync(join(node.files.logDir, name), "utf8"))
      .join("");
  // The server's collector writes it.
  await waitFor("the end of the log", () => logged().includes("the end of the log"));
  const log = logged();

  // Not toContain: a failing test may not print what it looks for.
  const holds = (text: string): boolean => log.includes(text);
  expect(holds("SCRAM-SHA-256$")).toBe(false);
  for (const password of [secret, ...Object.values(passwords)]) {
    if (password !== undefined) expect(holds(password)).toBe(false);
  }
  const counted = async (text: string): Promise<unknown> => {
    const [row] = await session.query(
      "SELECT count(*)::int AS n FROM pg_stat_statements WHERE query LIKE '%' || $1 || '%'",
      [text],
    );
    return row?.["n"];
  };
  expect(await counted("CREATE EXTENSION")).toBe(1);
  expect(await counted("SCRAM-SHA-256$")).toBe(0);
});
