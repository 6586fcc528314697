// One minute of odoo-pg, narrated: node scripts/demo.mjs [program]. A cluster on free ports in a folder of its own, a
// database like Odoo's, load through both endpoints, a kill, a switchover, a backup that is proven, a restored
// database. Ctrl-C at any moment leaves nothing behind.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Client } from "pg";
import { freePorts } from "./free-ports.mjs";

const program = process.argv[2] ?? fileURLToPath(new URL("../dist/odoo-pg.mjs", import.meta.url));
const CLIENTS = 4;
const PARTNERS = 2000;
const ATTACHMENTS = 40;

/** Thrown when the user wants to stop: nothing is wrong. */
class Stopped extends Error {}

/** Clients that write, and read back what they wrote. */
class Load {
  written = 0;
  stale = 0;
  failed = 0;
  /** Milliseconds that the longest write took, since it was last set back. */
  longest = 0;
  /** @type {Set<string>} */
  acknowledged = new Set();
  #going = true;
  /** @type {Promise<void>[]} */
  #clients;

  /** @param {Record<string, string>} options */
  constructor(options) {
    this.#clients = Array.from({ length: CLIENTS }, async (_, number) => await this.#client(options, number));
  }

  /** @param {Record<string, string>} options @param {number} number */
  async #client(options, number) {
    /** @type {Client | undefined} */
    let writing;
    /** @type {Client | undefined} */
    let reading;
    for (let count = 0; this.#going; count++) {
      let name = `S${number}-${count}`;
      const began = Date.now();
      try {
        for (;;) {
          try {
            writing ??= await connected(options, "shop", Number(options.db_port));
            await writing.query("INSERT INTO sale_order (name) VALUES ($1)", [name]);
            break;
          } catch (error) {
            // It is unknown whether it was written: another row is written instead.
            name += "+";
            writing = undefined;
            if (!this.#going) throw error;
            this.failed += 1;
            await sleep(100);
          }
        }
        this.acknowledged.add(name);
        this.written += 1;
        this.longest = Math.max(this.longest, Date.now() - began);
        reading ??= await connected(options, "shop", Number(options.db_replica_port));
        const { rowCount } = await reading.query("SELECT FROM sale_order WHERE name = $1", [name]);
        if (rowCount === 0) this.stale += 1;
      } catch {
        // A read that was cut off is repeated, as Odoo does.
        reading = undefined;
        await sleep(100);
      }
      await sleep(5);
    }
    await Promise.allSettled([writing?.end(), reading?.end()]);
  }

  words() {
    return `${this.written} orders written, each read back at once: ${this.stale} were missing.`;
  }

  /** What was acknowledged, held against what is there. @param {Record<string, string>} options */
  async kept(options) {
    const rows = await asOdoo(options, "shop", "SELECT name FROM sale_order");
    const there = new Set(rows.map(({ name }) => name));
    const lost = [...this.acknowledged].filter((name) => !there.has(name));
    return `Acknowledged and lost, after the kill and the switchover: ${lost.length} of ${this.acknowledged.size}.`;
  }

  /** Until each client has written again. */
  async nextWrites() {
    const before = this.written;
    for (const end = Date.now() + 60_000; this.written < before + 4 * CLIENTS; await pause(50))
      if (Date.now() > end) throw new Error("No client could write for a minute.");
  }

  async end() {
    this.#going = false;
    await Promise.race([Promise.all(this.#clients), sleep(5000)]);
  }
}

let stopped = false;
/** What waits to hear of it. @type {(() => void)[]} */
const listeners = [];
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
  process.on(signal, () => {
    if (!stopped) console.log("\nStopping; everything that the demo made is removed …");
    stopped = true;
    for (const listener of listeners) listener();
  });

// Short, because the path of a Unix socket is limited; open to the user that runs the servers.
const folder = mkdtempSync(path.join(realpathSync("/tmp"), "odoo-pg-demo-"));
chmodSync(folder, 0o755);
const state = path.join(folder, "state");
const filestore = path.join(folder, "filestore");
const configuration = path.join(folder, "odoo-pg.yaml");
const [first, second, read, write, page] = await freePorts(5);
mkdirSync(filestore);
writeFileSync(
  configuration,
  `cluster: demo
state_dir: ${state}
nodes:
  - { name: pg1, port: ${first} }
  - { name: pg2, port: ${second} }
endpoints:
  read: { port: ${read} }
  write: { port: ${write} }
console: { port: ${page} }
backup: { dir: ${folder}/backups }
odoo: { filestore: ${filestore} }
postgres: { parameters: { shared_buffers: 32MB } }
`,
);

const began = Date.now();
/** @type {Load | undefined} */
let load;
try {
  await show();
} catch (error) {
  if (!(error instanceof Stopped)) {
    process.exitCode = 1;
    console.error(error instanceof Error ? error.message : error);
  }
}
await load?.end();
await clearAway();

/** The story. @throws {Stopped} */
async function show() {
  console.log(`Everything is in ${folder}. Ctrl-C at any moment stops and removes it.`);
  tell("1", "A primary and a replica, an address for writes, one for fresh reads");
  await odooPg("up");
  const { options } = JSON.parse(await odooPg("odoo-conf", "--json"));

  tell("2", `A database as Odoo's are: ${PARTNERS} partners, ${ATTACHMENTS} attachments`);
  await fill(options);
  const { link } = JSON.parse(await odooPg("console", "--json"));
  say(`Look at it all in a browser, now and while it goes on:\n${link}`);

  tell("3", `Load: ${CLIENTS} clients write orders, and read each one back through the read endpoint`);
  load = new Load(options);
  await pause(4000);
  say(load.words());

  tell("4", "The primary is killed (kill -9)");
  await during(async () => {
    process.kill(postmaster("pg1"), "SIGKILL");
    await pause(1000);
  });

  tell("5", "The replica becomes the primary, as for a restart of the machine: odoo-pg switchover");
  await during(async () => void (await odooPg("switchover", "--to", "pg2")));

  tell("6", "A backup, proven by restoring it: odoo-pg backup create shop --prove");
  console.log(indented(await odooPg("backup", "create", "shop", "--prove")));

  tell("7", "Somebody deletes all partners; the backup comes back beside the live database");
  await asOdoo(options, "shop", "TRUNCATE res_partner");
  await odooPg("restore", "shop", "--as", "shop_before");
  const now = await asOdoo(options, "shop", "SELECT count(*)::int AS n FROM res_partner");
  const before = await asOdoo(options, "shop_before", "SELECT count(*)::int AS n FROM res_partner");
  say(`shop has ${now[0].n} partners, shop_before has ${before[0].n}.`);

  await load.end();
  tell("=", `That was it, in ${Math.round((Date.now() - began) / 1000)} s`);
  say(`${load.words()}\n${await load.kept(options)}`);
  console.log(indented(await odooPg("status")));
  if (!process.stdin.isTTY || stopped) return;
  say(`The cluster runs on: ${link}\nEnter or Ctrl-C stops it and removes everything.`);
  await new Promise((resolve) => {
    listeners.push(() => resolve(undefined));
    process.stdin.once("data", resolve);
  });
  process.stdin.destroy();
}

/** Runs a step under load, and says how long the longest write waited meanwhile. @param {() => Promise<void>} act */
async function during(act) {
  const failed = load.failed;
  load.longest = 0;
  await act();
  await load.nextWrites();
  const broken = load.failed - failed;
  say(
    `The longest write waited ${(load.longest / 1000).toFixed(1)} s. ${broken === 0 ? "No client saw an error." : `${broken} writes that were under way had to be tried again.`}`,
  );
}

/** @param {string} number @param {string} text */
function tell(number, text) {
  if (stopped) throw new Stopped();
  const seconds = String(Math.round((Date.now() - began) / 1000)).padStart(3);
  console.log(`\n${seconds} s  ${number}  ${text}`);
}

/** @param {string} text */
function say(text) {
  console.log(indented(text));
}

/** @param {string} text */
function indented(text) {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => `          ${line}`)
    .join("\n");
}

/** @param {number} milliseconds */
async function pause(milliseconds) {
  await Promise.race([
    sleep(milliseconds),
    new Promise((resolve) => void listeners.push(() => resolve(undefined))),
  ]);
  if (stopped) throw new Stopped();
}

/** @param {Record<string, string>} options @param {string} database @param {number} port */
async function connected(options, database, port) {
  const client = new Client({
    host: options.db_host,
    port,
    user: options.db_user,
    password: options.db_password,
    database,
    connectionTimeoutMillis: 65_000,
  });
  client.on("error", () => {});
  await client.connect();
  return client;
}

/** @param {Record<string, string>} options @param {string} database @param {string} text */
async function asOdoo(options, database, text) {
  if (stopped) throw new Stopped();
  const client = await connected(options, database, Number(options.db_port));
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

/** Makes the database as Odoo's role, as Odoo does. @param {Record<string, string>} options */
async function fill(options) {
  await asOdoo(options, "postgres", `CREATE DATABASE shop TEMPLATE ${options.db_template}`);
  const files = Array.from({ length: ATTACHMENTS }, (_, number) => {
    const content = `attachment ${number} of the demo\n`.repeat(50);
    const sha1 = createHash("sha1").update(content).digest("hex");
    const place = path.join(filestore, "shop", sha1.slice(0, 2));
    mkdirSync(place, { recursive: true });
    writeFileSync(path.join(place, sha1), content);
    return `('file ${number}', '${sha1.slice(0, 2)}/${sha1}', '${sha1}', ${content.length})`;
  });
  await asOdoo(
    options,
    "shop",
    `CREATE TABLE ir_module_module (id serial PRIMARY KEY, name varchar NOT NULL UNIQUE, state varchar, latest_version varchar);
     INSERT INTO ir_module_module (name, state, latest_version) VALUES ('base', 'installed', '19.0.1.3'), ('sale', 'installed', '19.0.1.2');
     CREATE TABLE ir_config_parameter (id serial PRIMARY KEY, key varchar NOT NULL UNIQUE, value text);
     INSERT INTO ir_config_parameter (key, value) VALUES ('database.uuid', gen_random_uuid()::text), ('web.base.url', 'https://shop.example.com');
     CREATE TABLE ir_cron (id serial PRIMARY KEY, cron_name varchar, active boolean DEFAULT true, nextcall timestamp DEFAULT now() + interval '1 day');
     CREATE TABLE ir_attachment (id serial PRIMARY KEY, name varchar, store_fname varchar, checksum varchar(40), file_size integer);
     INSERT INTO ir_attachment (name, store_fname, checksum, file_size) VALUES ${files.join(", ")};
     CREATE TABLE res_partner (id serial PRIMARY KEY, name varchar NOT NULL, email varchar);
     INSERT INTO res_partner (name, email) SELECT 'Partner ' || n, 'p' || n || '@example.com' FROM generate_series(1, ${PARTNERS}) n;
     CREATE INDEX res_partner_name ON res_partner USING gin (unaccent(name) gin_trgm_ops);
     CREATE TABLE sale_order (id serial PRIMARY KEY, name varchar NOT NULL UNIQUE, date_order timestamp DEFAULT now())`,
  );
}

/** Process id of a node's server. @param {string} node */
function postmaster(node) {
  return Number.parseInt(readFileSync(path.join(state, "nodes", node, "data", "postmaster.pid"), "utf8"), 10);
}

/**
 * Runs odoo-pg and returns what it printed. In a process group of its own, so that Ctrl-C reaches this script alone, which
 * then ends it in order.
 * @param {readonly string[]} args
 * @returns {Promise<string>}
 */
async function odooPg(...args) {
  if (stopped) throw new Stopped();
  const { status, out, err } = await run(args, (child) => listeners.push(() => child.kill("SIGINT")));
  if (stopped) throw new Stopped();
  // A status that warns is one.
  if (status !== 0 && args[0] !== "status")
    throw new Error(`odoo-pg ${args.join(" ")} failed:\n${out}${err}`);
  return out;
}

/**
 * @param {readonly string[]} args
 * @param {(child: import("node:child_process").ChildProcess) => void} started
 * @returns {Promise<{ status: number, out: string, err: string }>}
 */
function run(args, started = () => {}) {
  const child = spawn(process.execPath, [program, ...args, "--config", configuration], {
    cwd: folder,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  started(child);
  let out = "";
  let err = "";
  child.stdout.on("data", (chunk) => (out += chunk));
  child.stderr.on("data", (chunk) => (err += chunk));
  return new Promise((resolve) => {
    child.on("close", (code) => resolve({ status: code ?? 128, out, err }));
  });
}

/** Stops and removes the cluster. An interrupted step may still hold it for a moment. */
async function clearAway() {
  for (let tries = 1; ; tries++) {
    const { status } = await run(["down"]);
    const gone = !existsSync(path.join(state, "applied.json"));
    if (status === 0 && (gone || (await run(["destroy", "--confirm", "demo"])).status === 0)) break;
    if (tries === 5) {
      console.error(`The cluster is left in ${folder}: odoo-pg down --config ${configuration}`);
      process.exitCode = 1;
      return;
    }
    await sleep(1000);
  }
  rmSync(folder, { recursive: true, force: true });
  console.log("Everything that the demo made is removed.");
}
