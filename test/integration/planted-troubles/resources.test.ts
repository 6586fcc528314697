import { chownSync, mkdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { execa } from "execa";
import { beforeAll, test } from "vitest";
import { serverOwner } from "../../postgres/throwaway-node.ts";
import { type ThrowawayCluster, throwawayCluster } from "../../support/cluster.ts";
import { connect, type Session } from "../../support/pg.ts";
import { meet, type Trouble } from "../../support/planted-trouble.ts";
import { freePort } from "../../support/ports.ts";
import { isAlive, processesUsing } from "../../support/processes.ts";
import { program } from "../../support/program.ts";
import { atEnd } from "../../support/scope.ts";
import { mayMount, mountSmallDisk, unmountSmallDisk } from "../../support/small-disk.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait.ts";

const MB = 1024 * 1024;
/** Ten of the connections are kept for others than clients of the endpoints. */
const HANDED_ON = 30;
const DISK = 300;

let cluster: ThrowawayCluster;
const dirOf = (node: string): string => join(cluster.stateDir, "nodes", node);

/** What a trouble changes is on top of it: who may prepare, few connections, an archive, a pooler for reads. */
const parameters = {
  max_connections: "40",
  max_prepared_transactions: "4",
  archive_mode: "on",
  archive_command: "/bin/true",
  wal_keep_size: "0",
};

beforeAll(async () => {
  cluster = await throwawayCluster({
    config: { endpoints: { read: { pooling: "transaction" } }, postgres: { parameters } },
  });
  if (mayMount) {
    const owner = await serverOwner();
    mkdirSync(dirOf("pg2"), { recursive: true });
    mountSmallDisk(dirOf("pg2"), `${DISK}m`, "0700");
    if (owner) chownSync(dirOf("pg2"), owner.uid, owner.gid);
    atEnd(async () => {
      if (processesUsing(cluster.folder).length > 0) await cluster.down();
      await unmountSmallDisk(dirOf("pg2"));
    });
  }
  await cluster.up();
  await cluster.healthy();
  // It is told once it is a minute old, which is while the others are met.
  const odoo = await cluster.session("write");
  await odoo.rows("CREATE DATABASE shop");
  await odoo.close();
  const shop = await cluster.session("write", "odoo", "shop");
  for (const statement of ["BEGIN", "SELECT pg_advisory_xact_lock(1)", "PREPARE TRANSACTION 'stock''s'"])
    await shop.rows(statement);
  await shop.close();
}, 120_000);

/** Runs statements as superuser on a node. */
async function say(node: "pg1" | "pg2", ...statements: readonly string[]): Promise<void> {
  const session = await cluster.session(node);
  for (const statement of statements) await session.rows(statement);
  await session.close();
}

async function kill(pid: number, signal: NodeJS.Signals): Promise<void> {
  process.kill(pid, signal);
  if (signal === "SIGKILL") await waitFor("its end", () => !isAlive(pid));
}

function poolerOfReads(): number {
  const record: unknown = JSON.parse(
    readFileSync(join(cluster.stateDir, "pgbouncer", "read.process.json"), "utf8"),
  );
  return Number(Reflect.get(Object(record), "pid"));
}

/** Sessions that a trouble holds, until it is over. */
let held: Session[] = [];
let waiting: Promise<unknown> = Promise.resolve();

async function letGo(): Promise<void> {
  await Promise.all(held.map(async (session) => await session.close()));
  held = [];
  await waiting;
}

/** Opens so many sessions on pg1, or until it takes no more. */
async function fill(most = 100): Promise<void> {
  while (held.length < most) {
    const session = await cluster.session("pg1", "odoo").catch((error: unknown) => {
      if (Reflect.get(Object(error), "code") === "53300") return undefined;
      throw error;
    });
    if (!session) return;
    held.push(session);
  }
}

/** Opens sessions at the write endpoint, more than it hands on. */
async function overfill(): Promise<void> {
  while (held.length < HANDED_ON) held.push(await cluster.session("write"));
  // It comes through when the others are let go, which is after commands have been tried.
  waiting = connect({
    port: cluster.ports.write,
    user: "odoo",
    password: cluster.password("odoo"),
    database: "postgres",
    connectTimeout: 60_000,
  }).then(async (session) => await session.close());
}

/** Takes a port, until the trouble is over. */
let free = async (): Promise<void> => {};
async function take(port: number): Promise<true> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  free = async () =>
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
  atEnd(async () => {
    if (server.listening) await free();
  });
  return true;
}

/** Gives pg1 a certificate that begins and ends at these times, as openssl writes them. */
async function certify(begin: string, end: string): Promise<void> {
  const folder = temporaryFolder();
  const [request, made, settings] = ["request", "made.crt", "settings"].map((name) => join(folder, name));
  const key = join(dirOf("pg1"), "server.key");
  writeFileSync(join(folder, "index"), "");
  writeFileSync(
    settings ?? "",
    `[ca]\ndefault_ca=one\n[one]\ndatabase=${folder}/index\nnew_certs_dir=${folder}\nrand_serial=yes\ndefault_md=sha256\npolicy=any\n[any]\ncommonName=optional\n`,
  );
  await execa("openssl", ["req", "-new", "-key", key, "-subj", "/CN=pg1", "-out", request ?? ""]);
  const times = ["-startdate", begin, "-enddate", end];
  const files = ["-keyfile", key, "-in", request ?? "", "-out", made ?? ""];
  await execa("openssl", [
    "ca",
    "-batch",
    "-notext",
    "-selfsign",
    "-config",
    settings ?? "",
    ...times,
    ...files,
  ]);
  writeFileSync(join(dirOf("pg1"), "server.crt"), readFileSync(made ?? ""));
}

/** A moment as openssl writes it. @param days from now */
function inDays(days: number): string {
  const at = new Date(Date.now() + days * 86_400_000).toISOString();
  return `${at.slice(0, 19).replaceAll(/[-:T]/g, "")}Z`;
}

const ballast = (): string => join(dirOf("pg2"), "ballast");

/** Leaves so many megabytes on the disk of pg2. */
function fillDisk(left: number): void {
  const { bavail, bsize } = statfsSync(dirOf("pg2"));
  writeFileSync(ballast(), Buffer.alloc(Math.max(0, bavail * bsize - left * MB), 1));
}

const ofDisks: Readonly<Record<string, Trouble>> = {
  // The lost slot was met by a rebuild.
  "a disk that is filled by what a rebuild set aside": {
    plant: () => fillDisk(20),
    met: ["status"],
    says: "Old data is kept on it",
    brings: "gone",
    after: () => rmSync(ballast()),
  },
  "a disk that is nearly full": {
    plant: () => fillDisk(10),
    met: ["status"],
    says: "The disk of pg2 is",
    brings: /9\d%/,
    after: () => rmSync(ballast()),
  },
};

const troubles: Readonly<Record<string, Trouble>> = {
  "an agent older than the program": {
    plant: async () => {
      const older = join(cluster.folder, "older.mjs");
      const text = readFileSync(program(), "utf8");
      writeFileSync(older, text.replaceAll(/odoo-pg-build-[0-9a-f]{16}/g, "odoo-pg-build-0123456789abcdef"));
      await cluster.run(["up"], { program: older });
    },
    met: ["status"],
    says: "The agent runs another build of odoo-pg",
    brings: "gone",
  },
  "connections that are all in use": {
    plant: async () => await fill(),
    met: ["status"],
    says: "pg1: all 37 connections are in use",
    brings: /odoo/,
    after: letGo,
  },
  "connections that are nearly used up": {
    plant: async () => await fill(32),
    met: ["doctor"],
    says: "of 37 connections are in use",
    brings: /odoo/,
    after: letGo,
  },
  "an endpoint whose clients wait for a server": {
    plant: overfill,
    met: ["status"],
    says: "waits at the write endpoint for a server",
    brings: /connections are in use/,
    after: letGo,
  },
  "a PgBouncer that hangs": {
    plant: async () => await kill(poolerOfReads(), "SIGSTOP"),
    met: ["status"],
    says: "PgBouncer does not answer",
    brings: "gone",
  },
  "a PgBouncer that cannot be started again": {
    plant: async () => {
      const agent = cluster.agent();
      await kill(agent, "SIGSTOP");
      // Its parent is stopped: what is left of it holds no port.
      process.kill(poolerOfReads(), "SIGKILL");
      await waitFor("its port", async () => await take(cluster.ports.read));
      await kill(agent, "SIGCONT");
    },
    met: ["status"],
    says: "PgBouncer does not answer",
    brings: /bind|in use/i,
    after: async () => {
      await free();
      await cluster.healthy();
    },
  },
  "a certificate that expires soon": {
    plant: async () => await certify(inDays(-300), inDays(9)),
    met: ["status"],
    says: "The certificate of pg1 expires in",
    brings: "gone",
  },
  "a certificate that has expired": {
    plant: async () => await certify("20200101000000Z", "20210101000000Z"),
    met: ["doctor"],
    says: "The certificate of pg1 expired",
    brings: "gone",
  },
  "a port for the console that is taken": {
    plant: async () => {
      const port = await freePort();
      await take(port);
      cluster.configure({ console: { enabled: true, port } });
      await cluster.run(["up"]);
    },
    met: ["status"],
    says: "The console is not served",
    before: async () => await free(),
    brings: "gone",
    after: async () => {
      cluster.configure({});
      await cluster.up();
    },
  },
  "a port of an endpoint that is taken": {
    plant: async () => {
      const port = await freePort();
      await take(port);
      cluster.configure({ endpoints: { write: { port } } });
    },
    met: ["up"],
    says: "is in use by",
    before: async () => await free(),
    brings: "words",
    after: async () => {
      cluster.configure({});
      await cluster.up();
    },
  },
  "WAL that cannot be archived": {
    plant: async () =>
      await say(
        "pg1",
        "ALTER SYSTEM SET archive_command = '/bin/false'",
        "SELECT pg_reload_conf()",
        "SELECT pg_logical_emit_message(true, 'test', 'x')",
        "SELECT pg_switch_wal()",
      ),
    met: ["status"],
    says: "pg1 cannot archive",
    brings: /archive command failed/,
    after: async () => {
      await say("pg1", "ALTER SYSTEM RESET archive_command", "SELECT pg_reload_conf()");
      await cluster.healthy();
    },
  },
  "a slot that is lost": {
    plant: async () => {
      await kill(cluster.agent(), "SIGSTOP");
      await say("pg2", "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()");
      await say("pg1", "ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'", "SELECT pg_reload_conf()");
      const session = await cluster.session("pg1");
      await waitFor("the slot to be lost", async () => {
        for (const statement of ["pg_logical_emit_message(true, 'test', 'x')", "pg_switch_wal()"])
          await session.rows(`SELECT ${statement}`);
        await session.rows("CHECKPOINT");
        return (
          (await session.value("SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'pg2'")) ===
          "lost"
        );
      });
      await session.rows("ALTER SYSTEM RESET max_slot_wal_keep_size");
      await session.rows("SELECT pg_reload_conf()");
      await session.close();
      await say("pg2", "ALTER SYSTEM RESET primary_conninfo", "SELECT pg_reload_conf()");
      await kill(cluster.agent(), "SIGCONT");
    },
    met: ["status"],
    says: "pg2 can no longer catch up",
    brings: "gone",
    after: async () => await cluster.healthy(),
  },
  ...(mayMount ? ofDisks : {}),
  "a transaction that was prepared and left": {
    met: ["doctor"],
    says: "was prepared",
    brings: "gone",
  },
};

test.each(Object.keys(troubles))("%s", async (name) => {
  const trouble = troubles[name];
  if (trouble) await meet(cluster, trouble);
});
