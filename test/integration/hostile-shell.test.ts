import { beforeAll, expect, test } from "vitest";
import { type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import { waitFor } from "../support/wait.ts";

/** A shell in which every variable that libpq and the servers' programs read is set to something else. */
const HOSTILE = {
  PGHOST: "nowhere.invalid",
  PGHOSTADDR: "203.0.113.1",
  PGPORT: "1",
  PGDATABASE: "no such database",
  PGUSER: "nobody",
  PGPASSWORD: "wrong",
  PGPASSFILE: "/nonexistent/pgpass",
  PGSERVICE: "nowhere",
  PGSERVICEFILE: "/nonexistent/service",
  PGSYSCONFDIR: "/nonexistent",
  PGOPTIONS:
    "-c default_transaction_read_only=on -c search_path=nowhere -c statement_timeout=1 -c role=nobody -c DateStyle=German",
  PGDATESTYLE: "German",
  PGTZ: "Asia/Kathmandu",
  PGCLIENTENCODING: "LATIN1",
  PGGEQO: "off",
  PGSSLMODE: "verify-full",
  PGSSLROOTCERT: "/nonexistent/ca.crt",
  PGREQUIRESSL: "1",
  PGREQUIREPEER: "nobody",
  PGREQUIREAUTH: "none",
  PGCHANNELBINDING: "require",
  PGGSSENCMODE: "require",
  PGTARGETSESSIONATTRS: "standby",
  PGLOADBALANCEHOSTS: "random",
  PGCONNECT_TIMEOUT: "2",
  PGAPPNAME: "evil",
  PGDATA: "/nonexistent/data",
  PSQLRC: "/nonexistent/psqlrc",
  PSQL_PAGER: "false",
  PG_COLOR: "always",
};

let cluster: ThrowawayCluster;

beforeAll(async () => {
  cluster = await throwawayCluster({ env: HOSTILE });
  cluster.configure({});
  await cluster.up();
}, 60_000);

test("what a shell sets for PostgreSQL's programs keeps nothing from starting, and is seen by no session", async () => {
  // The first look of all has the size of the databases.
  expect((await cluster.status()).database_bytes).toBeGreaterThan(1_000_000);
  await cluster.healthy();
  const sessions = await cluster.session("pg1");
  expect(
    await sessions.rows("SELECT application_name FROM pg_stat_activity WHERE application_name = 'evil'"),
  ).toEqual([]);
});

test("psql, backups, drills and a reseed do what they do in any other shell", async () => {
  const asked = "SELECT current_setting('DateStyle'), current_setting('search_path'), current_user, 1 AS one";
  const psql = await cluster.run(["psql", "--", "-At", "-c", asked]);
  expect(psql).toMatchObject({ exitCode: 0 });
  expect(psql.stdout.trim()).toBe("ISO, MDY|pg_catalog, pg_temp|postgres|1");
  const superuser = await cluster.session("pg1");
  await superuser.rows("CREATE DATABASE shop OWNER odoo");
  const shop = await cluster.session("pg1", "odoo", "shop");
  await shop.rows("CREATE TABLE t AS SELECT now() AS at, 'é' AS text, i FROM generate_series(1, 100) AS i");
  await shop.close();
  expect(await cluster.run(["backup", "create", "shop"])).toMatchObject({ exitCode: 0 });
  expect(await cluster.run(["backup", "verify", "--restore"])).toMatchObject({ exitCode: 0 });
  expect(await cluster.run(["reseed", "pg2", "--discard-old"])).toMatchObject({ exitCode: 0 });
  expect((await cluster.run(["switchover"])).exitCode).toBe(0);
  await cluster.healthy();
});

test("a replica that lost its stream because the role's password was changed says so, and up mends it", async () => {
  const { nodes } = await cluster.status();
  const primary = nodes.find(({ role }) => role === "primary")?.name === "pg1" ? "pg1" : "pg2";
  const session = await cluster.session(primary);
  await session.rows("ALTER ROLE replicator PASSWORD 'another'");
  await session.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_replication");
  await waitFor("status to say why", async () => {
    const { warnings } = await cluster.status();
    const found = warnings.find(({ code }) => code === "replica_not_streaming");
    return found?.message.includes('refuses the role "replicator"') === true && found.next.includes("up");
  });
  await cluster.up();
  await cluster.healthy();
});
