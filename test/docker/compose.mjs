// The compose recipe: what its users do with it, in one project, one after another.
import {
  appendFileSync,
  chownSync,
  cpSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { randomBytes } from "node:crypto";
import { equal, healthy, holds, lacks, logsOf, psql } from "./containers.mjs";
import { docker, must, run, until } from "./engine.mjs";
import { deriveImage, root } from "./images.mjs";

/** An address of this host that nothing else uses: the recipe's ports are likely taken on the usual one. */
const ADDRESS = "127.0.77.1";
/** A password of the user's own, with what is special in an .env. */
const CHOSEN = "Ch#sen of our own";
const PASSWORDS = ["odoo", "replicator", "collectd", "pgadmin", "odoo-master"];

/** The parts of primary and replica exchanged, after a promotion. */
const EXCHANGED = /compose\.override\.yaml`:\n\n```yaml\n(.*?)```/s.exec(
  readFileSync(path.join(root, "docs/docker.md"), "utf8"),
)?.[1];

export class Project {
  folder = mkdtempSync(path.join(tmpdir(), "odoo-pg-compose-"));
  name = `odoopgtest${randomBytes(3).toString("hex")}`;
  #command;

  constructor(command, image) {
    this.#command = command;
    this.image = image;
    cpSync(path.join(root, "docker/compose.yaml"), path.join(this.folder, "compose.yaml"));
    writeFileSync(path.join(this.folder, ".env"), `ODOO_PASSWORD='${CHOSEN}'\n`);
    // As on a host where somebody without root's rights has the folder.
    if (process.getuid?.() === 0) chownSync(this.folder, 4321, 4321);
  }

  get #options() {
    return {
      cwd: this.folder,
      env: { ODOO_PG_IMAGE: this.image, ODOO_PG_ADDRESS: ADDRESS, COMPOSE_PROJECT_NAME: this.name },
    };
  }

  async compose(...args) {
    const [program, ...first] = this.#command;
    return await must(program, [...first, ...args], this.#options);
  }

  async container(service) {
    const id = await this.compose("ps", "-a", "-q", service);
    if (id === "") throw new Error(`${service} has no container`);
    return id;
  }

  async psql(service, statement, options) {
    return await psql(await this.container(service), statement, options);
  }

  /** A statement as Odoo's role through an endpoint, from another container, as Odoo does it. */
  async ask(port, statement) {
    const script = `PGPASSWORD=$(cat /run/secrets/odoo.password) PGCONNECT_TIMEOUT=20 psql -XAtq -h endpoints -p ${port} -U odoo -d postgres -c "$1"`;
    return await docker("exec", await this.container("primary"), "sh", "-c", script, "sh", statement);
  }

  async allHealthy(services = ["primary", "replica", "endpoints"]) {
    for (const service of services) await healthy(await this.container(service));
  }

  async clear() {
    const [program, ...first] = this.#command;
    await run(program, [...first, "down", "-v", "-t", "20", "--remove-orphans"], this.#options);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const READ = 5435;
const WRITE = 5436;

/** @returns {[string, () => Promise<void>][]} */
export function composeScenarios(project) {
  let acknowledged = 0;
  /** A row that is acknowledged is never missing afterwards. */
  const write = async () => {
    await project.ask(WRITE, "INSERT INTO ledger DEFAULT VALUES");
    acknowledged += 1;
  };
  const nothingLost = async () => {
    equal(Number(await project.ask(WRITE, "SELECT count(*) FROM ledger")), acknowledged, "rows");
    await until("the read endpoint to have all rows", async () => {
      return Number(await project.ask(READ, "SELECT count(*) FROM ledger")) === acknowledged;
    });
  };
  const inRecovery = async (port) => await project.ask(port, "SELECT pg_is_in_recovery()");
  return [
    [
      "docker/compose.yaml is what the program prints, and valid",
      async () => {
        const printed = await must("docker", ["run", "--rm", project.image, "odoo-pg", "compose", "--print"]);
        equal(readFileSync(path.join(root, "docker/compose.yaml"), "utf8").trim(), printed, "the file");
        await project.compose("--profile", "odoo", "--profile", "pgadmin", "config");
      },
    ],
    [
      "up -d makes passwords and a streaming cluster behind both endpoints",
      async () => {
        await project.compose("up", "-d");
        await project.allHealthy();
        const files = PASSWORDS.map((name) => `secrets/${name}.password`);
        for (const file of files)
          equal(
            statSync(path.join(project.folder, file)).uid,
            statSync(project.folder).uid,
            `owner of ${file}`,
          );
        equal(
          readFileSync(path.join(project.folder, files[0]), "utf8"),
          `${CHOSEN}\n`,
          "the password that .env gives",
        );
        for (const file of [...files, "odoo/odoo.conf", "pgadmin/pgpass", "pgadmin/password"])
          equal(
            (statSync(path.join(project.folder, file)).mode & 0o777).toString(8),
            "600",
            `mode of ${file}`,
          );
        const conf = readFileSync(path.join(project.folder, "odoo/odoo.conf"), "utf8");
        holds(conf, /^db_host = endpoints$/m, "odoo.conf");
        holds(conf, /^db_replica_port = 5435$/m, "odoo.conf");
        holds(conf, /^admin_passwd = \w{20}/m, "odoo.conf");
        appendFileSync(path.join(project.folder, "odoo/odoo.conf"), "workers = 4\n");
        const servers = JSON.parse(readFileSync(path.join(project.folder, "pgadmin/servers.json"), "utf8"));
        equal(
          Object.values(servers.Servers).map(({ Host }) => Host),
          ["primary", "replica"],
          "pgAdmin's servers",
        );
        await project.ask(WRITE, "CREATE DATABASE shop TEMPLATE odoo_template");
        await project.psql("primary", "CREATE TABLE ledger (id serial); ALTER TABLE ledger OWNER TO odoo");
        equal(await inRecovery(WRITE), "f", "the write endpoint leads to a replica");
        const endpoints = await project.container("endpoints");
        holds(
          await docker("exec", endpoints, "odoo-pg", "status"),
          /Write +5436 → primary/,
          "status of the endpoints",
        );
        await until("reads to go to the replica", async () => (await inRecovery(READ)) === "t");
        await write();
        await nothingLost();
      },
    ],
    [
      "up -d again changes nothing",
      async () => {
        const services = ["primary", "replica", "endpoints"];
        const before = await Promise.all(services.map(async (one) => await project.container(one)));
        await project.compose("up", "-d");
        equal(
          await Promise.all(services.map(async (one) => await project.container(one))),
          before,
          "containers",
        );
        const conf = readFileSync(path.join(project.folder, "odoo/odoo.conf"), "utf8");
        holds(conf, /^workers = 4$/m, "odoo.conf, which its owner changed");
        await nothingLost();
      },
    ],
    [
      "a second container on the primary's volume is refused, and the first goes on",
      async () => {
        const refused = async (...volume) => {
          const options = ["--rm", "-e", "POSTGRES_PASSWORD=another", ...volume];
          const { status, stderr } = await run("docker", ["run", ...options, project.image]);
          equal(status, 75, "exit status");
          holds(stderr, /another container runs on the volume/, "the error");
        };
        await refused("-v", `${project.name}_primary:/var/lib/postgresql`);
        await refused("-v", `${project.name}_primary:/mnt`, "-e", "PGDATA=/mnt/data");
        await healthy(await project.container("primary"));
        await nothingLost();
      },
    ],
    [
      "each service can be restarted",
      async () => {
        for (const service of ["endpoints", "replica", "primary"]) {
          await project.compose("restart", "-t", "60", service);
          await healthy(await project.container(service));
          await write();
        }
        await nothingLost();
      },
    ],
    [
      "kill -9 of the primary's container: reads go on, and no acknowledged row is lost",
      async () => {
        await write();
        const primary = await project.container("primary");
        const replica = await project.container("replica");
        const endpoints = await project.container("endpoints");
        await docker("kill", "-s", "KILL", primary);
        const ask = `PGPASSWORD=$(cat /run/secrets/collectd.password) psql -XAtq -h 127.0.0.1 -p ${READ} -U collectd -c 'SELECT count(*) FROM pg_class'`;
        for (let read = 0; read < 5; read += 1)
          holds(await docker("exec", endpoints, "sh", "-c", ask), /^\d+$/, "a read without the primary");
        // An engine that is told to kill a container does not start it again by itself.
        await docker("start", primary);
        await project.allHealthy();
        equal(await psql(replica, "SELECT pg_is_in_recovery()"), "t", "the replica");
        await write();
        await nothingLost();
      },
    ],
    [
      "containers have no right that their start does not need, and what runs as root's has none",
      async () => {
        for (const service of ["primary", "replica", "endpoints"]) {
          const container = await project.container(service);
          // Not the shell that looks: its words are the same. A health check is let go by whoever asks.
          const look = `for p in /proc/[0-9]*; do
            [ $p = /proc/$$ ] && continue
            case "$(tr '\\0' ' ' <$p/cmdline)" in *odoo-pg*" container "*|*postgres*-D*|haproxy*|*/haproxy*) grep -h -E '^(Uid|CapEff|NoNewPrivs)' $p/status | tr '\\n' ' '; echo;; esac
          done`;
          const seen = (await docker("exec", container, "sh", "-c", look)).split("\n").filter(Boolean);
          if (!seen.length) throw new Error(`nothing was seen in ${service}`);
          for (const line of seen)
            holds(line, /^Uid:\s+999\s.*CapEff:\s+0{16}\s+NoNewPrivs:\s+1/s, `rights in ${service}`);
          lacks(
            await docker("exec", container, "grep", "CapBnd", "/proc/1/status"),
            "3fffffffff",
            "what root of a container may",
          );
        }
        const scripts = await docker(
          "exec",
          await project.container("primary"),
          "stat",
          "-c",
          "%a %U",
          "/docker-entrypoint-initdb.d",
        );
        equal(scripts, "755 root", "whose the scripts of a first launch are");
        const write = await run("docker", ["exec", await project.container("endpoints"), "touch", "/etc/x"]);
        if (write.status === 0) throw new Error("the root file system of the endpoints can be written");
      },
    ],
    ["the origin's commands work by their names", async () => await originCommands(project)],
    [
      "scaling to three replicas keeps the data and uses all of them",
      async () => {
        const text = await must("docker", [
          "run",
          "--rm",
          project.image,
          "odoo-pg",
          "compose",
          "--print",
          "--replicas",
          "3",
        ]);
        writeFileSync(path.join(project.folder, "compose.yaml"), `${text}\n`);
        await project.compose("up", "-d");
        await project.allHealthy(["primary", "replica", "replica2", "replica3", "endpoints"]);
        await write();
        await nothingLost();
        const streaming =
          "SELECT string_agg(application_name, ' ' ORDER BY application_name) FROM pg_stat_replication";
        equal(await project.psql("primary", streaming), "pg2 pg3 pg4", "replicas");
      },
    ],
    [
      "an upgrade of the image keeps the data",
      async () => {
        const upgraded = `${project.image}-upgraded`;
        await deriveImage(project.image, upgraded);
        try {
          project.image = upgraded;
          const before = await project.container("primary");
          await project.compose("up", "-d");
          if ((await project.container("primary")) === before)
            throw new Error("the container is the old one");
          await project.allHealthy(["primary", "replica", "replica2", "replica3", "endpoints"]);
          await write();
          await nothingLost();
        } finally {
          await project.compose("down", "-t", "60");
          project.image = project.image.replace(/-upgraded$/, "");
          await docker("image", "rm", upgraded);
        }
      },
    ],
    [
      "down keeps the data; an old primary that comes back after a promotion gets no writes",
      async () => {
        await project.compose("up", "-d");
        await project.allHealthy();
        await nothingLost();
        const primary = await project.container("primary");
        const replica = await project.container("replica");
        await docker("stop", "-t", "60", primary);
        await docker("exec", replica, "odoo-pg", "promote", "pg2", "--allow-data-loss", "--confirm", "odoo");
        const endpoints = await project.container("endpoints");
        const leads = `PGPASSWORD=$(cat /run/secrets/odoo.password) PGCONNECT_TIMEOUT=20 psql -XAtq -h 127.0.0.1 -p ${WRITE} -U odoo -d postgres -c "SELECT current_setting('cluster_name')"`;
        const writesGoTo = async () => await docker("exec", endpoints, "sh", "-c", leads);
        await until("writes to go to the promoted replica", async () => (await writesGoTo()) === "odoo/pg2");
        await docker("start", primary);
        await healthy(primary);
        equal(await writesGoTo(), "odoo/pg2", "where writes go");
        await docker("restart", "-t", "60", endpoints, replica);
        await healthy(replica);
        equal(await psql(replica, "SELECT pg_is_in_recovery()"), "f", "the promoted node after a restart");
        await healthy(endpoints);
        equal(await writesGoTo(), "odoo/pg2", "where writes go after a restart of the endpoints");
      },
    ],
    [
      "after a promotion the parts are exchanged by compose.override.yaml, and go back, as docs/docker.md says",
      async () => {
        const override = path.join(project.folder, "compose.override.yaml");
        const setAside = async (service) => {
          const volume = `${project.name}_${service}:/v`;
          const move = "mkdir /v/old && mv /v/data /v/odoo-pg* /v/old/";
          await docker("run", "--rm", "-v", volume, project.image, "sh", "-c", move);
        };
        await project.compose("stop", "-t", "60", "primary");
        writeFileSync(override, EXCHANGED);
        await setAside("primary");
        await project.compose("up", "-d", "--no-deps", "replica", "endpoints");
        await healthy(await project.container("replica"));
        await project.compose("up", "-d", "primary");
        await project.allHealthy();
        equal(await project.psql("primary", "SELECT pg_is_in_recovery()"), "t", "the old primary");
        await write();
        await nothingLost();
        const made = await docker("exec", await project.container("replica"), "backupDatabase.sh", "shop");
        await project.compose("stop", "-t", "60", "replica");
        const primary = await project.container("primary");
        await docker("exec", primary, "odoo-pg", "promote", "pg1", "--allow-data-loss", "--confirm", "odoo");
        rmSync(override);
        await setAside("replica");
        await project.compose("up", "-d", "primary", "replica", "endpoints");
        await project.allHealthy();
        await write();
        await nothingLost();
        await docker("exec", await project.container("primary"), "ls", made);
      },
    ],
    [
      "no password in a log, in ps or in what the engine tells of a container",
      async () => {
        const config = await project.compose("--profile", "odoo", "--profile", "pgadmin", "config");
        for (const service of ["setup", "primary", "replica", "endpoints"]) {
          const id = await project.container(service);
          const within = async (...words) => (service === "setup" ? "" : await docker("exec", id, ...words));
          const texts = [
            config,
            await logsOf(id),
            await within("ps", "axeww"),
            await docker("inspect", id),
            await within("sh", "-c", "cat /var/log/*.log /var/lib/postgresql/odoo-pg/*.log 2>/dev/null || :"),
          ];
          for (const name of PASSWORDS) {
            const file = path.join(project.folder, "secrets", `${name}.password`);
            for (const text of texts)
              lacks(text, readFileSync(file, "utf8").trim(), `what is seen of ${service}`);
          }
        }
      },
    ],
    [
      "down -v removes the data, and up begins anew",
      async () => {
        await project.compose("down", "-v", "-t", "60");
        await project.compose("up", "-d");
        await project.allHealthy();
        equal(
          await project.psql("primary", "SELECT count(*) FROM pg_class WHERE relname = 'ledger'"),
          "0",
          "tables",
        );
      },
    ],
  ];
}

async function originCommands(project) {
  const primary = await project.container("primary");
  const replica = await project.container("replica");
  const shop = ["-d", "shop"];
  await psql(primary, "CREATE TABLE t AS SELECT 1 AS i; ALTER TABLE t OWNER TO odoo", shop);
  const call = async (container, ...words) => await docker("exec", container, ...words);
  const made = await call(primary, "backupDatabase.sh", "shop");
  holds(made, /^\/usr\/local\/openerp\/backups\/shop_\d{8}_\d{4}\S*\.dump$/, "backupDatabase.sh");
  holds(await call(primary, "pg_backup.sh"), /backups\/shop_\d{8}_\d{4}\S*\.dump/, "pg_backup.sh");
  const config = "echo ENABLE_PLAIN_BACKUPS=yes > /tmp/plain.config && pg_backup.sh -c /tmp/plain.config";
  const plain = (await call(primary, "sh", "-c", config)).split("\n").at(-1) ?? "";
  holds(await call(primary, "ls", plain), /database\.sql\.zst/, "a backup as SQL");
  holds(await call(primary, "cat", "/var/log/pg_backup.log"), /shop/, "the log of backups");
  await call(primary, "pg_dump", "-Fc", "-f", "/tmp/shop.dump", "shop");
  await psql(primary, "DROP TABLE t", shop);
  await call(primary, "dropAndImportDB.sh", "shop", "/tmp/shop.dump");
  equal(await psql(primary, "SELECT count(*) FROM t", shop), "1", "rows after dropAndImportDB.sh");
  await call(primary, "dropAndImportDB.sh", "shop2", made);
  equal(await psql(primary, "SELECT count(*) FROM t", ["-d", "shop2"]), "1", "rows of a new database");
  await call(primary, "pgCreateRole.sh", "second", "it's secret");
  equal(
    await psql(
      primary,
      "SELECT rolcreatedb, pg_has_role('second', 'openerp', 'member') FROM pg_roles WHERE rolname = 'second'",
    ),
    "t|f",
    "the role",
  );
  holds(await call(primary, "pgKillSessions.sh", "shop"), /sessions ended/, "pgKillSessions.sh");
  holds(
    await call(primary, "pgClientReplicationStatus.sh"),
    /pg2 .*streaming/,
    "pgClientReplicationStatus.sh",
  );
  holds(
    await call(replica, "pgReplicationStatus.sh"),
    /^\d{4}-\S+Z '0' '[^']*' '[0-9A-F/]+' '[0-9A-F/]+'$/,
    "pgReplicationStatus.sh",
  );
  await call(replica, "supervisorctl", "restart", "pgsql_slave");
  await healthy(replica);
  holds(
    await call(replica, "cat", "/var/log/supervisor/pgsql_slave.log"),
    /copy from upstream/,
    "the log of seeding",
  );
  await until(
    "the replication log",
    async () => (await call(replica, "cat", "/var/log/pg_replication.log")) !== "",
  );
}
