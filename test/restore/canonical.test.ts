// PostgreSQL prints some expressions otherwise after they were dumped and restored once. That is no difference; any other is.
import { execFileSync } from "node:child_process";
import path from "node:path";
import { beforeAll, expect, test } from "vitest";
import { type DefinitionKind, type Difference, findDifferences } from "../../src/backup/contents/compare.ts";
import type { Contents } from "../../src/backup/contents/contents.ts";
import { readDatabaseContents } from "../../src/backup/contents/read-contents.ts";
import { trulyOther } from "../../src/restore/canonical.ts";
import { withSession } from "../support/with-session.ts";
import { runningNode, type ThrowawayNode } from "../postgres/throwaway-node.ts";

const PASSWORD = "loader-of-the-test";

/** One thing of each kind whose text changes at its first dump and restore, for a list of values. */
const objects = (values: string): string => `
  CREATE SCHEMA "Größe ON x.y";
  CREATE SEQUENCE s;
  CREATE TABLE t (id integer DEFAULT nextval('s'), state varchar, note varchar(20) DEFAULT CASE WHEN current_user::varchar IN (${values}) THEN 'mine' END,
    chosen boolean GENERATED ALWAYS AS (state IN (${values})) STORED,
    at tsrange,
    CONSTRAINT t_state CHECK (state IN (${values})),
    CONSTRAINT t_alone EXCLUDE USING gist (at WITH &&) WHERE (state IN (${values})));
  CREATE TABLE "Größe ON x.y"."T ON public.t " (state varchar, CONSTRAINT "c ON" CHECK (state NOT IN (${values})));
  CREATE INDEX t_partial ON t (id) WHERE state IN (${values});
  CREATE UNIQUE INDEX "i ON public.t" ON "Größe ON x.y"."T ON public.t " ((state IN (${values})));
  CREATE VIEW v AS SELECT id, state FROM t WHERE state IN (${values});
  CREATE MATERIALIZED VIEW m AS SELECT count(*) AS n FROM t WHERE state NOT IN (${values});
  CREATE POLICY p ON t AS RESTRICTIVE FOR UPDATE USING (state IN (${values})) WITH CHECK (state NOT IN (${values}));
  CREATE RULE r AS ON INSERT TO t WHERE new.state IN (${values}) DO NOTHING;
  CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
  CREATE TRIGGER g BEFORE UPDATE OF state ON t FOR EACH ROW WHEN (new.state IN (${values})) EXECUTE FUNCTION f();
  CREATE STATISTICS st ON (state IN (${values})), (id % 7) FROM t;
  CREATE DOMAIN d AS varchar CONSTRAINT d_value CHECK (value IN (${values}));
  CREATE TABLE parted (state varchar, n integer) PARTITION BY LIST ((state IN (${values})));
  CREATE TABLE parted_yes PARTITION OF parted FOR VALUES IN (true);
  CREATE FUNCTION body(state varchar) RETURNS boolean LANGUAGE sql BEGIN ATOMIC SELECT state IN (${values}); END;`;

/** What is changed to be something else, kind by kind. */
const CHANGED = {
  constraint: `ALTER TABLE t DROP CONSTRAINT t_state; ALTER TABLE t ADD CONSTRAINT t_state CHECK (state IN ('a', 'c'))`,
  index: `DROP INDEX t_partial; CREATE INDEX t_partial ON t (id) WHERE state IN ('a', 'b', 'c')`,
  trigger: `DROP TRIGGER g ON t; CREATE TRIGGER g BEFORE UPDATE OF state ON t FOR EACH ROW WHEN (new.state NOT IN ('a', 'b')) EXECUTE FUNCTION f()`,
  default: `ALTER TABLE t ALTER COLUMN note SET DEFAULT CASE WHEN current_user::varchar IN ('a', 'b') THEN 'yours' END`,
  "generated column": `ALTER TABLE t DROP COLUMN chosen; ALTER TABLE t ADD COLUMN chosen boolean GENERATED ALWAYS AS (state IN ('b', 'a')) STORED`,
  "view definition": `CREATE OR REPLACE VIEW v AS SELECT id, state FROM t WHERE state IN ('a', 'b') OR id = 0`,
  // Its roles are part of it.
  policy: `DROP POLICY p ON t; CREATE POLICY p ON t AS RESTRICTIVE FOR UPDATE USING (state IN ('a', 'b')) WITH CHECK (state NOT IN ('a', 'b', ''))`,
  rule: `CREATE OR REPLACE RULE r AS ON INSERT TO t WHERE new.state IN ('a', 'b') DO INSTEAD NOTHING`,
  "partition key": `DROP TABLE parted; CREATE TABLE parted (state varchar, n integer) PARTITION BY LIST ((state IN ('a')));
    CREATE TABLE parted_yes PARTITION OF parted FOR VALUES IN (true)`,
  "partition bound": `ALTER TABLE parted DETACH PARTITION parted_yes; ALTER TABLE parted ATTACH PARTITION parted_yes FOR VALUES IN (false)`,
  statistics: `DROP STATISTICS st; CREATE STATISTICS st ON (state IN ('a', 'b')), (id % 8) FROM t`,
  "domain constraint": `ALTER DOMAIN d DROP CONSTRAINT d_value; ALTER DOMAIN d ADD CONSTRAINT d_value CHECK (value IN ('a', 'B'))`,
  "function body": `CREATE OR REPLACE FUNCTION body(state varchar) RETURNS boolean LANGUAGE sql BEGIN ATOMIC SELECT state IN ('a', 'b') OR false; END`,
} satisfies Record<DefinitionKind, string>;
const KINDS = Object.keys(CHANGED);

let node: ThrowawayNode;
let expected: Contents;

beforeAll(async () => {
  node = await runningNode();
  const session = await node.session();
  await session.query(`CREATE ROLE loader LOGIN PASSWORD '${PASSWORD}'`);
  await make("origin", objects("'a', 'b'"));
  expected = await withSession({ ...node.superuser, database: "origin" }, readDatabaseContents);
});

/** A database of the loader, with what is made by the loader in it. */
async function make(database: string, statements: string): Promise<void> {
  const session = await node.session();
  await session.query(`CREATE DATABASE ${database} TEMPLATE template0 OWNER loader`);
  await withSession({ ...node.superuser, database }, (own) => own.query("CREATE EXTENSION btree_gist"));
  await node.access
    .in(database)
    .as("loader", PASSWORD)
    .use((loader) => loader.query(`SET search_path = public; ${statements}`));
}

/** As pg_dump and psql bring it back. */
async function restored(database: string): Promise<void> {
  const { host, port, user, password } = node.superuser;
  const programs = node.installation.binDir;
  const run = (program: string, args: readonly string[], input: string): string =>
    execFileSync(path.join(programs, program), ["-h", host, "-p", String(port), "-U", user, ...args], {
      env: { ...process.env, PGPASSWORD: password },
      input,
      encoding: "utf8",
    });
  await make(database, "");
  run("psql", ["-qX", "-v", "ON_ERROR_STOP=1", "-d", database], run("pg_dump", ["origin"], ""));
}

async function differences(database: string): Promise<{ all: Difference[]; kept: Difference[] }> {
  return await node.access
    .in(database)
    .as("loader", PASSWORD)
    .use(async (session) => {
      const found = await readDatabaseContents(session);
      const all = findDifferences(expected, found, { owners: true, definitions: true });
      return { all, kept: await trulyOther(session, all) };
    });
}

test("texts that change at the first dump and restore are no difference, whatever has them", async () => {
  await restored("again");
  const { all, kept } = await differences("again");
  expect(kept).toEqual([]);
  // Bounds are values, not expressions: their text never changes.
  const changed = KINDS.filter((kind) => kind !== "partition bound");
  expect(new Set(all.map(({ texts }) => texts?.kind))).toEqual(new Set(changed));
});

test("a definition that is another is told, of each kind", async () => {
  await restored("changed");
  await withSession({ ...node.superuser, database: "changed" }, async (session) => {
    await session.query(`SET ROLE loader; ${Object.values(CHANGED).join(";\n")}`);
  });
  const { kept } = await differences("changed");
  const told = new Set(kept.map(({ texts }) => texts?.kind));
  for (const kind of KINDS) expect(told, kind).toContain(kind);
});

test("what was compared leaves nothing behind", async () => {
  const [row] = await withSession({ ...node.superuser, database: "again" }, (session) =>
    session.query("SELECT count(*)::int AS n FROM pg_namespace WHERE nspname LIKE 'odoo_pg%'"),
  );
  expect(row).toEqual({ n: 0 });
});
