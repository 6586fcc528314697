import {
  chmodSync,
  chownSync,
  mkdirSync,
  readlinkSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { throwawayCluster, type ThrowawayCluster } from "../support/cluster.ts";
import { waitFor } from "../support/wait.ts";

let cluster: ThrowawayCluster;

beforeAll(async () => {
  cluster = await throwawayCluster();
  cluster.configure({});
  await cluster.up();
  await cluster.healthy();
}, 60_000);

const linksOf = (node: string): string => join(cluster.stateDir, "nodes", node, "data", "pg_tblspc");

/** Where a node's files of each tablespace lie. */
function placesOf(node: string): string[] {
  return readdirSync(linksOf(node)).map((id) => readlinkSync(join(linksOf(node), id)));
}

/** A directory that a tablespace may lie in. */
function directoryFor(name: string): string {
  const directory = join(cluster.folder, name);
  mkdirSync(directory);
  const { uid, gid } = statSync(linksOf("pg1"));
  chownSync(directory, uid, gid);
  return directory;
}

async function sumOf(node: "pg1" | "pg2", table: string): Promise<unknown> {
  const session = await cluster.session(node);
  const [row] = await session.rows(`SELECT count(*)::int AS rows, sum(i)::int AS sum FROM ${table}`);
  await session.close();
  return row;
}

const ALL = { rows: 20_000, sum: 200_010_000 };
const FILL = "SELECT i, repeat('x', 100) AS text FROM generate_series(1, 20000) AS i";

async function told(node: string): Promise<void> {
  await waitFor(`status to say that ${node} is not run`, async () => {
    const { warnings, verdict } = await cluster.status();
    const found = warnings.find(({ code }) => code === "tablespace_shared");
    return verdict === "critical" && found?.node === node && found.next.includes(`reseed ${node}`);
  });
}

describe("a tablespace that is made while a replica streams", () => {
  test("is followed by no replica: it stops before it touches the files, and status says so", async () => {
    const primary = await cluster.session("pg1");
    const location = directoryFor("fast");
    await primary.rows(`CREATE TABLESPACE fast LOCATION '${location}'`);
    await primary.rows(`CREATE TABLE t TABLESPACE fast AS ${FILL}`);
    await told("pg2");
    expect(placesOf("pg1")).toEqual([location]);
    expect(placesOf("pg2")).toEqual([]);
  });

  test("loses nothing when its primary is killed", async () => {
    const killed = cluster.postmaster("pg1");
    process.kill(killed, "SIGKILL");
    // By its own answer: a status of just before may still say that it runs.
    let found: unknown;
    await waitFor("the primary to be back", async () => {
      if (cluster.postmaster("pg1") === killed) return false;
      found = await sumOf("pg1", "t");
      return true;
    });
    expect(found).toEqual(ALL);
    expect((await cluster.run(["up"])).stderr).toContain("odoo-pg reseed pg2");
  });

  test("has a place of its own on a replica that is made anew, also after the primary changes twice", async () => {
    expect((await cluster.run(["reseed", "pg2"])).exitCode).toBe(0);
    await cluster.healthy();
    const [ofFirst, ofSecond] = [placesOf("pg1"), placesOf("pg2")];
    expect(ofSecond).toHaveLength(1);
    expect(ofSecond).not.toEqual(ofFirst);
    expect(await sumOf("pg2", "t")).toEqual(ALL);

    expect((await cluster.run(["switchover"])).exitCode).toBe(0);
    const next = await cluster.onPrimary();
    await next.rows(`INSERT INTO t ${FILL}`);
    await next.rows(`DELETE FROM t WHERE ctid IN (SELECT max(ctid) FROM t GROUP BY i)`);
    await cluster.healthy();
    await waitFor(
      "the old primary to have it",
      async () => JSON.stringify(await sumOf("pg1", "t")) === JSON.stringify(ALL),
    );
    // A primary makes tablespaces again, and another replica refuses the next one.
    await next.rows(`CREATE TABLESPACE more LOCATION '${directoryFor("more")}'`);
    await told("pg1");
    expect((await cluster.run(["reseed", "pg1", "--discard-old"])).exitCode).toBe(0);
    await cluster.healthy();
    expect([placesOf("pg1"), placesOf("pg2")].flat()).toHaveLength(4);
    expect(new Set([placesOf("pg1"), placesOf("pg2")].flat()).size).toBe(4);
  });

  test("comes back as it was on an old primary that is rejoined", async () => {
    const before = placesOf("pg2");
    expect((await cluster.run(["promote", "pg1", "--fence", "fast"])).exitCode).toBe(0);
    const primary = await cluster.session("pg1");
    await primary.rows("UPDATE t SET text = 'y'");
    expect(await cluster.run(["rejoin", "pg2"])).toMatchObject({ exitCode: 0 });
    await cluster.healthy();
    expect(new Set([placesOf("pg1"), placesOf("pg2"), before].flat()).size).toBe(6);
    expect(await sumOf("pg2", "t WHERE text = 'y'")).toEqual(ALL);
  });

  test("is left out by a restore, which has the rows", async () => {
    const session = await cluster.session("pg1");
    await session.rows("CREATE DATABASE shop OWNER odoo");
    const shop = await cluster.session("pg1", "postgres", "shop");
    await shop.rows(`CREATE TABLE t TABLESPACE fast AS ${FILL}`);
    await shop.rows("ALTER TABLE t OWNER TO odoo");
    await shop.close();
    const { stdout } = await cluster.run(["backup", "create", "shop", "--json"]);
    expect(stdout).toContain("shop_");
    const [backup] = await backups();
    expect(await cluster.run(["restore", backup ?? "", "--as", "again"])).toMatchObject({ exitCode: 0 });
    const again = await cluster.session("pg1", "postgres", "again");
    expect(await again.rows("SELECT count(*)::int AS rows FROM t")).toEqual([{ rows: 20_000 }]);
  });

  test("whose files two nodes wrote before this was looked at keeps the replica down", async () => {
    await cluster.down();
    const links = linksOf("pg2");
    chmodSync(links, 0o700);
    for (const id of readdirSync(links)) {
      rmSync(join(links, id));
      symlinkSync(readlinkSync(join(linksOf("pg1"), id)), join(links, id));
    }
    const { exitCode, stderr } = await cluster.run(["up"]);
    expect(exitCode).not.toBe(0);
    expect(stderr).toContain("odoo-pg reseed pg2");
    await told("pg2");
    expect(await sumOf("pg1", "t")).toEqual(ALL);
    expect((await cluster.run(["reseed", "pg2", "--discard-old"])).exitCode).toBe(0);
    await cluster.healthy();
    expect(await sumOf("pg2", "t")).toEqual(ALL);
  });
});

async function backups(): Promise<string[]> {
  const { stdout } = await cluster.run(["backup", "list", "--json"]);
  return [...stdout.matchAll(/"id": *"([^"]+)"/g)].map(([, id = ""]) => id);
}
