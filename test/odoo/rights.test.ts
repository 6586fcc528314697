import { beforeAll, expect, test } from "vitest";
import { keepRights, settleRights } from "../../src/odoo/rights.ts";
import { type Session } from "../../src/system/sql/sql.ts";
import { withSession } from "../support/with-session.ts";
import { nodeWithRoles, type ThrowawayNode } from "../postgres/throwaway-node.ts";

let node: ThrowawayNode;
let session: Session;

beforeAll(async () => {
  ({ node, session } = await nodeWithRoles());
  await session.query("CREATE ROLE tenant LOGIN CREATEDB; CREATE ROLE analyst LOGIN");
  await session.query("REVOKE CONNECT ON DATABASE template1 FROM PUBLIC");
});

/** A tenant's database with something of the group's that older versions left. */
async function shared(name: string, ...statements: readonly string[]): Promise<void> {
  await session.query(`CREATE DATABASE ${name} OWNER tenant`);
  await withSession({ ...node.superuser, database: name }, async (inside) => {
    await inside.query("CREATE TABLE public.shared (x int); ALTER TABLE public.shared OWNER TO openerp");
    for (const statement of statements) await inside.query(statement);
  });
}

const NOTHING = { given: [], busy: [], failed: [] };

async function admitted(database: string): Promise<unknown> {
  const [row] = await session.query(
    `SELECT has_database_privilege('analyst', '${database}', 'CONNECT') AS analyst,
       has_database_privilege('odoo', '${database}', 'CONNECT') AS other`,
  );
  return row;
}

/** What the role that was the group can put into a database while it is open, to let somebody in. */
const LETTING_IN = "SET ROLE openerp; SELECT lo_create(4711); GRANT SELECT ON LARGE OBJECT 4711 TO analyst";

test("nobody comes in by what the role that was the group put there while it was open", async () => {
  await shared("kept", LETTING_IN);
  expect(await keepRights(node.access, session, false)).toEqual({
    given: { ...NOTHING, given: ["kept"] },
    closed: ["kept"],
    busy: [],
  });
  expect(await admitted("kept")).toEqual({ analyst: false, other: false });
  // Where nothing is new it is not looked at.
  expect(await keepRights(node.access, session, false)).toEqual({ given: undefined, closed: [], busy: [] });
  await shared("settled", LETTING_IN);
  await settleRights(node.access, session, () => {});
  expect(await admitted("settled")).toEqual({ analyst: false, other: false });
});

test("where the group shares all, who may read what it had comes in after that was given to the owner", async () => {
  await session.query("CREATE ROLE sharing LOGIN CREATEDB IN ROLE openerp");
  await shared("read", "GRANT SELECT ON public.shared TO analyst");
  const told: string[] = [];
  await settleRights(node.access, session, (text) => told.push(text));
  expect(told).toEqual([
    "give what 1 database shared to their owners",
    "take 1 role out of the group openerp",
    "close 1 database to all but the owner and who was given something there",
  ]);
  expect(await admitted("read")).toEqual({ analyst: true, other: false });
});

test("a database that somebody holds open keeps no other one's things from their owner", async () => {
  await session.query("CREATE DATABASE held OWNER tenant");
  await shared("free");
  await withSession(node.superuser, async (holding) => {
    await holding.query("BEGIN; ALTER DATABASE held CONNECTION LIMIT 7");
    expect(await keepRights(node.access, session, true)).toEqual({
      // The lock that the group's own databases are kept by.
      given: { ...NOTHING, busy: ["free"] },
      closed: ["free"],
      busy: ["held"],
    });
    await holding.query("ROLLBACK; BEGIN; GRANT CONNECT ON DATABASE held TO analyst");
    expect(await keepRights(node.access, session, true)).toEqual({
      given: { ...NOTHING, given: ["free"] },
      closed: [],
      busy: ["held"],
    });
    await holding.query("ROLLBACK");
  });
  expect((await keepRights(node.access, session, true)).closed).toEqual(["held"]);
});

test("what cannot be given is told with the reason, and keeps nothing open, nor others from theirs", async () => {
  // A session of the superuser's is not made where somebody else's function would run in it.
  await shared(
    "barred",
    "CREATE FUNCTION public.on_event() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
    "CREATE EVENT TRIGGER barring ON ddl_command_end EXECUTE FUNCTION public.on_event()",
    "ALTER EVENT TRIGGER barring ENABLE ALWAYS",
    "ALTER FUNCTION public.on_event() OWNER TO tenant",
  );
  await shared("clear");
  const { given, closed } = await keepRights(node.access, session, true);
  const refused = {
    database: "barred",
    message: expect.stringContaining("would not be the superuser's own"),
  };
  expect([given?.given, given?.failed, closed]).toEqual([["clear"], [refused], ["barred", "clear"]]);
});
