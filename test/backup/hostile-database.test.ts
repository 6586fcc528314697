import { beforeAll, describe, expect, test } from "vitest";
import { drillBackups } from "../../src/runs/run.ts";
import { copyDatabase } from "../../src/restore/copy.ts";
import { quoteSqlIdentifier as id } from "../../src/system/sql/sql.ts";
import { withSession } from "../support/with-session.ts";
import { runningNode } from "../postgres/throwaway-node.ts";
import { restoring, type Restoring } from "../restore/restoring.ts";
import { silent } from "./backup-source.ts";

let it: Restoring;

beforeAll(async () => {
  it = await restoring(await runningNode());
});

/** Statements of Odoo's role in its own database: whoever runs `seize` as a superuser makes one of it. */
const SEIZE = `
CREATE FUNCTION public.seize() RETURNS boolean LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog AS $$
BEGIN
  IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)
    OR (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = session_user) THEN
    EXECUTE 'RESET ROLE';
    EXECUTE 'ALTER ROLE odoo SUPERUSER';
  END IF;
  RETURN true;
END $$;`;

/** Functions and operators that would be taken for the system's by whoever searches schema public first. */
const CAPTURES = `
CREATE FUNCTION public.seize_step(bigint, varchar) RETURNS bigint LANGUAGE sql AS 'SELECT $1 + public.seize()::int';
CREATE AGGREGATE public.count(varchar) (sfunc = public.seize_step, stype = bigint, initcond = '0');
CREATE FUNCTION public.differs(varchar, varchar) RETURNS boolean LANGUAGE sql AS 'SELECT public.seize()';
CREATE OPERATOR public.<> (leftarg = varchar, rightarg = varchar, function = public.differs);
CREATE OPERATOR public.= (leftarg = varchar, rightarg = varchar, function = public.differs);
CREATE FUNCTION public.pg_get_userbyid(oid) RETURNS name LANGUAGE sql AS $$SELECT CASE WHEN public.seize() THEN 'odoo'::name END$$;
CREATE FUNCTION public.current_setting(text) RETURNS text LANGUAGE sql AS $$SELECT CASE WHEN public.seize() THEN '150000' END$$;
CREATE FUNCTION public.to_regclass(text) RETURNS regclass LANGUAGE sql AS $$SELECT CASE WHEN public.seize() THEN 'pg_class'::regclass END$$;`;

/** What runs while rows come in, indexes are built, statistics are made, rows change. */
const RUN_BY_LOADS = `
CREATE FUNCTION public.seize_row(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.seize(); RETURN $1; END $$;
CREATE FUNCTION public.seize_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.seize(); RETURN NEW; END $$;
ALTER TABLE public.res_partner ADD CONSTRAINT seizing CHECK (public.seize_row(ref) IS NOT DISTINCT FROM ref);
CREATE INDEX ON public.res_partner (public.seize_row(ref));
CREATE MATERIALIZED VIEW public.seized AS SELECT public.seize_row(ref) AS ref FROM public.res_partner;
CREATE TRIGGER seizing BEFORE INSERT OR UPDATE ON public.ir_cron FOR EACH ROW EXECUTE FUNCTION public.seize_trigger();
CREATE TRIGGER seizing BEFORE INSERT OR UPDATE ON public.ir_config_parameter FOR EACH ROW EXECUTE FUNCTION public.seize_trigger();`;

/** What the planner works out whenever it plans a query of a table: it may be one of Odoo's, or any other. */
const SEIZE_QUIETLY = `CREATE FUNCTION public.seize_quietly(integer) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
  $$ BEGIN RETURN public.seize(); END $$;`;
const PLANNED = ["ir_attachment", "ir_module_module", "res_partner"];
const CONDITIONS = PLANNED.map(
  (table, number) => `CREATE INDEX ON public.${table} (name) WHERE public.seize_quietly(${number});`,
);
const EXPRESSIONS = PLANNED.map(
  (
    table,
    number,
  ) => `CREATE STATISTICS public.of_${table} ON (public.seize_quietly(${number})::text || name), id
    FROM public.${table};`,
);

/** Runs statements in a database with the rights of Odoo's role, and of nobody else. */
async function asOdoo(database: string, ...statements: readonly string[]): Promise<void> {
  const password = "only for this test";
  await withSession(it.node.superuser, (session) =>
    session.query(`ALTER ROLE odoo LOGIN PASSWORD '${password}'`),
  );
  await withSession({ ...it.node.superuser, database, user: "odoo", password }, async (session) => {
    for (const statement of statements) await session.query(statement);
  });
}

async function expectNoSuperuser(): Promise<void> {
  const rows = await withSession(it.node.superuser, (session) =>
    session.query("SELECT rolname FROM pg_catalog.pg_roles WHERE rolsuper"),
  );
  expect(rows).toEqual([{ rolname: "postgres" }]);
}

describe("the owner of a database does not become a superuser", () => {
  test.each([
    ["by names that take the place of the system's", [SEIZE, CAPTURES]],
    ["by what runs while rows are loaded and changed", [SEIZE, RUN_BY_LOADS]],
    ["by conditions of indexes, which the planner works out", [SEIZE, SEIZE_QUIETLY, ...CONDITIONS]],
    ["by statistics of expressions, which it works out too", [SEIZE, SEIZE_QUIETLY, ...EXPRESSIONS]],
  ])("%s: not by its backup, drill, restore, copies, neutralising", async (what, statements) => {
    const database = `hostile ${what.slice(3, 8)}`;
    await it.make(database);
    await asOdoo(
      database,
      ...statements,
      `ALTER DATABASE ${id(database)} SET search_path = public, pg_catalog`,
    );
    await it.backUpOne(database);
    await expectNoSuperuser();
    const backup = await it.newest();
    const drilled = await drillBackups(it.source, [backup], silent);
    expect(drilled.databases.map(({ outcome, error }) => [outcome, error])).toEqual([["ok", null]]);
    await expectNoSuperuser();
    await it.as(backup.id, `${database} restored`);
    await expectNoSuperuser();
    const order = { from: database, replace: false, keepOld: false };
    const idle = await copyDatabase(
      it.source,
      { ...order, to: `${database} idle`, neutralize: true },
      silent,
    );
    expect(idle.how).toBe("template");
    await expectNoSuperuser();
    const session = await it.node.session(database);
    const live = await copyDatabase(
      it.source,
      { ...order, to: `${database} live`, neutralize: true },
      silent,
    );
    await session.close();
    expect(live.how).toBe("dump");
    await expectNoSuperuser();
    await it.nothingLeft();
  });

  test("by views in the place of Odoo's tables: such a database is not taken for Odoo's", async () => {
    await withSession(it.node.superuser, (session) => session.query("CREATE DATABASE views OWNER odoo"));
    await asOdoo(
      "views",
      SEIZE,
      `CREATE VIEW public.ir_attachment AS SELECT 'ab/cd'::varchar AS store_fname, 1 AS file_size WHERE public.seize();
       CREATE VIEW public.ir_module_module AS SELECT 'base'::varchar AS name, 'installed'::varchar AS state,
         '19.0'::varchar AS latest_version WHERE public.seize()`,
    );
    await it.backUpOne("views");
    expect((await it.newest()).manifest).toMatchObject({
      odoo_version: null,
      filestore: { included: false, reason: "not_odoo" },
    });
    await expectNoSuperuser();
  });
});

test("a database whose tables belong to a superuser is not neutralised with his rights", async () => {
  await it.make("theirs");
  await withSession({ ...it.node.superuser, database: "theirs" }, (session) =>
    session.query("ALTER TABLE ir_module_module OWNER TO postgres"),
  );
  const order = { from: "theirs", to: "never", neutralize: true, replace: false, keepOld: false };
  await expect(copyDatabase(it.source, order, silent)).rejects.toMatchObject({
    code: "refused",
    message: expect.stringContaining("superuser"),
  });
  expect(await it.databases()).not.toContain("never");
  await it.nothingLeft();
});
