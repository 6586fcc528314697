// The example of three hosts that `odoo-pg compose --ha` writes, as somebody tries it on a laptop.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { randomBytes } from "node:crypto";
import { equal, holds } from "./containers.mjs";
import { must, run, until } from "./engine.mjs";
import { root } from "./images.mjs";

const ADDRESSES = { db1: "172.30.77.11", db2: "172.30.77.12", witness: "172.30.77.13" };
const STATE = "/var/lib/postgresql/ha";

export class HostsProject {
  folder = mkdtempSync(path.join(tmpdir(), "odoo-pg-compose-ha-"));
  name = `odoopgtest${randomBytes(3).toString("hex")}`;
  #command;

  constructor(command, image) {
    this.#command = command;
    this.image = image;
  }

  get #options() {
    return {
      cwd: path.join(this.folder, "laptop"),
      env: { ODOO_PG_IMAGE: this.image, COMPOSE_PROJECT_NAME: this.name },
    };
  }

  async compose(...args) {
    const [program, ...first] = this.#command;
    return await must(program, [...first, ...args], this.#options);
  }

  /** Runs a command in a host's container, whatever it ends with. */
  async on(host, ...command) {
    const [program, ...first] = this.#command;
    const { stdout, stderr, status } = await run(
      program,
      [...first, "exec", "-T", host, ...command],
      this.#options,
    );
    return { text: `${stdout}\n${stderr}`, status };
  }

  /** The same, which must succeed. */
  async do(host, ...command) {
    const { text, status } = await this.on(host, ...command);
    if (status !== 0) throw new Error(`${host}: ${command.join(" ")} ended with ${status}:\n${text}`);
    return text;
  }

  /** A statement as Odoo's role through an endpoint of a host. */
  async ask(host, port, statement, database = "ledger") {
    const script = `PGPASSWORD=$(cat ${STATE}/secrets/odoo.password) PGCONNECT_TIMEOUT=60 psql -XAtq -h 127.0.0.1 -p ${port} -U odoo -d ${database} -c "$1"`;
    return (await this.do(host, "sh", "-c", script, "sh", statement)).trim();
  }

  async ready(host) {
    await until(
      `failover to be ready as ${host} sees it`,
      async () => {
        const { text } = await this.on(host, "odoo-pg", "status");
        if (/^Failover: ready$/m.test(text)) return true;
        throw new Error(text);
      },
      180_000,
    );
  }

  async clear() {
    const [program, ...first] = this.#command;
    await run(program, [...first, "down", "-v", "-t", "60", "--remove-orphans"], this.#options);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const WRITE = 5436;
const READ = 5435;

/** @returns {[string, () => Promise<string | void>][]} */
export function hostsScenarios(project) {
  const invitationIn = (text) => /odoo-pg join '?([^'\s]+)/.exec(text)?.[1] ?? "";
  const join = async (host, invitation, ...more) =>
    await project.do(host, "odoo-pg", "join", invitation, "--address", ADDRESSES[host], ...more);
  return [
    [
      "hosts: the example is written, and compose takes each of its files",
      async () => {
        const program = path.join(root, "dist/odoo-pg.mjs");
        await must(process.execPath, [program, "compose", "--ha", "--directory", project.folder]);
        await project.compose("config");
        holds(
          readFileSync(path.join(project.folder, "db1/compose.yaml"), "utf8"),
          /network_mode: host/,
          "the file of a host",
        );
      },
    ],
    [
      "hosts: up, init and join, as the file says, and a failover is ready",
      async () => {
        await project.compose("up", "-d");
        await until(
          "the first host to be up",
          async () => (await project.on("db1", "odoo-pg", "status")).status === 0,
        );
        const begun = performance.now();
        const first = await project.do("db1", "odoo-pg", "ha", "init", "--address", ADDRESSES.db1);
        await join("db2", invitationIn(first));
        const next = await project.do("db1", "odoo-pg", "ha", "invite");
        await join("witness", invitationIn(next), "--witness");
        await project.ready("db1");
        return `init to ready ${((performance.now() - begun) / 1000).toFixed(0)} s`;
      },
    ],
    [
      "hosts: the first host is killed: the other takes over with all rows, and the first comes back as a replica",
      async () => {
        await project.ask("db2", WRITE, "CREATE DATABASE ledger", "postgres");
        await project.ask("db2", WRITE, "CREATE TABLE ledger AS SELECT 1 AS one");
        const begun = performance.now();
        await project.compose("kill", "-s", "KILL", "db1");
        await project.ask("db2", WRITE, "INSERT INTO ledger VALUES (2)");
        const took = ((performance.now() - begun) / 1000).toFixed(1);
        equal(await project.ask("db2", READ, "SELECT count(*) FROM ledger"), "2", "rows");
        await project.compose("start", "db1");
        await project.ready("db2");
        equal(await project.ask("db1", READ, "SELECT count(*) FROM ledger"), "2", "rows on the first host");
        return `the next write after ${took} s`;
      },
    ],
    [
      "hosts: a container that is stopped hands the primary over first",
      async () => {
        const begun = performance.now();
        const stopping = project.compose("stop", "db2");
        await until("the other to write", async () => {
          await project.ask("db1", WRITE, "INSERT INTO ledger VALUES (3)");
          return true;
        });
        await stopping;
        holds((await project.on("db1", "odoo-pg", "status")).text, /db1 .*primary/, "status");
        const took = ((performance.now() - begun) / 1000).toFixed(1);
        await project.compose("start", "db2");
        await project.ready("db1");
        return `stopped after ${took} s`;
      },
    ],
    [
      "hosts: an agent that is killed is started again, and the server goes on",
      async () => {
        const started = async () =>
          await project.do("db1", "psql", "-XAtqc", "SELECT pg_postmaster_start_time()", "-p", "5433");
        const before = await started();
        await project.do("db1", "sh", "-c", `kill -9 $(sed 's/ .*//' ${STATE}/agent.lock)`);
        await project.ready("db1");
        equal(await started(), before, "the server's start");
      },
    ],
  ];
}
