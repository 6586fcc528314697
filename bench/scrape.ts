import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Client } from "pg";
import { processesOf, signalAll } from "./replicated.ts";
import { type Benchmark, table, timeCells, timed } from "./table.ts";
import { type Cluster, withCluster } from "./throwaway.ts";

const DATABASES = 50;
const RUNS = 15;

/** The tables that are read in an Odoo database, and as many tables as Odoo has. */
const ODOO = `
CREATE TABLE ir_module_module (id serial PRIMARY KEY, name varchar UNIQUE, state varchar(16), latest_version varchar);
INSERT INTO ir_module_module (name, state, latest_version)
  SELECT CASE n WHEN 1 THEN 'base' ELSE 'module_' || n END, 'installed', '19.0.1.3' FROM generate_series(1, 600) n;
CREATE TABLE ir_cron (id serial PRIMARY KEY, active boolean, nextcall timestamp, failure_count integer);
INSERT INTO ir_cron (active, nextcall, failure_count) SELECT true, now(), 0 FROM generate_series(1, 40);
CREATE TABLE mail_mail (id serial PRIMARY KEY, state varchar, create_date timestamp, scheduled_date timestamp);
INSERT INTO mail_mail (state, create_date) SELECT 'outgoing', now() FROM generate_series(1, 200);
CREATE TABLE bus_bus (id serial PRIMARY KEY, create_date timestamp, message varchar);
INSERT INTO bus_bus (create_date, message) SELECT now(), repeat('x', 200) FROM generate_series(1, 5000);
CREATE TABLE ir_attachment (id serial PRIMARY KEY, name varchar, file_size integer, store_fname varchar, index_content text);
INSERT INTO ir_attachment (name, file_size, store_fname, index_content)
  SELECT 'file ' || n, n, md5(n::text), repeat('y', 100) FROM generate_series(1, 5000) n;
CREATE TABLE mail_message (id serial PRIMARY KEY, body text);
CREATE TABLE mail_notification (id serial PRIMARY KEY);
CREATE TABLE stock_quant (id serial PRIMARY KEY);
DO $$ BEGIN FOR n IN 1..400 LOOP EXECUTE format('CREATE TABLE table_%s (id serial PRIMARY KEY, name varchar)', n); END LOOP; END $$;
`;

/** One scrape of `/metrics` of a cluster with many databases, and with a server that hangs. */
export const scrapeTime: Benchmark = {
  name: "scrape",
  title: `One scrape of the metrics, with ${DATABASES} Odoo databases and two nodes`,
  measure: async (program) =>
    await withCluster(program, async (cluster) => {
      await cluster.run("up");
      await makeDatabases(cluster);
      let text = "";
      const scrape = async (): Promise<void> => {
        const answer = await fetch(`http://127.0.0.1:${cluster.ports.page}/metrics`);
        text = await answer.text();
        if (!answer.ok) throw new Error(text);
      };
      const first = await timed(scrape);
      while ((text.match(/^odoo_pg_odoo_info/gm) ?? []).length < DATABASES) {
        await pause(500);
        await scrape();
      }
      const times: number[] = [];
      for (let run = 0; run < RUNS; run += 1) {
        // Scrapes within a second share one reading.
        await pause(1100);
        times.push(await timed(scrape));
      }
      const lines = text.split("\n").filter((line) => line && !line.startsWith("#")).length;
      const size = text.length;
      const hanging = processesOf(postmasterOf(cluster, "pg2"));
      signalAll(hanging, "SIGSTOP");
      const silent: number[] = [];
      try {
        for (let run = 0; run < RUNS; run += 1) {
          silent.push(await timed(scrape));
          await pause(1100);
        }
      } finally {
        signalAll(hanging, "SIGCONT");
      }
      return [
        `${lines} samples, ${(size / 1024).toFixed(0)} kB. The target: 0.5 s.`,
        table(
          [`${RUNS} scrapes each`, "median", "lowest", "highest"],
          [
            ["the first one", ...timeCells([first])],
            ["both servers answer", ...timeCells(times)],
            ["the replica hangs (SIGSTOP)", ...timeCells(silent)],
          ],
        ),
      ].join("\n\n");
    }),
};

function postmasterOf({ stateDir }: Cluster, node: string): number {
  return Number.parseInt(readFileSync(join(stateDir, "nodes", node, "data/postmaster.pid"), "utf8"), 10);
}

/** One database with tables as Odoo's, and copies of it. */
async function makeDatabases({ stateDir, ports }: Cluster): Promise<void> {
  const password = readFileSync(join(stateDir, "secrets/odoo.password"), "utf8").trimEnd();
  const connect = async (database: string): Promise<Client> => {
    const client = new Client({
      host: "127.0.0.1",
      port: ports.write,
      user: "odoo",
      password,
      database,
    });
    await client.connect();
    return client;
  };
  const admin = await connect("postgres");
  await admin.query("CREATE DATABASE odoo_1");
  const first = await connect("odoo_1");
  await first.query(ODOO);
  await first.end();
  for (let number = 2; number <= DATABASES; number += 1)
    await admin.query(`CREATE DATABASE odoo_${number} TEMPLATE odoo_1`);
  await admin.end();
}
