// One container: what its variables, its volumes and its signals mean.
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { tmpdir } from "node:os";
import path from "node:path";
import { equal, healthy, holds, lacks, logsOf, psql } from "./containers.mjs";
import { docker, run, until } from "./engine.mjs";

const PASSWORD = "s3cret-Pa55word";

/** Lays out a data directory as the official image does: the volume's root, superuser POSTGRES_USER, en_US.utf8; crashed. */
const OFFICIAL = `
chown postgres:postgres /data; chmod 700 /data
setpriv --reuid=postgres --regid=postgres --init-groups env -i PATH="$PATH" LANG=en_US.utf8 sh -ec '
  echo old-password > /tmp/pw
  initdb -D /data --username=odoo --pwfile=/tmp/pw --auth-host=scram-sha-256 >/dev/null 2>&1
  pg_ctl -D /data -w -o "-c unix_socket_directories=/tmp -c listen_addresses=" start >/dev/null
  createdb -h /tmp -U odoo shop
  psql -h /tmp -U odoo -d shop -qc "CREATE EXTENSION pg_trgm; CREATE TABLE partner AS SELECT generate_series(1, 1000) AS id"
  pg_ctl -D /data -m immediate -w stop >/dev/null'
`;

/** @returns {[string, () => Promise<void>][]} */
export function singleScenarios(containers) {
  const refused = async (options, pattern) => {
    const { status, text } = await containers.once(options);
    equal(status, 2, "exit status");
    holds(text, pattern, "the error");
    lacks(text, PASSWORD, "the error");
  };
  return [
    [
      "what cannot be is an error before anything is made",
      async () => {
        await refused([], /no password, and no default one: set POSTGRES_PASSWORD_FILE/);
        await refused(
          ["-e", `POSTGRES_PASSWORD=${PASSWORD}`, "-e", "POSTGRES_PASSWORD_FILE=/etc/hostname"],
          /POSTGRES_PASSWORD and POSTGRES_PASSWORD_FILE are both set/,
        );
        await refused(["-e", "POSTGRES_PASSWORD_FILE=/nowhere"], /there is no file \/nowhere/);
        await refused(["-e", "SLAVEHOST=db"], /no password to replicate with/);
        const password = ["-e", `POSTGRES_PASSWORD=${PASSWORD}`];
        await refused(
          [...password, "-e", "POSTGRES_USER=replicator"],
          /^Error[^\n]+POSTGRES_USER: .*another/s,
        );
        await refused(["-e", "ENDPOINTS_FOR=db"], /COLLECTD_PGSQL_PASSWD_FILE/);
        await refused(["-e", "POSTGRES_HOST_AUTH_METHOD=trust"], /scram-sha-256/);
        // As the origin's own scripts have it, no password and no primary of that name.
        await refused(["-e", "OPENERP_PGSQL_PASSWD=false", "-e", "SLAVEHOST=false"], /no password, and no/);
      },
    ],
    [
      "what asks a program is run as it stands, without a cluster",
      async () => {
        for (const command of [["postgres", "--version"], ["--version"], ["psql", "--version"]]) {
          const { status, text } = await containers.once([], command);
          equal(status, 0, command.join(" "));
          holds(text, /^(?:postgres|psql) \(PostgreSQL\) \d+/, command.join(" "));
        }
      },
    ],
    [
      "any user id, a read-only root and a mounted PGDATA: every variable counts, and docker stop is a clean end",
      async () => await everyVariable(containers),
    ],
    [
      "volumes as the engine makes them take any user id; with a read-only root a backup is brought back",
      async () => await volumesOfTheEngine(containers),
    ],
    [
      "PGDATA elsewhere on a volume of root's; data that lies where a start would pass it by is refused",
      async () => await otherPlaces(containers, refusedFor(containers)),
    ],
    [
      "a replica is healthy while it streams, a primary while it takes writes; and what is done on a replica",
      async () => await healthOfBoth(containers),
    ],
    [
      "secrets that only root may read, roles at first launch, and no password in log or ps",
      async () => {
        const folder = mkdtempSync(path.join(tmpdir(), "odoo-pg-secret-"));
        try {
          writeFileSync(path.join(folder, "openerp"), `${PASSWORD}\n`, { mode: 0o600 });
          writeFileSync(path.join(folder, "pg_backup.config"), "BACKUP_ONLY_FILTER=shop\n", { mode: 0o600 });
          const logs = path.join(folder, "logs");
          mkdirSync(logs);
          writeFileSync(path.join(logs, "pg_backup.log"), "of the origin\n", { mode: 0o640 });
          const name = await containers.start("origin", [
            "-v",
            `${folder}:/run/secrets:ro`,
            "-e",
            "OPENERP_PGSQL_PASSWD_FILE=/run/secrets/openerp",
            "-e",
            `REPLICATOR_PGSQL_PASSWD=${PASSWORD}2`,
            "-e",
            "BACKUPS=false",
            "-e",
            "COLLECTD_PGSQL_PASSWD=",
            "-e",
            "SLAVEPASSWORD=",
            "-v",
            `${folder}:/config/pg_backup:ro`,
            "-v",
            `${logs}:/var/log`,
          ]);
          await healthy(name);
          const roles = "SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles WHERE rolcanlogin";
          equal(
            await psql(name, roles),
            "collectd odoo openerp postgres replicator",
            "roles that may log in",
          );
          const login = `PGPASSWORD=$(cat /run/secrets/openerp) psql -XAtq -h 127.0.0.1 -U openerp -d postgres -c 'SELECT 1'`;
          equal(await docker("exec", name, "sh", "-c", login), "1", "login of openerp");
          lacks(await logsOf(name), PASSWORD, "the log of the container");
          lacks(await docker("exec", name, "ps", "axww", "-o", "args"), PASSWORD, "ps");
          await psql(name, "CREATE DATABASE shop");
          await psql(name, "CREATE DATABASE other");
          const made = await docker("exec", name, "pg_backup.sh");
          holds(made, /^\S+shop_\S+\.dump$/, "what pg_backup.sh made by a file that only root may read");
          const told = readFileSync(path.join(logs, "pg_backup.log"), "utf8");
          holds(told, /^of the origin\n.*backup of shop: ok/, "the origin's log, seen from the host");
          const wrong = await run("docker", ["exec", name, "pgCreateRole.sh", "bob", "two", "words"]);
          equal([wrong.status, wrong.stderr.includes("ROLE PASSWORD")], [2, true], "a password in two words");
          const files = "cat /var/lib/postgresql/odoo-pg/nodes/*/log/* /var/lib/postgresql/odoo-pg/*.log";
          lacks(await docker("exec", name, "sh", "-c", files), PASSWORD, "a log");
          // The engine asks for the health as root, whenever it does.
          const owners = await docker("exec", name, "ps", "axo", "user:20,args");
          const asRoot = owners.split("\n").filter((line) => {
            const [user, program] = line.split(/ +/);
            return user === "root" && !["tini", "ps"].includes(program) && !line.includes("container-health");
          });
          equal(asRoot, [], "what runs as root");
          await containers.remove(name);
        } finally {
          rmSync(folder, { recursive: true, force: true });
        }
      },
    ],
    [
      "data of the official image is used where it is; another major version is refused and not touched",
      async () => {
        const volume = await containers.volume("official");
        const laid = await containers.once(["-v", `${volume}:/data`], ["sh", "-ec", OFFICIAL]);
        equal(laid.status, 0, laid.text);
        const options = ["-v", `${volume}:/var/lib/postgresql/data`, "-e", "POSTGRES_USER=odoo"];
        const name = await containers.start("official", [...options, "-e", `POSTGRES_PASSWORD=${PASSWORD}`]);
        await healthy(name);
        equal(await psql(name, "SELECT count(*) FROM partner", ["-d", "shop"]), "1000", "rows");
        const owners =
          "SELECT tableowner, (SELECT datdba::regrole::text FROM pg_database WHERE datname = 'shop') FROM pg_tables WHERE tablename = 'partner'";
        equal(await psql(name, owners, ["-d", "shop"]), "odoo|odoo", "owners");
        equal(await psql(name, "SELECT rolsuper FROM pg_roles WHERE rolname = 'odoo'"), "f", "superuser");
        const write = `PGPASSWORD=${PASSWORD} psql -XAtq -h 127.0.0.1 -p 5436 -U odoo -d shop -c 'INSERT INTO partner VALUES (1); SELECT count(*) FROM partner'`;
        equal(await docker("exec", name, "sh", "-c", write), "1001", "rows after a write as Odoo's role");
        await containers.remove(name);
        const older = await containers.volume("older");
        const fake = ["sh", "-c", "echo 16 > /data/PG_VERSION; chown -R postgres /data"];
        await containers.once(["-v", `${older}:/data`], fake);
        const { status, text } = await containers.once([
          "-v",
          `${older}:/var/lib/postgresql/data`,
          "-e",
          `POSTGRES_PASSWORD=${PASSWORD}`,
        ]);
        equal(status, 1, "exit status");
        holds(
          text,
          /made by PostgreSQL 16, and this image has PostgreSQL 17.*docs\/migrate\.md/s,
          "the error",
        );
        const left = await containers.once(["-v", `${older}:/data`], ["ls", "/data"]);
        equal(left.text.trim(), "PG_VERSION", "what is in the volume");
      },
    ],
  ];
}

async function healthOfBoth(containers) {
  const folder = mkdtempSync(path.join(tmpdir(), "odoo-pg-secret-"));
  try {
    writeFileSync(path.join(folder, "replicator"), `${PASSWORD}\n`, { mode: 0o600 });
    const network = await containers.network();
    const common = ["--network", network, "-v", `${folder}:/run/secrets:ro`];
    const primary = await containers.start("healthy-primary", [
      ...common,
      "-e",
      `POSTGRES_PASSWORD=${PASSWORD}`,
      "-e",
      "REPLICATOR_PGSQL_PASSWD_FILE=/run/secrets/replicator",
    ]);
    await healthy(primary);
    const replica = await containers.start("healthy-replica", [
      ...common,
      "-e",
      `SLAVEHOST=${primary}`,
      "-e",
      "SLAVEUSER=false",
      "-e",
      "SLAVEPASSWORD_FILE=/run/secrets/replicator",
    ]);
    await healthy(replica);
    const status = await docker("exec", replica, "odoo-pg", "status");
    equal(/was changed/.test(status), false, `a configuration that nobody changed:\n${status}`);
    await docker("exec", "-d", replica, "psql", "-c", "SELECT pg_sleep(600)");
    const sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'";
    await until("a session on the replica", async () => (await psql(replica, sleeping)) === "1");
    equal(
      await docker("exec", replica, "pgKillSessions.sh", "postgres"),
      "1 sessions ended in postgres",
      "what pgKillSessions.sh says on a replica",
    );
    const ask = async (name) => {
      const { status, stdout, stderr } = await run("docker", ["exec", name, "odoo-pg", "container-health"]);
      return `${status} ${stdout}${stderr}`;
    };
    await psql(primary, "ALTER SYSTEM SET default_transaction_read_only = on");
    await psql(primary, "SELECT pg_reload_conf()");
    await until("a primary that takes no writes to be unhealthy", async () =>
      /^1 .*takes no writes/.test(await ask(primary)),
    );
    await docker("stop", "-t", "60", primary);
    await until("a replica that does not stream to be unhealthy", async () =>
      /^1 .*does not stream/.test(await ask(replica)),
    );
    await containers.remove(replica);
    await containers.remove(primary);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function volumesOfTheEngine(containers) {
  const [data, backups] = [await containers.volume("new"), await containers.volume("new-backups")];
  const name = await containers.start("new", [
    "--read-only",
    "--user",
    "4321:4321",
    "--cap-drop",
    "ALL",
    "-v",
    `${data}:/var/lib/postgresql`,
    "-v",
    `${backups}:/usr/local/openerp/backups`,
    "-e",
    `POSTGRES_PASSWORD=${PASSWORD}`,
    "-e",
    "POSTGRES_DB=shop",
  ]);
  await healthy(name);
  await psql(name, "CREATE TABLE partner AS SELECT generate_series(1, 7) AS id", ["-d", "shop"]);
  const backup = await docker("exec", name, "backupDatabase.sh", "shop");
  await psql(name, "DELETE FROM partner", ["-d", "shop"]);
  await docker("exec", name, "dropAndImportDB.sh", "shop", backup);
  equal(await psql(name, "SELECT count(*) FROM partner", ["-d", "shop"]), "7", "rows that are back");
  await containers.remove(name);
}

/** Runs a container to its end, which must be a refusal. */
function refusedFor(containers) {
  return async (volume, target, pattern) => {
    const { status, text } = await containers.once([
      "-v",
      `${volume}:${target}`,
      "-e",
      `POSTGRES_PASSWORD=${PASSWORD}`,
    ]);
    equal(status, 1, "exit status");
    holds(text, pattern, "the error");
  };
}

async function otherPlaces(containers, refused) {
  const volume = await containers.volume("elsewhere");
  // The engine makes such a mount point root's.
  const name = await containers.start("elsewhere", [
    "-v",
    `${volume}:/srv/data`,
    "-e",
    "PGDATA=/srv/data/pg",
    "-e",
    `POSTGRES_PASSWORD=${PASSWORD}`,
  ]);
  await healthy(name);
  equal(await psql(name, "SHOW data_directory"), "/srv/data/pg", "the data directory");
  await containers.remove(name);
  const official = await containers.volume("too-high");
  await containers.once(["-v", `${official}:/data`], ["sh", "-ec", OFFICIAL]);
  await refused(official, "/var/lib/postgresql", /Mount that volume at \/var\/lib\/postgresql\/data/);
  const origin = await containers.volume("of-the-origin");
  const theirs = "echo 9.3 > /data/PG_VERSION; chown -R 102:102 /data; chmod 700 /data";
  await containers.once(["-v", `${origin}:/data`], ["sh", "-c", theirs]);
  await refused(origin, "/var/lib/postgresql/9.3/main", /9\.3\/main was made by another PostgreSQL/);
}

async function everyVariable(containers) {
  const volume = await containers.volume("any");
  await containers.once(["-v", `${volume}:/data`], ["chown", "1234:1234", "/data"]);
  const folder = mkdtempSync(path.join(tmpdir(), "odoo-pg-init-"));
  try {
    chmodSync(folder, 0o755);
    writeFileSync(path.join(folder, "password"), `${PASSWORD}\n`, { mode: 0o644 });
    writeFileSync(path.join(folder, "database"), "shopdb", { mode: 0o644 });
    writeFileSync(path.join(folder, "10.sql"), "CREATE TABLE from_sql (i int);");
    writeFileSync(
      path.join(folder, "20.sh"),
      'psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" -c "CREATE TABLE from_sh_$MINE (i int)"; createdb second',
    );
    writeFileSync(path.join(folder, "30.sql.gz"), gzipSync("CREATE TABLE from_gz (i int);"));
    const name = await containers.start(
      "any",
      [
        "--read-only",
        "--user",
        "1234:1234",
        "-v",
        `${volume}:/var/lib/postgresql/data`,
        "-v",
        `${folder}:/docker-entrypoint-initdb.d:ro`,
        "-e",
        "POSTGRES_USER=shop",
        "-e",
        "POSTGRES_PASSWORD_FILE=/docker-entrypoint-initdb.d/password",
        "-e",
        "POSTGRES_DB_FILE=/docker-entrypoint-initdb.d/database",
        "-e",
        "POSTGRES_PASSWORD=",
        "-e",
        "MINE=1",
        "-e",
        "POSTGRES_INITDB_ARGS=--wal-segsize=4",
        "-e",
        "PGSQL_WORK_MEM=33MB",
      ],
      ["postgres", "-c", "log_min_duration_statement=10s"],
    );
    await healthy(name);
    const tables =
      "SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_tables WHERE schemaname = 'public'";
    equal(await psql(name, tables, ["-d", "shopdb"]), "from_gz from_sh_1 from_sql", "what the scripts made");
    const settings = ["work_mem", "log_min_duration_statement", "wal_segment_size"];
    const shown = await Promise.all(settings.map(async (one) => await psql(name, `SHOW ${one}`)));
    equal(shown, ["33MB", "10s", "4MB"], "settings");
    const owners =
      "SELECT string_agg(DISTINCT datdba::regrole::text, ' ') FROM pg_database WHERE datname IN ('shopdb', 'second')";
    equal(await psql(name, owners), "shop", "owner of the databases");
    const tableOwners =
      "SELECT string_agg(DISTINCT tableowner, ' ') FROM pg_tables WHERE schemaname = 'public'";
    equal(await psql(name, tableOwners, ["-d", "shopdb"]), "shop", "owner of what the scripts made");
    await docker("stop", "-t", "60", name);
    equal(await docker("inspect", "-f", "{{.State.ExitCode}}", name), "0", "exit status of docker stop");
    const control = await containers.once(
      ["-v", `${volume}:/var/lib/postgresql/data`],
      ["pg_controldata", "/var/lib/postgresql/data/main"],
    );
    holds(control.text, /Database cluster state: +shut down\n/, "the control file");
    lacks(await logsOf(name), PASSWORD, "the log");
    await docker("start", name);
    await healthy(name);
    equal(await psql(name, tables, ["-d", "shopdb"]), "from_gz from_sh_1 from_sql", "tables after a restart");
    await containers.remove(name);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
